//! What a request carries, parsed at the door: a handler sees only values that fit, and what does
//! not fit is answered with a sentence that names the field.

mod packed;

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use http::StatusCode;
use http::request::Parts;
use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema, json_schema};
use serde::de::DeserializeOwned;
use specwright_shared::wire::problem::{Problem, ProblemType};
use uuid::Uuid;

pub(crate) use self::packed::PackedBody;
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

/// How many items a page has when nobody says.
const LIMIT_DEFAULT: u32 = 50;
/// The most items that a page has: keeps an answer small enough to be made and read at once.
const LIMIT_MAX: u32 = 200;

/// How many items a page may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "u32")]
pub(crate) struct Limit(u32);

impl Default for Limit {
    fn default() -> Self {
        Self(LIMIT_DEFAULT)
    }
}

impl TryFrom<u32> for Limit {
    type Error = String;
    fn try_from(limit: u32) -> Result<Self, String> {
        if (1..=LIMIT_MAX).contains(&limit) {
            Ok(Self(limit))
        } else {
            Err(format!("`limit` is {limit}; 1 to {LIMIT_MAX} are allowed"))
        }
    }
}

impl Limit {
    /// The items of a page.
    pub(crate) const fn items(self) -> usize {
        self.0 as usize
    }

    /// One more than a page has, to see whether there is another behind it.
    pub(crate) fn and_one(self) -> i64 {
        i64::from(self.0) + 1
    }
}

impl JsonSchema for Limit {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "integer", "minimum": 1, "maximum": LIMIT_MAX,
            "description": "How many items a page may have.",
        })
    }
}

impl serde::Serialize for Limit {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

/// A place in a list that is ordered by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Cursor(pub(crate) Uuid);

impl TryFrom<String> for Cursor {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, &'static str> {
        Uuid::try_parse(&text)
            .map(Self)
            .map_err(|_| "`after` is not a cursor; give the `next` of the page before")
    }
}

impl JsonSchema for Cursor {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Cursor".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "format": "uuid",
            "description": "The `next` of the page before.",
        })
    }
}

/// A page of what was read with [`Limit::and_one`].
pub(crate) fn page<T>(
    mut items: Vec<T>,
    limit: Limit,
    id: impl Fn(&T) -> Uuid,
) -> specwright_shared::wire::Page<T> {
    let more = items.len() > limit.items();
    items.truncate(limit.items());
    let next = items.last().filter(|_| more).map(|last| id(last).simple().to_string());
    specwright_shared::wire::Page { items, next }
}

/// The query of a list that is short by its nature and is given whole. `limit` and `after` are taken,
/// so that one loop reads every list; there is never a page behind the first.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WholeList {
    #[serde(default, rename = "limit")]
    pub(crate) _limit: Limit,
    #[serde(default, rename = "after")]
    pub(crate) _after: Option<String>,
}
