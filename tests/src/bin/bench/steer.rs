//! How fast a message reaches a busy agent, and how fast an interrupt is confirmed: the real Claude
//! CLI on a model that calls tools without an end, or that freezes.
//!
//! The control API is the real one, in this process, on a SQLite file. Times are those of the
//! receipts: from the moment at which the control API took a message in hand (before it was on its
//! disk) to the one at which the agent's stdin had taken it, and from there to the recorded answer of
//! an interrupt. Beside each message one raw write to the disk and one bare request are timed, on the
//! same machine in the same moment: on its way a message is written to two disks, one after the other.
//! An interrupt in a tool is measured at the agent itself ([`super::steer_tool`]), since planning has
//! no tool that takes its time.

use std::future::Future;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use specwright_control_api::client::Client;
use specwright_control_api::{Config, OwnerToken, WorkerProgram, serve};
use specwright_shared::id::SandboxId;
use specwright_shared::phase::Phase;
use specwright_shared::text::Text;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::message::{Message, MessageStatus, NewMessage};
use specwright_shared::wire::spec::{Launch, Launched, NewSpec, RunOptions};
use specwright_tests::messages_api::{Answer, MessagesApi, Playbook};
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::claude_cli;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::figure::Figure;
use crate::programs;

/// Messages over one busy run.
const MESSAGES: usize = 200;
/// The pause between two of them: they are spread over ten seconds.
const BETWEEN: Duration = Duration::from_millis(50);
/// Interrupts of a frozen stream, each in a run of its own turn.
const INTERRUPTS: usize = 10;
/// How long one condition is waited for.
const PATIENCE: Duration = Duration::from_secs(40);
const TOKEN: &str = "the-owners-token-of-a-bench-0123456789abcdef";

pub(crate) async fn figures() -> Result<Vec<Figure>> {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("claude-cli/node_modules/@anthropic-ai/claude-code/package.json");
    if !installed.exists() {
        let why = "the Claude CLI is not installed; ./tests/run installs it".to_owned();
        return Ok(vec![Figure::skipped("steer_message_to_stdin_p50", "ms", why).aim(5.0)]);
    }
    // More answers than any run here can take: the model is busy until the end.
    let look = || Answer::tool("Glob", serde_json::json!({ "pattern": "**/*.rs" }));
    let busy = Playbook::new().with(Phase::Explore, std::iter::repeat_with(look).take(5000));
    let mut messages = on_a_run(busy, async |client, sandbox| {
        let (mut raw, place) = (Raw::default(), tempfile::NamedTempFile::new()?);
        let http = reqwest::Client::builder().no_proxy().build()?;
        let health = format!("{}/healthz", client.base());
        for number in 0..MESSAGES {
            client.say(sandbox, &message("system", number)?).await?;
            tokio::time::sleep(BETWEEN / 2).await;
            raw.request.push(timed(http.get(&health).send()).await?);
            let file = place.reopen()?;
            let written = tokio::task::spawn_blocking(move || write_down(file));
            raw.disk.push(timed(async { written.await? }).await?);
            tokio::time::sleep(BETWEEN / 2).await;
        }
        let messages = until(client, sandbox, MESSAGES, MessageStatus::Written).await?;
        let ms = |from: Timestamp, to: Timestamp| to.since(from).as_secs_f64() * 1e3;
        let mut took = Took { raw, ..Took::default() };
        for one in &messages {
            let (Some(there), Some(written)) = (one.delivered_at, one.written_at) else { continue };
            took.to_worker.push(ms(one.created_at, there));
            took.to_stdin.push(ms(one.created_at, written));
        }
        Ok(took)
    })
    .await?;
    let hangs = Playbook::new().with(Phase::Explore, std::iter::repeat_n(Answer::Hang, 50));
    let mut interrupts = on_a_run(hangs, async |client, sandbox| {
        let mut took = Vec::new();
        for number in 1..=INTERRUPTS {
            client.say(sandbox, &message("interrupt", number)?).await?;
            // Seen: the next turn has begun, and is about to freeze like the one before.
            let messages = until(client, sandbox, number, MessageStatus::Seen).await?;
            let newest = messages.last().context("no message")?;
            let confirmed = newest.written_at.context("it was confirmed")?;
            took.push(confirmed.since(newest.created_at).as_secs_f64() * 1e3);
        }
        Ok(took)
    })
    .await?;
    let mut tools = super::steer_tool::interrupts().await?;
    let Took { to_worker, to_stdin, raw } = &mut messages;
    let beside = |percent: usize, raw: &mut Raw| -> Result<String> {
        let (disk, request) =
            (percentile(&mut raw.disk, percent)?, percentile(&mut raw.request, percent)?);
        Ok(format!(
            "raw, same percentile: a write to the disk {disk:.2} ms, a request {request:.2} ms; \
             {MESSAGES} messages to the real CLI"
        ))
    };
    let figure = |metric, value| Figure::new(metric, value, "ms");
    let of = |count: usize| format!("real CLI, {count} of them");
    Ok(vec![
        figure("steer_message_to_worker_p50", percentile(to_worker, 50)?).beside(beside(50, raw)?),
        figure("steer_message_to_stdin_p50", percentile(to_stdin, 50)?)
            .aim(5.0)
            .beside(beside(50, raw)?),
        figure("steer_message_to_stdin_p99", percentile(to_stdin, 99)?)
            .aim(25.0)
            .beside(beside(99, raw)?),
        figure("steer_interrupt_frozen_stream_max", percentile(&mut interrupts, 100)?)
            .aim(200.0)
            .beside(of(interrupts.len())),
        figure("steer_interrupt_in_a_tool_max", percentile(&mut tools, 100)?)
            .aim(200.0)
            .beside(of(tools.len())),
    ])
}

