//! The gateway between an HTTP client in the agent's place and a Messages API on a script: what it
//! counts, refuses and notices.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod unfinished;

use std::path::Path;
use std::time::Duration;

use reqwest::Response;
use serde_json::{Value, json};
use specwright_shared::budget::Budget;
use specwright_shared::ledger::Ledger;
use specwright_shared::price::{NanoUsd, Tokens};
use specwright_shared::stall::{Patience, Stall};
use specwright_shared::wire::event::ModelCall;
use specwright_tests::messages_api::{Answer, MessagesApi, Refusal};
use specwright_worker::gateway::{
    Credential, FACTS_MAX, Gateway, Journal, Metering, ModelFact, Upstream,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Bounded: a test that would hang fails.
const PATIENCE: Duration = Duration::from_secs(120);
/// A model whose price is known: 100 tokens in and 10 out cost 0.0006 USD.
const MODEL: &str = "claude-opus-5-5";
const ONE_CALL: NanoUsd = NanoUsd(600_000);

struct Scene {
    api: MessagesApi,
    gateway: Gateway,
    facts: mpsc::Receiver<ModelFact>,
}

/// What a scene starts with.
struct Given {
    ledger: Ledger,
    budget: Option<f64>,
    patience: Patience,
}

impl Default for Given {
    fn default() -> Self {
        let hour = Duration::from_secs(3600);
        let patience = Patience { silence: hour, pings: hour };
        Self { ledger: Ledger::default(), budget: None, patience }
    }
}

impl Scene {
    async fn with(given: Given, answer: impl Fn() -> Answer + Send + Sync + 'static) -> Self {
        let api = MessagesApi::start(move |_| answer()).await.unwrap();
        let place = tempfile::NamedTempFile::new().unwrap();
        let (gateway, facts) = gateway(api.base_url(), place.path(), given).await;
        Self { api, gateway, facts }
    }

    async fn ask(&self, body: &Value) -> Response {
        self.try_ask(body).await.unwrap()
    }

    async fn try_ask(&self, body: &Value) -> reqwest::Result<Response> {
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        client
            .post(format!("{}/v1/messages", self.gateway.base_url))
            .header("x-api-key", &self.gateway.dummy_key)
            .header("accept-encoding", "gzip, br")
            .json(body)
            .send()
            .await
    }

    async fn fact(&mut self) -> ModelFact {
        let fact = tokio::time::timeout(PATIENCE, self.facts.recv()).await;
        fact.expect("the gateway told nothing").unwrap()
    }

    async fn call(&mut self) -> ModelCall {
        match self.fact().await {
            ModelFact::Called(call) => *call,
            other => panic!("{other:?}"),
        }
    }
}

/// A gateway to a service, and what it tells.
async fn gateway(
    base_url: String,
    calls: &Path,
    given: Given,
) -> (Gateway, mpsc::Receiver<ModelFact>) {
    let upstream = Upstream { base_url, credential: Credential::ApiKey("the-real-key".to_owned()) };
    let (sender, facts) = mpsc::channel(FACTS_MAX);
    let metering = Metering {
        ledger: given.ledger,
        budget: Budget::of(given.budget),
        journal: Journal::open(calls).unwrap().0,
        patience: given.patience,
        facts: sender,
    };
    let started = Gateway::start(upstream, metering, &CancellationToken::new()).await;
    (started.unwrap(), facts)
}

fn streaming(model: &str) -> Value {
    json!({ "model": model, "stream": true, "messages": [] })
}

fn is_about(usd: Option<f64>, cost: NanoUsd) -> bool {
    usd.is_some_and(|usd| NanoUsd::from_usd(usd) == cost)
}

#[tokio::test]
async fn a_call_is_told_with_its_usage_and_cost_before_its_answer_has_ended() {
    for stream in [true, false] {
        let mut scene = Scene::with(Given::default(), || Answer::text("well")).await;
        let answer = scene.ask(&json!({ "model": MODEL, "stream": stream, "messages": [] })).await;
        assert_eq!(answer.status(), 200);
        assert!(answer.text().await.unwrap().contains("\"we"));
        let Ok(ModelFact::Called(call)) = scene.facts.try_recv() else { panic!("not told yet") };
        assert_eq!(call.tokens, Tokens { input: 100, output: 10, ..Tokens::default() });
        assert!(is_about(call.cost_usd, ONE_CALL), "{call:?}");
        assert_eq!((call.status, call.complete), (Some(200), true));
        assert_eq!(call.model.as_deref(), Some(MODEL));
        assert_eq!(scene.gateway.ledger().known(), ONE_CALL);
        assert!(scene.facts.try_recv().is_err(), "told once");
        // Compressed answers could not be read as they pass.
        assert_eq!(scene.api.asks()[0].headers["accept-encoding"], "identity");
    }
}

#[tokio::test]
async fn calls_at_the_same_time_are_all_counted() {
    let mut scene = Scene::with(Given::default(), || Answer::text("well")).await;
    let body = streaming(MODEL);
    let asks = (0..16).map(|_| async { scene.ask(&body).await.text().await.unwrap() });
    futures_util::future::join_all(asks).await;
    let mut ids = Vec::new();
    for _ in 0..16 {
        ids.push(scene.call().await.call_id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 16);
    assert_eq!(scene.gateway.ledger().known(), NanoUsd(16 * ONE_CALL.0));
}

#[tokio::test]
async fn the_cost_of_an_unknown_model_is_unknown_and_said_to_be() {
    let mut scene = Scene::with(Given::default(), || Answer::text("well")).await;
    scene.ask(&streaming("claude-of-tomorrow")).await.text().await.unwrap();
    let call = scene.call().await;
    assert_eq!(call.cost_usd, None);
    assert!(call.cost_unknown.as_deref().unwrap().contains("claude-of-tomorrow"), "{call:?}");
    assert!(call.counted_usd > 0.0, "a limit counts it all the same");
    assert_eq!(
        (scene.gateway.ledger().known(), scene.gateway.ledger().unpriced()),
        (NanoUsd(0), 1)
    );
}

#[tokio::test]
async fn the_call_that_would_start_over_the_limit_is_refused_and_never_leaves() {
    let given = Given { budget: Some(0.001), ..Given::default() };
    let mut scene = Scene::with(given, || Answer::text("well")).await;
    for _ in 0..2 {
        assert!(scene.ask(&streaming(MODEL)).await.text().await.unwrap().contains("\"we"));
        scene.call().await;
    }
    let refused = scene.ask(&streaming(MODEL)).await;
    assert_eq!(refused.status(), 400);
    let body: Value = refused.json().await.unwrap();
    assert_eq!(
        (&body["type"], &body["error"]["type"]),
        (&json!("error"), &json!("invalid_request_error"),)
    );
    assert_eq!(scene.fact().await, ModelFact::BudgetSpent { counted: NanoUsd(2 * ONE_CALL.0) });
    assert_eq!(scene.api.asks().len(), 2, "the third call was not made");
}

#[tokio::test]
async fn what_was_spent_before_a_restart_counts_on() {
    let mut ledger = Ledger::default();
    ledger.enter(Uuid::from_u128(1), Some(NanoUsd::from_usd(1.0)), NanoUsd(0));
    let given = Given { ledger, budget: Some(1.0), ..Given::default() };
    let scene = Scene::with(given, || Answer::text("well")).await;
    assert_eq!(scene.ask(&streaming(MODEL)).await.status(), 400);
    assert!(scene.api.asks().is_empty());
}

#[tokio::test]
async fn refusals_are_told_with_their_status_their_words_and_the_time_to_wait() {
    for (refusal, wait) in [(Refusal::RATE_LIMITED, Some(1)), (Refusal::BAD_KEY, None)] {
        let status = refusal.status;
        let message = refusal.message;
        let mut scene =
            Scene::with(Given::default(), move || Answer::Refuse(refusal.clone())).await;
        assert_eq!(scene.ask(&streaming(MODEL)).await.status(), status);
        let call = scene.call().await;
        assert_eq!((call.status, call.retry_after_secs), (Some(status), wait));
        assert!(call.error.as_deref().unwrap().contains(message), "{call:?}");
        assert_eq!(call.model.as_deref(), Some(MODEL), "the model that was asked for");
        assert!(is_about(call.cost_usd, NanoUsd(0)), "a refusal costs nothing");
    }
}

#[tokio::test]
async fn after_a_refused_key_nothing_more_is_passed_on_however_often_the_agent_tries() {
    for status in [401, 403] {
        let refusal = Refusal { status, ..Refusal::BAD_KEY };
        let mut scene =
            Scene::with(Given::default(), move || Answer::Refuse(refusal.clone())).await;
        assert_eq!(scene.ask(&streaming(MODEL)).await.status(), status);
        assert_eq!(scene.call().await.status, Some(status));
        for _ in 0..3 {
            let again = scene.ask(&streaming(MODEL)).await;
            assert_eq!(again.status(), status);
            assert!(again.text().await.unwrap().contains("has refused the run's key"));
        }
        assert_eq!(scene.api.asks().len(), 1, "{status}: the service was asked again");
    }
}

#[tokio::test]
async fn a_call_that_the_agent_leaves_is_told_with_what_was_used() {
    let mut scene = Scene::with(Given::default(), || Answer::Hang).await;
    let mut answer = scene.ask(&streaming(MODEL)).await;
    assert!(answer.chunk().await.unwrap().is_some());
    drop(answer);
    let call = scene.call().await;
    assert!(!call.complete);
    assert_eq!(call.tokens.input, 100);
    assert!(is_about(call.cost_usd, ONE_CALL), "{call:?}");
    tokio::time::timeout(PATIENCE, scene.gateway.quiet(PATIENCE)).await.unwrap();
}

#[tokio::test]
async fn a_call_that_the_service_cuts_is_told_and_not_taken_for_a_whole_one() {
    let mut scene = Scene::with(Given::default(), || Answer::CutAfter("let me".to_owned())).await;
    // How far the answer comes before it breaks is for the sockets to say.
    drop(scene.try_ask(&streaming(MODEL)).await);
    let call = scene.call().await;
    assert!(!call.complete, "{call:?}");
    assert_eq!(scene.gateway.ledger().known().usd(), call.cost_usd.unwrap_or_default());
}

#[tokio::test]
async fn a_silent_call_and_one_that_only_pings_are_told_apart_and_once() {
    // Thirty pings in a silence: that many have to be late for one to be told.
    let patience = Patience { silence: Duration::from_secs(3), pings: Duration::from_secs(5) };
    let (hang, hold) = (Answer::Hang, Answer::Hold(CancellationToken::new(), vec![]));
    for (answer, stall) in [(hang, Stall::Silent), (hold, Stall::PingsOnly)] {
        let given = Given { patience, ..Given::default() };
        let mut scene = Scene::with(given, move || answer.clone()).await;
        let answer = scene.ask(&streaming(MODEL)).await;
        // Read on as an agent does, so that pings can pass.
        let reading = tokio::spawn(answer.text());
        let ModelFact::Stalled(seen) = scene.fact().await else { panic!("no stall") };
        assert_eq!(seen.stall, stall);
        assert!(seen.since_content >= patience.silence, "{seen:?}");
        assert!(scene.facts.try_recv().is_err(), "told once");
        reading.abort();
        assert_eq!(scene.call().await.call_id, seen.call_id);
    }
}

#[tokio::test]
async fn an_answer_in_one_piece_may_take_the_longer_patience() {
    let patience =
        Patience { silence: Duration::from_millis(100), pings: Duration::from_millis(800) };
    let given = Given { patience, ..Given::default() };
    let mut scene = Scene::with(given, || Answer::Hang).await;
    let (_, closed) = mpsc::channel(1);
    let mut facts = std::mem::replace(&mut scene.facts, closed);
    let body = json!({ "model": MODEL, "messages": [] });
    let fact = tokio::select! {
        fact = facts.recv() => fact.unwrap(),
        _ = scene.ask(&body) => panic!("answered"),
    };
    let ModelFact::Stalled(seen) = fact else { panic!("{fact:?}") };
    assert!(seen.since_byte >= patience.pings, "{seen:?}");
}
