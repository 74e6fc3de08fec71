//! A command that runs, and what it left when it has ended.

use std::ffi::OsString;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::digest;
use crate::wait::wait_for;

/// The longest that a command may take: ten times what the slowest scenario takes on two cores.
const RUN_AT_MOST: Duration = Duration::from_secs(300);

/// A command that runs. Dropping it kills it.
pub struct Running {
    name: String,
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

/// A command that has ended.
pub struct Finished {
    /// What was run.
    pub name: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

/// Lines as they come, gathered by a task of their own.
struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl Running {
    #[track_caller]
    pub(super) fn spawn(mut command: Command, arguments: &[OsString]) -> Self {
        let words: Vec<_> = arguments.iter().map(|one| one.to_string_lossy()).collect();
        let mut name = format!("specwright {}", words.join(" "));
        // A hostile idea may be long; the name is for messages.
        name.truncate(name.floor_char_boundary(200));
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        Self { name, child, stdout: Lines::gather(stdout), stderr: Lines::gather(stderr) }
    }

    /// The lines on stdout so far.
    #[must_use]
    pub fn stdout(&self) -> Vec<String> {
        self.stdout.so_far()
    }

    /// The lines on stderr so far.
    #[must_use]
    pub fn stderr(&self) -> Vec<String> {
        self.stderr.so_far()
    }

    /// What it has written, for a message.
    fn so_far(&self) -> String {
        digest::of(&self.stdout().join("\n"), &self.stderr().join("\n"))
    }

    /// Waits for a line on stdout, and gives what `pick` makes of it.
    ///
    /// # Panics
    /// When the command ends before, or takes too long.
    pub async fn line<T>(&mut self, what: &str, pick: impl Fn(&str) -> Option<T>) -> T {
        let name = format!("{what}, from: {}", self.name);
        wait_for(&name, RUN_AT_MOST, async || {
            let ended = self.child.try_wait().ok().flatten();
            // Asked before the look: what is read after it is looked at the next time.
            let all_is_read = self.stdout.reader.is_finished();
            if let Some(found) = self.stdout().iter().find_map(|line| pick(line)) {
                return Some(found);
            }
            if let Some(status) = ended
                && all_is_read
            {
                panic!("ended ({status}) without {name}\n{}", self.so_far());
            }
            None
        })
        .await
    }

    /// Waits until `serve --json` says that it answers: `url`, `token_file` and what else that line has.
    pub async fn started(&mut self) -> Value {
        self.line("where it answers", |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            line["url"].is_string().then_some(line)
        })
        .await
    }

    /// The same, but for its address alone, as in `http://127.0.0.1:8787`.
    pub async fn url(&mut self) -> String {
        self.started().await["url"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits for an event of a type on stdout (`--json`).
    pub async fn event(&mut self, kind: &str) -> Value {
        self.event_where(kind, |_| true).await
    }

    /// Waits for an event of a type for which something holds.
    pub async fn event_where(&mut self, kind: &str, holds: impl Fn(&Value) -> bool) -> Value {
        self.line(&format!("the event {kind}"), |line| {
            let event: Value = serde_json::from_str(line).ok()?;
            (event["type"] == kind && holds(&event)).then_some(event)
        })
        .await
    }

    /// Closes our end of its stdout, as `| head` does.
    pub fn stop_reading(&self) {
        // The task owns the pipe.
        self.stdout.reader.abort();
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it was waited for already.
    #[must_use]
    pub fn pid(&self) -> i32 {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        pid.unwrap_or_else(|| panic!("{} has ended", self.name))
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, signal: Signal) {
        let sent = Pid::from_raw(self.pid()).map(|pid| kill_process(pid, signal));
        assert!(matches!(sent, Some(Ok(()))), "{} could not be signalled: {sent:?}", self.name);
    }

    /// Writes to its stdin, and closes it.
    ///
    /// # Panics
    /// When it was started without one.
    pub(super) async fn feed(&mut self, input: &str) {
        let Some(mut stdin) = self.child.stdin.take() else { panic!("{} has no stdin", self.name) };
        // Whoever does not read to the end has a reason, and says it.
        match stdin.write_all(input.as_bytes()).await {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                panic!("{} cannot be written to: {error}", self.name)
            }
            _ => drop(stdin),
        }
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When that takes too long.
    pub async fn finish(mut self) -> Finished {
        let Ok(waited) = tokio::time::timeout(RUN_AT_MOST, self.child.wait()).await else {
            panic!("{} did not end within {RUN_AT_MOST:?}\n{}", self.name, self.so_far());
        };
        let status =
            waited.unwrap_or_else(|error| panic!("{} cannot be waited for: {error}", self.name));
        let (stdout, stderr) = (self.stdout.rest().await, self.stderr.rest().await);
        Finished { name: self.name, status, stdout, stderr }
    }
}

impl std::fmt::Debug for Finished {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let told = digest::of(&self.stdout, &self.stderr);
        write!(formatter, "{}: {}\n{told}", self.name, self.status)
    }
}

impl Finished {
    /// The exit code.
    ///
    /// # Panics
    /// When a signal ended it.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("ended by a signal: {self:#?}"))
    }

    /// The same, if it ended with this exit code.
    ///
    /// # Panics
    /// When it ended otherwise; the message holds the end of what it wrote.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert!(self.status.code() == Some(code), "not {code}: {self:?}");
        self
    }

    /// The JSON objects on stdout.
    ///
    /// # Panics
    /// When a line is none.
    #[must_use]
    pub fn json(&self) -> Vec<Value> {
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| {
                panic!("{}: a line is no JSON ({error}): {line}", self.name)
            })
        };
        self.stdout.lines().map(parse).collect()
    }

    /// The events of a type on stdout, in their order.
    #[must_use]
    pub fn events(&self, kind: &str) -> Vec<Value> {
        self.json().into_iter().filter(|line| line["type"] == kind).collect()
    }

    /// The last JSON object on stdout: the summary of a run.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn summary(&self) -> Value {
        let last = self.json().pop();
        last.unwrap_or_else(|| panic!("no summary: {self:#?}"))
    }
}

impl Lines {
    fn gather(from: Option<impl AsyncRead + Unpin + Send + 'static>) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&lines);
        let reader = tokio::spawn(async move {
            let Some(from) = from else { return };
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            while let Ok(1..) = from.read_until(b'\n', &mut line).await {
                let text = String::from_utf8_lossy(&line);
                let text = text.strip_suffix('\n').unwrap_or(&text).to_owned();
                to.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                line.clear();
            }
        });
        Self { lines, reader }
    }

    fn so_far(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All lines, once the other side is closed.
    async fn rest(&mut self) -> String {
        // A process that outlives the command and keeps its output open is a fault of its own; the
        // tests find it in the process table.
        let closed = tokio::time::timeout(Duration::from_secs(5), &mut self.reader).await;
        if closed.is_err() {
            self.reader.abort();
        }
        self.so_far().join("\n")
    }
}
