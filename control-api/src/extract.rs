//! What a request carries, parsed at the door: a handler sees only values that fit, and what does
//! not fit is answered with a sentence that names the field.

mod packed;
mod page;

use std::fmt::Display;
use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use http::StatusCode;
use http::request::Parts;
use serde::de::DeserializeOwned;
use specwright_shared::wire::problem::{Problem, ProblemType};

pub(crate) use self::packed::PackedBody;
pub(crate) use self::page::{Behind, Cursor, Limit, WholeList, page};
use crate::problem::Answer;

fn invalid(detail: impl Into<String>) -> Answer<Problem> {
    Answer(Problem::new(ProblemType::InvalidRequest, detail))
}

/// A JSON body. An absent one counts as `{}`.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Answer<Problem>;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let bytes = read(request, state).await?;
        parse(&bytes).map(Self)
    }
}

/// A body as it came, as large as the route takes.
#[derive(Debug)]
pub(crate) struct Raw(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Answer<Problem>;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        read(request, state).await.map(Self)
    }
}

/// The bytes of a body, as many as the route takes.
async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Answer<Problem>> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        if too_large(&rejection) {
            let detail = "The body is larger than this route takes.";
            Answer(Problem::new(ProblemType::TooLarge, detail))
        } else {
            invalid(format!("The body could not be read: {}.", rejection.body_text()))
        }
    })
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Answer<Problem>> {
    let json: &[u8] = if bytes.is_empty() { b"{}" } else { bytes };
    if let Ok(value) = serde_json::from_slice(json) {
        return Ok(value);
    }
    // Once more, to say where it does not fit: what fits does not pay for keeping the path.
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.into_inner());
        // An unknown field's path is the field itself, which the error names already.
        if path == "." {
            invalid(format!("The body does not fit: {inner}."))
        } else {
            invalid(format!("The body's `{path}` does not fit: {inner}."))
        }
    })?;
    reader.end().map_err(|error| invalid(format!("The body does not fit: {error}.")))?;
    Ok(value)
}

fn too_large(rejection: &BytesRejection) -> bool {
    rejection.status() == StatusCode::PAYLOAD_TOO_LARGE
}

/// The segment `{id}` of the path.
#[derive(Debug)]
pub(crate) struct PathId<T>(pub(crate) T);

impl<T: FromStr, S: Send + Sync> FromRequestParts<S> for PathId<T>
where
    T::Err: Display,
{
    type Rejection = Answer<Problem>;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        segment(parts, state, "id").await.map(Self)
    }
}

/// The segment `{name}` of the path.
#[derive(Debug)]
pub(crate) struct PathName<T>(pub(crate) T);

impl<T: FromStr, S: Send + Sync> FromRequestParts<S> for PathName<T>
where
    T::Err: Display,
{
    type Rejection = Answer<Problem>;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        segment(parts, state, "name").await.map(Self)
    }
}

async fn segment<T: FromStr, S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    wanted: &str,
) -> Result<T, Answer<Problem>>
where
    T::Err: Display,
{
    let parameters = RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|rejection| invalid(format!("The path: {}.", rejection.body_text())))?;
    let text = parameters.iter().find(|(name, _)| *name == wanted).map_or("", |(_, text)| text);
    let shown: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
    text.parse().map_err(|error| invalid(format!("`{shown}` in the path does not fit: {error}.")))
}

/// The query parameters.
#[derive(Debug)]
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Answer<Problem>;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let Query(value) = Query::from_request_parts(parts, state).await.map_err(|rejection| {
            invalid(format!("The query does not fit: {}.", rejection.body_text()))
        })?;
        Ok(Self(value))
    }
}
