//! The agent as a process that we own: one Claude CLI (or a program that speaks its protocol) per
//! phase, driven over stdin and stdout.
//!
//! What holds:
//! - Before the first message its version and permission mode were verified (`handshake`).
//! - Everything that it says or that happens to it comes as a [`Fact`], in order, ending with
//!   [`Fact::Exited`] (`reader`).
//! - Its whole process tree ends with [`Agent::stop`], which proves it by the process table; a dropped
//!   [`Agent`] ends it too, and the leader dies with this process in any case (`tree`, `spawn`).
//! - Its environment is built from nothing and holds no secret (`launch`).
//! - Where it has a user of its own, it cannot read what is ours, nor signal us (`user`, `spawn`).
//!
//! Deliberately absent: what the facts mean for a run, limits of time, and whether a resumed turn is
//! to be repeated. The run decides that.

pub(crate) mod cgroup;
mod control;
mod fact;
mod handshake;
mod launch;
mod lines;
mod private;
mod reader;
mod spawn;
mod start;
mod stdin;
mod stream;
pub(crate) mod table;
mod tail;
mod transcript;
mod tree;
mod turn;
mod user;

use std::time::Duration;

use serde::Deserialize as _;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub use fact::{Exit, Fact, Init, LifecycleState};
pub use handshake::{CAPABILITIES, MEASURED_VERSION, Unfit};
pub use launch::{
    ARGUMENTS_MAX_BYTES, INHERITED, Launch, LaunchError, PERMISSION_MODE, Session, inherited,
};
pub use start::{START_PATIENCE, StartError, Started};
pub(crate) use transcript::open_transcript;
pub use transcript::transcript;
pub use turn::{Turn, TurnResult, Usage};
pub use user::User;

use control::{AskError, Control};
use reader::{Ended, exit_of, status};
use stdin::{Closed, Stdin};
use tail::Tail;
use tree::Tree;

/// How long an interrupt may take to be answered; 10 to 80 ms were measured, on a loaded machine 350.
pub const INTERRUPT_PATIENCE: Duration = Duration::from_secs(5);

/// The largest message. The CLI refuses 8 MB itself; nothing that a model can read is near this.
pub const MESSAGE_MAX_BYTES: usize = 4 * 1024 * 1024;

/// An idle agent ends by itself when its stdin closes, in about 70 ms.
const CLOSED_STDIN_PATIENCE: Duration = Duration::from_millis(400);

/// A busy one ends its tools and saves its transcript at SIGTERM; 1.6 s were measured.
const TERMINATED_PATIENCE: Duration = Duration::from_millis(1700);

/// And what is left is killed and gone within this: 3 s for all of it together.
const KILLED_PATIENCE: Duration = Duration::from_millis(900);

/// What the end of an agent and its tree may take in all.
pub(crate) const STOP_MAX: Duration = Duration::from_secs(3);

/// A dropped agent is ended at once; dropping blocks this long at most.
const DROPPED_PATIENCE: Duration = Duration::from_millis(200);

/// Our own tasks end with the process; this bounds a defect.
const TASKS_PATIENCE: Duration = Duration::from_secs(1);

/// A running agent. Its facts come from the receiver that [`Agent::start`] gives.
pub struct Agent {
    pid: u32,
    stdin: Stdin,
    control: Control,
    exit: watch::Receiver<Ended>,
    stderr: Tail,
    /// Cancelled: no more lines go to stdin, and nobody is waited for who should read facts.
    closing: CancellationToken,
    tasks: TaskTracker,
    /// Taken when the tree was ended.
    tree: Option<Tree>,
}

/// When a message is to reach the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deliver {
    /// At once: the running turn is cut off.
    Now,
    /// At the next tool boundary of the running turn.
    Next,
    /// In a turn of its own, after the running one.
    Later,
}

impl Deliver {
    const fn priority(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Next => "next",
            Self::Later => "later",
        }
    }
}

/// Why a message was not written.
#[derive(Debug, thiserror::Error)]
pub enum SayError {
    /// It is too large.
    #[error("the message has {bytes} bytes; {MESSAGE_MAX_BYTES} is the most")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The agent no longer listens.
    #[error("the agent no longer listens")]
    Closed(#[source] Option<std::io::Error>),
}

/// What the agent answered to an interrupt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterruptAnswer {
    /// Messages that it will do next all the same.
    pub still_queued: Vec<Uuid>,
    /// Messages that it had queued and dropped.
    pub cancelled: Vec<Uuid>,
}

/// Why an interrupt is not known to have worked.
#[derive(Debug, thiserror::Error)]
pub enum InterruptError {
    /// The agent no longer listens or speaks.
    #[error("the agent no longer listens")]
    Closed,
    /// It did not answer.
    #[error("the agent did not answer the interrupt within {} s", within.as_secs())]
    NoAnswer {
        /// How long it was waited for.
        within: Duration,
    },
    /// It said no.
    #[error("the agent refused the interrupt: {0}")]
    Refused(String),
}

