//! A call of the model under way: what moves on it, and its entry in the ledger.
//!
//! What holds: each call is entered and told exactly once, however it ends (answered, refused, cut,
//! or dropped with the agent's connection), and before the agent gets the last of its answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use specwright_shared::price::NanoUsd;
use specwright_shared::stall::{self, Moved, Stall};
use specwright_shared::wire::event::ModelCall;
use tokio::sync::mpsc::Permit;
use tokio::time::Instant;
use uuid::Uuid;

use super::account::weigh;
use super::journal::{CallRecord, Full};
use super::meter::{Form, Meter};
use super::retry_after::retry_after;
use super::{ModelFact, Shared, StallSeen};

/// The service's own id of a call.
const REQUEST_ID: &str = "request-id";

/// After so many further bytes of text a call under way is written down again: less than two cents of
/// the dearest model.
const NOTE_EVERY_BYTES: u64 = 2048;

/// The chunks of a request, kept until its answer begins: a refusal does not say which model.
pub(super) type Kept = Arc<Mutex<Vec<Bytes>>>;

/// One call.
pub(super) struct Call {
    id: Uuid,
    shared: Arc<Shared>,
    kept: Kept,
    started: Instant,
    last_byte: Instant,
    last_content: Instant,
    /// Unknown until the answer begins, or somebody has to know.
    streams: Option<bool>,
    status: Option<u16>,
    request_id: Option<String>,
    retry_after: Option<Duration>,
    meter: Meter,
    /// Bytes that are still to come, if the service said how many.
    left: Option<u64>,
    /// Bytes of the request that the service may have read.
    request_bytes: u64,
    /// Bytes of text when the call was last written down.
    noted_bytes: u64,
    stall_told: bool,
    settled: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    model: Option<String>,
    stream: bool,
}

impl Call {
    /// A call that is about to be made; it is on disk before it is.
    pub(super) fn begin(shared: Arc<Shared>, kept: Kept, request_bytes: u64) -> Result<Self, Full> {
        let id = Uuid::now_v7();
        shared.journal.begin(&CallRecord::new(id, request_bytes))?;
        shared.open_calls.send_modify(|open| *open += 1);
        let now = Instant::now();
        Ok(Self {
            id,
            shared,
            kept,
            started: now,
            last_byte: now,
            last_content: now,
            streams: None,
            status: None,
            request_id: None,
            retry_after: None,
            meter: Meter::new(Form::Whole),
            left: None,
            request_bytes,
            noted_bytes: 0,
            stall_told: false,
            settled: false,
        })
    }

    /// The request did not get through: nothing was used.
    pub(super) const fn failed(&mut self) {
        self.request_bytes = 0;
    }

