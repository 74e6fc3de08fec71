//! What an agent must be, and what it is given.

use std::os::unix::fs::PermissionsExt as _;

use specwright_worker::agent::{LaunchError, Unfit};

use super::*;

#[tokio::test]
async fn a_fit_agent_introduces_itself_before_any_message() {
    let place = Place::of("ok");
    let running = place.started().await;
    assert_eq!(running.started.version, "2.1.330");
    assert_eq!(running.started.permission_mode, "dontAsk");
    assert_eq!(running.started.pid, running.agent.pid());
    assert!(running.agent.is_alive());
    let exited = running.agent.stop().await;
    assert_eq!((exited.exit.code, exited.descendants_ended, exited.left), (Some(0), 0, 0));
}

#[tokio::test]
async fn another_version_or_permission_mode_is_refused_and_its_process_is_gone() {
    let place = Place::of("wrong-version");
    let error = place.refused().await;
    assert!(
        matches!(&error, StartError::Unfit(Unfit::Version { found }) if found == "2.1.197"),
        "{error}"
    );
    let place = Place::of("wrong-permission-mode, setsid-grandchild");
    let error = place.refused().await;
    assert!(
        matches!(&error, StartError::Unfit(Unfit::PermissionMode { found }) if found == "default"),
        "{error}"
    );
}

#[tokio::test]
async fn an_agent_that_exits_at_once_tells_how_and_its_last_words() {
    let error = Place::of("exit-at-once").refused().await;
    let StartError::Ended { exit, said } = &error else { panic!("{error}") };
    assert_eq!(exit.code, Some(7));
    assert!(said.contains("told to exit at once"), "{said}");
    assert!(error.to_string().contains("exit code 7"), "{error}");
}

#[tokio::test]
async fn an_agent_that_never_introduces_itself_is_given_up_and_ended() {
    let place = Place::of("hang-before-initialize, stderr-noise, deaf");
    // Long beside what it takes to say its noise.
    let patience = Duration::from_secs(5);
    let error = place.refused_within(patience).await;
    let StartError::NotReady { after, stderr_tail } = &error else { panic!("{error}") };
    assert_eq!(*after, patience);
    assert!(stderr_tail.ends_with("the last words") && stderr_tail.len() <= 4096, "{stderr_tail}");
}

#[tokio::test]
async fn a_start_can_be_stopped() {
    let place = Place::of("hang-before-initialize");
    let stop = CancellationToken::new();
    let start = Agent::start_within(place.launch(), PATIENCE, &stop);
    let (started, ()) = tokio::join!(start, async { stop.cancel() });
    assert!(matches!(started, Err(StartError::Stopped)));
}

#[tokio::test]
async fn an_unknown_conversation_is_told_from_other_failures() {
    let place = Place::of("unknown-session");
    let session = Uuid::new_v4();
    let launch = Launch { session: Session::Resume(session), ..place.launch() };
    let error = match Agent::start_within(launch, PATIENCE, &CancellationToken::new()).await {
        Ok(_) => panic!("the agent started"),
        Err(error) => error,
    };
    assert!(matches!(error, StartError::NoConversation(id) if id == session), "{error}");
    // With a new conversation the same words are an end like any other.
    let error = place.refused().await;
    assert!(matches!(error, StartError::Ended { .. }), "{error}");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let place = Place::of("ok");
    let launch = Launch { program: place.path("nowhere"), ..place.launch() };
    let error = match Agent::start(launch, &CancellationToken::new()).await {
        Ok(_) => panic!("the agent started"),
        Err(error) => error,
    };
    assert!(matches!(error, StartError::Spawn { .. }), "{error}");
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[tokio::test]
async fn the_agents_environment_holds_what_it_needs_and_no_secret() {
    let place = Place::of("ok");
    let running = place.started().await;
    let environ = std::fs::read(format!("/proc/{}/environ", running.agent.pid())).unwrap();
    let environ = String::from_utf8(environ).unwrap();
    let variables: Vec<_> = environ.split_terminator('\0').collect();
    assert!(variables.contains(&"ANTHROPIC_API_KEY=specwright-dummy-1"));
    assert!(variables.contains(&"ANTHROPIC_BASE_URL=http://127.0.0.1:9"));
    assert!(variables.contains(&"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1"));
    for variable in &variables {
        let name = variable.split('=').next().unwrap();
        assert!(
            specwright_worker::agent::INHERITED.contains(&name)
                || name.starts_with("CLAUDE_")
                || ["ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "DISABLE_AUTOUPDATER"]
                    .contains(&name)
                || name == "SPECWRIGHT_AGENT",
            "{name} reached the agent"
        );
    }
    let mode = std::fs::metadata(place.path("private/config")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    running.agent.stop().await;
}

#[tokio::test]
async fn a_secret_in_the_environment_is_refused_without_being_printed() {
    let place = Place::of("ok");
    let mut launch = place.launch();
    launch.environment.push(("GITHUB_TOKEN".into(), "s3cret".into()));
    let error = match Agent::start(launch, &CancellationToken::new()).await {
        Ok(_) => panic!("the agent started"),
        Err(error) => error,
    };
    let StartError::Launch(LaunchError::Variable(name)) = &error else { panic!("{error}") };
    assert_eq!(name, "GITHUB_TOKEN");
    assert!(!format!("{error:?}").contains("s3cret"));
}
