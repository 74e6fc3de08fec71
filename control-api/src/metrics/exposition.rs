//! The text that Prometheus reads: what this process counted, and what the database knows now.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use specwright_shared::wire::duty::DutyView;

use super::Metrics;
use crate::app::App;
use crate::store::{self, StoreError};

/// What is said.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The most sandboxes that have lines of their own; a deployment with more looks at the sums.
const SANDBOXES_MAX: usize = 200;

/// The metrics could not be gathered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExpositionError {
    #[error("the metrics could not be read from the store")]
    Store(#[from] StoreError),
    #[error("the metrics could not be written")]
    Write(#[from] std::fmt::Error),
}

type Value = Gauge<f64, AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfDuty {
    duty: String,
    machine: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSandbox {
    sandbox: String,
    spec: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfVerdict {
    verdict: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPool {
    pool: &'static str,
    state: &'static str,
}

/// Gathers and writes them all.
pub(crate) async fn write(app: &App) -> Result<String, ExpositionError> {
    let mut registry = Registry::with_prefix("specwright");
    counted(&app.metrics, &mut registry);
    pool(app, &mut registry);
    let mut session = app.store.read().await?;
    let duties = store::duty::list(&mut session).await?;
    let sandboxes = store::gauges::living(&mut session).await?;
    drop(session);
    of_duties(&duties, &mut registry);
    of_sandboxes(&sandboxes, &mut registry);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

fn counted(own: &Metrics, registry: &mut Registry) {
    registry.register("requests", "Requests that were answered", own.requests.clone());
    registry.register("requests_open", "Requests under way", own.requests_open.clone());
    registry.register_with_unit(
        "request_duration",
        "Until the head of the answer",
        Unit::Seconds,
        own.took.clone(),
    );
    registry.register("ingest_batches", "Batches of events taken in", own.batches.clone());
    registry.register("ingest_events", "Events taken in, repeats too", own.events.clone());
    registry.register(
        "ingest_batches_refused",
        "Batches of events refused",
        own.batches_refused.clone(),
    );
    registry.register("streams_open", "Streams with a reader", own.streams_open.clone());
    registry.register(
        "streams_lagged",
        "Streams cut off because their reader was slow",
        own.streams_lagged.clone(),
    );
}

fn pool(app: &App, registry: &mut Registry) {
    let family = Family::<OfPool, Gauge>::default();
    for (pool, connections) in app.store.connections() {
        for (state, count) in [("idle", connections.idle), ("used", connections.used)] {
            family.get_or_create(&OfPool { pool, state }).set(count);
        }
    }
    registry.register("database_connections", "Connections to the database", family);
}

fn of_duties(duties: &[DutyView], registry: &mut Registry) {
    let mut family = |name: &str, help: &str, of: &dyn Fn(&DutyView) -> f64| {
        let family = Family::<OfDuty, Value>::default();
        for duty in duties {
            let machine = duty.machine.clone().unwrap_or_default();
            let labels = OfDuty { duty: duty.name.clone(), machine };
            family.get_or_create(&labels).set(of(duty));
        }
        registry.register(name, help, family);
    };
    let last_run = |duty: &DutyView| {
        duty.last_run_at.map_or(0.0, |at| at.as_utc().timestamp_micros() as f64 / 1e6)
    };
    family("duty_last_run_timestamp_seconds", "When a round was noted last", &last_run);
    family("duty_last_round_seconds", "How long it took", &|duty| duty.took_ms as f64 / 1e3);
    family("duty_rounds", "Rounds so far, at all replicas", &|duty| duty.rounds_total as f64);
    family("duty_did", "Things done so far", &|duty| duty.did_total as f64);
    family("duty_failures", "Rounds that failed so far", &|duty| duty.failures_total as f64);
}

fn of_sandboxes(sandboxes: &[store::gauges::Living], registry: &mut Registry) {
    let mut verdicts: BTreeMap<&str, i64> = BTreeMap::new();
    let spool = Family::<OfSandbox, Value>::default();
    let spent = Family::<OfSandbox, Value>::default();
    let (mut spooled, mut spent_by_all) = (0, 0);
    for sandbox in sandboxes {
        *verdicts.entry(sandbox.verdict.as_deref().unwrap_or("none")).or_default() += 1;
        spooled += sandbox.spool_depth;
        spent_by_all += sandbox.cost_micro_usd;
    }
    for sandbox in sandboxes.iter().take(SANDBOXES_MAX) {
        let labels =
            OfSandbox { sandbox: sandbox.id.to_string(), spec: sandbox.spec_id.to_string() };
        spool.get_or_create(&labels).set(sandbox.spool_depth as f64);
        spent.get_or_create(&labels).set(sandbox.cost_micro_usd as f64 / 1e6);
    }
    let family = Family::<OfVerdict, Gauge>::default();
    for (verdict, count) in verdicts {
        family.get_or_create(&OfVerdict { verdict: verdict.to_owned() }).set(count);
    }
    registry.register("sandboxes", "Living sandboxes by their verdict", family);
    registry.register(
        "sandbox_spool_events",
        "Events in a living sandbox's spool that are not acknowledged",
        spool,
    );
    registry.register("sandbox_spent_usd", "What a living sandbox has spent", spent);
    let sum = |value: f64| {
        let gauge = Value::default();
        gauge.set(value);
        gauge
    };
    let help = "Events in the spools of all living sandboxes that are not acknowledged";
    registry.register("sandboxes_spool_events", help, sum(spooled as f64));
    let help = "What all living sandboxes have spent";
    registry.register("sandboxes_spent_usd", help, sum(spent_by_all as f64 / 1e6));
}
