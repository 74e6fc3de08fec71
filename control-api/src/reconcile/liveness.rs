//! The idle monitor: judges every living sandbox, keeps each change of its verdict with the evidence,
//! and does what the policy says.
//!
//! What holds: the verdict and the step are made by pure functions of `shared` from what the store
//! says; a step and its row are one transaction, so that a round that is broken off neither repeats
//! nor forgets one. Ending comes last: the intent is stored first, and who finds it there goes on; what
//! the place had left is delivered before the run is over ([`salvage`]).

use std::collections::HashMap;
use std::time::Duration;

use specwright_shared::id::{MessageId, ProjectId, SandboxId};
use specwright_shared::liveness::policy::{Action, History, is_alarming, outcome, policy};
use specwright_shared::liveness::{Observation, Settings, Verdict, judge};
use specwright_shared::outcome::Outcome;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::event::{Event, SandboxJudged};
use specwright_shared::wire::message::{Deliver, Message, MessageKind, MessageText, NewMessage};
use specwright_shared::wire::sandbox::Heartbeat;
use uuid::Uuid;

use super::living::Living;
use super::tally::Tally;
use crate::app::{Api, App};
use crate::breaker;
use crate::problem::chain;
use crate::run::Run;
use crate::sandboxes::salvage;
use crate::store::liveness::Watched;
use crate::store::liveness::fleet::Standing;
use crate::store::sandbox::Sandbox;
use crate::store::{self, Session, StoreError, Write};

/// Who speaks in the messages of a step.
const SENDER: &str = "liveness";
/// How long such a message is worth anything.
const WORTH: Duration = Duration::from_secs(600);
/// How long an end is left to those who are woken by it, before it is begun again.
const ENDING: Duration = salvage::TRIES_TIME;

/// Looks once.
pub(super) async fn round(app: &App) -> Result<u64, StoreError> {
    let (mut settings, mut tally) = (HashMap::new(), Tally::default());
    let mut to_look_at = Vec::new();
    let mut living = Living::default();
    loop {
        let mut session = app.store.read().await?;
        let Some(some) = living.next(&mut session).await? else { break };
        let mut to_note = Vec::new();
        for standing in some {
            match settings_of(app, &mut session, standing.project, &mut settings).await {
                Ok(settings) => match seen(app, &standing, &settings) {
                    Seen::AsBefore => {}
                    Seen::Calm(verdict) => to_note.push((standing.id, verdict)),
                    Seen::LookCloser => to_look_at.push(standing.id),
                },
                Err(error) => tally.add(standing.id, Err(error)),
            }
        }
        drop(session);
        match note(app, &to_note).await {
            Ok(noted) => noted.iter().for_each(|sandbox| tally.add(sandbox, Ok(true))),
            Err(error) => tally.add(format_args!("{} verdicts", to_note.len()), Err(error)),
        }
    }
    // When all are noted: each of these takes longer than a page of the others.
    for sandbox in to_look_at {
        tally.add(sandbox, look(app, sandbox, &mut settings).await);
    }
    tally.end()
}

/// What a look from afar says of a sandbox.
enum Seen {
    /// There is nothing to note and nothing to do: most of a large fleet, most of the time.
    AsBefore,
    /// The verdict is another one, and neither was alarming: it is to be noted, and that is all.
    Calm(Verdict),
    LookCloser,
}

fn seen(app: &App, standing: &Standing, settings: &Settings) -> Seen {
    let signs = Signs {
        created_at: standing.created_at,
        ended_at: None,
        heartbeat_at: standing.heartbeat_at,
        heartbeat: standing.heartbeat.as_ref(),
    };
    let verdict = signs.verdict(app, settings, app.now());
    let was_alarming = standing.verdict.is_some_and(is_alarming);
    // An alarm grows older by itself.
    let overspent = breaker::is_overspent(standing.spent_micro_usd, settings);
    if was_alarming || is_alarming(verdict.kind) || overspent {
        return Seen::LookCloser;
    }
    let claim = standing.salvage_claim.as_ref();
    if standing.verdict == Some(verdict.kind) || salvage::is_under_way_of(app, standing.id, claim) {
        return Seen::AsBefore;
    }
    Seen::Calm(verdict)
}

/// Notes calm verdicts together: when a fleet begins to work, thousands change within a minute. Who is
/// locked by somebody else comes with the next round.
async fn note(app: &App, verdicts: &[(SandboxId, Verdict)]) -> Result<Vec<SandboxId>, StoreError> {
    if verdicts.is_empty() {
        return Ok(Vec::new());
    }
    let mut write = match app.store.write_at_once().await? {
        Some(at_once) => at_once,
        None => app.store.write().await?,
    };
    let noted = store::liveness::fleet::note(&mut write, verdicts, app.now()).await?;
    write.commit().await?;
    Ok(noted)
}

