//! The guardians' door: the one way in which anything intervenes, the built-in guardian too.
//!
//! What holds: the ceilings are counted under the run's lock, so that two guardians at once do not
//! both get through; an intervention, what it does (a message, a pause, a stop) and its event are one
//! transaction; the same key is the same intervention, whoever sends it again; its words are without
//! the run's keys ([`crate::said`]).

use std::time::Duration;

use specwright_shared::guardian::{Made, Settings, TooSoon, admit};
use specwright_shared::id::{InterventionId, MessageId, ProjectId, SandboxId};
use specwright_shared::phase::SandboxState;
use specwright_shared::text::TextError;
use specwright_shared::time::Timestamp;
use specwright_shared::trace::TraceContext;
use specwright_shared::wire::event::{Event, Intervened};
use specwright_shared::wire::intervention::{InterventionKind, InterventionView, NewIntervention};
use specwright_shared::wire::message::{Deliver, Message, MessageKind, MessageText, NewMessage};
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::spec::RunOptions;
use uuid::Uuid;

use crate::app::{Api, App};
use crate::problem::{Refusal, impl_answer};
use crate::run::Run;
use crate::said::{CleanError, Cleaner};
use crate::store::intervention::Stored;
use crate::store::{self, Session, StoreError, Write};

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InterveneError {
    #[error("there is no sandbox {0}")]
    NotFound(SandboxId),
    #[error("the sandbox has ended; there is nothing left to intervene in")]
    Ended,
    #[error("`message` is what the agent is to do in place of what it does; `redirect` needs it")]
    NoDirection,
    #[error("a run that is to end is told nothing: leave `message` out with `{0}`")]
    NobodyToTell(InterventionKind),
    #[error("the `message`, with who speaks before it, {0}")]
    Message(#[from] TextError),
    #[error("the key `{0}` belongs to another intervention in this sandbox; choose a new one")]
    KeyTaken(String),
    #[error("{by} holds the sandbox until {until} ({reason}); it can be nudged only")]
    Held {
        /// Who.
        by: String,
        /// Until when.
        until: Timestamp,
        /// Why.
        reason: String,
    },
    #[error(transparent)]
    TooSoon(#[from] TooSoon),
    #[error(transparent)]
    Clean(#[from] CleanError),
    #[error("the intervention could not be stored")]
    Store(#[from] StoreError),
}

impl Refusal for InterveneError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NotFound(_) => ProblemType::NotFound,
            Self::Ended => ProblemType::SandboxEnded,
            Self::NoDirection | Self::NobodyToTell(_) | Self::Message(_) | Self::KeyTaken(_) => {
                ProblemType::InvalidRequest
            }
            Self::Held { .. } => ProblemType::IllegalTransition,
            Self::TooSoon(_) => ProblemType::InterventionTooSoon,
            Self::Clean(error) => error.kind(),
            Self::Store(_) => ProblemType::Internal,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooSoon(too_soon) => too_soon.wait,
            Self::Clean(error) => error.retry_after(),
            _ => None,
        }
    }
}
impl_answer!(InterveneError);

/// Who intervenes, and under which key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guardian<'a> {
    pub(crate) name: &'a str,
    pub(crate) key: &'a str,
    /// The request in which that is done; a duty has none.
    pub(crate) trace: Option<TraceContext>,
}

/// What was done.
#[derive(Debug)]
pub(crate) enum Done {
    /// Now.
    Now(InterventionView),
    /// Before, under the same key; nothing happened now.
    Before(InterventionView),
}

/// The guardian's settings for a run. What does not fit any more (stored by another version) counts
/// as not given.
pub(crate) async fn settings_of(
    app: &Api,
    session: &mut Session,
    project: ProjectId,
    run: &RunOptions,
) -> Result<Settings, StoreError> {
    let mut settings = app.guardian.clone();
    if let Some(own) = store::intervention::settings(session, project).await? {
        match settings.with(&own) {
            Ok(own) => settings = own,
            Err(error) => {
                tracing::warn!(%project, %error, "a project's guardian settings are left out");
            }
        }
    }
    settings.on = run.guardian.unwrap_or(settings.on);
    Ok(settings)
}