/// Milliseconds, of each message.
#[derive(Default)]
struct Took {
    /// Until the worker had it on its disk.
    to_worker: Vec<f64>,
    /// Until the agent's stdin had taken it.
    to_stdin: Vec<f64>,
    raw: Raw,
}

/// The same of the bare machine.
#[derive(Default)]
struct Raw {
    disk: Vec<f64>,
    request: Vec<f64>,
}

/// As much as a message, durable.
fn write_down(mut file: std::fs::File) -> std::io::Result<()> {
    file.write_all(&[b'x'; 600])?;
    file.sync_data()
}

/// How long something takes, in milliseconds.
async fn timed<T, E>(work: impl Future<Output = Result<T, E>>) -> Result<f64>
where
    anyhow::Error: From<E>,
{
    let began = Instant::now();
    work.await?;
    Ok(began.elapsed().as_secs_f64() * 1e3)
}

fn message(kind: &str, number: usize) -> Result<NewMessage> {
    let text = format!("Message {number}.");
    Ok(serde_json::from_value(serde_json::json!({ "kind": kind, "text": text }))?)
}

/// Runs the sample idea with the real CLI and does something with it while it is at work.
async fn on_a_run<T>(
    playbook: Playbook,
    work: impl AsyncFnOnce(&Client, SandboxId) -> Result<T>,
) -> Result<T> {
    let api = MessagesApi::start(playbook.script()).await?;
    let (place, repository) = (tempfile::tempdir()?, Repository::with_files(sample::FILES));
    let bin = place.path().join("bin");
    std::fs::create_dir(&bin)?;
    std::os::unix::fs::symlink(claude_cli(), bin.join("claude"))?;
    let worker = WorkerProgram { program: programs::worker(), arguments: Vec::new() };
    let mut config = Config::new(place.path().join("data"), OwnerToken::new(TOKEN)?, worker);
    config.environment = vec![
        ("PATH".into(), format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()).into()),
        ("HOME".into(), place.path().into()),
        ("ANTHROPIC_API_KEY".into(), "sk-ant-bench".into()),
        ("ANTHROPIC_BASE_URL".into(), api.base_url().into()),
        ("MAX_TURNS".into(), "10000".into()),
    ];
    config.end_sandboxes_on_shutdown = true;
    config.die_with_parent = true;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let client = Client::new(&format!("http://{}", listener.local_addr()?), TOKEN)?;
    let shutdown = CancellationToken::new();
    // Also when this is given up half-way.
    let _ends_with_us = shutdown.clone().drop_guard();
    let server = tokio::spawn(serve(config, listener, shutdown.clone()));
    let worked = async {
        let Launched { sandbox_id, .. } = client.launch(&launch(&repository)?).await?;
        let began = Instant::now();
        while api.asks().iter().all(|ask| ask.phase().is_none()) {
            ensure!(began.elapsed() < PATIENCE, "the model is not asked");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        work(&client, sandbox_id).await
    };
    let worked = worked.await;
    shutdown.cancel();
    server.await?.context("the control API ended badly")?;
    worked
}

fn launch(repository: &Repository) -> Result<Launch> {
    Ok(Launch {
        spec: NewSpec {
            project_id: None,
            title: None,
            description: Text::new(sample::IDEA)?,
            repository: Some(Text::new(repository.path().to_string_lossy())?),
        },
        run: RunOptions { until: Some(Phase::Explore), ..RunOptions::default() },
    })
}

/// All messages, as soon as there are so many and each has come so far.
async fn until(
    client: &Client,
    sandbox: SandboxId,
    count: usize,
    status: MessageStatus,
) -> Result<Vec<Message>> {
    let began = Instant::now();
    loop {
        let messages = client.messages(sandbox).await?;
        if messages.len() == count && messages.iter().all(|one| one.status >= status) {
            return Ok(messages);
        }
        if began.elapsed() > PATIENCE {
            let last = messages.last().map(|one| one.status.as_str());
            bail!("{} messages of {count}, the last one is {last:?}", messages.len());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The value that so many per cent are not above.
fn percentile(values: &mut [f64], percent: usize) -> Result<f64> {
    values.sort_by(f64::total_cmp);
    let index = (values.len() * percent).div_ceil(100).saturating_sub(1);
    values.get(index).copied().context("nothing was measured")
}
