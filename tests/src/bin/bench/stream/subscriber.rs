//! Somebody who watches: reads a stream as it comes, and notes when each event was there.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::StreamExt as _;
use serde::Deserialize;
use sse_stream::SseByteStream;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::fleet::http::Connection;
use crate::fleet::seats::Seat;
use crate::fleet::server::TOKEN;
use crate::fleet::worker::{Worked, micros_of_the_clock};

/// How long the last events are waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// From when each event was there until it was seen, in ms.
    pub(super) took_ms: Vec<f64>,
    /// Events that came twice, or before the one before.
    pub(super) disorder: u64,
    /// When the first and the last of them were there, in microseconds of the clock.
    pub(super) between: Option<(u128, u128)>,
    newest: HashMap<Uuid, u64>,
}

/// How an event is read; what is of no interest is passed over.
pub(super) type Note = fn(&mut Seen, &str) -> Result<()>;

/// An event of a worker; the control API's own have no sandbox.
#[derive(Deserialize)]
struct Event {
    sandbox_id: Option<Uuid>,
    seq: u64,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    message: String,
}

/// An open stream.
pub(super) struct Subscriber {
    seen: watch::Receiver<Seen>,
    _reads: AbortOnDropHandle<()>,
}

impl Subscriber {
    /// Somebody who watches the events of simulated workers.
    pub(super) async fn open(address: SocketAddr, path: &str) -> Result<Self> {
        Self::noting(address, path, Seen::note).await
    }

    /// The same with another way to read what comes.
    pub(super) async fn noting(address: SocketAddr, path: &str, note: Note) -> Result<Self> {
        let mut connection = Connection::open(address, TOKEN).await?;
        let body = connection.stream(path).await?;
        let (sees, seen) = watch::channel(Seen::default());
        let reads = tokio::spawn(async move {
            let _kept = connection;
            let mut frames = SseByteStream::new(body.into_data_stream());
            while let Some(Ok(frame)) = frames.next().await {
                let Some(data) = frame.data else { continue };
                sees.send_modify(|seen| {
                    // What cannot be read is missing in the end.
                    if let Err(error) = note(seen, &data) {
                        eprintln!("an event cannot be read: {error:#}: {data}");
                    }
                });
            }
        });
        Ok(Self { seen, _reads: AbortOnDropHandle::new(reads) })
    }

    /// Waits until so many events came; what came.
    pub(super) async fn until(self, events: u64) -> Result<Seen> {
        self.until_within(PATIENCE, events).await
    }

    /// The same while others are still to be sent, which takes so long.
    pub(super) async fn until_sent(self, lasts: Duration, events: u64) -> Result<Seen> {
        self.until_within(lasts + PATIENCE, events).await
    }

    async fn until_within(mut self, at_most: Duration, events: u64) -> Result<Seen> {
        let enough = self.seen.wait_for(|seen| seen.took_ms.len() as u64 >= events);
        if let Ok(seen) = tokio::time::timeout(at_most, enough).await {
            return Ok(seen.context("a stream ended")?.clone());
        }
        // What is missing now is counted as lost.
        Ok(self.seen.borrow().clone())
    }
}

/// What those saw who each watch the spec of one seat; an event that one did not see, or saw twice, counts
/// as disorder.
pub(super) async fn all_seen(
    worked: &[Worked],
    seats: &[Seat],
    subscribers: Vec<Subscriber>,
) -> Result<Seen> {
    let acked: HashMap<Uuid, u64> = worked.iter().map(|one| (one.sandbox, one.acked)).collect();
    let mut all = Seen::default();
    for (seat, subscriber) in seats.iter().zip(subscribers) {
        let expected = acked.get(&seat.sandbox).copied().unwrap_or_default();
        let seen = subscriber.until(expected).await?;
        all.disorder += seen.disorder + (seen.took_ms.len() as u64).abs_diff(expected);
        all.took_ms.extend(seen.took_ms);
    }
    Ok(all)
}

impl Seen {
    fn note(&mut self, data: &str) -> Result<()> {
        let event: Event = serde_json::from_str(data)?;
        let Some(sandbox) = event.sandbox_id else { return Ok(()) };
        let at: u128 = event.data.message.split(' ').next().unwrap_or_default().parse()?;
        self.came(sandbox, event.seq, at)
    }

    /// The event of this number was there at this moment and is seen now; the first is number 1.
    pub(super) fn came(&mut self, sandbox: Uuid, number: u64, at: u128) -> Result<()> {
        let micros = u32::try_from(micros_of_the_clock()?.saturating_sub(at))?;
        self.took_ms.push(f64::from(micros) / 1e3);
        let (first, last) = self.between.unwrap_or((at, at));
        self.between = Some((first.min(at), last.max(at)));
        let before = self.newest.insert(sandbox, number).unwrap_or_default();
        self.disorder += u64::from(number != before + 1);
        Ok(())
    }
}
