//! The real Claude CLI, interrupted in a tool and in a model's stream that is frozen.

use specwright_shared::phase::Phase;
use specwright_tests::messages_api::{Answer, Ask, MessagesApi, Playbook};
use specwright_tests::system::claude_cli;
use specwright_tests::wait;
use specwright_worker::agent::Turn;

use super::*;

/// A CLI at work on a model that answers in a phase as it is told, and well after that.
struct AtWork {
    place: Place,
    api: MessagesApi,
    running: Running,
}

impl AtWork {
    async fn on(answers: impl FnOnce(&Place) -> Vec<Answer>) -> Self {
        let place = Place::of("ok");
        let playbook = Playbook::new().with(Phase::Explore, answers(&place));
        let api = MessagesApi::start(playbook.script()).await.unwrap();
        let launch = Launch {
            program: claude_cli(),
            // Planning runs no commands; here a tool is wanted that takes its time.
            leading_args: vec!["--allowedTools=Bash".into()],
            tools: vec!["Bash"],
            model: None,
            max_budget_usd: None,
            base_url: api.base_url(),
            ..place.launch()
        };
        let stop = CancellationToken::new();
        let (agent, started, facts) = Agent::start(launch, &stop).await.unwrap();
        Self { place, api, running: Running { agent, started, facts } }
    }

    /// Waits until the model was asked so often about the phase.
    async fn asked(&self, times: usize) {
        let about = |ask: &&Ask| ask.phase() == Some(Phase::Explore);
        let asked = async || (self.api.asks().iter().filter(about).count() >= times).then_some(());
        wait::wait_for("the model to be asked", PATIENCE, asked).await;
    }

    /// The agent lives, its turn was broken off, and the next message gets its answer.
    async fn goes_on(mut self) {
        assert_eq!(self.running.turn().await.judge(), Turn::Aborted);
        assert!(self.running.agent.is_alive());
        let words = "Leave that, and go on.";
        let uuid = self.running.say(words).await;
        let turn = self.running.turn().await;
        assert!(matches!(turn.judge(), Turn::Output(_)), "{turn:?}");
        assert!(turn.user_message_uuids.contains(&uuid), "{turn:?}");
        assert!(self.api.asks().iter().any(|ask| ask.mentions(words)), "the model was told");
        assert_eq!(self.running.agent.stop().await.left, 0);
    }
}

#[tokio::test]
async fn an_interrupt_in_a_tool_ends_its_processes_and_the_next_message_is_answered() {
    let tool = |place: &Place| {
        let (aside, pid) = (place.path("tool.new"), place.path("tool.pid"));
        let (aside, pid) = (aside.display(), pid.display());
        let command = format!("echo $$ > {aside} && mv {aside} {pid} && sleep 30; echo slept");
        vec![Answer::tool("Bash", json!({ "command": command }))]
    };
    let work = AtWork::on(tool).await;
    work.running.say("go").await;
    let pid_file = work.place.path("tool.pid");
    wait_for("the tool is at work", || pid_file.exists()).await;
    let shell = pid_in_line(&pid_file);
    assert!(lives(shell));
    let sleeps = || children(shell).into_iter().next();
    wait_for("the tool's own child is at work", || sleeps().is_some()).await;
    let child = sleeps().unwrap();

    let answer = work.running.agent.interrupt().await.unwrap();

    assert!(answer.still_queued.is_empty(), "{answer:?}");
    wait_for("the tool is gone", || !lives(shell) && !lives(child)).await;
    work.goes_on().await;
}

#[tokio::test]
async fn an_interrupt_frees_a_stream_that_brings_nothing_or_only_pings() {
    let never = CancellationToken::new();
    for frozen in [Answer::Hang, Answer::Hold(never, vec![])] {
        let work = AtWork::on(|_| vec![frozen]).await;
        work.running.say("go").await;
        work.asked(1).await;
        let answer = work.running.agent.interrupt().await.unwrap();
        assert!(answer.still_queued.is_empty(), "{answer:?}");
        work.goes_on().await;
    }
}

#[tokio::test]
async fn an_idle_agent_answers_an_interrupt_and_nothing_is_broken_off() {
    let mut work = AtWork::on(|_| vec![]).await;
    work.running.agent.interrupt().await.unwrap();
    work.running.say("go").await;
    let turn = work.running.turn().await;
    assert!(matches!(turn.judge(), Turn::Output(_)), "{turn:?}");
    let answer = tokio::time::timeout(PATIENCE, work.running.agent.interrupt()).await;
    assert!(answer.unwrap().is_ok());
    work.running.agent.stop().await;
}

fn pid_in_line(path: &Path) -> u32 {
    std::fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

/// The processes that a process started.
fn children(of: u32) -> Vec<u32> {
    let listed = std::fs::read_to_string(format!("/proc/{of}/task/{of}/children"));
    listed.unwrap_or_default().split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}
