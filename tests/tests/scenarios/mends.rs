//! Small promises of the command line and the control API, each once broken and mended.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::process::Signal;
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::{Running, System};
use specwright_tests::wait::{PATIENCE, wait_for};

use crate::shape::text;

/// Starts `serve` on a free port; its address once it says that it serves.
async fn serve(system: &System) -> (Running, String) {
    let arguments = ["serve", "--json", "--listen", "127.0.0.1:0"];
    let mut serve = system.start(system.root(), arguments);
    let url = serve.url().await;
    (serve, url)
}

/// Installs the faulty agent with a behaviour.
fn faulty(system: &System, behaviour: &str) -> String {
    std::fs::write(system.directory("bin").join("behaviour"), behaviour).unwrap();
    let agent = system.install("faulty-agent", env!("CARGO_BIN_EXE_faulty-agent").as_ref());
    agent.display().to_string()
}

#[tokio::test]
async fn nothing_of_a_killed_workers_agent_lives_on() {
    let system = System::new();
    let agent = faulty(&system, "setsid-grandchild,waits");
    let (serve, url) = serve(&system).await;
    let repository = Repository::with_files(sample::FILES);
    let options = ["--restarts", "0", "--json", "--agent", &agent];
    let arguments = [&["launch", "--server", &url], &options[..], &[sample::IDEA]].concat();
    let run = system.start(repository.path(), arguments);
    let left = ["child.pid", "orphan.pid"].map(|name| system.directory("bin").join(name));
    wait_for("the agent's descendants", PATIENCE, async || {
        left.iter().all(|path| path.exists()).then_some(())
    })
    .await;
    let of_run = || {
        let is_server = |one: i32| one == serve.pid() || one == run.pid();
        let mut processes = system.processes();
        processes.retain(|one| !is_server(one.pid));
        processes
    };
    assert!(of_run().len() >= 4, "worker, agent and two more: {:#?}", of_run());
    // The supervisor too, and first: it would start the worker again.
    let victims = ["supervise", "worker"].map(|word| {
        let mut processes = of_run();
        processes.retain(|one| one.arguments.get(1).is_some_and(|first| first == word));
        assert!(!processes.is_empty(), "no {word}: {:#?}", of_run());
        processes
    });
    for victim in victims.iter().flatten() {
        // The worker may be gone by then: its provider saw the supervisor go.
        victim.kill();
    }
    wait_for("the end of all that it started", PATIENCE, async || {
        of_run().is_empty().then_some(())
    })
    .await;
    let run = run.finish().await.expect_code(1);
    assert!(run.stderr.contains("signal 9"), "{run:#?}");
    serve.signal(Signal::TERM);
    serve.finish().await.expect_code(0);
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_is_told_and_nothing_else() {
    let system = System::new();
    for (database, expected) in [
        ("foo", "`foo` is not a database address"),
        ("postgres://me:pass-word@127.0.0.1:1/db", "the connection was refused"),
        ("postgres://me:pass-word@no-such-host.invalid/db", "the host is not known"),
    ] {
        let wait = ["--database-wait", "1"];
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--database", database];
        let arguments = arguments.into_iter().chain(wait);
        let run = system.run(system.root(), arguments).await.expect_code(3);
        assert_eq!(run.stdout, "", "{run:#?}");
        let waited = run.stderr.contains("waiting for PostgreSQL");
        assert_eq!(waited, database.starts_with("postgres"), "{run:#?}");
        assert!(run.stderr.contains(expected) && !run.stderr.contains("pass-word"), "{run:#?}");
    }
}

#[tokio::test]
async fn wrong_limits_are_refused_before_anything_is_stored() {
    let repository = Repository::with_files(sample::FILES);
    for (variable, value) in [
        ("MAX_ATTEMPTS", "99"),
        ("PHASE_TIMEOUT", "soon"),
        ("MAX_TURNS", "0"),
        ("MAX_BUDGET_USD", "-1"),
    ] {
        let mut system = System::new();
        system.set(variable, value);
        let arguments = ["launch", "--agent", "rehearsal", sample::IDEA];
        let run = system.run(repository.path(), arguments).await.expect_code(2);
        assert!(run.stderr.contains(&format!("{variable} must be")), "{run:#?}");
        assert!(!system.data().join("specwright.db").exists());
    }
    let system = System::new();
    let arguments = ["launch", "--agent", "rehearsal", "--model", "a b", sample::IDEA];
    let run = system.run(repository.path(), arguments).await.expect_code(2);
    assert!(run.stderr.contains("--model must be"), "{run:#?}");
}

#[tokio::test]
async fn all_that_a_run_keeps_is_for_its_owner_alone_and_its_clone_is_not_kept() {
    let system = System::new();
    std::fs::set_permissions(system.data(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let repository = Repository::with_files(sample::FILES);
    let arguments = ["launch", "--json", "--agent", "rehearsal", sample::IDEA];
    system.run(repository.path(), arguments).await.expect_code(0);
    assert_eq!(open_to_others(&system.data()), Vec::<String>::new());
    let [sandbox] = &std::fs::read_dir(system.data().join("sandboxes"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect::<Vec<_>>()[..]
    else {
        panic!("one sandbox")
    };
    assert!(sandbox.join("state").is_dir() && sandbox.join("worker.log").is_file());
    assert!(!sandbox.join("workspace").exists(), "its clone is not kept");
}

/// What below a place, and the place itself, others than its owner may open.
fn open_to_others(place: &Path) -> Vec<String> {
    let about = place.symlink_metadata().unwrap();
    let mut open = Vec::new();
    if !about.is_symlink() && about.permissions().mode() & 0o077 != 0 {
        open.push(format!("{} {:o}", place.display(), about.permissions().mode()));
    }
    if about.is_dir() {
        for entry in std::fs::read_dir(place).unwrap() {
            open.extend(open_to_others(&entry.unwrap().path()));
        }
    }
    open
}

#[tokio::test]
async fn doctor_makes_a_private_directory_and_does_not_look_for_a_database_without_one() {
    let mut system = System::new();
    let place = system.root().join("made/by/doctor");
    system.set("SPECWRIGHT_DATA_DIR", &place);
    let home = system.directory("home");
    let arguments = ["doctor", "--json", "--agent", "rehearsal"];
    let run = system.run(&home, arguments).await.expect_code(0);
    assert!(run.stdout.contains("\"database\""), "{run:#?}");
    assert_eq!(open_to_others(&place), Vec::<String>::new());

    let file = home.join("file");
    std::fs::write(&file, "x").unwrap();
    system.set("SPECWRIGHT_DATA_DIR", file.join("data"));
    let run = system.run(&home, arguments).await.expect_code(3);
    assert!(run.stdout.contains("data directory"), "{run:#?}");
    assert!(!run.stdout.contains("\"database\""), "{run:#?}");
}

#[tokio::test]
async fn an_empty_variable_counts_as_not_set_and_usage_shows_what_was_asked_for() {
    let mut system = System::new();
    system.set("SPECWRIGHT_URL", "").set("SPECWRIGHT_DATABASE_URL", "");
    system.run(system.root(), ["list"]).await.expect_code(0);
    system.set("SPECWRIGHT_URL", "http://127.0.0.1:1");
    let run = system.run(system.root(), ["show"]).await.expect_code(2);
    assert!(run.stderr.contains("Usage: specwright show <SPEC>"), "{run:#?}");
    let run = system.run(system.root(), ["list"]).await.expect_code(3);
    assert!(run.stderr.contains("http://127.0.0.1:1"), "{run:#?}");
    system.run(system.root(), ["help", "launch"]).await.expect_code(0);
}

#[tokio::test]
async fn a_wrong_way_to_check_credentials_is_told_by_every_command_and_no_server_starts_with_it() {
    let mut system = System::new();
    system.set("SPECWRIGHT_CREDENTIAL_CHECK", "off");
    let run = system.run(system.root(), ["list", "--json"]).await.expect_code(0);
    assert!(run.stderr.contains("SPECWRIGHT_CREDENTIAL_CHECK is `off`"), "{run:#?}");
    assert!(run.stderr.contains("by their form alone"), "{run:#?}");
    let arguments = ["serve", "--listen", "127.0.0.1:0"];
    let run = system.run(system.root(), arguments).await.expect_code(3);
    assert!(run.stderr.contains("SPECWRIGHT_CREDENTIAL_CHECK is `off`"), "{run:#?}");
}

#[tokio::test]
async fn a_second_interrupt_is_heard_while_the_first_has_no_answer() {
    let system = System::new();
    let agent = faulty(&system, "hang");
    let (serve, url) = serve(&system).await;
    let repository = Repository::with_files(sample::FILES);
    let arguments = ["launch", "--server", &url, "--json", "--agent", &agent, sample::IDEA];
    let mut run = system.start(repository.path(), arguments);
    run.event("agent.started").await;
    // It takes requests and answers none.
    serve.signal(Signal::STOP);
    for said in ["stopping", "ending it at once", "no answer"] {
        run.signal(Signal::INT);
        wait_for(said, PATIENCE, async || {
            run.stderr().iter().any(|line| line.contains(said)).then_some(())
        })
        .await;
    }
    run.finish().await.expect_code(130);
    serve.signal(Signal::CONT);
}

#[tokio::test]
async fn a_message_is_shown_with_its_first_words() {
    let system = System::new();
    let agent = faulty(&system, "hang");
    let (serve, url) = serve(&system).await;
    let repository = Repository::with_files(sample::FILES);
    let arguments = ["launch", "--server", &url, "--agent", &agent, sample::IDEA];
    let mut run = system.start(repository.path(), arguments);
    let spec = run.line("the spec", |line| Some(line.strip_prefix("Spec ")?.to_owned())).await;
    run.line("the agent", |line| line.contains("is up").then_some(())).await;
    let say = system.start(system.root(), ["say", "--server", &url, &spec, "Mind the tests"]);
    run.line("the message", |line| {
        line.contains("message written: “Mind the tests”").then_some(())
    })
    .await;
    say.signal(Signal::INT);
    let stop = system.run(system.root(), ["stop", "--force", "--server", &url, &spec]).await;
    assert!(text(&stop.stdout.clone().into()).contains("stopped"), "{stop:#?}");
    run.finish().await.expect_code(1);
    drop(serve);
}