/// Intervenes, or says why not.
pub(crate) async fn intervene(
    app: &App,
    id: SandboxId,
    guardian: Guardian<'_>,
    new: &NewIntervention,
) -> Result<Done, InterveneError> {
    let cleaner = Cleaner::of(app, id).await?;
    let new = &NewIntervention {
        kind: new.kind,
        reason: cleaner.line(&new.reason),
        evidence: cleaner.text(&new.evidence),
        message: new.message.as_ref().map(|message| cleaner.text(message)),
    };
    let now = app.now();
    let mut write = app.store.write().await?;
    let mut run = Run::lock(&mut write, id, now).await?.ok_or(InterveneError::NotFound(id))?;
    if let Some(before) = store::intervention::by_key(&mut write, id, guardian.key).await? {
        if !is_same(&before, guardian, new) {
            return Err(InterveneError::KeyTaken(guardian.key.to_owned()));
        }
        // The first of its kind may still be under way to the disk, in this very transaction.
        write.commit().await?;
        return Ok(Done::Before(before.view));
    }
    if run.sandbox.state == SandboxState::Ended {
        return Err(InterveneError::Ended);
    }
    let said = words(guardian.name, new)?;
    let project = run.spec.project_id;
    let settings = settings_of(app, &mut write, project, &run.sandbox.options).await?;
    let made = store::intervention::list(&mut write, id).await?;
    let made: Vec<Made> =
        made.iter().map(|one| Made { kind: one.view.kind, at: one.view.at }).collect();
    admit(new.kind, &made, now, &settings)?;
    let watched = store::liveness::find(&mut write, id).await?;
    let hold = watched.and_then(|watched| watched.hold).filter(|hold| hold.until > now);
    if let Some(hold) = hold.filter(|_| new.kind != InterventionKind::Nudge) {
        return Err(InterveneError::Held { by: hold.by, until: hold.until, reason: hold.reason });
    }

    let judged_by = now.plus(settings.observe());
    let message = match said {
        Some(said) => Some(say(&mut write, id, guardian, said, judged_by, now).await?),
        None => None,
    };
    match new.kind {
        InterventionKind::Nudge | InterventionKind::Interrupt | InterventionKind::Redirect => {}
        InterventionKind::Park => store::sandbox::request_pause(&mut write, id).await?,
        InterventionKind::Stop => {
            let reason = format!("stopped by the guardian {}: {}", guardian.name, &*new.reason);
            store::sandbox::request_stop(&mut write, id, &reason).await?;
        }
    }
    let phase = run.spec.current_phase;
    let view = InterventionView {
        id: InterventionId(Uuid::now_v7()),
        sandbox_id: id,
        kind: new.kind,
        reason: new.reason.to_string(),
        evidence: new.evidence.to_string(),
        by: guardian.name.to_owned(),
        phase,
        at: now,
        message,
        judged_by,
        assessment: None,
    };
    let stored = Stored {
        view,
        key: guardian.key.to_owned(),
        given_message: new.message.as_ref().map(ToString::to_string),
        seq: run.sandbox.acked_seq,
    };
    store::intervention::insert(&mut write, &stored).await?;
    let view = stored.view;
    let event = Event::Intervened(Intervened {
        intervention_id: view.id,
        sandbox_id: id,
        kind: view.kind,
        reason: view.reason.clone(),
        by: view.by.clone(),
        message_id: view.message.as_ref().map(|message| message.id),
    });
    run.record_own_in(guardian.trace.map(|context| context.trace), &event, Some(phase));
    run.save(&mut write).await?;
    write.commit().await?;
    let (kind, by, reason) = (view.kind.as_str(), &view.by, &view.reason);
    tracing::info!(sandbox = %id, spec = %run.spec.id, kind, by, reason, "a guardian intervened");
    Ok(Done::Now(view))
}

fn is_same(before: &Stored, guardian: Guardian<'_>, new: &NewIntervention) -> bool {
    before.view.kind == new.kind
        && before.view.by == guardian.name
        && before.view.reason == *new.reason
        && before.view.evidence == *new.evidence
        && before.given_message.as_deref() == new.message.as_deref()
}

/// What the agent is to hear, and how it gets there.
fn words(
    by: &str,
    new: &NewIntervention,
) -> Result<Option<(MessageKind, Deliver, MessageText)>, InterveneError> {
    let text = new.message.as_deref();
    let (kind, deliver, text) = match (new.kind, text) {
        (InterventionKind::Nudge, text) => {
            let text = text.unwrap_or(&new.reason).to_owned();
            (MessageKind::GuardianNudge, Deliver::Next, text)
        }
        // The worker tells its agent that a person broke off what it does.
        (InterventionKind::Interrupt, text) => {
            let text = text.unwrap_or(&new.reason);
            (MessageKind::Interrupt, Deliver::Next, format!("(It is the guardian {by}.) {text}"))
        }
        (InterventionKind::Redirect, None) => return Err(InterveneError::NoDirection),
        (InterventionKind::Redirect, Some(text)) => {
            (MessageKind::GuardianNudge, Deliver::Now, text.to_owned())
        }
        (InterventionKind::Park | InterventionKind::Stop, None) => return Ok(None),
        (kind @ (InterventionKind::Park | InterventionKind::Stop), Some(_)) => {
            return Err(InterveneError::NobodyToTell(kind));
        }
    };
    Ok(Some((kind, deliver, MessageText::new(text)?)))
}

/// Stores the message; it is worth nothing when its effect is no longer looked for.
async fn say(
    write: &mut Write,
    id: SandboxId,
    by: Guardian<'_>,
    (kind, deliver, text): (MessageKind, Deliver, MessageText),
    worth_until: Timestamp,
    now: Timestamp,
) -> Result<Message, InterveneError> {
    let new = NewMessage {
        id: None,
        kind,
        text,
        deliver,
        expires_at: Some(worth_until),
        phase: None,
        cancel_queued: false,
    };
    let position = store::sandbox::next_message(write, id).await?.ok_or(InterveneError::Ended)?;
    let id_of_message = MessageId(Uuid::now_v7());
    let sender = Some(by.name.to_owned());
    let message = Message::queued(id_of_message, position, &new, sender, now);
    let message = Message { traceparent: by.trace, ..message };
    store::message::insert(write, id, &message).await?;
    Ok(message)
}
