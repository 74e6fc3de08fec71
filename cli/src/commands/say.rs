//! `say`: a message to a running agent, and its receipt.

use std::time::Duration;

use specwright_control_api::client::{Client, ClientError};
use specwright_shared::id::{MessageId, SandboxId};
use specwright_shared::wire::event::Marks;
use specwright_shared::wire::message::{
    Deliver, Message, MessageKind, MessageStatus, MessageText, NewMessage,
};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Context, closed};
use crate::args::SayArgs;
use crate::connect::{Connection, Sandboxes};
use crate::exit::{Exit, Failure};
use crate::find;

/// How long the receipt is waited for: an agent takes a message up at its next tool call, and single
/// calls take minutes at times. The message is stored whatever happens here.
const RECEIPT_WAIT: Duration = Duration::from_secs(180);

/// How long one request waits for events.
const WAIT: Duration = Duration::from_secs(5);

/// Runs the command.
pub(super) async fn run(context: &mut Context, args: SayArgs) -> Result<Exit, Failure> {
    let text = MessageText::new(args.text.as_str())
        .map_err(|error| Failure::new(Exit::Usage, format!("the message {error}")))?;
    let deliver = match (args.now, args.later) {
        (true, _) => Deliver::Now,
        (_, true) => Deliver::Later,
        _ => Deliver::Next,
    };
    let connection = context.connect(Sandboxes::LeaveAlone).await?;
    // Chosen here, so that the message can be told apart from all others.
    let id = Some(MessageId(Uuid::now_v7()));
    let message = NewMessage { id, kind: MessageKind::UserMessage, text, deliver };
    let done = say(context, &connection, &args.to, message).await;
    closed(connection, done).await
}

async fn say(
    context: &mut Context,
    connection: &Connection,
    to: &str,
    message: NewMessage,
) -> Result<Exit, Failure> {
    let client = &connection.client;
    let work = async {
        let sandbox = find::sandbox(client, to).await?;
        // Events from here on may be about the message.
        let spec = client.spec(client.sandbox(sandbox).await?.spec_id).await?;
        let stored = client.say(sandbox, &message).await?;
        let mut after = (spec.events > 0).then(|| spec.events.to_string());
        let patience = Instant::now() + RECEIPT_WAIT;
        let mut newest = stored;
        while is_open(newest.status) && Instant::now() < patience {
            let page = client.events(spec.id, after.as_deref(), WAIT).await?;
            let moved = page.items.iter().map(|view| view.event.kind.as_str());
            // A quiet page is looked behind, too: a message can expire without an event.
            let look = page.items.is_empty()
                || moved
                    .into_iter()
                    .any(|kind| kind == "agent.message_injected" || Marks::of(kind).terminal);
            if look {
                newest = receipt(client, sandbox, newest).await?;
            }
            after = page.next.or(after);
        }
        Ok(newest)
    };
    let message = context.interrupts.unless(work).await?;
    if context.global.json {
        context.out.json(&message);
    } else {
        context.out.line(sentence(&message));
    }
    Ok(if message.status == MessageStatus::Expired { Exit::Failed } else { Exit::Done })
}

const fn is_open(status: MessageStatus) -> bool {
    matches!(status, MessageStatus::Queued | MessageStatus::Written)
}

/// The message as it stands now.
async fn receipt(
    client: &Client,
    sandbox: SandboxId,
    known: Message,
) -> Result<Message, ClientError> {
    let messages = client.messages(sandbox).await?;
    Ok(messages.into_iter().find(|message| message.id == known.id).unwrap_or(known))
}

fn sentence(message: &Message) -> String {
    let id = message.id;
    match message.status {
        MessageStatus::Seen => {
            let at = message.seen_at.map(|at| format!(" at {at}")).unwrap_or_default();
            format!("seen: the agent took message {id} up{at}")
        }
        MessageStatus::Expired => format!("expired: the run ended before the agent saw {id}"),
        MessageStatus::Written => format!(
            "written: the agent has message {id} and did not take it up within {} s",
            RECEIPT_WAIT.as_secs()
        ),
        MessageStatus::Queued => format!(
            "queued: message {id} is stored; no agent was ready for it within {} s",
            RECEIPT_WAIT.as_secs()
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_state_of_a_message_has_its_sentence() {
        for status in ["queued", "written", "seen", "expired"] {
            let message: Message = serde_json::from_value(json!({
                "id": Uuid::nil(), "position": 1, "kind": "user_message", "text": "x",
                "deliver": "next", "status": status, "created_at": "2026-11-18T11:06:40.000001Z",
            }))
            .unwrap();
            assert!(sentence(&message).starts_with(&format!("{status}: ")), "{status}");
        }
    }
}
