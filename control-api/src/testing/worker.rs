//! A worker's side of the wire, driven by a test.

use serde_json::{Value, json};
use specwright_shared::documents::Document;
use specwright_shared::id::{EventId, SandboxId};
use specwright_shared::phase::Phase;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::event::RawEvent;
use specwright_shared::wire::sandbox::Welcome;
use uuid::Uuid;

use super::{Running, until_file};

/// A worker that said hello.
pub(crate) struct Worker<'a> {
    pub(crate) api: &'a Running,
    pub(crate) id: SandboxId,
    pub(crate) token: String,
    pub(crate) welcome: Welcome,
    seq: u64,
}

/// The token of a sandbox whose worker wrote its environment into its state directory.
pub(crate) async fn token_of(api: &Running, id: SandboxId) -> String {
    let environment = until_file(&api.sandbox_dir(id).join("state/env")).await;
    let token = environment.lines().find_map(|line| line.strip_prefix("SANDBOX_TOKEN="));
    token.unwrap().to_owned()
}

impl<'a> Worker<'a> {
    /// Says hello as a new boot.
    pub(crate) async fn hello(api: &'a Running, id: SandboxId) -> Self {
        let token = token_of(api, id).await;
        let hello = json!({ "protocol": 1, "worker_version": "test", "boot_id": Uuid::now_v7() });
        let path = format!("/api/v1/sandboxes/{id}/hello");
        let (status, body) = api.request("POST", &path, &token, Some(&hello)).await;
        assert_eq!(status, 200, "{body}");
        let welcome: Welcome = serde_json::from_value(body).unwrap();
        Self { api, id, token, seq: welcome.acked, welcome }
    }

    /// The same worker, which now speaks to this replica.
    pub(crate) fn by(self, api: &'a Running) -> Self {
        Self { api, ..self }
    }

    /// The next event.
    pub(crate) fn event(&mut self, kind: &str, phase: Option<Phase>, data: Value) -> RawEvent {
        self.seq += 1;
        event(self.seq, kind, phase, data)
    }

    /// Takes back the last numbers: what had them was not taken in.
    pub(crate) fn forget(&mut self, events: u64) {
        self.seq -= events;
    }

    /// `spec.phase_completed` with a document that passes.
    pub(crate) fn completed(&mut self, phase: Phase, document: Option<&Document>) -> RawEvent {
        let data = json!({
            "attempt": 1, "score": 0.9, "duration_ms": 5, "cost_usd": 0.25,
            "output": document.map(Document::to_value),
            "digest": document.map(Document::digest), "findings": [],
        });
        self.event("spec.phase_completed", Some(phase), data)
    }

    /// Reports that the run failed.
    pub(crate) async fn fail(&mut self) {
        let failed = json!({
            "outcome": "failed", "failed_phase": "explore", "message": "m",
            "cost_usd": 0.0, "duration_ms": 1,
        });
        let failed = self.event("spec.execution_failed", None, failed);
        self.report(&[failed]).await;
    }

    /// A heartbeat of a run in which nothing has moved for 20 minutes; the answer.
    pub(crate) async fn beat_stuck(&self) -> Value {
        let age = 20 * 60_000;
        let heartbeat = json!({
            "generation": self.welcome.generation, "agent_alive": true, "spool_depth": 0,
            "signals": {
                "state": "model_turn", "agent_line_age_ms": age, "event_age_ms": age,
                "operation": { "name": "model", "age_ms": age },
            },
        });
        let path = format!("/api/v1/sandboxes/{}/heartbeat", self.id);
        let (status, ack) = self.api.request("POST", &path, &self.token, Some(&heartbeat)).await;
        assert_eq!(status, 200, "{ack}");
        ack
    }

    /// Sends a batch.
    pub(crate) async fn send(&self, events: &[RawEvent]) -> (u16, Value) {
        self.send_as(self.welcome.generation, events).await
    }

    /// Sends a batch under a generation.
    pub(crate) async fn send_as(&self, generation: u64, events: &[RawEvent]) -> (u16, Value) {
        let path = format!("/api/v1/sandboxes/{}/events", self.id);
        let batch = json!({ "generation": generation, "events": events });
        self.api.request("POST", &path, &self.token, Some(&batch)).await
    }

    /// Sends what must be taken.
    pub(crate) async fn report(&self, events: &[RawEvent]) {
        let (status, body) = self.send(events).await;
        assert_eq!((status, &body["acked"]), (200, &json!(self.seq)), "{body}");
    }
}

/// An event with a number.
pub(crate) fn event(seq: u64, kind: &str, phase: Option<Phase>, data: Value) -> RawEvent {
    RawEvent {
        seq,
        id: EventId(Uuid::now_v7()),
        kind: kind.to_owned(),
        at: Timestamp::from_micros(1_795_000_000_000_000),
        phase,
        trace_id: None,
        data,
    }
}