/// How a stopped agent ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exited {
    /// Its process id.
    pub pid: u32,
    /// How it ended.
    pub exit: Exit,
    /// How many descendants had to be ended with it.
    pub descendants_ended: u32,
    /// How many processes could not be ended in time. 0 is the proof that all are gone.
    pub left: u32,
}

impl Agent {
    /// Writes a message to the agent; returns when the pipe took it. What becomes of it is told by
    /// [`Fact::Lifecycle`], [`Fact::Replayed`] and [`TurnResult::user_message_uuids`].
    ///
    /// The text goes verbatim: a leading `/` is no command, `@path` inlines no file.
    ///
    /// # Errors
    /// The message is too large, or the agent no longer listens.
    pub async fn say(&self, uuid: Uuid, text: &str, deliver: Deliver) -> Result<(), SayError> {
        if text.len() > MESSAGE_MAX_BYTES {
            return Err(SayError::TooLarge { bytes: text.len() });
        }
        let line = json!({
            "type": "user",
            "message": {"role": "user", "content": text},
            "parent_tool_use_id": null,
            "session_id": "",
            "uuid": uuid,
            "priority": deliver.priority(),
            "client_composed": true,
        });
        self.stdin.write(&line).await.map_err(|Closed(source)| SayError::Closed(source))
    }

    /// Interrupts the running turn, if there is one. The agent stays alive.
    ///
    /// # Errors
    /// No answer within [`INTERRUPT_PATIENCE`], or none possible.
    pub async fn interrupt(&self) -> Result<InterruptAnswer, InterruptError> {
        self.interruption(false, INTERRUPT_PATIENCE).await
    }

    /// The same, to be awaited while facts are read: an agent that has much to say answers behind
    /// it. With `cancel_queued` it drops what it has queued.
    pub fn interruption(
        &self,
        cancel_queued: bool,
        within: Duration,
    ) -> impl Future<Output = Result<InterruptAnswer, InterruptError>> + Send + 'static {
        let control = self.control.clone();
        async move {
            let mut request = json!({"subtype": "interrupt"});
            if cancel_queued {
                request["cancel_queued"] = json!(true);
            }
            match control.ask(&request, within).await {
                Ok(answer) => Ok(InterruptAnswer {
                    still_queued: messages(&answer, "still_queued"),
                    cancelled: messages(&answer, "cancelled"),
                }),
                Err(AskError::Closed) => Err(InterruptError::Closed),
                Err(AskError::NoAnswer) => Err(InterruptError::NoAnswer { within }),
                Err(AskError::Refused(why)) => Err(InterruptError::Refused(why)),
            }
        }
    }

    /// Ends the agent and its whole process tree: closes stdin, then SIGTERM, then SIGKILL for all
    /// that is left, and looks until nothing is. Takes 3 s at most. Facts may be read meanwhile.
    pub async fn stop(mut self) -> Exited {
        let mut exit = self.exit.clone();
        if let Some(tree) = &mut self.tree {
            tree.look();
        }
        self.closing.cancel();
        if timeout(CLOSED_STDIN_PATIENCE, status(&mut exit)).await.is_err() {
            if let Some(tree) = &mut self.tree {
                tree.look();
                tree.terminate_leader();
            }
            // What still lives then is killed below.
            timeout(TERMINATED_PATIENCE, status(&mut exit)).await.ok();
        }
        let ended = self.end_tree().await;
        let (descendants_ended, left) = ended.map_or((0, u32::MAX), |e| (e.descendants, e.left));
        let status = timeout(KILLED_PATIENCE, status(&mut exit)).await.ok().flatten();
        if timeout(TASKS_PATIENCE, self.tasks.wait()).await.is_err() {
            tracing::warn!(pid = self.pid, "a pipe of the agent is held by a foreign process");
        }
        Exited { pid: self.pid, exit: exit_of(status, self.stderr.text()), descendants_ended, left }
    }

    /// `None` if the system gave no thread to do it on.
    async fn end_tree(&mut self) -> Option<tree::Ended> {
        let mut tree = self.tree.take()?;
        tokio::task::spawn_blocking(move || tree.end(KILLED_PATIENCE)).await.ok()
    }

    /// The end of what it wrote to stderr so far.
    #[must_use]
    pub fn stderr_tail(&self) -> String {
        self.stderr.text()
    }

    /// Whether the process lives. Its stdout may be closed all the same.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.exit.borrow().is_none()
    }

    /// The process id, which is also its process group.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.closing.cancel();
        if let Some(mut tree) = self.tree.take() {
            tree.end(DROPPED_PATIENCE);
        }
    }
}

/// Messages that an answer lists. Ids that are not ours are not uuids, and not waited for.
fn messages(answer: &Value, field: &str) -> Vec<Uuid> {
    let listed = answer.get(field).and_then(Value::as_array);
    listed.into_iter().flatten().filter_map(|id| Uuid::deserialize(id).ok()).collect()
}