/// The settings of a project, asked for once in a round.
async fn settings_of(
    app: &App,
    session: &mut Session,
    project: ProjectId,
    known: &mut HashMap<ProjectId, Settings>,
) -> Result<Settings, StoreError> {
    if let Some(settings) = known.get(&project) {
        return Ok(settings.clone());
    }
    let settings = app.settings_of(session, project).await?;
    known.insert(project, settings.clone());
    Ok(settings)
}

/// What there is to judge a sandbox by.
struct Signs<'a> {
    created_at: Timestamp,
    ended_at: Option<Timestamp>,
    heartbeat_at: Option<Timestamp>,
    heartbeat: Option<&'a Heartbeat>,
}

impl Signs<'_> {
    fn verdict(&self, app: &Api, settings: &Settings, now: Timestamp) -> Verdict {
        let seen = Observation {
            created_at: self.created_at,
            ended_at: self.ended_at,
            heartbeat_at: self.heartbeat_at,
            listening_since: app.presence.since(now),
            signals: self.heartbeat.and_then(|heartbeat| heartbeat.signals.as_ref()),
        };
        judge(&seen, now, &settings.limits())
    }
}

/// What a sandbox is at now.
pub(crate) fn verdict(
    app: &Api,
    sandbox: &Sandbox,
    settings: &Settings,
    now: Timestamp,
) -> Verdict {
    let signs = Signs {
        created_at: sandbox.created_at,
        ended_at: sandbox.ended_at,
        heartbeat_at: sandbox.heartbeat_at,
        heartbeat: sandbox.heartbeat.as_ref(),
    };
    signs.verdict(app, settings, now)
}

/// Judges one sandbox, and takes a step if one is due. Says whether anything was written.
async fn look(
    app: &App,
    id: SandboxId,
    known: &mut HashMap<ProjectId, Settings>,
) -> Result<bool, StoreError> {
    let now = app.now();
    let mut session = app.store.read().await?;
    // As it is now, not as it was when the round began: ending the ones before takes its time.
    let found = store::sandbox::find(&mut session, id).await?;
    let Some(sandbox) = found.filter(|found| found.ended_at.is_none()) else { return Ok(false) };
    let sandbox = &sandbox;
    // Its worker is gone, and what runs in its place is not to be ended.
    if salvage::is_under_way(app, sandbox) {
        return Ok(false);
    }
    let Some(spec) = store::spec::find(&mut session, sandbox.spec_id).await? else {
        return Ok(false);
    };
    let settings = settings_of(app, &mut session, spec.project_id, known).await?;
    let Some(watched) = store::liveness::find(&mut session, sandbox.id).await? else {
        return Ok(false);
    };
    let verdict = verdict(app, sandbox, &settings, now);
    let mut ended_before = None;
    let (history, alarm_since) = if is_alarming(verdict.kind) {
        let since = watched.alarm_since.unwrap_or(now);
        let steps = store::liveness::steps(&mut session, sandbox.id).await?;
        ended_before = steps.iter().rfind(|(_, step)| *step == Action::End).map(|(at, _)| *at);
        (history(&steps, &watched, since, now), Some(since))
    } else {
        (History::default(), None)
    };
    let over = breaker::overspent(&mut session, &spec, &settings, now).await?;
    drop(session);

    let action = policy(&verdict, &history, &settings);
    let held = watched.hold.as_ref().is_some_and(|hold| hold.until > now);
    if let Some(over) = over.filter(|_| sandbox.stop_reason.is_none() && !held) {
        let mut write = app.store.write().await?;
        let outcome = Outcome::BudgetExceeded;
        store::liveness::intend_end(&mut write, sandbox.id, outcome, &over).await?;
        write.commit().await?;
        return Ok(true);
    }
    if action.is_none() && watched.verdict == Some(verdict.kind) {
        return Ok(false);
    }
    let ends = action == Some(Action::End);
    if ends && ended_before.is_some_and(|at| now.since(at) < ENDING) {
        return Ok(false);
    }
    let step = Step { sandbox, watched: &watched, verdict: &verdict, action, alarm_since, now };
    if !step.write(app).await? {
        return Ok(false);
    }
    if ends {
        let again = ended_before.is_some();
        app.tasks.spawn(end(app.clone(), sandbox.clone(), because(&verdict), again));
    }
    Ok(true)
}

/// Ends a place and its run, beside the rounds: what it had left may take minutes to deliver.
async fn end(app: App, sandbox: Sandbox, because: String, again: bool) {
    let (id, place) = (sandbox.id, sandbox.place.as_ref());
    app.provider.end(&app, id, place).await;
    // Who watches the worker sees its end and delivers what it left; once that was in vain, we do.
    if !again && app.provider.is_watched(id, place) && app.provider.has_rest(&app, id, place) {
        return;
    }
    // It counts as what the first step that asked for it said.
    if let Err(error) = salvage::then_end(&app, id, Outcome::Lost, &because).await {
        tracing::error!(sandbox = %id, error = chain(&error), "a run could not be ended");
    }
}

