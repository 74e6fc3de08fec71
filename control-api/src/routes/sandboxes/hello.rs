//! `POST /sandboxes/{id}/hello`, by the worker: it is up, and gets its job and its generation.

use axum::Json;
use axum::extract::State;
use specwright_shared::id::SandboxId;
use specwright_shared::phase::{Phase, SandboxState};
use specwright_shared::wire::PROTOCOL;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::sandbox::{Hello, Job, SpecJob, Welcome};

use crate::app::App;
use crate::extract::{Body, PathId};
use crate::problem::{Refusal, impl_answer};
use crate::run::Run;
use crate::store::phase::PhaseRecord;
use crate::store::{self, StoreError};

/// Why there is no welcome.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HelloError {
    #[error("there is no sandbox {0}")]
    NotFound(SandboxId),
    #[error(
        "the worker speaks protocol {0}, this control API {PROTOCOL}; use the same release of both"
    )]
    Protocol(u32),
    #[error("the hello could not be stored")]
    Store(#[from] StoreError),
}

impl Refusal for HelloError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NotFound(_) => ProblemType::NotFound,
            Self::Protocol(_) => ProblemType::ProtocolMismatch,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(HelloError);

/// Greets. The same boot that asks again (an answer was lost) gets the same generation; another boot
/// gets the next one, and whatever came before it is fenced off from then on. Where the run is over, or
/// its place was lost, the job is to deliver what is durable, and nothing else.
pub(crate) async fn handler(
    State(app): State<App>,
    PathId(id): PathId<SandboxId>,
    Body(hello): Body<Hello>,
) -> Result<Json<Welcome>, HelloError> {
    if hello.protocol != PROTOCOL {
        return Err(HelloError::Protocol(hello.protocol));
    }
    let now = app.now();
    let mut write = app.store.write().await?;
    let run = Run::lock(&mut write, id, now).await?.ok_or(HelloError::NotFound(id))?;
    let generation = if run.sandbox.boot_id == Some(hello.boot_id) {
        run.sandbox.generation
    } else {
        run.sandbox.generation + 1
    };
    let lease = now.plus(app.lease);
    store::sandbox::set_generation(&mut write, id, generation, hello.boot_id, lease).await?;
    let phases: Vec<PhaseRecord> = run.phases.values().cloned().collect();
    let accepted = store::phase::accepted(&phases)?;
    write.commit().await?;
    tracing::info!(
        sandbox = %id, spec = %run.spec.id, generation, worker = %hello.worker_version,
        "a worker said hello"
    );
    let job = if run.sandbox.state == SandboxState::Ended || run.sandbox.salvages > 0 {
        Job::Deliver
    } else {
        Job::Spec(Box::new(SpecJob {
            spec_id: run.spec.id,
            title: run.spec.title,
            description: run.spec.description,
            repository: run.spec.repository,
            // Outputs that are to be made anew were set aside when the run was asked for.
            start: accepted.first_missing(),
            until: run.sandbox.options.until.unwrap_or(Phase::Complete),
            accepted,
        }))
    };
    Ok(Json(Welcome {
        generation,
        acked: run.sandbox.acked_seq,
        heartbeat_ms: u64::try_from(app.heartbeat.as_millis()).unwrap_or(u64::MAX),
        job,
    }))
}
