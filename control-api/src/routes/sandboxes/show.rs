//! `GET /sandboxes/{id}`: with a verdict about its liveness, judged now from what it last said.

use axum::Json;
use axum::extract::State;
use specwright_shared::id::SandboxId;
use specwright_shared::liveness::{Limits, Observation, judge};
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::sandbox::SandboxView;

use crate::app::App;
use crate::auth::Owner;
use crate::extract::PathId;
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError};

/// Why it cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShowError {
    #[error("there is no sandbox {0}")]
    NotFound(SandboxId),
    #[error("the sandbox could not be read")]
    Store(#[from] StoreError),
}

impl Refusal for ShowError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NotFound(_) => ProblemType::NotFound,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(ShowError);

/// Shows it.
pub(crate) async fn handler(
    State(app): State<App>,
    Owner(_): Owner,
    PathId(id): PathId<SandboxId>,
) -> Result<Json<SandboxView>, ShowError> {
    let mut session = app.store.read().await?;
    let sandbox = store::sandbox::find(&mut session, id).await?.ok_or(ShowError::NotFound(id))?;
    let now = app.now();
    let seen = Observation {
        created_at: sandbox.created_at,
        ended_at: sandbox.ended_at,
        heartbeat_at: sandbox.heartbeat_at,
        listening_since: app.listening_since(now),
        signals: sandbox.heartbeat.as_ref().and_then(|heartbeat| heartbeat.signals.as_ref()),
    };
    let verdict = Some(judge(&seen, now, &Limits::default()));
    Ok(Json(SandboxView { verdict, ..sandbox.into() }))
}
