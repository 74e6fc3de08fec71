//! `POST /sandboxes/{id}/hello`, by the worker: it is up, and gets its job and its generation.

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use specwright_shared::id::SandboxId;
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::{Phase, SandboxState};
use specwright_shared::time::Timestamp;
use specwright_shared::wire::PROTOCOL;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::sandbox::{Hello, Job, SpecJob, Welcome};

use crate::app::App;
use crate::auth::Brought;
use crate::credentials::{self, EntrustError};
use crate::extract::{Body, PathId};
use crate::problem::{Refusal, impl_answer};
use crate::run::Run;
use crate::sandboxes::lost;
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
    #[error("a newer worker has said hello in this sandbox; this one is to stop")]
    Overtaken,
    #[error("the run cannot be given its credentials: {0}")]
    Entrust(EntrustError),
    #[error("the hello could not be stored")]
    Store(#[from] StoreError),
}

impl Refusal for HelloError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NotFound(_) => ProblemType::NotFound,
            Self::Protocol(_) => ProblemType::ProtocolMismatch,
            Self::Overtaken => ProblemType::Fenced,
            Self::Entrust(EntrustError::Store(_)) | Self::Store(_) => ProblemType::Internal,
            Self::Entrust(_) => ProblemType::NoSealKey,
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
    Brought(token): Brought,
    Body(hello): Body<Hello>,
) -> Result<Json<Welcome>, HelloError> {
    let begin = Instant::now();
    if hello.protocol != PROTOCOL {
        return Err(HelloError::Protocol(hello.protocol));
    }
    let now = app.now();
    let mut write = app.store.write().await?;
    let run = Run::lock(&mut write, id, now).await?.ok_or(HelloError::NotFound(id))?;
    // Once more, now that nobody can replace it: what was looked up at the door may be long ago.
    let whenever_it_ended = Timestamp::from_micros(0);
    if store::sandbox::token::by_token(&mut write, &token, whenever_it_ended).await? != Some(id) {
        return Err(HelloError::Overtaken);
    }
    let generation = if run.sandbox.boot_id == Some(hello.boot_id) {
        run.sandbox.generation
    } else {
        run.sandbox.generation + 1
    };
    let lease = now.plus(app.lease);
    let boot = hello.boot_id;
    if !store::sandbox::set_generation(&mut write, id, generation, boot, lease).await? {
        return Err(HelloError::Overtaken);
    }
    let phases: Vec<PhaseRecord> = run.phases.values().cloned().collect();
    let accepted = store::phase::accepted(&phases)?;
    let delivers = run.sandbox.state == SandboxState::Ended || run.sandbox.salvages > 0;
    let credentials = if delivers {
        // Who starts no agent needs no key.
        Default::default()
    } else {
        match credentials::entrusted(&app, &mut write, run.spec.id).await {
            Ok(entrusted) => entrusted,
            Err(error) => {
                drop(write);
                return Err(unentrusted(&app, &run, error).await?);
            }
        }
    };
    write.commit().await?;
    app.intake.begins(&run, generation, token);
    if run.sandbox.state != SandboxState::Ended {
        app.known_sandboxes.keep(token, id, begin);
    }
    tracing::info!(
        sandbox = %id, spec = %run.spec.id, generation, worker = %hello.worker_version,
        "a worker said hello"
    );
    // Made now: a fleet that begins to report at once need not wait for thousands. Else with the report.
    drop(app.redactors.of(&app, id, generation).await);
    let job = if delivers {
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
        credentials,
        job,
    }))
}

/// Another start would meet the same locked credentials, so a run that has not begun ends here, with
/// the cause in words. One that has is left to its supervisor: what it had done may still be delivered.
async fn unentrusted(app: &App, run: &Run, error: EntrustError) -> Result<HelloError, StoreError> {
    let error = HelloError::Entrust(error);
    if matches!(error.kind(), ProblemType::NoSealKey) && run.sandbox.boot_id.is_none() {
        let why = error.to_string();
        lost::end_unreported(app, run.sandbox.id, Outcome::WorkerError, &why).await?;
    }
    Ok(error)
}
