//! From settings to a run with a job, and from its end to a flushed spool.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use specwright_shared::budget::Budget;
use specwright_shared::ledger::Ledger;
use specwright_shared::machine::Plan;
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::Phase;
use specwright_shared::stall::Patience;
use specwright_shared::wire::event::{Event, ExecutionStarted};
use specwright_shared::wire::sandbox::{Job, SpecJob, Welcome};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Ended;
use super::arrival::{hello, lock, make_state_dir, not_welcome};
use super::attempt::{PhaseTally, with_causes};
use super::calls::Calls;
use super::drive::{Run, now};
use super::ending::{FLUSH_AFTER_SIGNAL_MAX, FLUSH_MAX, failed, flush};
use super::left;
use super::mail::Mail;
use super::vigil::Vigil;
use super::wake::Wakes;
use crate::api::Api;
use crate::config::{AgentChoice, Config, Credential, Start};
use crate::deliver::{Courier, DeliverProblem};
use crate::gateway::{self, Gateway, Journal, Metering, ModelFact, Upstream};
use crate::health::{Health, Pulse};
use crate::inbox::{Arrival, Inbox};
use crate::log;
use crate::spool::{Fold, Found, Limits, Spool};
use crate::workspace::{Workspace, watch as files};

/// Problems and arrivals that wait for the run: few, it is never away for long.
const WAKES_MAX: usize = 64;

/// The whole of a run.
pub(super) async fn whole_run(config: &Config, asked: CancellationToken) -> Ended {
    let worker_error = |why: String| Ended::new(Outcome::WorkerError, why);
    if let Err(error) = make_state_dir(config) {
        return worker_error(format!("STATE_DIR {:?} cannot be used: {error}", config.state_dir));
    }
    let _lock = match lock(config) {
        Ok(lock) => lock,
        Err(why) => return worker_error(why),
    };
    let redactor = config.redactor();
    let (recovered, found) = match Spool::open(&config.state_dir.join("spool"), redactor) {
        Ok(opened) => opened,
        Err(error) => return worker_error(error.to_string()),
    };
    let token = config.sandbox_token.clone();
    let api = match Api::new(&config.control_api, config.sandbox_id, token) {
        Ok(api) => api.in_trace(config.trace),
        Err(error) => return worker_error(error.to_string()),
    };
    let welcome = match asked.run_until_cancelled(hello(&api)).await {
        None => return Ended::new(Outcome::Cancelled, "asked to end by a signal, before the job"),
        Some(Ok(welcome)) => welcome,
        Some(Err(error)) => return not_welcome(&error),
    };
    let config = &config.entrusted_with(&welcome.credentials);
    log::redact(config.redactor());
    let recovered = recovered.redacting(config.redactor());
    let spool = match recovered.within(Limits::of(config.spool_max_bytes)).start(welcome.acked) {
        Ok(spool) => spool,
        Err(error) => return worker_error(error.to_string()),
    };
    let ended = with_job(config, &api, &spool, welcome, found, asked).await;
    spool.close().await;
    ended
}

/// Everything from the job on: the tasks run, the phases are done, the spool is flushed.
async fn with_job(
    config: &Config,
    api: &Api,
    spool: &Spool,
    welcome: Welcome,
    found: Found,
    asked: CancellationToken,
) -> Ended {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let (problems_tx, problems) = mpsc::channel(WAKES_MAX);
    let (arrivals_tx, arrivals) = mpsc::channel(WAKES_MAX);
    let (pulse, pulse_seen) = watch::channel(Pulse::default());
    let stored = found.acked.max(welcome.acked);
    let (courier, acked) = Courier::new(
        api.clone(),
        welcome.generation,
        spool.reader(stored),
        spool.durable(),
        problems_tx,
        stop.clone(),
    );
    tasks.spawn(courier.run());
    let Job::Spec(job) = welcome.job else {
        if found.fold.ended.is_none() {
            left::record(config, found.fold, spool).await;
        }
        let ended = delivered(spool, acked, &asked).await;
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        return ended;
    };
    let health = Health {
        api: api.clone(),
        generation: welcome.generation,
        period: Duration::from_millis(welcome.heartbeat_ms),
        pulse: pulse_seen,
        state_dir: config.state_dir.clone(),
        durable: spool.durable(),
        acked: acked.clone(),
        arrivals: arrivals_tx.clone(),
    };
    tasks.spawn(health.run(stop.clone()));

    let generation = welcome.generation;
    let parts = Parts { generation, asked: asked.clone(), arrivals_tx, arrivals, problems, pulse };
    let ended = match found.fold.ended {
        // The worker before us ended the run and was cut off while it delivered.
        Some(outcome) => Ended::new(outcome, "the run had ended before the worker was restarted"),
        None => {
            let acked = acked.clone();
            phases(config, api, spool, *job, found.fold, acked, parts, &tasks, &stop).await
        }
    };
    let limit = if asked.is_cancelled() { FLUSH_AFTER_SIGNAL_MAX } else { FLUSH_MAX };
    flush(spool, acked, limit).await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    ended
}

