//! Taking up the work of an agent that died with the worker before us, or that took too long.
//!
//! What holds: an attempt whose time ran out, by whatever limit, is followed once in a phase by one in
//! the same conversation under a fresh process: often only the process or its connection hung. What
//! hangs there again gets a fresh conversation (a worker that was started again does not know of the
//! first time; the attempts bound it). The best rung that carries is taken; which one is an event. A transcript is there: the conversation goes on, and we say so to the agent, since a
//! resumed one does nothing by itself. None is there (it died before its first word): the same question
//! under the same session id. The conversation cannot be taken up, or its transcript is gone: a fresh
//! one, from the last accepted phase. Messages that no agent has seen come behind the question in any
//! case; those that were seen stand in the transcript and are not repeated.
//!
//! Deliberately absent: the CLI's own continuation of an interrupted turn. It was measured to drop
//! the interrupted tool call from the history.

use specwright_shared::machine::RunEvent;
use specwright_shared::phase::Phase;
use specwright_shared::wire::event::{AgentResumed, Event, ResumeRung, RetryReason};
use uuid::Uuid;

use super::attempt::{Failure, with_causes};
use super::drive::Run;
use super::process::lasts;
use crate::agent::{Launch, Session, transcript};
use crate::phases;
use crate::spool::{Open, SpoolError};

impl Run<'_> {
    /// Starts an agent, or takes up the one that a dead worker left; gives what it is to be asked.
    pub(super) async fn start_or_resume(
        &mut self,
        phase: Phase,
        launch: Launch,
        prompt: String,
    ) -> Result<Result<String, RunEvent>, SpoolError> {
        let open = self.interrupted.take().filter(|open| open.phase == phase);
        let mut reason = None;
        if let Some(open) = open {
            match rung(&launch, &open, &prompt) {
                Ok((rung, session, mut text)) => {
                    match self.start_agent(Launch { session, ..launch.clone() }).await? {
                        Ok(()) => {
                            if let Some(why) = &self.tally.kept {
                                text = format!("{text}\n\n{}", not_again(why));
                            }
                            self.resumed(rung, open.session_id, None).await?;
                            return Ok(Ok(text));
                        }
                        Err(error) if lasts(&error) => return self.not_started(&error).map(Err),
                        Err(error) => reason = Some(with_causes(&error)),
                    }
                }
                Err(why) => reason = Some(why),
            }
        }
        let session_id = launch.session.id();
        match self.start_agent(launch).await? {
            Ok(()) => {
                if reason.is_some() {
                    self.resumed(ResumeRung::FreshSession, session_id, reason).await?;
                }
                Ok(Ok(prompt))
            }
            Err(error) => self.not_started(&error).map(Err),
        }
    }

    /// What took too long goes on where it was, if it left a transcript.
    pub(super) fn keep_conversation(&mut self, phase: Phase) {
        let timed_out = |failure: &&Failure| failure.reason == RetryReason::TimedOut;
        let Some(failure) = self.tally.failure.as_ref().filter(timed_out) else { return };
        let Some(session_id) = self.tally.session else { return };
        let is_first = self.tally.kept.is_none();
        if is_first && transcript(&self.config.agent_dir(), session_id).is_some() {
            self.tally.kept = Some(failure.message.clone());
            self.interrupted = Some(Open { phase, session_id, spoke: true });
        }
    }

    async fn resumed(
        &self,
        rung: ResumeRung,
        session_id: Uuid,
        reason: Option<String>,
    ) -> Result<(), SpoolError> {
        if self.agent.is_none() {
            // Asked to end while it was starting.
            return Ok(());
        }
        self.record(Event::AgentResumed(AgentResumed { rung, session_id, reason })).await?;
        Ok(())
    }
}

fn not_again(why: &str) -> String {
    format!(
        "Why it was interrupted: {why} Do not repeat the step that hung, whatever was said above: choose \
         another way, or leave it out."
    )
}

/// A conversation without a transcript is unknown to the agent; one with a transcript can be resumed
/// and not begun. `Err`: it was lost, and why.
fn rung(
    launch: &Launch,
    open: &Open,
    prompt: &str,
) -> Result<(ResumeRung, Session, String), String> {
    let session_id = open.session_id;
    if transcript(&launch.private_dir, session_id).is_some() {
        let text = phases::go_on(open.phase);
        return Ok((ResumeRung::Transcript, Session::Resume(session_id), text));
    }
    if open.spoke {
        return Err(format!("the transcript of the conversation {session_id} is gone"));
    }
    Ok((ResumeRung::SameSession, Session::New(session_id), prompt.to_owned()))
}
