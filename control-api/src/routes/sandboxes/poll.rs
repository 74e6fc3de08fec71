//! `GET /sandboxes/{id}/messages/poll?after=&wait_ms=`, by the worker: messages behind a position, or
//! the request to stop; waits for either. Reading consumes nothing.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use specwright_shared::id::SandboxId;
use specwright_shared::phase::SandboxState;
use specwright_shared::wire::message::{Poll, Stop};
use specwright_shared::wire::problem::ProblemType;

use crate::app::App;
use crate::extract::{Params, PathId};
use crate::problem::{Refusal, impl_answer};
use crate::routes::WAIT_MAX;
use crate::store::{self, StoreError};
use crate::wake::Find;

/// The most messages of one answer: the longest ones together stay under 2 MiB.
const MESSAGES_MAX: i64 = 16;

/// The query.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    #[serde(default)]
    after: u64,
    /// How long to wait when there is nothing; cut to [`WAIT_MAX`].
    #[serde(default)]
    wait_ms: u64,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PollError {
    #[error("there is no sandbox {0}")]
    NotFound(SandboxId),
    #[error("the sandbox has ended; no message will come")]
    Ended,
    #[error("the messages could not be read")]
    Store(#[from] StoreError),
}

impl Refusal for PollError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NotFound(_) => ProblemType::NotFound,
            Self::Ended => ProblemType::SandboxEnded,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(PollError);

impl Find for Poll {
    fn is_found(&self) -> bool {
        // A pause stays asked for: to answer it at once each time would never let anybody wait.
        self.stop.is_some() || !self.messages.is_empty()
    }
}

/// Reads, or waits.
pub(crate) async fn handler(
    State(app): State<App>,
    PathId(id): PathId<SandboxId>,
    Params(query): Params<Query>,
) -> Result<Json<Poll>, PollError> {
    let wait = Duration::from_millis(query.wait_ms).min(WAIT_MAX);
    let look = || look(&app, id, query.after);
    Ok(Json(app.wakes.until_found(id.0, wait, &app.shutdown, look).await?))
}

/// What there is for a worker behind a position. Messages are asked for only when there are some: most
/// looks find nothing.
pub(super) async fn look(app: &App, id: SandboxId, after: u64) -> Result<Poll, PollError> {
    let mut session = app.store.ask().await?;
    let there =
        store::sandbox::waiting::look(&mut session, id).await?.ok_or(PollError::NotFound(id))?;
    if there.state == SandboxState::Ended {
        return Err(PollError::Ended);
    }
    let messages = if there.messages > after {
        store::message::list(&mut session, id, after, MESSAGES_MAX).await?
    } else {
        Vec::new()
    };
    Ok(Poll {
        messages,
        stop: there.stop_reason.map(|reason| Stop { reason }),
        pause: there.pause_requested,
    })
}
