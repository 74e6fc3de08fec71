//! `POST /sandboxes/{id}/messages`: text for the running agent. The same id twice is one message; a
//! message to a finished run is refused, and so is one whose time has passed. Who sends it is what
//! the token says.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use specwright_shared::id::{MessageId, SandboxId};
use specwright_shared::wire::message::{Message, MessageKind, NewMessage};
use specwright_shared::wire::problem::ProblemType;
use uuid::Uuid;

use crate::app::App;
use crate::auth::Person;
use crate::extract::{Body, PathId};
use crate::problem::{Refusal, impl_answer};
use crate::said::{CleanError, Cleaner};
use crate::store::{self, Session, StoreError};
use crate::trace::Trace;

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SayError {
    #[error("there is no sandbox {0}")]
    NotFound(SandboxId),
    #[error("the sandbox has ended; its agent can no longer be reached")]
    Ended,
    #[error("`expires_at` has passed; give a later time or none")]
    TooLate,
    #[error("`cancel_queued` goes with the kind `interrupt` only")]
    NothingToCancel,
    #[error("the id {0} belongs to another message; leave it out to get a new one")]
    IdTaken(MessageId),
    #[error(transparent)]
    Clean(#[from] CleanError),
    #[error("the message could not be stored")]
    Store(#[from] StoreError),
}

impl Refusal for SayError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NotFound(_) => ProblemType::NotFound,
            Self::Ended => ProblemType::SandboxEnded,
            Self::TooLate | Self::NothingToCancel | Self::IdTaken(_) => ProblemType::InvalidRequest,
            Self::Clean(error) => error.kind(),
            Self::Store(_) => ProblemType::Internal,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Clean(error) => error.retry_after(),
            _ => None,
        }
    }
}
impl_answer!(SayError);

/// Stores it: 201 for a new one, 200 for a repeat.
pub(crate) async fn handler(
    State(app): State<App>,
    person: Person,
    Trace(trace): Trace,
    PathId(id): PathId<SandboxId>,
    Body(mut new): Body<NewMessage>,
) -> Result<(StatusCode, Json<Message>), SayError> {
    if new.cancel_queued && new.kind != MessageKind::Interrupt {
        return Err(SayError::NothingToCancel);
    }
    new.text = Cleaner::of(&app, id).await?.text(&new.text);
    let now = app.now();
    let message_id = new.id.unwrap_or_else(|| MessageId(Uuid::now_v7()));
    let mut write = app.store.write().await?;
    // The sandbox's lock first: two requests with one id then come one after the other.
    store::sandbox::lock(&mut write, id).await?.ok_or(SayError::NotFound(id))?;
    if let Some(message) = repeated(&mut write, id, message_id, &new).await? {
        // The first of its kind may still be under way to the disk, in this very transaction.
        write.commit().await?;
        return Ok((StatusCode::OK, Json(message)));
    }
    if new.expires_at.is_some_and(|at| at <= now) {
        return Err(SayError::TooLate);
    }
    let position = store::sandbox::next_message(&mut write, id).await?.ok_or(SayError::Ended)?;
    let message = Message::queued(message_id, position, &new, Some(person.name), now);
    let message = Message { traceparent: Some(trace), ..message };
    store::message::insert(&mut write, id, &message).await.map_err(|error| {
        // Only another sandbox's message can have got in between.
        if error.is_unique_violation() { SayError::IdTaken(message_id) } else { error.into() }
    })?;
    write.commit().await?;
    tracing::info!(sandbox = %id, %message_id, kind = new.kind.as_str(), "a message was stored");
    Ok((StatusCode::CREATED, Json(message)))
}

async fn repeated(
    session: &mut Session,
    sandbox: SandboxId,
    id: MessageId,
    new: &NewMessage,
) -> Result<Option<Message>, SayError> {
    let Some((owner, message)) = store::message::find(session, id).await? else {
        return Ok(None);
    };
    let same = owner == sandbox
        && message.kind == new.kind
        && message.deliver == new.deliver
        && message.expires_at == new.expires_at
        && message.phase == new.phase
        && message.cancel_queued == new.cancel_queued
        && message.text == *new.text;
    if same { Ok(Some(message)) } else { Err(SayError::IdTaken(id)) }
}
