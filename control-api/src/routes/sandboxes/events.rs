//! `POST /sandboxes/{id}/events`, by the worker: facts, in order, without a gap. Answered with 2xx
//! only when they are committed. The body may be compressed with gzip.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use http::HeaderMap;
use specwright_shared::id::SandboxId;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::sandbox::{Ack, Batch};

use crate::app::App;
use crate::auth::{Brought, Class, TooFast};
use crate::credentials::EntrustError;
use crate::extract::{PackedBody, PathId};
use crate::ingest::{IngestError, Taken};
use crate::problem::{Refusal, chain, impl_answer};
use crate::reconcile;

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

/// Why events were not taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EventsError {
    #[error(transparent)]
    Ingest(#[from] IngestError),
    #[error(transparent)]
    TooFast(#[from] TooFast),
    #[error(transparent)]
    Entrust(#[from] EntrustError),
}

impl Refusal for EventsError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::Ingest(error) => error.kind(),
            Self::TooFast(error) => error.kind(),
            Self::Entrust(error) => error.kind(),
        }
    }

    fn seq(&self) -> Option<u64> {
        match self {
            Self::Ingest(error) => error.seq(),
            Self::TooFast(_) | Self::Entrust(_) => None,
        }
    }

    fn tell(&self, headers: &mut HeaderMap) {
        if let Self::TooFast(error) = self {
            error.tell(headers);
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooFast(error) => error.retry_after(),
            Self::Entrust(error) => error.key_away(),
            Self::Ingest(_) => None,
        }
    }
}
impl_answer!(EventsError);

/// Takes a batch in.
pub(crate) async fn handler(
    State(app): State<App>,
    PathId(id): PathId<SandboxId>,
    Brought(token): Brought,
    PackedBody(batch): PackedBody<Batch>,
) -> Result<Json<Ack>, EventsError> {
    let begin = Instant::now();
    let events = u32::try_from(batch.events.len()).unwrap_or(u32::MAX);
    let taken = take(&app, id, batch, events).await;
    match &taken {
        Ok(taken) => {
            // As good as a look-up: this token still opens the sandbox.
            if !taken.ack.ended && taken.token == Some(token) {
                app.known_sandboxes.keep(token, id, begin);
            }
            app.metrics.batch_taken(events);
        }
        Err(error) => {
            if let EventsError::Entrust(away) = error
                && away.key_away().is_some()
            {
                tracing::warn!(
                    sandbox = %id, error = chain(error),
                    "what a worker reports waits in its spool: it cannot be cleaned of the run's keys"
                );
            }
            app.metrics.batch_refused(error.kind());
        }
    }
    taken.map(|taken| Json(taken.ack))
}

async fn take(app: &App, id: SandboxId, batch: Batch, events: u32) -> Result<Taken, EventsError> {
    app.limiter.take(Class::Events, id.0, events, Instant::now())?;
    let redactor = app.redactors.of(app, id, batch.generation).await?;
    let taken = app.intake.take(Some(app), &redactor, id, batch, app.now(), app.lease).await?;
    if let Some(next) = taken.next {
        // At once; when we end before it is made, the duty does it.
        app.tasks.spawn(reconcile::make_place(app.clone(), next));
    }
    Ok(taken)
}
