//! Executing a spec: what `POST /specs/launch` and `POST /specs/{id}/execute` share.
//!
//! What holds: the spec's row, the set-aside outputs and the sandbox's row are one transaction; of
//! two executions at once a partial unique index lets one through; a place that cannot be made ends
//! its sandbox, so nothing is left `executing` without a worker.

use specwright_shared::id::{SandboxId, SpecId};
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::{Phase, PhaseStatus, SpecStatus};
use specwright_shared::trace::TraceContext;
use specwright_shared::wire::access::Deed;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::spec::{Launched, RunOptions};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::app::App;
use crate::auth::{Person, SandboxToken};
use crate::breaker;
use crate::problem::{Refusal, chain, impl_answer};
use crate::sandboxes::local::DEFAULT_AGENT;
use crate::sandboxes::{Start, lost};
use crate::store::phase::PhaseRecord;
use crate::store::sandbox::NewSandbox;
use crate::store::spec::Spec;
use crate::store::{self, StoreError, Write};

/// The agent that works without a model.
const REHEARSAL: &str = "rehearsal";

/// Why a spec is not executed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExecuteError {
    #[error("there is no spec {0}")]
    NotFound(SpecId),
    #[error("the spec {0} is being executed already; cancel it first, or wait for its end")]
    AlreadyExecuting(SpecId),
    #[error(
        "the spec {0} pauses after the phase at work, which cannot be taken back; resume it when \
         that has ended, or cancel it"
    )]
    Pausing(SpecId),
    #[error(
        "the spec is completed; name the phase to do again from (`from`, on the command line --from)"
    )]
    Completed,
    #[error("`agent` is `{0}`; it is `claude`, `rehearsal`, or the absolute path of a program")]
    Agent(String),
    #[error(
        "`agent` is a program on the control API's own machine, which only an administrator may name; use `claude` or `rehearsal`"
    )]
    NotYourMachine,
    #[error("`from` is `{from}`, but `{missing}` before it has no accepted output; start there")]
    FromTooLate { from: Phase, missing: Phase },
    #[error(
        "`until` is `{until}`, but the next phase to do is `{start}`; leave `until` out, or say `from` where to start again"
    )]
    NothingToDo { until: Phase, start: Phase },
    #[error("{0}")]
    BreakerOpen(String),
    #[error("the sandbox could not be started: {0}")]
    StartFailed(String),
    #[error("no random bytes can be had for a token")]
    Random(#[from] getrandom::Error),
    #[error("the start did not come to its end")]
    Broken(#[from] tokio::task::JoinError),
    #[error("the execution could not be stored")]
    Store(#[from] StoreError),
}

impl Refusal for ExecuteError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NotFound(_) => ProblemType::NotFound,
            Self::NotYourMachine => ProblemType::Forbidden,
            Self::AlreadyExecuting(_) | Self::Pausing(_) => ProblemType::AlreadyExecuting,
            Self::Completed => ProblemType::IllegalTransition,
            Self::Agent(_) | Self::FromTooLate { .. } | Self::NothingToDo { .. } => {
                ProblemType::InvalidRequest
            }
            Self::BreakerOpen(_) => ProblemType::BreakerOpen,
            Self::StartFailed(_) => ProblemType::SandboxStartFailed,
            Self::Random(_) | Self::Broken(_) | Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(ExecuteError);

/// A spec whose execution is stored and whose place is still to be made.
#[derive(Debug)]
pub(crate) struct Requested {
    start: Start,
}

/// Whether this person may have it executed so: a program of the machine runs as the control API does.
pub(crate) fn within_reach(person: &Person, options: &RunOptions) -> Result<(), ExecuteError> {
    let program = options.agent.as_deref().is_some_and(|agent| agent.starts_with('/'));
    if program && !Deed::Administer.open_to(person.kind) {
        return Err(ExecuteError::NotYourMachine);
    }
    Ok(())
}

/// Stores that a spec is to be executed. The caller holds the spec's lock and commits.
pub(crate) async fn request(
    app: &App,
    write: &mut Write,
    mut spec: Spec,
    options: RunOptions,
    trace: TraceContext,
) -> Result<Requested, ExecuteError> {
    let agent = options.agent.as_deref().unwrap_or(DEFAULT_AGENT).to_owned();
    if agent != DEFAULT_AGENT && agent != REHEARSAL && !agent.starts_with('/') {
        return Err(ExecuteError::Agent(agent.chars().take(80).collect()));
    }
    if let Some(sandbox) = spec.sandbox_id {
        let sandbox = store::sandbox::find(write, sandbox).await?;
        let pauses = sandbox.is_some_and(|sandbox| sandbox.pause_requested);
        let why = if pauses { ExecuteError::Pausing } else { ExecuteError::AlreadyExecuting };
        return Err(why(spec.id));
    }
    if spec.status == SpecStatus::Completed && options.from.is_none() {
        return Err(ExecuteError::Completed);
    }
    let now = app.now();
    let settings = app.settings_of(write, spec.project_id).await?;
    if let Some(why) = breaker::open(write, &spec, &settings, now).await? {
        return Err(ExecuteError::BreakerOpen(why));
    }
    let start = plan(write, &mut spec, &options).await?;
    // A completed spec got here only by `from`: setting outputs aside has made it a draft again.
    spec.status = SpecStatus::Executing;
    spec.reason = None;
    spec.message = None;
    spec.current_phase = start;
    spec.rehearsal = agent == REHEARSAL;
    spec.agent = Some(agent.clone());
    spec.updated_at = now;

    let token = SandboxToken::generate()?;
    let sandbox = SandboxId(Uuid::now_v7());
    let new = NewSandbox {
        id: sandbox,
        spec_id: spec.id,
        provider: app.provider.name(),
        token_hash: token.hash(),
        lease_expires_at: now.plus(app.lease),
        agent,
        options: options.clone(),
        created_at: now,
        traceparent: Some(trace),
    };
    store::sandbox::insert(write, &new).await.map_err(|error| {
        if error.is_unique_violation() {
            ExecuteError::AlreadyExecuting(spec.id)
        } else {
            error.into()
        }
    })?;
    store::spec::save(write, &spec).await?;
    tracing::info!(spec = %spec.id, %sandbox, "a run is asked for");
    let traceparent = Some(trace);
    Ok(Requested { start: Start { sandbox, spec: spec.id, token, options, traceparent } })
}

/// Sets aside what is to be done again, and says which phase comes first.
async fn plan(
    write: &mut Write,
    spec: &mut Spec,
    options: &RunOptions,
) -> Result<Phase, ExecuteError> {
    let phases = store::phase::list(write, spec.id).await?;
    let mut accepted = store::phase::accepted(&phases)?;
    if let Some(from) = options.from {
        let missing = accepted.first_missing();
        if from > missing {
            return Err(ExecuteError::FromTooLate { from, missing });
        }
        accepted.forget_from(from);
    }
    let start = accepted.first_missing();
    if let Some(until) = options.until
        && until < start
    {
        return Err(ExecuteError::NothingToDo { until, start });
    }
    for record in phases.into_iter().filter(|record| record.phase >= start) {
        if record.status == PhaseStatus::Pending {
            continue;
        }
        store::phase::save(write, spec.id, &PhaseRecord::pending(record.phase)).await?;
        store::document::forget(write, spec.id, record.phase).await?;
    }
    if start <= Phase::Sync {
        spec.coverage = None;
    }
    Ok(start)
}

/// Makes the place of a stored execution. In a task of its own: a client that hangs up must not leave
/// a sandbox half made.
pub(crate) async fn start(app: &App, requested: Requested) -> Result<Launched, ExecuteError> {
    let app_there = app.clone();
    let made = async move { make_place(&app_there, requested.start).await };
    app.tasks.spawn(made.in_current_span()).await?
}

/// Makes it in the task at hand.
pub(crate) async fn make_place(app: &App, start: Start) -> Result<Launched, ExecuteError> {
    let (spec_id, sandbox_id) = (start.spec, start.sandbox);
    if let Err(error) = app.provider.start(app, start).await {
        let why = chain(&error);
        let message = format!("the sandbox could not be started: {why}");
        lost::end_unreported(app, sandbox_id, Outcome::WorkerError, &message).await?;
        return Err(ExecuteError::StartFailed(why));
    }
    let mut session = app.store.read().await?;
    let spec =
        store::spec::find(&mut session, spec_id).await?.ok_or(ExecuteError::NotFound(spec_id))?;
    Ok(Launched { spec: spec.into(), sandbox_id })
}
