//! The machine's clock is set while a run is under way: back an hour, and forward two.
//!
//! The clock is a library that is preloaded into the real programs: command, control API, supervisor
//! and worker all read it. Programs that are linked statically take no such library.
#![cfg(target_env = "gnu")]

use std::fs::File;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::process::Command;

use serde_json::Value;
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::{System, program};
use specwright_tests::wait::{PATIENCE, wait_for};

use crate::faulty::install;
use crate::shape::{is_a_complete_summary, list, text};

const HOUR: i64 = 3_600;
/// What the steady clock and a clock that is read a moment later may differ by, in milliseconds.
const BESIDE_MS: i64 = 60_000;

/// The wall clock of one world.
struct Clock(File);

impl Clock {
    /// Has every program of this world read it.
    fn of(system: &mut System) -> Self {
        let folder = system.directory("bin");
        let at = |name: &str| folder.join(name).display().to_string();
        let file = File::create(at("offset")).unwrap();
        file.write_all_at(&0_i64.to_ne_bytes(), 0).unwrap();
        let again = format!(
            "#!/bin/sh\nLD_PRELOAD='{}' exec '{}' \"$@\"\n",
            at("machine.so"),
            program("specwright").display()
        );
        std::fs::write(at("again"), again).unwrap();
        std::fs::set_permissions(at("again"), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(at("machine.c"), include_str!("clock/machine.c")).unwrap();
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o", &at("machine.so")])
            .arg(format!("-DOFFSET=\"{}\"", at("offset")))
            .arg(format!("-DAGAIN=\"{}\"", at("again")))
            .arg(at("machine.c"))
            .output()
            .expect("a C compiler is there; ./tests/run installs one");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        system.set("LD_PRELOAD", at("machine.so"));
        Self(file)
    }

    /// Sets it to the true time and so many seconds.
    fn set(&self, seconds: i64) {
        self.0.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }
}

/// Waits until the worker has told that its clock was set by so much, and gives the sandbox.
async fn told(system: &System, spec: &str, seconds: i64) -> Value {
    wait_for(&format!("a heartbeat that tells a clock set by {seconds} s"), PATIENCE, async || {
        let shown = system.run(system.root(), ["show", "--json", spec]).await.expect_code(0);
        let sandbox = shown.summary()["sandbox"].clone();
        let jump = &sandbox["heartbeat"]["signals"]["clock_jump"];
        let by_ms = jump["by_ms"].as_i64()?;
        let is_it = (by_ms - seconds * 1000).abs() < BESIDE_MS && jump["paused"] == false;
        is_it.then_some(sandbox)
    })
    .await
}

#[tokio::test]
async fn a_clock_that_is_set_back_and_forward_is_told_and_loses_doubles_and_ends_nothing() {
    let mut system = System::new();
    let clock = Clock::of(&mut system);
    let agent = install(&system, "ok:outputs.json,hangs-in-a-tool-once").display().to_string();
    let repository = Repository::with_files(sample::FILES);
    let mut run =
        system.start(repository.path(), ["launch", "--json", "--agent", &agent, sample::IDEA]);
    run.event("agent.tool_use").await;
    let listed = system.run(system.root(), ["list", "--json"]).await.expect_code(0).summary();
    let spec = text(&list(&listed)[0]["id"]);

    clock.set(-HOUR);
    let sandbox = told(&system, &spec, -HOUR).await;
    assert_eq!(sandbox["verdict"]["kind"], "waiting_tool", "{sandbox:#}");
    clock.set(HOUR);
    let sandbox = told(&system, &spec, 2 * HOUR).await;
    assert_eq!(sandbox["verdict"]["kind"], "waiting_tool", "{sandbox:#}");

    // By now the agent's hour-long tool would be over every limit, if the wall clock counted.
    system.run(system.root(), ["interrupt", &spec, "Go on."]).await.expect_code(0);
    let run = run.finish().await.expect_code(0);
    is_a_complete_summary(&run.summary(), &agent);

    // What the control API itself says has the number 0.
    let by_the_worker = |line: &Value| line["seq"].as_u64().filter(|number| *number > 0);
    let numbers: Vec<u64> = run.json().iter().filter_map(by_the_worker).collect();
    let all = 1..=numbers.len() as u64;
    assert_eq!(numbers, all.collect::<Vec<_>>(), "none lost, none twice, in order");
    assert_eq!(run.events("agent.started").len(), 4, "one for each phase: {run:#?}");
    assert_eq!(run.events("spec.tickets_created").len(), 1, "{run:#?}");
    for told_when_wrong in ["spec.phase_retry", "spec.restarted", "worker.events_dropped"] {
        assert!(run.events(told_when_wrong).is_empty(), "{told_when_wrong}: {run:#?}");
    }
    let interrupted = run.events("agent.interrupted");
    assert_eq!(interrupted.len(), 1, "by the person only: {interrupted:#?}");
    let judged = run.events("sandbox.judged");
    let alarmed = |event: &Value| {
        ["stuck", "silent", "lost"].contains(&text(&event["data"]["verdict"]["kind"]).as_str())
    };
    assert!(!judged.iter().any(alarmed), "{judged:#?}");
    system.nothing_left().await;
}
