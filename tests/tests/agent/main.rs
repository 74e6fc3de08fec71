//! The agent as a process that we own, against real processes that misbehave in every known way.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what is unexpected fails the test")]

mod claude;
mod ends;
mod speaks;
mod starts;
mod strangers;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use specwright_shared::redact::Redactor;
use specwright_worker::agent::{Agent, Deliver, Fact, Launch, Session, StartError, Started};
use specwright_worker::agent::{TurnResult, inherited};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Bounded: a test that would hang fails. Long, since the machine may be loaded.
const PATIENCE: Duration = Duration::from_secs(120);

/// The folder in which a faulty agent finds its behaviour and leaves its traces.
struct Place {
    folder: TempDir,
}

impl Place {
    /// A link to the faulty agent with its behaviour beside it.
    fn of(behaviour: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let program = env!("CARGO_BIN_EXE_faulty-agent");
        std::os::unix::fs::symlink(program, folder.path().join("agent")).unwrap();
        std::fs::write(folder.path().join("behaviour"), behaviour).unwrap();
        std::fs::create_dir(folder.path().join("work")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn launch(&self) -> Launch {
        Launch {
            program: self.path("agent"),
            leading_args: Vec::new(),
            workdir: self.path("work"),
            private_dir: self.path("private"),
            model: Some("a-model".into()),
            session: Session::New(Uuid::new_v4()),
            system_prompt: "Rules.".into(),
            schema: json!({"title": "Explore", "type": "object"}),
            tools: vec!["Read", "Glob", "Grep"],
            max_turns: Some(5),
            max_budget_usd: Some(1.0),
            base_url: "http://127.0.0.1:9".into(),
            dummy_key: "specwright-dummy-1".into(),
            environment: inherited(std::env::vars_os()),
            redactor: Redactor::default(),
            user: None,
        }
    }

    async fn refused(&self) -> StartError {
        self.refused_within(PATIENCE).await
    }

    async fn refused_within(&self, patience: Duration) -> StartError {
        let stop = CancellationToken::new();
        match Agent::start_within(self.launch(), patience, &stop).await {
            Ok(_) => panic!("the agent started"),
            Err(error) => error,
        }
    }

    async fn started(&self) -> Running {
        let stop = CancellationToken::new();
        let (agent, started, facts) =
            Agent::start_within(self.launch(), PATIENCE, &stop).await.unwrap();
        Running { agent, started, facts }
    }
}

/// A started agent with its facts.
struct Running {
    agent: Agent,
    started: Started,
    facts: mpsc::Receiver<Fact>,
}

impl Running {
    async fn say(&self, text: &str) -> Uuid {
        let uuid = Uuid::new_v4();
        self.agent.say(uuid, text, Deliver::Next).await.unwrap();
        uuid
    }

    async fn next(&mut self) -> Fact {
        let fact = tokio::time::timeout(PATIENCE, self.facts.recv()).await;
        fact.expect("no fact came in time").expect("facts ended before what was waited for")
    }

    /// The facts up to and with the first that `is_last` names.
    async fn until(&mut self, is_last: impl Fn(&Fact) -> bool) -> Vec<Fact> {
        let mut facts = Vec::new();
        loop {
            facts.push(self.next().await);
            if is_last(&facts[facts.len() - 1]) {
                return facts;
            }
        }
    }

    async fn turn(&mut self) -> TurnResult {
        let mut facts = self.until(|fact| matches!(fact, Fact::TurnEnded(_))).await;
        let Some(Fact::TurnEnded(turn)) = facts.pop() else { unreachable!("just waited for") };
        *turn
    }

    async fn whole_turn(&mut self) -> (Vec<Fact>, TurnResult) {
        let facts = self.until(|fact| matches!(fact, Fact::TurnEnded(_))).await;
        let Some(Fact::TurnEnded(turn)) = facts.last() else { unreachable!("just waited for") };
        let turn = (**turn).clone();
        (facts, turn)
    }
}

/// Whether a process is there and no zombie.
fn lives(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(") ").unwrap().1.starts_with(['Z', 'X']))
}

fn pid_in(path: &Path) -> u32 {
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

/// Waits for a condition; its name stands in the failure.
async fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: did not happen in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn answer() -> Value {
    json!({"answer": "ok"})
}
