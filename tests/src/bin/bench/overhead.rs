//! What the worker adds to the real Claude CLI: the same four phases, driven bare and by a run.
//!
//! The model is a fake on loopback that answers at once, so that every millisecond counts. Bare and
//! driven rounds alternate, so that a machine that gets slower slows both.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use specwright_shared::phase::Phase;
use specwright_shared::time::Timestamp;
use specwright_tests::messages_api::{MessagesApi, Playbook};
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::{System, claude_cli};

use crate::bare;
use crate::figure::{Figure, median};

/// Rounds of which the medians are told.
const ROUNDS: usize = 3;
const AIM_MS: f64 = 50.0;
const AIM_PERCENT: f64 = 2.0;

pub(crate) async fn figures() -> Result<Vec<Figure>> {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("claude-cli/node_modules/@anthropic-ai/claude-code/package.json");
    if !installed.exists() {
        let why = "the Claude CLI is not installed; ./tests/run installs it".to_owned();
        return Ok(vec![Figure::skipped("overhead_over_bare_cli", "ms", why).aim(AIM_MS)]);
    }
    let (mut bare, mut driven) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let api = MessagesApi::start(Playbook::new().script()).await?;
        let repository = Repository::with_files(sample::FILES);
        driven.push(driven_ms(&api, &repository).await?);
        let prompts = prompts(&api)?;
        let mut together = 0.0;
        for (phase, prompt) in &prompts {
            let cli = claude_cli();
            together += bare::phase_ms(&cli, &api, repository.path(), *phase, prompt).await?;
        }
        bare.push(together);
    }
    let bare = median(bare).context("no round")?;
    let driven = median(driven).context("no round")?;
    let beside = format!("bare {bare:.0} ms, driven {driven:.0} ms; medians of {ROUNDS} rounds");
    Ok(vec![
        Figure::new("overhead_over_bare_cli", driven - bare, "ms").aim(AIM_MS).beside(&*beside),
        Figure::new("overhead_over_bare_cli_ratio", (driven / bare - 1.0) * 100.0, "%")
            .aim(AIM_PERCENT)
            .beside(beside),
    ])
}

/// From the beginning of the first phase to the acceptance of the fourth, by the run's own events.
async fn driven_ms(api: &MessagesApi, repository: &Repository) -> Result<f64> {
    let system = System::with_claude(api);
    let arguments = ["launch", "--json", "--until", "tasks", sample::IDEA];
    let run = system.run(repository.path(), arguments).await.expect_code(0);
    let at = |kind: &str, phase: Phase| -> Result<Timestamp> {
        let events = run.events(kind);
        let event = events.iter().find(|event| event["phase"] == phase.as_str());
        let at = event.and_then(|event| event["at"].as_str());
        let at = at.with_context(|| format!("no event {kind} of {phase}"))?;
        Ok(at.parse()?)
    };
    let began = at("spec.phase_started", Phase::Explore)?;
    let ended = at("spec.phase_completed", Phase::Tasks)?;
    Ok(ended.since(began).as_secs_f64() * 1000.0)
}

/// What the run said to the CLI in each phase.
fn prompts(api: &MessagesApi) -> Result<Vec<(Phase, String)>> {
    let asks = api.asks();
    let mut prompts = Vec::new();
    for phase in Phase::ALL.into_iter().filter(|phase| phase.needs_agent()) {
        let beginning = format!("Specwright phase: {phase}");
        let ask = asks.iter().find(|ask| ask.phase() == Some(phase));
        let texts = ask.map(|ask| ask.texts()).unwrap_or_default();
        let prompt = texts.into_iter().find(|text| text.starts_with(&beginning));
        prompts.push((phase, prompt.with_context(|| format!("no prompt of {phase}"))?.to_owned()));
    }
    Ok(prompts)
}

/// Whether a line of the CLI is the result of a turn that went well.
pub(crate) fn is_good_result(line: &Value) -> Result<bool> {
    if line["type"] != "result" {
        return Ok(false);
    }
    ensure!(line["structured_output"].is_object(), "the bare CLI gave no output: {line}");
    Ok(true)
}
