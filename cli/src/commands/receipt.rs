//! Sending a message and waiting for its receipt: what `say` and `interrupt` share.

use std::fmt::Write as _;
use std::time::Duration;

use specwright_control_api::client::{Client, ClientError};
use specwright_shared::id::{MessageId, SandboxId};
use specwright_shared::time::Timestamp;
use specwright_shared::wire::event::Marks;
use specwright_shared::wire::message::{
    Message, MessageKind, MessageStatus, MessageText, NewMessage, SeenAs,
};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Context, closed};
use crate::connect::Sandboxes;
use crate::exit::{Exit, Failure};
use crate::find;

/// How long the receipt is waited for: an agent takes a message up at its next tool call, and single
/// calls take minutes at times. The message is stored whatever happens here.
const RECEIPT_WAIT: Duration = Duration::from_secs(180);

/// How long one request waits for events.
const WAIT: Duration = Duration::from_secs(5);

/// A message with an id chosen here, so that it can be told apart from all others.
pub(super) fn message(kind: MessageKind, text: &str) -> Result<NewMessage, Failure> {
    let text = MessageText::new(text)
        .map_err(|error| Failure::new(Exit::Usage, format!("the message {error}")))?;
    Ok(NewMessage {
        id: Some(MessageId(Uuid::now_v7())),
        kind,
        text,
        deliver: specwright_shared::wire::message::Deliver::Next,
        expires_at: None,
        phase: None,
        cancel_queued: false,
    })
}

/// Sends a message to a spec's or sandbox's agent, waits until it was seen, and prints its receipt.
pub(super) async fn send(
    context: &mut Context,
    to: &str,
    message: NewMessage,
) -> Result<Exit, Failure> {
    let connection = context.connect(Sandboxes::LeaveAlone).await?;
    let work = seen(&connection.client, to, message);
    let done = context.interrupts.unless(work).await.map(|message| {
        if context.global.json {
            context.out.json(&message);
        } else {
            context.out.line(in_words(&message));
        }
        let lost = message.status.is_final() && message.status != MessageStatus::Settled;
        if lost { Exit::Failed } else { Exit::Done }
    });
    closed(connection, done).await
}

/// The message when it was seen, when it never will be, or as it is after [`RECEIPT_WAIT`].
async fn seen(client: &Client, to: &str, message: NewMessage) -> Result<Message, Failure> {
    let sandbox = find::sandbox(client, to).await?;
    // Events from here on may be about the message.
    let spec = client.spec(client.sandbox(sandbox).await?.spec_id).await?;
    let mut newest = client.say(sandbox, &message).await?;
    let mut after = (spec.events > 0).then(|| spec.events.to_string());
    let patience = Instant::now() + RECEIPT_WAIT;
    while newest.status < MessageStatus::Seen && Instant::now() < patience {
        let page = client.events(spec.id, after.as_deref(), WAIT).await?;
        let mut kinds = page.items.iter().map(|view| view.event.kind.as_str());
        // A quiet page is looked behind, too: a message can expire without an event.
        let look = page.items.is_empty()
            || kinds.any(|kind| kind == "agent.message_injected" || Marks::of(kind).terminal);
        if look {
            newest = receipt(client, sandbox, newest).await?;
        }
        after = page.next.or(after);
    }
    Ok(newest)
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

/// One sentence, then every receipt with its time.
fn in_words(message: &Message) -> String {
    let mut text = sentence(message);
    let ended = match message.status {
        MessageStatus::Cancelled | MessageStatus::Expired | MessageStatus::Refused => {
            message.status.as_str()
        }
        _ => "ended",
    };
    let after = |at: Timestamp| at.since(message.created_at).as_secs_f64() * 1000.0;
    // Writing into a String does not fail.
    write!(text, "\n  queued     {}", message.created_at).ok();
    for (name, at) in [
        ("delivered", message.delivered_at),
        ("written", message.written_at),
        ("seen", message.seen_at),
        ("settled", message.settled_at),
        (ended, message.ended_at),
    ] {
        if let Some(at) = at {
            write!(text, "\n  {name:<9}  {at}  (+{:.1} ms)", after(at)).ok();
        }
    }
    text
}

fn sentence(message: &Message) -> String {
    let id = message.id;
    let secs = RECEIPT_WAIT.as_secs();
    let why = message.reason.as_deref().unwrap_or("no reason is known");
    match message.status {
        MessageStatus::Seen | MessageStatus::Settled => {
            let how = match message.seen_as {
                Some(SeenAs::Folded) => " in its running turn",
                Some(SeenAs::OwnTurn) => " in a turn of its own",
                None => "",
            };
            format!("{}: the agent took message {id} up{how}", message.status.as_str())
        }
        MessageStatus::Cancelled => format!("cancelled: message {id}: {why}"),
        MessageStatus::Expired => format!("expired: message {id}: {why}"),
        MessageStatus::Refused => format!("refused: message {id}: {why}"),
        MessageStatus::Written => {
            format!("written: the agent has message {id} and did not take it up within {secs} s")
        }
        MessageStatus::Delivered => format!(
            "delivered: message {id} waits in the sandbox; no agent was ready for it within {secs} s"
        ),
        MessageStatus::Queued => {
            format!("queued: message {id} is stored; no worker has fetched it within {secs} s")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(more: serde_json::Value) -> Message {
        let mut message = json!({
            "id": Uuid::nil(), "position": 1, "kind": "user_message", "text": "x",
            "deliver": "next", "created_at": "2026-11-18T11:06:40.000001Z",
        });
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(message).unwrap()
    }

    #[test]
    fn every_state_of_a_message_has_its_sentence() {
        for status in MessageStatus::ALL {
            let words = in_words(&message(json!({ "status": status })));
            assert!(words.starts_with(&format!("{}: ", status.as_str())), "{words}");
        }
    }

    #[test]
    fn a_receipt_says_how_and_when() {
        let words = in_words(&message(json!({
            "status": "seen", "seen_as": "folded",
            "delivered_at": "2026-11-18T11:06:40.003001Z",
            "written_at": "2026-11-18T11:06:40.004001Z", "seen_at": "2026-11-18T11:06:42.004001Z",
        })));
        insta::assert_snapshot!(words, @r"
        seen: the agent took message 00000000-0000-0000-0000-000000000000 up in its running turn
          queued     2026-11-18T11:06:40.000001Z
          delivered  2026-11-18T11:06:40.003001Z  (+3.0 ms)
          written    2026-11-18T11:06:40.004001Z  (+4.0 ms)
          seen       2026-11-18T11:06:42.004001Z  (+2004.0 ms)
        ");
    }
}
