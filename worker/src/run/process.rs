//! The agent's process: what it is started with, its start, its end.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use specwright_shared::machine::RunEvent;
use specwright_shared::outcome::Outcome;
use specwright_shared::wire::event::{AgentExited, AgentStarted, Event, RetryReason};
use uuid::Uuid;

use super::attempt::{Failure, with_causes};
use super::drain::is_drained;
use super::drive::Run;
use crate::agent::{Agent, Launch, START_PATIENCE, Session, StartError, inherited};
use crate::config::AgentChoice;
use crate::own_program::own_program;
use crate::phases;
use crate::spool::SpoolError;

/// Where an agent without a gateway is told to find its model: the discard port, where nothing is.
const NO_MODEL: &str = "http://127.0.0.1:9";
/// What it gets as a key there.
const NO_KEY: &str = "no-key";

/// The agent at work.
pub(super) struct Running {
    pub(super) agent: Agent,
    /// When it closed its stdout, if it did.
    pub(super) silent_since: Option<Instant>,
    /// Tool calls that started sub-agents and have no answer yet.
    pub(super) subagents: BTreeSet<String>,
}

impl Run<'_> {
    pub(super) fn launch(&self, schema: serde_json::Value, budget: Option<f64>) -> Launch {
        let (program, leading_args) = match &self.config.agent {
            AgentChoice::Claude { program } | AgentChoice::Program(program) => {
                (program.clone(), Vec::new())
            }
            // This very binary: what it is called elsewhere does not matter.
            AgentChoice::Rehearsal => (
                own_program().unwrap_or_else(|_| "/proc/self/exe".into()),
                vec!["rehearsal-agent".into()],
            ),
        };
        let (base_url, dummy_key) = match &self.gateway {
            Some(gateway) => (gateway.base_url.clone(), gateway.dummy_key.clone()),
            None => (NO_MODEL.to_owned(), NO_KEY.to_owned()),
        };
        Launch {
            program,
            leading_args,
            workdir: self.workspace.directory.clone(),
            private_dir: self.config.agent_dir(),
            model: self.config.model.clone(),
            session: Session::New(Uuid::new_v4()),
            system_prompt: phases::SYSTEM_PROMPT.to_owned(),
            schema,
            tools: phases::READING_TOOLS.to_vec(),
            max_turns: self.config.max_turns,
            max_budget_usd: budget,
            base_url,
            dummy_key,
            environment: inherited(self.config.environment.clone()),
            redactor: self.redactor.clone(),
            user: self.config.agent_user.clone(),
        }
    }

    /// Starts an agent; asked to end meanwhile, there is none and nothing else is wrong.
    pub(super) async fn start_agent(
        &mut self,
        launch: Launch,
    ) -> Result<Result<(), StartError>, SpoolError> {
        let program = launch.program.display().to_string();
        let model = launch.model.clone();
        self.pulse(Some("starting the agent".to_owned()));
        let stop = self.wakes.asked.clone();
        match Agent::start_within(launch, self.start_patience(), &stop).await {
            Ok((agent, started, facts)) => {
                self.agent =
                    Some(Running { agent, silent_since: None, subagents: BTreeSet::new() });
                self.wakes.facts = Some(facts);
                self.conversation = Some(started.session_id);
                self.tally.session = Some(started.session_id);
                self.pulse(Some("the agent is up".to_owned()));
                self.record(Event::AgentStarted(AgentStarted {
                    attempt: self.attempt.as_ref().map_or(1, |attempt| attempt.number),
                    pid: started.pid,
                    program,
                    version: started.version,
                    model,
                    permission_mode: started.permission_mode,
                    session_id: started.session_id,
                }))
                .await?;
                Ok(Ok(()))
            }
            Err(StartError::Stopped) => Ok(Ok(())),
            Err(error) => Ok(Err(error)),
        }
    }

    /// An agent that is being started has no more time than its attempt.
    fn start_patience(&self) -> Duration {
        let deadline = self.attempt.as_ref().map(|attempt| attempt.deadline);
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        left.map_or(START_PATIENCE, |left| left.min(START_PATIENCE))
    }

    /// What it means that an agent did not start.
    pub(super) fn not_started(&mut self, error: &StartError) -> Result<RunEvent, SpoolError> {
        self.tally.session = None;
        let why = format!("The agent could not be started: {}.", with_causes(error));
        if lasts(error) {
            return Ok(self.over(Outcome::AgentError, why));
        }
        if self.start_patience().is_zero() {
            let secs = self.config.phase_timeout.as_secs();
            let why = format!("{why} The attempt took longer than {secs} s (PHASE_TIMEOUT).");
            let failure = Failure::new(RetryReason::TimedOut, why.clone());
            let broke = self.broke(failure, Outcome::TimedOut)?;
            return Ok(broke.unwrap_or_else(|| self.over(Outcome::TimedOut, why)));
        }
        let failure = Failure::new(RetryReason::AgentBroke, why.clone());
        let broke = self.broke(failure, Outcome::AgentError)?;
        Ok(broke.unwrap_or_else(|| self.over(Outcome::AgentError, why)))
    }

    /// Ends the agent's process tree, and puts the workspace back if the agent changed it; at the end
    /// of a run, what it changed is saved first ([`Run::finish`]).
    pub(super) async fn stop_agent(&mut self, end: Option<Outcome>) -> Result<(), SpoolError> {
        let settled = if end.is_some_and(is_drained) { self.settle().await } else { Ok(()) };
        // Whatever went wrong before it: no agent outlives its run.
        self.end_agent().await?;
        settled?;
        if end.is_some_and(|outcome| outcome != Outcome::Fenced) {
            return Ok(());
        }
        self.tidy().await
    }

    async fn end_agent(&mut self) -> Result<(), SpoolError> {
        let Some(running) = self.agent.take() else { return Ok(()) };
        let exited = running.agent.stop().await;
        // What it said last still counts: its cost does.
        while let Some(fact) = self.wakes.facts.as_mut().and_then(|facts| facts.try_recv().ok()) {
            self.report(&fact).await?;
        }
        self.wakes.facts = None;
        self.last_calls().await?;
        self.vigil.renew();
        self.nothing_to_interrupt();
        self.mail.agent_is_gone();
        self.record(Event::AgentExited(AgentExited {
            pid: exited.pid,
            exit_code: exited.exit.code,
            signal: exited.exit.signal,
            descendants_ended: exited.descendants_ended,
            stderr_tail: exited.exit.stderr_tail,
        }))
        .await?;
        if exited.left > 0 {
            self.say(format!("{} processes of the agent could not be ended.", exited.left)).await?;
        }
        self.pulse(None);
        Ok(())
    }
}

/// Whether every further start would fail in the same way.
pub(super) const fn lasts(error: &StartError) -> bool {
    matches!(
        error,
        StartError::Launch(_)
            | StartError::Unfit(_)
            | StartError::Spawn { .. }
            | StartError::PrivateDir { .. }
            | StartError::SubReaper(_)
    )
}
