//! `PUT /sandboxes/{id}/transcript`, by the worker before it ends: the agent's newest conversation, as
//! gzip of JSON lines; and `GET`, by the owner: the same bytes.
//!
//! The body is never unpacked here: what it would swell to is nobody's danger but its reader's.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use schemars::JsonSchema;
use serde::Deserialize;
use specwright_shared::id::SandboxId;
use specwright_shared::phase::SandboxState;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::sandbox::TranscriptSaved;
use uuid::Uuid;

use crate::app::App;
use crate::extract::{Params, PathId, Raw};
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError};

/// How a gzip stream begins (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Which conversation, by whom.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    session_id: Uuid,
    generation: u64,
}

/// Why a transcript was not taken or cannot be given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TranscriptError {
    #[error("there is no sandbox {0}")]
    NotFound(SandboxId),
    #[error("no transcript of sandbox {0} was saved")]
    NoTranscript(SandboxId),
    #[error("generation {theirs} is not this sandbox's; {newest} is")]
    Fenced { theirs: u64, newest: u64 },
    #[error("the sandbox has ended")]
    Ended,
    #[error("the body is not gzip")]
    NotGzip,
    #[error("the transcript could not be stored or read")]
    Store(#[from] StoreError),
}

impl Refusal for TranscriptError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NotFound(_) | Self::NoTranscript(_) => ProblemType::NotFound,
            Self::Fenced { .. } => ProblemType::Fenced,
            Self::Ended => ProblemType::SandboxEnded,
            Self::NotGzip => ProblemType::InvalidRequest,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(TranscriptError);

/// Takes one; a newer one takes its place.
pub(crate) async fn put_handler(
    State(app): State<App>,
    PathId(id): PathId<SandboxId>,
    Params(query): Params<Query>,
    Raw(body): Raw,
) -> Result<Json<TranscriptSaved>, TranscriptError> {
    if !body.starts_with(&GZIP) {
        return Err(TranscriptError::NotGzip);
    }
    let mut write = app.store.write().await?;
    let sandbox =
        store::sandbox::lock(&mut write, id).await?.ok_or(TranscriptError::NotFound(id))?;
    let (theirs, newest) = (query.generation, sandbox.generation);
    if theirs != newest {
        return Err(TranscriptError::Fenced { theirs, newest });
    }
    if sandbox.state == SandboxState::Ended {
        return Err(TranscriptError::Ended);
    }
    let now = app.now();
    let bytes = body.len() as u64;
    store::transcript::save(&mut write, id, query.session_id, body.into(), now).await?;
    write.commit().await?;
    Ok(Json(TranscriptSaved { bytes }))
}

/// Gives it.
pub(crate) async fn get_handler(
    State(app): State<App>,
    PathId(id): PathId<SandboxId>,
) -> Result<Response, TranscriptError> {
    let mut session = app.store.read().await?;
    let found = store::transcript::find(&mut session, id).await?;
    let (spec, session_id, body) = found.ok_or(TranscriptError::NoTranscript(id))?;
    store::spec::find(&mut session, spec).await?.ok_or(TranscriptError::NotFound(id))?;
    let name = format!("attachment; filename=\"{session_id}.jsonl.gz\"");
    let headers = [
        (header::CONTENT_TYPE, "application/gzip".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, body).into_response())
}