/// The whole of a job that is to deliver what is in the spool. A signal ends it at once: whoever comes
/// next finds the same spool.
async fn delivered(spool: &Spool, acked: watch::Receiver<u64>, asked: &CancellationToken) -> Ended {
    match asked.run_until_cancelled(flush(spool, acked, FLUSH_MAX)).await {
        Some(true) => {
            Ended::new(Outcome::Fenced, "The run was over; what was left of it is delivered.")
        }
        Some(false) => {
            Ended::new(Outcome::WorkerError, "The run was over; what was left is not delivered.")
        }
        None => Ended::new(Outcome::Cancelled, "asked to end by a signal, with facts undelivered"),
    }
}

/// Ends of channels on their way to the run.
struct Parts {
    generation: u64,
    asked: CancellationToken,
    arrivals_tx: mpsc::Sender<Arrival>,
    arrivals: mpsc::Receiver<Arrival>,
    problems: mpsc::Receiver<DeliverProblem>,
    pulse: watch::Sender<Pulse>,
}

#[expect(clippy::too_many_arguments, reason = "the one place where all parts meet")]
async fn phases(
    config: &Config,
    api: &Api,
    spool: &Spool,
    mut job: SpecJob,
    fold: Fold,
    acked: watch::Receiver<u64>,
    parts: Parts,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Ended {
    let started = Instant::now();
    let cost_usd = fold.cost_usd;
    let fail = async |outcome: Outcome, why: String| {
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let event = failed(outcome, None, why.clone(), cost_usd, duration_ms);
        if let Err(error) = spool.record(now(), None, event).await {
            tracing::error!(%error, "the end of the run could not be recorded");
        }
        Ended::new(outcome, why)
    };
    if job.spec_id != config.spec_id {
        let why = format!("The job is for spec {}, SPEC_ID says {}.", job.spec_id, config.spec_id);
        return fail(Outcome::WorkerError, why).await;
    }
    if let Some(lack) = config.lacks() {
        return fail(Outcome::WorkerError, lack.to_owned()).await;
    }
    // A key that someone wrote into the idea goes no further: not to the model, not into documents.
    let redactor = config.redactor();
    job.title = redactor.text(&job.title).into_owned();
    job.description = redactor.text(&job.description).into_owned();
    let seen = fold.seen.clone();
    let mut ledger = fold.ledger.clone();
    let (journal, left) = match left::calls(config, &mut ledger) {
        Ok(opened) => opened,
        Err(error) => {
            let why = format!("STATE_DIR has no room for the calls of the model: {error}");
            return fail(Outcome::WorkerError, why).await;
        }
    };
    let calls = Calls::new(fold.warned, ledger.known());
    let (interrupted, begun) = (fold.open, fold.attempt);
    let unwritten = fold
        .unwritten
        .clone()
        .and_then(|(phase, written)| Some((phase, fold.accepted.get(&phase)?.clone()?, written)));
    let (plan, done) = match plan(config, &mut job, fold) {
        Ok(planned) => planned,
        Err(why) => return fail(Outcome::WorkerError, why).await,
    };
    let taken_up = begun.filter(|(phase, _)| *phase == plan.start).map(|(_, attempt)| attempt);
    let prepared = Workspace::prepare(config, job.repository.as_deref());
    let workspace = match parts.asked.run_until_cancelled(prepared).await {
        None => {
            let why = "The worker was asked to end by a signal.".to_owned();
            return fail(Outcome::Cancelled, why).await;
        }
        Some(Err(error)) => return fail(Outcome::WorkerError, with_causes(&error)).await,
        Some(Ok(workspace)) => workspace,
    };
    let (model_tx, model) = mpsc::channel(gateway::FACTS_MAX);
    let gateway = match gateway_for(config, ledger, journal, model_tx, stop).await {
        Ok(gateway) => gateway,
        Err(error) => return fail(Outcome::WorkerError, with_causes(&error)).await,
    };
    let moved_at = gateway.as_ref().map(Gateway::moved_at);
    parts.pulse.send_modify(|pulse| pulse.model_moved_at = moved_at);
    let (inbox, kept) = match Inbox::open(&config.state_dir.join("inbox")) {
        Ok(opened) => opened,
        Err(error) => {
            return fail(Outcome::WorkerError, format!("The inbox cannot be opened: {error}"))
                .await;
        }
    };
    tasks.spawn(inbox.run(api.clone(), parts.arrivals_tx, stop.clone()));
    let (watch, watching) =
        files::start(workspace.directory.clone(), workspace.shadow(config), stop.clone());
    tasks.spawn(watching);

    let mut run = Run {
        config,
        redactor,
        job,
        plan,
        spool,
        acked,
        pulse: parts.pulse,
        wakes: Wakes {
            asked: parts.asked,
            signal_taken: false,
            arrivals: parts.arrivals,
            problems: parts.problems,
            watch,
            facts: None,
            interrupt: None,
            model,
            own: VecDeque::new(),
        },
        workspace,
        pristine: None,
        compared: true,
        gateway,
        calls,
        agent: None,
        api,
        generation: parts.generation,
        conversation: interrupted.map(|open| open.session_id),
        mail: Mail::new(kept, seen),
        interrupted,
        taken_up,
        vigil: Vigil::default(),
        attempt: None,
        tally: PhaseTally::new(started),
        done,
        paused_after: None,
        cost_usd,
        started,
        because: String::new(),
        overruled: None,
    };
    let announced = match run.announce().await {
        Ok(()) => run.calls_before(left).await,
        broke => broke,
    };
    let announced = match (announced, unwritten) {
        (Ok(()), Some((phase, document, written))) => {
            run.write_documents(phase, &document, &written).await
        }
        (announced, _) => announced,
    };
    if let Err(error) = announced {
        return fail(Outcome::WorkerError, error.to_string()).await;
    }
    let mut ended = run.drive().await;
    if let Some(outcome) = run.overruled {
        ended = Ended::new(outcome, run.because.clone());
    }
    if let Some(gateway) = run.gateway.take() {
        gateway.stop().await;
    }
    ended
}

/// What is to be done, and what the worker before us has done already: its accepted outputs are in
/// the spool and are not made again.
fn plan(config: &Config, job: &mut SpecJob, fold: Fold) -> Result<(Plan, Vec<Phase>), String> {
    let mut start = match config.start {
        Start::AsTheJobSays => job.start,
        Start::At(phase) => phase,
    };
    let (mut accepted, mut done) = (fold.accepted, Vec::new());
    while let Some(document) = accepted.remove(&start) {
        if let Some(document) = document {
            job.accepted.insert(document);
        }
        // `complete` has no document: doing it again changes nothing.
        let Some(next) = start.next() else { break };
        done.push(start);
        start = next;
    }
    let needed = Phase::ALL.into_iter().filter(|phase| *phase < start);
    if let Some(missing) = needed.into_iter().find(|phase| !job.accepted.has(*phase)) {
        return Err(format!(
            "The run cannot start at {start}: there is no accepted output of {missing}. Start at \
             {missing}, or with SPEC_PHASE=all."
        ));
    }
    Ok((Plan { start, until: job.until, max_attempts: config.max_attempts }, done))
}

async fn gateway_for(
    config: &Config,
    ledger: Ledger,
    journal: Journal,
    facts: mpsc::Sender<ModelFact>,
    stop: &CancellationToken,
) -> Result<Option<Gateway>, gateway::GatewayError> {
    if config.agent == AgentChoice::Rehearsal {
        return Ok(None);
    }
    let credential = match &config.credential {
        None => return Ok(None),
        Some(Credential::ApiKey(key)) => gateway::Credential::ApiKey(key.reveal().to_owned()),
        Some(Credential::OAuth(token)) => gateway::Credential::OAuth(token.reveal().to_owned()),
    };
    let upstream = Upstream { base_url: config.model_base_url.clone(), credential };
    let patience = Patience {
        silence: config.model_silence_timeout,
        pings: config.model_ping_timeout.max(config.model_silence_timeout),
    };
    let budget = Budget::of(config.max_budget_usd);
    let metering = Metering { ledger, budget, journal, patience, facts };
    Gateway::start(upstream, metering, stop).await.map(Some)
}

impl Run<'_> {
    /// The run as it will be done.
    async fn announce(&self) -> Result<(), crate::spool::SpoolError> {
        let config = self.config;
        let planned = |phase: &Phase| (self.plan.start..=self.plan.until).contains(phase);
        self.record(Event::ExecutionStarted(ExecutionStarted {
            title: self.job.title.clone(),
            phases: Phase::ALL.into_iter().filter(planned).collect(),
            agent: config.agent.to_string(),
            model: config.model.clone(),
            worker_version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: self.workspace.commit.clone(),
            max_attempts: config.max_attempts.get(),
            phase_timeout_secs: config.phase_timeout.as_secs(),
            max_budget_usd: config.max_budget_usd,
            rehearsal: config.is_rehearsal(),
        }))
        .await?;
        for note in &self.workspace.notes {
            self.say(note.clone()).await?;
        }
        Ok(())
    }
}
