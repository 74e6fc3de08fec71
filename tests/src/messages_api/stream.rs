//! A reply as server-sent events, in the order in which the real service sends them.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::{Answer, Block};
use super::ask::Ask;

/// Chunks between writer and connection; a reply has a handful of events.
const CHUNKS: usize = 16;

/// How often a held stream pings: often enough that a client's watchdog sees bytes moving.
const PING_EVERY: Duration = Duration::from_millis(100);

/// What a request and a reply are said to use: enough that a run costs something.
const INPUT_TOKENS: u64 = 100;
const OUTPUT_TOKENS: u64 = 10;

type Chunk = io::Result<Bytes>;

/// Opens the stream; a task writes it until it ends, the client goes, or the test is over.
pub(super) fn open(
    answer: Answer,
    ask: &Ask,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Body {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    let (ask, stop) = (ask.clone(), stop.clone());
    tasks.spawn(async move {
        tokio::select! {
            _ = write(answer, &ask, &sender) => {}
            () = sender.closed() => {}
            () = stop.cancelled() => {}
        }
    });
    Body::from_stream(stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    }))
}

/// Writes a whole reply. `None`: the client is gone.
async fn write(answer: Answer, ask: &Ask, to: &mpsc::Sender<Chunk>) -> Option<Infallible> {
    send(to, "message_start", &json!({ "message": message_head(ask) })).await?;
    send(to, "ping", &json!({})).await?;
    match answer {
        Answer::Speak(blocks) => speak(&blocks, ask, to).await?,
        Answer::Hold(until, blocks) => {
            while tokio::time::timeout(PING_EVERY, until.cancelled()).await.is_err() {
                send(to, "ping", &json!({})).await?;
            }
            speak(&blocks, ask, to).await?;
        }
        Answer::CutAfter(text) => {
            begin(&text, to).await?;
            to.send(Err(io::ErrorKind::ConnectionReset.into())).await.ok()?;
        }
        Answer::HangAfter(text) => {
            begin(&text, to).await?;
            std::future::pending().await
        }
        Answer::Hang => std::future::pending().await,
        // Neither has a stream.
        Answer::Refuse(_) | Answer::Mute => {}
    }
    None
}

/// The beginning of a text.
async fn begin(text: &str, to: &mpsc::Sender<Chunk>) -> Option<()> {
    let block = json!({ "type": "text", "text": "" });
    send(to, "content_block_start", &json!({ "index": 0, "content_block": block })).await?;
    let delta = json!({ "type": "text_delta", "text": text });
    send(to, "content_block_delta", &json!({ "index": 0, "delta": delta })).await
}

async fn speak(blocks: &[Block], ask: &Ask, to: &mpsc::Sender<Chunk>) -> Option<()> {
    for (index, block) in blocks.iter().enumerate() {
        let (head, deltas) = match block {
            // In pieces, as a real model writes: whoever looks for something must put them together.
            Block::Text(text) => {
                let (one, other) = text.split_at(text.floor_char_boundary(text.len() / 2));
                let delta = |text: &str| json!({ "type": "text_delta", "text": text });
                (json!({ "type": "text", "text": "" }), vec![delta(one), delta(other)])
            }
            Block::Tool { name, input } => (
                json!({ "type": "tool_use", "id": tool_id(ask, index), "name": name, "input": {} }),
                vec![json!({ "type": "input_json_delta", "partial_json": input.to_string() })],
            ),
        };
        send(to, "content_block_start", &json!({ "index": index, "content_block": head })).await?;
        for delta in deltas {
            send(to, "content_block_delta", &json!({ "index": index, "delta": delta })).await?;
        }
        send(to, "content_block_stop", &json!({ "index": index })).await?;
    }
    let delta = json!({ "stop_reason": stop_reason(blocks), "stop_sequence": null });
    let usage = json!({ "output_tokens": OUTPUT_TOKENS });
    send(to, "message_delta", &json!({ "delta": delta, "usage": usage })).await?;
    send(to, "message_stop", &json!({})).await
}

async fn send(to: &mpsc::Sender<Chunk>, kind: &str, body: &Value) -> Option<()> {
    let mut event = body.clone();
    event["type"] = kind.into();
    let chunk = format!("event: {kind}\ndata: {event}\n\n");
    to.send(Ok(Bytes::from(chunk))).await.ok()
}

/// A message without content, as it opens a stream.
pub(super) fn message_head(ask: &Ask) -> Value {
    json!({
        "id": format!("msg_{:06}", ask.number),
        "type": "message",
        "role": "assistant",
        "model": ask.model(),
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": {
            "input_tokens": INPUT_TOKENS,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": OUTPUT_TOKENS,
        },
    })
}

/// The id of a tool call: its own in the whole run, so that results find their calls.
pub(super) fn tool_id(ask: &Ask, index: usize) -> String {
    format!("toolu_{:06}_{index}", ask.number)
}

/// Why the model stops speaking: for a tool's answer, or because it is done.
pub(super) fn stop_reason(blocks: &[Block]) -> &'static str {
    if blocks.iter().any(|block| matches!(block, Block::Tool { .. })) {
        "tool_use"
    } else {
        "end_turn"
    }
}
