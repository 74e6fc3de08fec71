//! `POST /sandboxes/{id}/events`, by the worker: facts, in order, without a gap. Answered with 2xx
//! only when they are committed. The body may be compressed with gzip.

use axum::Json;
use axum::extract::State;
use specwright_shared::id::SandboxId;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::sandbox::{Ack, Batch};

use crate::app::App;
use crate::extract::{PackedBody, PathId};
use crate::ingest::{self, IngestError};
use crate::problem::{Refusal, impl_answer};

impl Refusal for IngestError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::UnknownSandbox(_) => ProblemType::NotFound,
            Self::Fenced { .. } => ProblemType::Fenced,
            Self::NeverHandedOut { .. } | Self::Disorder { .. } | Self::TooMany(_) => {
                ProblemType::InvalidRequest
            }
            Self::Gap { .. } => ProblemType::SequenceGap,
            Self::InvalidEvent { .. } => ProblemType::InvalidEvent,
            Self::GateRefused { .. } => ProblemType::GateRefused,
            Self::Store(_) => ProblemType::Internal,
        }
    }

    fn seq(&self) -> Option<u64> {
        match self {
            Self::Gap { expected, .. } => Some(*expected),
            Self::InvalidEvent { seq, .. } | Self::GateRefused { seq, .. } => Some(*seq),
            _ => None,
        }
    }
}
impl_answer!(IngestError);

/// Takes a batch in, and wakes who waits for it.
pub(crate) async fn handler(
    State(app): State<App>,
    PathId(id): PathId<SandboxId>,
    PackedBody(batch): PackedBody<Batch>,
) -> Result<Json<Ack>, IngestError> {
    let taken = ingest::ingest(&app.store, &app.redactor, id, batch, app.now(), app.lease).await?;
    app.wakes.wake(taken.spec.0);
    app.wakes.wake(id.0);
    Ok(Json(taken.ack))
}