    /// The answer begins.
    pub(super) fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.moved(true);
        self.status = Some(status.as_u16());
        let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
        self.request_id = text(REQUEST_ID);
        self.left = text(CONTENT_LENGTH.as_str()).and_then(|length| length.parse().ok());
        let media_type = text(CONTENT_TYPE.as_str()).unwrap_or_default();
        let streams = media_type.starts_with("text/event-stream");
        self.streams = Some(streams);
        self.meter = Meter::new(if streams { Form::Stream } else { Form::Whole });
        if status.is_success() {
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
        } else {
            self.retry_after = retry_after(headers, std::time::SystemTime::now().into());
        }
    }

    /// A chunk of the answer passes. The call is settled as soon as all of it is here.
    pub(super) async fn passes(&mut self, chunk: &[u8]) {
        let passed = self.meter.pass(chunk);
        self.moved(passed.content);
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(chunk.len() as u64);
        }
        if self.left == Some(0) {
            self.meter.end();
        }
        let told = self.meter.told();
        let (complete, text_bytes) = (told.complete, told.text_bytes);
        if passed.usage || text_bytes >= self.noted_bytes + NOTE_EVERY_BYTES {
            self.noted_bytes = text_bytes;
            let record = self.record();
            self.shared.account.so_far(&record);
            self.shared.journal.note(&record);
        }
        if complete {
            self.settle().await;
        }
    }

    /// The answer is over.
    pub(super) async fn ended(&mut self) {
        self.meter.end();
        self.settle().await;
    }

    /// Comes back when the call has stalled, and then never again.
    pub(super) async fn stalls(&mut self) {
        if self.stall_told {
            std::future::pending::<()>().await;
        }
        loop {
            match self.look() {
                Ok(wait) => tokio::time::sleep(wait).await,
                Err(stall) => {
                    self.stall_told = true;
                    let seen = StallSeen {
                        call_id: self.id,
                        stall,
                        since_byte: self.last_byte.elapsed(),
                        since_content: self.last_content.elapsed(),
                    };
                    self.shared.facts.send(ModelFact::Stalled(seen)).await.ok();
                    return;
                }
            }
        }
    }

    fn look(&mut self) -> Result<Duration, Stall> {
        let moved = |streams: bool, call: &Self| Moved {
            since_byte: call.last_byte.elapsed(),
            since_content: call.last_content.elapsed(),
            streams,
        };
        let patience = self.shared.patience;
        match (self.streams, stall::watch(moved(self.streams.unwrap_or(true), self), patience)) {
            (None, Err(_)) => {
                let streams = self.asked().stream;
                self.streams = Some(streams);
                stall::watch(moved(streams, self), patience)
            }
            (_, watched) => watched,
        }
    }

    fn moved(&mut self, content: bool) {
        self.last_byte = Instant::now();
        self.shared.moved_at.send_replace(Some(self.last_byte.into()));
        if content {
            self.last_content = self.last_byte;
        }
    }

    fn asked(&self) -> Asked {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).concat();
        serde_json::from_slice(&kept).unwrap_or_default()
    }

    /// Enters the call and tells it; the second time it does nothing.
    async fn settle(&mut self) {
        if self.settled {
            return;
        }
        let facts = self.shared.facts.clone();
        // Room is waited for before the entry is made, so that a dropped wait loses nothing.
        match facts.reserve().await {
            Ok(room) => self.tell(Some(room)),
            Err(_) => self.tell(None),
        }
    }

    fn tell(&mut self, room: Option<Permit<'_, ModelFact>>) {
        self.settled = true;
        let record = CallRecord {
            model: self.meter.told().model.clone().or_else(|| self.asked().model),
            ..self.record()
        };
        // The spool has it later; until then this is all that a worker after us would find.
        self.shared.journal.note(&record);
        let entry = self.entry(record);
        let cost = entry.cost_usd.map(NanoUsd::from_usd);
        let counted = NanoUsd::from_usd(entry.counted_usd);
        self.shared.account.ledger().enter(self.id, cost, counted);
        match room {
            Some(room) => room.send(ModelFact::Called(Box::new(entry))),
            None => tracing::warn!(call = %self.id, "a call of the model came too late to be told"),
        }
    }

    /// What is known of the call so far.
    fn record(&self) -> CallRecord {
        let told = self.meter.told();
        CallRecord {
            call_id: self.id,
            model: told.model.clone(),
            status: self.status,
            told: told.tokens,
            beside_tokens: told.beside_tokens,
            request_bytes: self.request_bytes,
            text_bytes: told.text_bytes,
            complete: told.complete,
        }
    }

    fn entry(&self, record: CallRecord) -> ModelCall {
        let prices = &self.shared.account.prices;
        let weighed = weigh(prices, &record);
        ModelCall {
            call_id: self.id,
            request_id: self.request_id.clone(),
            status: record.status,
            tokens: record.told.unwrap_or_default(),
            cost_usd: weighed.cost.as_ref().ok().map(|cost| cost.usd()),
            counted_usd: weighed.counted.usd(),
            estimated: weighed.estimated,
            cost_unknown: weighed.cost.err(),
            prices_as_of: prices.as_of.clone(),
            complete: record.complete,
            duration_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            retry_after_secs: self.retry_after.map(|wait| wait.as_secs()),
            error: self.meter.told().error.clone(),
            model: record.model,
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.settled {
            // The agent has gone away in the middle.
            let facts = self.shared.facts.clone();
            self.tell(facts.try_reserve().ok());
        }
        self.shared.open_calls.send_modify(|open| *open = open.saturating_sub(1));
    }
}
