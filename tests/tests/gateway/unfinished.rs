//! Calls whose answers do not come to their end, or whose process does before.

use specwright_tests::wait::wait_for;

use super::*;

#[tokio::test]
async fn what_was_written_before_the_end_is_estimated_against_the_limit() {
    let text = "x".repeat(3000);
    let mut scene = Scene::with(Given::default(), move || Answer::HangAfter(text.clone())).await;
    let mut answer = scene.ask(&streaming(MODEL)).await;
    let mut read = 0;
    while read < 3000 {
        read += answer.chunk().await.unwrap().expect("the answer goes on").len();
    }
    let open = scene.gateway.ledger().counted();
    assert!(open > NanoUsd(20 * ONE_CALL.0), "a call under way counts already: {open:?}");
    drop(answer);
    let call = scene.call().await;
    assert!(call.estimated && !call.complete, "{call:?}");
    // What it told has its cost; a thousand tokens of text are assumed beyond.
    assert!(is_about(call.cost_usd, ONE_CALL), "{call:?}");
    assert!((0.015..0.025).contains(&call.counted_usd), "{call:?}");
    assert_eq!(scene.gateway.ledger().known(), ONE_CALL);
}

#[tokio::test]
async fn a_call_that_is_left_before_its_answer_counts_with_what_was_sent() {
    let mut scene = Scene::with(Given::default(), || Answer::Mute).await;
    let body = json!({ "model": MODEL, "stream": true, "messages": ["x".repeat(30_000)] });
    let asked = scene.try_ask(&body);
    tokio::select! {
        answer = asked => panic!("answered: {answer:?}"),
        () = wait_for("the call to arrive", PATIENCE, async || {
            (!scene.api.asks().is_empty()).then_some(())
        }) => {}
    }
    let call = scene.call().await;
    assert_eq!((call.cost_usd, call.estimated, call.status), (None, true, None));
    assert_eq!(call.model.as_deref(), Some(MODEL));
    assert!((0.03..0.06).contains(&call.counted_usd), "ten thousand tokens in: {call:?}");
}

#[tokio::test]
async fn a_call_that_cannot_reach_the_service_costs_nothing() {
    let mut scene = Scene::with(Given::default(), || Answer::text("never")).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let place = tempfile::NamedTempFile::new().unwrap();
    (scene.gateway, scene.facts) = gateway(nowhere, place.path(), Given::default()).await;
    assert_eq!(scene.ask(&streaming(MODEL)).await.status(), 502);
    let call = scene.call().await;
    assert_eq!((call.cost_usd, call.estimated), (None, false));
    assert!(call.counted_usd.abs() < f64::EPSILON, "{call:?}");
}

#[tokio::test]
async fn a_call_is_on_disk_before_it_is_made_and_until_its_entry_is_kept() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("calls");
    let left = {
        let path = path.clone();
        move || Journal::open(&path).unwrap().1
    };
    let seen = left.clone();
    let (saw, mut seen_by_the_service) = mpsc::channel(1);
    let api = MessagesApi::start(move |_| {
        saw.try_send(seen()).unwrap();
        Answer::text("well")
    })
    .await
    .unwrap();
    let (gateway, mut facts) = gateway(api.base_url(), &path, Given::default()).await;
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let request = client
        .post(format!("{}/v1/messages", gateway.base_url))
        .header("x-api-key", &gateway.dummy_key)
        .json(&streaming(MODEL));
    request.send().await.unwrap().text().await.unwrap();

    let [begun] = &seen_by_the_service.recv().await.unwrap()[..] else { panic!("not on disk") };
    assert_eq!((begun.cost_usd, begun.estimated), (None, true));
    let Some(ModelFact::Called(call)) = facts.recv().await else { panic!("not told") };
    assert_eq!(begun.call_id, call.call_id);
    // Whole, but for what only the gateway saw.
    let [over] = &left()[..] else { panic!("forgotten before it was kept") };
    assert_eq!(
        (over.cost_usd, over.complete, over.estimated, over.tokens),
        (call.cost_usd, true, false, call.tokens)
    );
    gateway.recorded(call.call_id);
    assert!(left().is_empty());
}
