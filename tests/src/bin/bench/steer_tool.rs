//! How fast the real CLI confirms an interrupt while a tool of it is at work: the agent library alone,
//! with a launch that may run commands.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;
use specwright_shared::redact::Redactor;
use specwright_tests::messages_api::{Answer, Block, MessagesApi};
use specwright_tests::system::claude_cli;
use specwright_worker::agent::{Agent, Deliver, Fact, Launch, Session, inherited};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Interrupts, each of a tool of its own turn.
const INTERRUPTS: usize = 10;
/// How long one fact is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// The time to each answer, in milliseconds.
pub(crate) async fn interrupts() -> Result<Vec<f64>> {
    let place = tempfile::tempdir()?;
    let mark = place.path().join("at-work");
    // A sleep at the beginning is refused by the tool.
    let command = format!("touch '{}'; sleep 30", mark.display());
    let api = MessagesApi::start(move |ask| match ask.schema() {
        Some(_) => Answer::Speak(vec![Block::tool("Bash", json!({ "command": command }))]),
        None => Answer::text("ok"),
    })
    .await?;
    let workdir = place.path().join("work");
    std::fs::create_dir(&workdir)?;
    let launch = Launch {
        program: claude_cli(),
        leading_args: vec!["--allowedTools=Bash".into()],
        workdir,
        private_dir: place.path().join("private"),
        model: None,
        session: Session::New(Uuid::new_v4()),
        system_prompt: "Rules.".into(),
        schema: json!({ "title": "Explore", "type": "object" }),
        tools: vec!["Bash"],
        max_turns: None,
        max_budget_usd: None,
        base_url: api.base_url(),
        dummy_key: "a-dummy".into(),
        environment: inherited(std::env::vars_os()),
        redactor: Redactor::default(),
        user: None,
    };
    let (agent, _, mut facts) = Agent::start(launch, &CancellationToken::new()).await?;
    let mut took = Vec::new();
    for _ in 0..INTERRUPTS {
        agent.say(Uuid::new_v4(), "Go on.", Deliver::Next).await?;
        let began = Instant::now();
        while !mark.exists() {
            if began.elapsed() > PATIENCE {
                bail!("the tool does not begin");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        std::fs::remove_file(&mark)?;
        let asked = Instant::now();
        agent.interrupt().await?;
        took.push(asked.elapsed().as_secs_f64() * 1e3);
        turn_ended(&mut facts).await?;
    }
    agent.stop().await;
    Ok(took)
}

async fn turn_ended(facts: &mut mpsc::Receiver<Fact>) -> Result<()> {
    loop {
        let fact = tokio::time::timeout(PATIENCE, facts.recv()).await;
        let fact = fact.context("nothing comes from the agent")?.context("the agent has gone")?;
        if matches!(fact, Fact::TurnEnded(_)) {
            return Ok(());
        }
    }
}
