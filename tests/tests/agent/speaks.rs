//! Turns, good and bad, and what is made of them.

use specwright_worker::agent::{InterruptError, LifecycleState, SayError, Turn};

use super::*;

#[tokio::test]
async fn a_message_has_its_receipts_in_order_and_its_turn_an_output() {
    let place = Place::of("ok:outputs.json");
    std::fs::write(place.path("outputs.json"), r#"{"Explore": {"found": 1}}"#).unwrap();
    let mut running = place.started().await;
    let uuid = running.say("/clear @file\nis text").await;
    let (facts, turn) = running.whole_turn().await;

    let position = |wanted: &Fact| facts.iter().position(|fact| fact == wanted).unwrap();
    let queued = position(&Fact::Lifecycle { uuid, state: LifecycleState::Queued });
    let started = position(&Fact::Lifecycle { uuid, state: LifecycleState::Started });
    let replayed = position(&Fact::Replayed { uuid });
    assert!(queued < started && started < replayed);
    let init = facts.iter().find_map(|fact| match fact {
        Fact::Init(init) => Some(init),
        _ => None,
    });
    init.unwrap().check().unwrap();

    assert_eq!(turn.user_message_uuids, [uuid]);
    assert_eq!(turn.judge(), Turn::Output(json!({"found": 1})));
    assert_eq!((turn.cost_usd, turn.usage.input_tokens), (0.25, 100));
    assert_eq!(running.next().await, Fact::Lifecycle { uuid, state: LifecycleState::Completed });
    // The second turn costs the difference of the running total, which stayed the same.
    running.say("again").await;
    assert_eq!(running.turn().await.cost_usd, 0.0);
    running.agent.stop().await;
}

#[tokio::test]
async fn prose_and_a_refused_key_call_themselves_success_and_are_not_believed() {
    for (behaviour, expected) in [
        ("prose", Turn::NoOutput("I would rather write prose.".into())),
        ("refused-key", Turn::AuthenticationFailed { status: 401 }),
    ] {
        let mut running = Place::of(behaviour).started().await;
        running.say("go").await;
        assert_eq!(running.turn().await.judge(), expected);
        running.agent.stop().await;
    }
}

#[tokio::test]
async fn large_foreign_and_broken_lines_do_not_end_the_stream() {
    let place = Place::of("garbage, invalid-utf8, line-5mb, line-65mb, malformed-known-line");
    let mut running = place.started().await;
    running.say("go").await;
    let (facts, turn) = running.whole_turn().await;
    assert_eq!(turn.judge(), Turn::Output(answer()));
    let texts: Vec<_> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Text { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert!(texts.contains(&"in\u{fffd}\u{fffd}valid"));
    assert!(texts.iter().any(|text| text.len() == 5_000_000));
    assert!(facts.iter().any(|fact| matches!(
        fact,
        Fact::LineTooLong { bytes, line_start } if *bytes > 65 * 1024 * 1024 && line_start.len() == 4096
    )));
    assert!(facts.iter().any(
        |fact| matches!(fact, Fact::Malformed { why, .. } if why.contains("system/api_retry"))
    ));
    running.agent.stop().await;
}

#[tokio::test]
async fn a_flood_comes_whole_and_in_order() {
    let mut running = Place::of("flood").started().await;
    running.say("go").await;
    let mut expected = 0;
    loop {
        match running.next().await {
            Fact::Text { text, .. } => {
                assert_eq!(text, expected.to_string());
                expected += 1;
            }
            Fact::TurnEnded(turn) => break assert_eq!(turn.judge(), Turn::Output(answer())),
            _ => {}
        }
    }
    assert_eq!(expected, 100_000);
    running.agent.stop().await;
}

#[tokio::test]
async fn a_stop_in_a_flood_that_nobody_reads_still_ends_the_agent() {
    let running = Place::of("flood, deaf").started().await;
    running.say("go").await;
    let pid = running.agent.pid();
    let exited = running.agent.stop().await;
    assert_eq!(exited.left, 0);
    assert!(!lives(pid));
    drop(running.facts);
}

#[tokio::test]
async fn an_interrupt_is_answered_and_aborts_the_turn() {
    let mut running = Place::of("waits").started().await;
    running.say("go").await;
    running.until(|fact| matches!(fact, Fact::Replayed { .. })).await;
    let answer = running.agent.interrupt().await.unwrap();
    assert!(answer.still_queued.is_empty());
    assert_eq!(running.turn().await.judge(), Turn::Aborted);
    assert!(running.agent.is_alive());
    running.agent.stop().await;
}

#[tokio::test]
async fn an_interrupt_that_is_not_answered_says_so() {
    let running = Place::of("hang").started().await;
    running.say("go").await;
    let error = running.agent.interrupt().await.unwrap_err();
    assert!(matches!(error, InterruptError::NoAnswer { .. }), "{error}");
    running.agent.stop().await;
}

#[tokio::test]
async fn a_question_of_the_agent_is_refused_and_not_left_open() {
    let mut running = Place::of("asks").started().await;
    running.say("go").await;
    let told = |fact: &Fact| {
        matches!(fact, Fact::Text { text, .. }
            if text.contains("Specwright answers no requests of the agent"))
    };
    running.until(told).await;
    running.agent.stop().await;
}

#[tokio::test]
async fn a_message_that_no_model_could_read_is_refused_and_the_agent_goes_on() {
    let mut running = Place::of("ok").started().await;
    let large = "x".repeat(5 * 1024 * 1024);
    let error = running.agent.say(Uuid::new_v4(), &large, Deliver::Now).await.unwrap_err();
    assert!(matches!(error, SayError::TooLarge { bytes } if bytes == large.len()), "{error}");
    running.say("go").await;
    assert_eq!(running.turn().await.judge(), Turn::Output(answer()));
    running.agent.stop().await;
}

#[tokio::test]
async fn what_the_agent_does_in_the_work_tree_is_done_where_we_said() {
    let place = Place::of("writes-file");
    let mut running = place.started().await;
    running.say("go").await;
    running.turn().await;
    assert!(place.path("work/written-by-the-agent.txt").exists());
    running.agent.stop().await;
}
