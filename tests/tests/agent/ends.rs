//! Every way in which an agent ends, and that nothing of it is left.

use super::*;

#[tokio::test]
async fn a_stop_ends_deaf_descendants_in_sessions_of_their_own() {
    let place = Place::of("deaf, setsid-grandchild");
    let mut running = place.started().await;
    running.say("go").await;
    running.turn().await;
    let pids =
        [running.agent.pid(), pid_in(&place.path("child.pid")), pid_in(&place.path("orphan.pid"))];
    assert!(pids.iter().all(|pid| lives(*pid)), "{pids:?}");

    let exited = running.agent.stop().await;
    assert_eq!(pids.map(lives), [false; 3]);
    assert_eq!((exited.descendants_ended, exited.left), (2, 0));
    assert_eq!((exited.exit.code, exited.exit.signal), (None, Some(9)));
    // Not even as zombies: what became our child was reaped.
    assert!(pids.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()));
}

#[tokio::test]
async fn orphans_of_an_agent_that_died_by_itself_are_ended_too() {
    let place = Place::of("setsid-grandchild, no-result");
    let mut running = place.started().await;
    running.say("go").await;
    running.until(|fact| matches!(fact, Fact::Exited(_))).await;
    assert!(!running.agent.is_alive());
    let orphan = pid_in(&place.path("orphan.pid"));
    assert!(lives(orphan));
    let groups = std::fs::read_to_string(format!("/proc/{orphan}/cgroup")).unwrap();
    let grouped = groups.contains("/specwright-agent-");
    let exited = running.agent.stop().await;
    assert!(!lives(orphan));
    assert_eq!((exited.exit.code, exited.left), (Some(0), 0));
    assert!(exited.descendants_ended >= 1);
    // The other descendant wiped its environment and lost its parent before anyone looked: no walk
    // can find that one (see `agent/tree.rs`), but the kernel knows its control group.
    let child = pid_in(&place.path("child.pid"));
    if grouped {
        assert!(!lives(child), "a control group holds what no walk can find");
        assert_eq!(exited.descendants_ended, 2);
    } else {
        eprintln!("this machine lets us make no control group: the test ends it itself");
        end(child);
    }
}

/// Names the place in the process that plays the worker in the next test.
const HELD_PLACE: &str = "SPECWRIGHT_TEST_HELD_PLACE";

/// The same test, started again as a process of its own, is the worker that is killed.
#[tokio::test]
async fn an_agent_dies_with_a_worker_that_is_killed() {
    let place = Place::of("deaf");
    if let Some(held) = std::env::var_os(HELD_PLACE) {
        let running = place.started().await;
        let path = PathBuf::from(held).join("agent.pid");
        std::fs::write(path.with_extension("new"), running.agent.pid().to_string()).unwrap();
        std::fs::rename(path.with_extension("new"), path).unwrap();
        return std::future::pending().await;
    }
    let mut worker = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ends::an_agent_dies_with_a_worker_that_is_killed"])
        .env(HELD_PLACE, place.folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let pid_file = place.path("agent.pid");
    wait_for("the worker has an agent", || pid_file.exists()).await;
    let agent = pid_in(&pid_file);
    assert!(lives(agent));
    worker.kill().unwrap();
    worker.wait().unwrap();
    wait_for("the agent of a killed worker is gone", || !lives(agent)).await;
}

#[tokio::test]
async fn a_dropped_agent_takes_its_tree_with_it() {
    let place = Place::of("deaf, setsid-grandchild");
    let mut running = place.started().await;
    running.say("go").await;
    running.turn().await;
    let pids =
        [running.agent.pid(), pid_in(&place.path("child.pid")), pid_in(&place.path("orphan.pid"))];
    drop(running.agent);
    wait_for("the tree of a dropped agent is gone", || !pids.iter().any(|pid| lives(*pid))).await;
}

#[tokio::test]
async fn an_agent_that_exits_in_a_turn_tells_so_with_its_code() {
    let mut running = Place::of("no-result").started().await;
    running.say("go").await;
    let facts = running.until(|fact| matches!(fact, Fact::Exited(_))).await;
    let [.., Fact::StdoutClosed, Fact::Exited(exit)] = &facts[..] else { panic!("{facts:?}") };
    assert_eq!((exit.code, exit.signal), (Some(0), None));
    assert!(!facts.iter().any(|fact| matches!(fact, Fact::TurnEnded(_))));
    assert!(running.agent.say(Uuid::new_v4(), "more", Deliver::Next).await.is_err());
    assert!(running.agent.interrupt().await.is_err());
    running.agent.stop().await;
    assert!(running.facts.recv().await.is_none(), "a fact came after the last one");
}

#[tokio::test]
async fn a_torn_last_line_is_reported_as_torn() {
    let mut running = Place::of("torn-line").started().await;
    running.say("go").await;
    let facts = running.until(|fact| matches!(fact, Fact::Exited(_))).await;
    assert!(
        facts.iter().any(|fact| matches!(
            fact,
            Fact::Malformed { why, .. } if why.contains("the stream ended inside it")
        )),
        "{facts:?}"
    );
    running.agent.stop().await;
}

#[tokio::test]
async fn a_closed_stdout_is_not_taken_for_the_end_of_the_process() {
    let mut running = Place::of("closes-stdout-but-lives").started().await;
    running.say("go").await;
    running.until(|fact| *fact == Fact::StdoutClosed).await;
    assert!(running.agent.is_alive());
    let exited = running.agent.stop().await;
    assert_eq!(exited.left, 0);
}

#[tokio::test]
async fn an_agent_that_hangs_in_or_after_a_turn_is_ended() {
    for behaviour in ["hang", "hang-after-result", "hang, deaf"] {
        let mut running = Place::of(behaviour).started().await;
        running.say("go").await;
        if behaviour == "hang-after-result" {
            running.turn().await;
        }
        let pid = running.agent.pid();
        let exited = running.agent.stop().await;
        assert!(!lives(pid), "{behaviour}");
        assert_eq!(exited.left, 0, "{behaviour}");
        let signal = if behaviour.contains("deaf") { 9 } else { 15 };
        assert_eq!(exited.exit.signal, Some(signal), "{behaviour}");
    }
}

#[tokio::test]
async fn noise_on_stderr_neither_blocks_the_agent_nor_fills_memory() {
    let mut running = Place::of("stderr-noise, no-result").started().await;
    running.say("go").await;
    let facts = running.until(|fact| matches!(fact, Fact::Exited(_))).await;
    let Some(Fact::Exited(exit)) = facts.last() else { unreachable!("just waited for") };
    assert!(exit.stderr_tail.ends_with("the last words"), "{}", exit.stderr_tail);
    assert!(exit.stderr_tail.len() <= 4096);
    running.agent.stop().await;
}

#[tokio::test]
async fn stopping_one_agent_leaves_another_alone() {
    let place = Place::of("ok");
    let (one, mut other) = (place.started().await, place.started().await);
    one.agent.stop().await;
    other.say("go").await;
    other.turn().await;
    assert!(other.agent.is_alive());
    other.agent.stop().await;
}

fn end(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}
