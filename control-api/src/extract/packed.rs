//! A JSON body that may be compressed with gzip.
//!
//! What holds: what comes out of it is bounded as the route says, however small it was on the wire;
//! at most one byte more than that is ever unpacked.

use std::io::Read as _;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use flate2::read::GzDecoder;
use http::header::CONTENT_ENCODING;
use serde::de::DeserializeOwned;
use specwright_shared::wire::problem::{Problem, ProblemType};
use specwright_shared::wire::sandbox::BATCH_MAX_BYTES;

use super::{invalid, parse, read};
use crate::problem::Answer;

/// A body, unpacked to at most [`BATCH_MAX_BYTES`].
#[derive(Debug)]
pub(crate) struct PackedBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for PackedBody<T> {
    type Rejection = Answer<Problem>;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let coding = request.headers().get(CONTENT_ENCODING).cloned();
        let bytes = read(request, state).await?;
        match coding.as_ref().map(|coding| coding.as_bytes()) {
            None | Some(b"identity") => parse(&bytes).map(Self),
            Some(b"gzip") => parse(&unpack(&bytes)?).map(Self),
            Some(_) => Err(invalid("The body's `Content-Encoding` may be `gzip` or left out.")),
        }
    }
}

fn unpack(packed: &Bytes) -> Result<Bytes, Answer<Problem>> {
    let mut plain = Vec::new();
    let limit = BATCH_MAX_BYTES as u64 + 1;
    GzDecoder::new(&packed[..])
        .take(limit)
        .read_to_end(&mut plain)
        .map_err(|error| invalid(format!("The body is not whole gzip: {error}.")))?;
    if plain.len() > BATCH_MAX_BYTES {
        let detail = format!("Unpacked, the body is larger than {BATCH_MAX_BYTES} bytes.");
        return Err(Answer(Problem::new(ProblemType::TooLarge, detail)));
    }
    Ok(plain.into())
}
