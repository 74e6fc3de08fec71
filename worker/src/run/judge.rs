//! What a turn came to: output, work tree and gate, judged by code.

use std::collections::BTreeSet;
use std::time::Instant;

use specwright_shared::documents::Document;
use specwright_shared::excerpt::Excerpt;
use specwright_shared::finding::Finding;
use specwright_shared::gate::{self, Verdict};
use specwright_shared::machine::RunEvent;
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::Phase;
use specwright_shared::render::About;
use specwright_shared::wire::event::{Event, PhaseCompleted, RetryReason, SyncCompleted};

use super::attempt::{Failure, with_causes};
use super::changed::CATCH_UP_MAX;
use super::drive::{Run, now};
use super::turns::Meaning;
use crate::agent::{Turn, TurnResult};
use crate::phases::{self, Computed};
use crate::spool::SpoolError;
use crate::workspace::Changed;

/// How much of what the agent said instead of an output stands in the finding.
const SAID_MAX_BYTES: usize = 500;
/// How many findings stand in a one-line cause.
const NAMED_FINDINGS: usize = 3;

impl Run<'_> {
    /// A turn is over.
    pub(super) async fn turn_ended(
        &mut self,
        turn: &TurnResult,
    ) -> Result<Option<RunEvent>, SpoolError> {
        if self.is_being_given_up() {
            return Ok(None);
        }
        let Some(attempt) = &mut self.attempt else { return Ok(None) };
        let meaning = attempt.turns.ended(turn);
        if meaning == Meaning::BrokenOff {
            // Something follows, and is waited for as an answer is.
            self.vigil.asked(Instant::now());
            return Ok(None);
        }
        let judged = turn.judge();
        let limit = matches!(
            judged,
            Turn::AuthenticationFailed { .. } | Turn::TurnsExceeded | Turn::BudgetExceeded
        );
        if meaning == Meaning::Foreign && !limit {
            // The turn of a message that came too late for this one.
            return Ok(None);
        }
        let held = self.take_held();
        if let (Some(held), false, false) = (held, limit, matches!(judged, Turn::Output(_))) {
            // A message's own turn brought nothing new: what was there before it counts.
            return self.judge_output(&held).await;
        }
        match judged {
            Turn::Output(output) if self.hold(&output) => Ok(None),
            Turn::Output(output) => self.judge_output(&output).await,
            Turn::NoOutput(said) => self.no_output(
                "no_output",
                "The turn ended without a call of StructuredOutput",
                &said,
            ),
            Turn::Refused(said) => self.no_output("refused", "The model refused to go on", &said),
            Turn::SchemaRetriesExhausted => self.no_output(
                "schema",
                "StructuredOutput was called with a wrong shape too often",
                &turn.text,
            ),
            Turn::AuthenticationFailed { status } => {
                let key =
                    self.config.credential.as_ref().map_or("the agent's key", |key| key.variable());
                let why = format!(
                    "The model's API refused {key} with status {status}: set one that is valid."
                );
                Ok(Some(self.over(Outcome::AgentError, why)))
            }
            Turn::TurnsExceeded => {
                let why = "The agent's limit of turns was reached (MAX_TURNS).";
                Ok(Some(self.over(Outcome::TurnsExceeded, why)))
            }
            Turn::BudgetExceeded => {
                let why =
                    format!("The budget was reached: {:.2} USD (MAX_BUDGET_USD).", self.cost_usd);
                Ok(Some(self.over(Outcome::BudgetExceeded, why)))
            }
            Turn::ApiError { status, text } => {
                if let Some(parked) = self.turn_parked(status).await? {
                    return Ok(parked);
                }
                let status = status.map_or("no answer".to_owned(), |status| status.to_string());
                self.agent_gone(&format!("The model's API failed ({status}): {text}")).await
            }
            Turn::Aborted => self.agent_gone("The agent's turn was aborted.").await,
            Turn::PromptTooLong => {
                self.agent_gone("The conversation is larger than the model takes.").await
            }
            Turn::Broke(why) => self.agent_gone(&why).await,
        }
    }

    fn no_output(
        &mut self,
        code: &'static str,
        what: &str,
        said: &str,
    ) -> Result<Option<RunEvent>, SpoolError> {
        let said = Excerpt::within(&self.redactor.text(said), SAID_MAX_BYTES).text;
        let said = if said.is_empty() { String::new() } else { format!(" What came: {said}") };
        let finding = Finding::error(
            code,
            ".",
            format!("{what}.{said}"),
            "Call StructuredOutput once with the whole output, in the shape of its schema.",
        );
        Ok(Some(self.rejected(vec![finding], None)))
    }

    pub(super) async fn judge_output(
        &mut self,
        output: &serde_json::Value,
    ) -> Result<Option<RunEvent>, SpoolError> {
        let Some(phase) = self.phase() else { return Ok(None) };
        match self.changes().await {
            Ok(None) => self.compared = true,
            Ok(Some(changed)) => return self.tree_changed(&changed).await,
            Err(error) => return Ok(Some(self.over(Outcome::WorkerError, with_causes(&error)))),
        }
        // Before anything is made of it: the digest, the files and the event must be of one text.
        let mut output = output.clone();
        self.redactor.value(&mut output);
        let document = match Document::parse(phase, &output) {
            Ok(document) => document,
            Err(finding) => return Ok(Some(self.rejected(vec![*finding], None))),
        };
        let directory = self.workspace.directory.clone();
        // The last part of a path may be a link to anywhere: it is there, that is all that is asked.
        let has_file = move |path: &str| directory.join(path).symlink_metadata().is_ok();
        let verdict = gate::judge(&document, &self.job.accepted, Some(&has_file));
        if !verdict.passes() {
            return Ok(Some(self.rejected(verdict.findings, Some(verdict.score))));
        }
        self.accept(Some(document), verdict).await
    }

    /// The output is as good as the gate wants it.
    async fn accept(
        &mut self,
        document: Option<Document>,
        verdict: Verdict,
    ) -> Result<Option<RunEvent>, SpoolError> {
        let Some(attempt) = &self.attempt else { return Ok(None) };
        let (phase, number) = (attempt.phase, attempt.number);
        self.record(Event::PhaseCompleted(PhaseCompleted {
            attempt: number,
            score: verdict.score,
            duration_ms: self.tally.duration_ms(),
            cost_usd: self.tally.cost_usd,
            output: document.as_ref().map(Document::to_value),
            digest: document.as_ref().map(Document::digest),
            findings: verdict.findings,
        }))
        .await?;
        self.done.push(phase);
        self.because.clear();
        if let Some(document) = document {
            self.write_documents(phase, &document, &BTreeSet::new()).await?;
            self.job.accepted.insert(document);
        }
        Ok(Some(RunEvent::AttemptAccepted { attempt: number }))
    }

    /// Makes what people read of an accepted output; `written` was made before.
    pub(super) async fn write_documents(
        &self,
        phase: Phase,
        document: &Document,
        written: &BTreeSet<String>,
    ) -> Result<(), SpoolError> {
        let about = About {
            spec_id: self.job.spec_id,
            title: &self.job.title,
            rehearsal: self.config.is_rehearsal(),
            at: now(),
        };
        let made = phases::write_documents(document, &about, &self.config.output_dir);
        for artifact in made.artifacts.into_iter().filter(|one| !written.contains(&one.name)) {
            // Its phase may lie behind already.
            self.record_of(Some(phase), Event::ArtifactCreated(artifact)).await?;
        }
        if let Some(error) = made.error {
            self.say(with_causes(&error)).await?;
        }
        Ok(())
    }

    /// A computed phase is done.
    pub(super) async fn computed(
        &mut self,
        computed: Computed,
    ) -> Result<Option<RunEvent>, SpoolError> {
        match computed {
            Computed::Completed => {
                self.accept(None, Verdict { score: 1.0, findings: Vec::new() }).await
            }
            Computed::Synchronised { document, verdict } => {
                if let Document::Sync(sync) = &*document {
                    let totals = &sync.totals;
                    let (requirements, covered) = (totals.requirements, totals.covered);
                    let (tickets, tasks) = (totals.tickets, totals.tasks);
                    let done = SyncCompleted { requirements, covered, tickets, tasks };
                    self.record(Event::SyncCompleted(done)).await?;
                }
                if verdict.passes() {
                    return self.accept(Some(*document), verdict).await;
                }
                Ok(Some(self.cannot_compute(verdict.findings)))
            }
            Computed::Impossible(findings) => Ok(Some(self.cannot_compute(findings))),
        }
    }

    /// Computing it again would give the same, so no further attempt is made.
    fn cannot_compute(&mut self, findings: Vec<Finding>) -> RunEvent {
        let phase = self.phase().map_or("sync", |phase| phase.as_str());
        let why = format!("The phase {phase} cannot be done. {}", in_words(&findings));
        self.over(Outcome::Failed, why)
    }

    fn rejected(&mut self, findings: Vec<Finding>, score: Option<f64>) -> RunEvent {
        let attempt = self.attempt.as_ref().map_or(1, |attempt| attempt.number);
        let message = format!("The output was not accepted. {}", in_words(&findings));
        self.because.clone_from(&message);
        let reason = RetryReason::GateRejected;
        self.tally.failure = Some(Failure { reason, message, score, findings });
        RunEvent::AttemptRejected { attempt }
    }

    async fn tree_changed(&mut self, changed: &Changed) -> Result<Option<RunEvent>, SpoolError> {
        // It is put back when the agent, who might go on writing, is gone.
        let why = format!("The work tree was changed in a planning phase: {}.", list(changed));
        self.broke(Failure::new(RetryReason::WorkTreeChanged, why), Outcome::Failed)
    }

    /// What is different in the workspace from how it must stay.
    pub(super) async fn changes(
        &self,
    ) -> Result<Option<Changed>, crate::workspace::WorkspaceError> {
        let Some(pristine) = &self.pristine else { return Ok(None) };
        let now = self.workspace.fingerprint().await?;
        Ok(pristine.changed_until(&now))
    }

    /// Remembers how the workspace must stay, before an agent starts.
    pub(super) async fn prepare_place(&mut self) -> Result<Option<RunEvent>, SpoolError> {
        if self.pristine.is_none() {
            match self.workspace.fingerprint().await {
                Ok(pristine) => self.pristine = Some(pristine),
                Err(error) => {
                    return Ok(Some(self.over(Outcome::WorkerError, with_causes(&error))));
                }
            }
        }
        Ok(None)
    }

    /// After an agent's end: puts a clone back if it was changed. A directory that is not ours is
    /// left as it is; it is compared with its new state from then on.
    pub(super) async fn tidy(&mut self) -> Result<(), SpoolError> {
        if self.compared {
            return Ok(());
        }
        match self.changes().await {
            Ok(None) => {}
            Ok(Some(changed)) => self.put_back(&changed).await?,
            Err(error) => self.say(with_causes(&error)).await?,
        }
        self.compared = true;
        Ok(())
    }

    async fn put_back(&mut self, changed: &Changed) -> Result<(), SpoolError> {
        self.catch_up_with_files(Instant::now() + CATCH_UP_MAX).await?;
        match self.workspace.restore().await {
            Ok(true) => {
                // Or the same change in the next attempt would be none.
                self.catch_up_with_files(Instant::now() + CATCH_UP_MAX).await?;
                self.say(format!("The clone was put back: {}.", list(changed))).await
            }
            Ok(false) => {
                self.pristine = None;
                self.say(format!(
                    "Changed in WORKSPACE_DIR, which is not a clone of ours and was not put back: \
                     {}.",
                    list(changed)
                ))
                .await
            }
            Err(error) => self.say(with_causes(&error)).await,
        }
    }
}

fn list(changed: &Changed) -> String {
    let more = changed.count.saturating_sub(changed.paths.len());
    let named = changed.paths.join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}

fn in_words(findings: &[Finding]) -> String {
    let named: Vec<String> =
        findings.iter().take(NAMED_FINDINGS).map(ToString::to_string).collect();
    let more = findings.len().saturating_sub(NAMED_FINDINGS);
    let more = if more > 0 { format!(" … and {more} more.") } else { String::new() };
    format!("{}{more}", named.join(" "))
}