fn history(
    steps: &[(Timestamp, Action)],
    watched: &Watched,
    alarm_since: Timestamp,
    now: Timestamp,
) -> History {
    let of_this_alarm = || steps.iter().filter(|(at, _)| *at >= alarm_since);
    let soft = steps.iter().filter(|(_, action)| action.is_soft()).count();
    History {
        alarm: now.since(alarm_since),
        hardest: of_this_alarm()
            .map(|(_, action)| *action)
            // An end that was broken off is done again.
            .filter(|action| *action != Action::End)
            .max(),
        last_step: of_this_alarm().next_back().map(|(at, _)| now.since(*at)),
        soft_steps: u32::try_from(soft).unwrap_or(u32::MAX),
        held: watched.hold.as_ref().is_some_and(|hold| hold.until > now),
    }
}

/// A new verdict, and what is done about it.
struct Step<'a> {
    sandbox: &'a Sandbox,
    watched: &'a Watched,
    verdict: &'a Verdict,
    action: Option<Action>,
    alarm_since: Option<Timestamp>,
    now: Timestamp,
}

impl Step<'_> {
    /// Stores it. `false`: the sandbox has ended meanwhile.
    async fn write(&self, app: &App) -> Result<bool, StoreError> {
        let id = self.sandbox.id;
        let mut write = app.store.write().await?;
        let Some(mut run) = Run::lock(&mut write, id, self.now).await? else { return Ok(false) };
        if run.sandbox.ended_at.is_some() || salvage::is_under_way(app, &run.sandbox) {
            return Ok(false);
        }
        // It may have been heard since the look: then that is to be judged, with the next one.
        if self.action.is_some() && run.sandbox.heartbeat_at != self.sandbox.heartbeat_at {
            return Ok(false);
        }
        // Or held.
        let watched = store::liveness::find(&mut write, id).await?;
        let held =
            watched.and_then(|watched| watched.hold).is_some_and(|hold| hold.until > self.now);
        if held && self.action.is_some_and(|action| action > Action::Nudge) {
            return Ok(false);
        }
        let (verdict, action) = (self.verdict, self.action);
        store::liveness::judged(&mut write, id, verdict, action, self.alarm_since, self.now)
            .await?;
        self.act(&mut write).await?;
        let was = self.watched.verdict.is_some_and(is_alarming);
        if action.is_some() || was != is_alarming(verdict.kind) {
            let event = SandboxJudged { sandbox_id: id, verdict: verdict.clone(), action };
            let phase = run.spec.current_phase;
            run.record_own(&Event::SandboxJudged(event), Some(phase));
            run.save(&mut write).await?;
        }
        write.commit().await?;
        if let Some(action) = action {
            let (action, reason) = (action.as_str(), because(verdict));
            tracing::warn!(sandbox = %id, spec = %run.spec.id, action, reason, "a step was taken");
        }
        Ok(true)
    }

    async fn act(&self, write: &mut Write) -> Result<(), StoreError> {
        let id = self.sandbox.id;
        match self.action {
            None => Ok(()),
            Some(Action::Nudge) => self.say(write, MessageKind::System).await,
            Some(Action::Interrupt) => self.say(write, MessageKind::Interrupt).await,
            Some(Action::SaveWork | Action::End) => {
                let outcome = outcome(self.verdict.kind);
                store::liveness::intend_end(write, id, outcome, &because(self.verdict)).await?;
                Ok(())
            }
        }
    }

    async fn say(&self, write: &mut Write, kind: MessageKind) -> Result<(), StoreError> {
        let text = format!(
            "Seen from outside, {}. If you are waiting for something that will not come, stop \
             waiting for it; then go on with the task.",
            because(self.verdict)
        );
        let Ok(text) = MessageText::new(text) else { return Ok(()) };
        let new = NewMessage {
            id: None,
            kind,
            text,
            deliver: Deliver::Next,
            expires_at: Some(self.now.plus(WORTH)),
            phase: None,
            cancel_queued: false,
        };
        let id = self.sandbox.id;
        let Some(position) = store::sandbox::next_message(write, id).await? else { return Ok(()) };
        let sender = Some(SENDER.to_owned());
        let message = Message::queued(MessageId(Uuid::now_v7()), position, &new, sender, self.now);
        store::message::insert(write, id, &message).await
    }
}

/// A verdict in one clause, with its decisive fact.
fn because(verdict: &Verdict) -> String {
    let fact = verdict.evidence.first().map(|fact| {
        let limit = fact.limit_ms.map(|limit| format!(" of {} s", limit / 1000));
        let (signal, seconds) = (fact.signal.replace('_', " "), fact.age_ms / 1000);
        format!(" ({signal}: {seconds} s{})", limit.unwrap_or_default())
    });
    format!("the run is {}: {}{}", verdict.kind, verdict.reason, fact.unwrap_or_default())
}
