//! `POST /specs/{id}/cancel`: asks the run to stop; with `force`, ends its sandbox at once.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use specwright_shared::id::SpecId;
use specwright_shared::outcome::Outcome;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::spec::{Cancel, SpecView};

use crate::app::App;
use crate::extract::{Body, PathId};
use crate::problem::{Refusal, impl_answer};
use crate::sandboxes::lost;
use crate::store::{self, StoreError};

/// The reason of who gives none.
const NO_REASON: &str = "cancelled by the owner";

/// Why nothing was cancelled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CancelError {
    #[error("there is no spec {0}")]
    NotFound(SpecId),
    #[error("the spec is `{0}`; only one that is being executed can be cancelled")]
    NotExecuting(specwright_shared::phase::SpecStatus),
    #[error("the end of the sandbox did not come to its end")]
    Broken(#[from] tokio::task::JoinError),
    #[error("the cancellation could not be stored")]
    Store(#[from] StoreError),
}

impl Refusal for CancelError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NotFound(_) => ProblemType::NotFound,
            Self::NotExecuting(_) => ProblemType::IllegalTransition,
            Self::Broken(_) | Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(CancelError);

/// Cancels. 202: the worker was asked, and will say when it has stopped; 200: it is over.
pub(crate) async fn handler(
    State(app): State<App>,
    PathId(id): PathId<SpecId>,
    Body(cancel): Body<Cancel>,
) -> Result<(StatusCode, Json<SpecView>), CancelError> {
    let reason = cancel.reason.map_or_else(|| NO_REASON.to_owned(), |reason| reason.to_string());
    let mut write = app.store.write().await?;
    let spec = store::spec::lock(&mut write, id).await?.ok_or(CancelError::NotFound(id))?;
    let sandbox = spec.sandbox_id.ok_or(CancelError::NotExecuting(spec.status))?;
    store::sandbox::request_stop(&mut write, sandbox, &reason).await?;
    write.commit().await?;
    if !cancel.force {
        return Ok((StatusCode::ACCEPTED, Json(spec.into())));
    }
    // In a task of its own: who asks and hangs up has still ended it.
    let there = app.clone();
    app.tasks
        .spawn(async move {
            lost::end_unreported(&there, sandbox, Outcome::Cancelled, &reason).await?;
            let mut session = there.store.read().await?;
            let place = store::sandbox::find(&mut session, sandbox).await?;
            drop(session);
            let place = place.and_then(|sandbox| sandbox.place);
            there.provider.end(&there, sandbox, place.as_ref()).await;
            Ok::<_, StoreError>(())
        })
        .await??;
    let mut session = app.store.read().await?;
    let spec = store::spec::find(&mut session, id).await?.ok_or(CancelError::NotFound(id))?;
    Ok((StatusCode::OK, Json(spec.into())))
}
