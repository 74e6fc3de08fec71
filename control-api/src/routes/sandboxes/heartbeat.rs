//! `POST /sandboxes/{id}/heartbeat`, by the worker: it lives. Renews the lease, and says when to stop.

use axum::Json;
use axum::extract::State;
use specwright_shared::id::SandboxId;
use specwright_shared::liveness::{OPEN_TOOLS_MAX, Signals};
use specwright_shared::phase::SandboxState;
use specwright_shared::text::Line;
use specwright_shared::wire::message::Stop;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::sandbox::{Heartbeat, HeartbeatAck};

use crate::app::App;
use crate::extract::{Body, PathId};
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError, Write};

/// Why a heartbeat was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeartbeatError {
    #[error("there is no sandbox {0}")]
    NotFound(SandboxId),
    #[error("generation {theirs} is no longer this sandbox's; {newest} is: stop")]
    Fenced { theirs: u64, newest: u64 },
    #[error("generation {0} was never handed out; say hello and use the one in the answer")]
    NeverHandedOut(u64),
    #[error("the sandbox has ended")]
    Ended,
    #[error("the heartbeat could not be stored")]
    Store(#[from] StoreError),
}

impl Refusal for HeartbeatError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NotFound(_) => ProblemType::NotFound,
            Self::Fenced { .. } => ProblemType::Fenced,
            Self::NeverHandedOut(_) => ProblemType::InvalidRequest,
            Self::Ended => ProblemType::SandboxEnded,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(HeartbeatError);

/// Takes it.
pub(crate) async fn handler(
    State(app): State<App>,
    PathId(id): PathId<SandboxId>,
    Body(heartbeat): Body<Heartbeat>,
) -> Result<Json<HeartbeatAck>, HeartbeatError> {
    let now = app.now();
    let lease = now.plus(app.lease);
    // For a person's eye only: whatever does not fit on a line is left out.
    let operation =
        heartbeat.operation.as_deref().and_then(Line::fitted).map(|line| line.to_string());
    let signals = heartbeat.signals.map(fitted);
    let heartbeat = Heartbeat { operation, signals, ..heartbeat };
    // Thousands come every few seconds: one statement, and why it is refused is asked only then.
    let mut write = match app.store.write_at_once().await? {
        Some(at_once) => at_once,
        None => app.store.write().await?,
    };
    let mut heard = store::sandbox::set_heartbeat(&mut write, id, &heartbeat, now, lease).await?;
    if heard.is_none() {
        // First: on SQLite there is one connection that writes.
        drop(write);
        write = app.store.write().await?;
        if let Err(refused) = is_of_the_newest(&mut write, id, heartbeat.generation).await {
            // It is told out of what may still be under way to the disk, in this very transaction.
            write.commit().await?;
            return Err(refused);
        }
        heard = store::sandbox::set_heartbeat(&mut write, id, &heartbeat, now, lease).await?;
    }
    let heard = heard.ok_or(HeartbeatError::Ended)?;
    write.commit().await?;
    Ok(Json(HeartbeatAck { stop: heard.stop_reason.map(|reason| Stop { reason }) }))
}

/// Locks a sandbox, and refuses who is not its newest worker.
async fn is_of_the_newest(
    write: &mut Write,
    id: SandboxId,
    theirs: u64,
) -> Result<(), HeartbeatError> {
    let sandbox = store::sandbox::lock(write, id).await?.ok_or(HeartbeatError::NotFound(id))?;
    let newest = sandbox.generation;
    if theirs < newest {
        return Err(HeartbeatError::Fenced { theirs, newest });
    }
    if theirs > newest || newest == 0 {
        return Err(HeartbeatError::NeverHandedOut(theirs));
    }
    if sandbox.state == SandboxState::Ended {
        return Err(HeartbeatError::Ended);
    }
    Ok(())
}

/// Names come from an agent: what is no line of text is left out, what is too much is cut.
fn fitted(mut signals: Signals) -> Signals {
    let fits = |text: &str| Line::fitted(text).is_some_and(|line| line.to_string() == text);
    signals.open_tools.retain(|tool| fits(&tool.tool) && fits(&tool.tool_use_id));
    signals.open_tools.truncate(OPEN_TOOLS_MAX);
    signals.operation = signals.operation.filter(|operation| fits(&operation.name));
    signals
}

#[cfg(test)]
mod tests {
    use specwright_shared::liveness::{OpenTool, Operation};

    use super::*;

    #[test]
    fn names_that_are_no_lines_and_calls_beyond_the_bound_are_left_out() {
        let tool = |name: &str| OpenTool {
            tool: name.to_owned(),
            tool_use_id: "t".to_owned(),
            age_ms: 1,
            limit_ms: 2,
        };
        let operation = Operation { name: "tool \0".to_owned(), age_ms: 1, limit_ms: None };
        let hostile = ["a\0b", "line\nbreak", &"x".repeat(100_000)].map(tool);
        let many = std::iter::repeat_n(tool("Bash"), 100);
        let signals = fitted(Signals {
            open_tools: hostile.into_iter().chain(many).collect(),
            operation: Some(operation),
            ..Signals::default()
        });
        assert_eq!(signals.open_tools, vec![tool("Bash"); OPEN_TOOLS_MAX]);
        assert_eq!(signals.operation, None);
    }
}
