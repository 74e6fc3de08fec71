//! A worker's side of the wire: says hello, and reports.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use specwright_shared::wire::spec::Launched;
use uuid::Uuid;

/// What an event carries: with its envelope 330 bytes.
pub(super) const TEXT_CHARS: usize = 170;
/// How long a sandbox may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Worker {
    pub(super) launched: Launched,
    events: String,
    token: String,
    generation: u64,
    acked: u64,
    http: reqwest::Client,
}

impl Worker {
    /// Launches an idea, and takes the place of its worker.
    pub(super) async fn start(base: &str, owner: &str, data: &Path) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let launch = json!({ "spec": { "description": "Measure" }, "run": {} });
        let url = format!("{base}/api/v1/specs/launch");
        let launched = http.post(url).bearer_auth(owner).json(&launch).send().await?;
        let launched: Launched = launched.error_for_status()?.json().await?;
        let id = launched.sandbox_id;
        let path = data.join(format!("sandboxes/{id}/state/env"));
        let began = Instant::now();
        let token = loop {
            let environment = std::fs::read_to_string(&path).unwrap_or_default();
            let mut lines = environment.lines();
            if let Some(token) = lines.find_map(|line| line.strip_prefix("SANDBOX_TOKEN=")) {
                break token.to_owned();
            }
            ensure!(began.elapsed() < PATIENCE, "a sandbox did not start");
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let hello = json!({ "protocol": 1, "worker_version": "bench", "boot_id": Uuid::now_v7() });
        let url = format!("{base}/api/v1/sandboxes/{id}/hello");
        let welcome = http.post(url).bearer_auth(&token).json(&hello).send().await?;
        let welcome: Value = welcome.error_for_status()?.json().await?;
        let generation = welcome["generation"].as_u64().context("no generation")?;
        let events = format!("{base}/api/v1/sandboxes/{id}/events");
        Ok(Self { launched, events, token, generation, acked: 0, http })
    }

    /// Reports so many events, and waits until they are taken.
    pub(super) async fn report(&mut self, count: usize) -> Result<()> {
        // Written, not built: what the load costs is taken from what is measured.
        let mut body = format!("{{\"generation\":{},\"events\":[", self.generation);
        for seq in (self.acked + 1..).take(count) {
            let (comma, id) = (if seq == self.acked + 1 { "" } else { "," }, Uuid::now_v7());
            write!(
                body,
                "{comma}{{\"seq\":{seq},\"id\":\"{id}\",\"type\":\"spec.progress\",\
                 \"phase\":\"explore\",\"at\":\"2026-11-01T12:00:00.123456Z\",\
                 \"data\":{{\"message\":\"{:x<TEXT_CHARS$}\"}}}}",
                ""
            )?;
        }
        body.push_str("]}");
        let request = self.http.post(&self.events).bearer_auth(&self.token);
        let request = request.header("content-type", "application/json").body(body);
        let answer: Value = request.send().await?.error_for_status()?.json().await?;
        self.acked += count as u64;
        ensure!(answer["acked"] == self.acked, "{answer}");
        Ok(())
    }
}
