//! From a launch to an agent that introduced itself and is fit.
//!
//! What holds: whatever goes wrong, no process of the agent is left, and the error says what the agent
//! itself said about it.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::Agent;
use super::control::{AskError, Control};
use super::fact::{Exit, Fact};
use super::handshake::{Introduction, Unfit};
use super::launch::{Launch, LaunchError, Session};
use super::private;
use super::reader::Reader;
use super::spawn::spawn;
use super::stdin::Stdin;
use super::tail::Tail;
use super::tree::Tree;

/// How long an agent may take to introduce itself. A cold start was measured below 1 s, nine at once
/// on two cores at 4 s; a loaded machine gets a multiple of that.
pub const START_PATIENCE: Duration = Duration::from_secs(30);

/// Facts that wait for the run. Few, since one may hold a whole large line.
const FACTS_WAITING: usize = 64;

/// What an agent said of itself when it started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Its process id.
    pub pid: u32,
    /// The conversation's id, as we gave it.
    pub session_id: Uuid,
    /// Its version.
    pub version: String,
    /// Its permission mode.
    pub permission_mode: String,
}

/// Why an agent did not start. Whatever the variant, no process of it is left.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The launch itself is refused.
    #[error("the agent was not started")]
    Launch(#[from] LaunchError),
    /// A directory could not be made.
    #[error("the agent's private directory `{}` cannot be made", path.display())]
    PrivateDir {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The system would not hand us the agent's orphans.
    #[error("this process cannot become the parent of the agent's orphans")]
    SubReaper(#[source] std::io::Error),
    /// The program could not be started.
    #[error("the agent `{}` cannot be started in `{}`", program.display(), workdir.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Where.
        workdir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It ended before it introduced itself.
    #[error("the agent ended before it was ready ({}): {said}", in_words(exit))]
    Ended {
        /// How.
        exit: Exit,
        /// What it said about it: its failure line, else the end of stderr.
        said: String,
    },
    /// The conversation to be resumed does not exist.
    #[error("the agent knows no conversation {0}: begin a new one")]
    NoConversation(Uuid),
    /// It did not introduce itself in time.
    #[error("the agent was not ready within {} s; its last words: {stderr_tail}", after.as_secs_f64())]
    NotReady {
        /// The limit.
        after: Duration,
        /// The end of its stderr.
        stderr_tail: String,
    },
    /// It answered the introduction with a failure.
    #[error("the agent refused to introduce itself: {0}")]
    Refused(String),
    /// It is not one that we can work with.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// We were told to stop.
    #[error("the agent's start was stopped")]
    Stopped,
}

impl Agent {
    /// Starts an agent and verifies what it is, within [`START_PATIENCE`].
    ///
    /// # Errors
    /// See [`StartError`]; no process is left behind.
    pub async fn start(
        launch: Launch,
        stop: &CancellationToken,
    ) -> Result<(Self, Started, mpsc::Receiver<Fact>), StartError> {
        Self::start_within(launch, START_PATIENCE, stop).await
    }

    /// As [`Agent::start`], with a patience of one's own.
    ///
    /// # Errors
    /// See [`StartError`]; no process is left behind.
    pub async fn start_within(
        launch: Launch,
        patience: Duration,
        stop: &CancellationToken,
    ) -> Result<(Self, Started, mpsc::Receiver<Fact>), StartError> {
        let (agent, mut facts) = Self::launched(&launch).await?;
        let ready = tokio::select! {
            ready = agent.introduced(&launch, patience, &mut facts) => ready,
            () = stop.cancelled() => Err(StartError::Stopped),
        };
        match ready {
            Ok(introduction) => {
                let started = Started {
                    pid: agent.pid,
                    session_id: launch.session.id(),
                    version: introduction.claude_code_version,
                    permission_mode: introduction.current_permission_mode,
                };
                Ok((agent, started, facts))
            }
            Err(error) => {
                agent.stop().await;
                Err(error)
            }
        }
    }

    async fn launched(launch: &Launch) -> Result<(Self, mpsc::Receiver<Fact>), StartError> {
        let marker = Uuid::new_v4();
        let arguments = launch.arguments()?;
        let variables = launch.variables(marker)?;
        private::make(&launch.private_dir, launch.user.as_ref())
            .map_err(|(path, source)| StartError::PrivateDir { path, source })?;
        // Orphans of the agent come to us instead of to process 1, where nobody could tell them.
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(|source| StartError::SubReaper(source.into()))?;

        let mut command = Command::new(&launch.program);
        command
            .args(arguments)
            .env_clear()
            .envs(variables)
            .current_dir(&launch.workdir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let not_started = |source| StartError::Spawn {
            program: launch.program.clone(),
            workdir: launch.workdir.clone(),
            source,
        };
        let child = spawn(command, launch.user.as_ref()).await.map_err(not_started)?;
        Self::attend(child, marker, launch)
            .ok_or_else(|| not_started(std::io::Error::other("a pipe to it is missing")))
    }

    /// Starts the tasks that attend the process: stdin, stdout, stderr, and its end.
    fn attend(
        mut child: Child,
        marker: Uuid,
        launch: &Launch,
    ) -> Option<(Self, mpsc::Receiver<Fact>)> {
        let pid = child.id()?;
        let user = launch.user.as_ref().map(|user| user.uid);
        let tree = Tree::of(pid, marker).of_user(user).in_a_group(marker);
        let (pipe, stdout, stderr) =
            (child.stdin.take()?, child.stdout.take()?, child.stderr.take()?);
        let (closing, ended) = (CancellationToken::new(), CancellationToken::new());
        let stderr_read = CancellationToken::new();
        let (facts, receiver) = mpsc::channel(FACTS_WAITING);
        let (exited, exit) = watch::channel(None);
        let tail = Tail::new(launch.redactor.clone());
        let tasks = TaskTracker::new();

        let (stdin, write) = Stdin::of(pipe, closing.clone(), ended.clone());
        tasks.spawn(write);
        let control = Control::new(stdin.clone());
        let reader = Reader {
            facts,
            control: control.clone(),
            exit: exit.clone(),
            closing: closing.clone(),
            stderr: tail.clone(),
            stderr_read: stderr_read.clone(),
        };
        tasks.spawn(reader.run(stdout));
        let drain = tail.clone().drain(stderr);
        tasks.spawn(async move {
            drain.await;
            stderr_read.cancel();
        });
        tasks.spawn(async move {
            let status = child.wait().await.ok();
            exited.send_replace(Some(status));
            ended.cancel();
        });
        tasks.close();
        let agent =
            Self { pid, stdin, control, exit, stderr: tail, closing, tasks, tree: Some(tree) };
        Some((agent, receiver))
    }

    /// Asks for the introduction. Facts that come meanwhile say only why it may fail.
    async fn introduced(
        &self,
        launch: &Launch,
        patience: Duration,
        facts: &mut mpsc::Receiver<Fact>,
    ) -> Result<Introduction, StartError> {
        let until = Instant::now() + patience;
        let request = json!({"subtype": "initialize"});
        let asked = self.control.ask(&request, patience);
        tokio::pin!(asked);
        let mut early = Early::default();
        let answer = loop {
            tokio::select! {
                answer = &mut asked => break answer,
                fact = facts.recv() => match fact {
                    Some(fact) => early.note(fact),
                    None => break Err(AskError::Closed),
                },
            }
        };
        match answer {
            Ok(answer) => Ok(Introduction::checked(&answer)?),
            Err(AskError::Refused(why)) => Err(StartError::Refused(why)),
            Err(AskError::NoAnswer) => Err(self.not_ready(patience)),
            Err(AskError::Closed) => {
                // It stopped listening or speaking: its exit, if it comes in time, says more.
                timeout_at(until, async {
                    while let Some(fact) = facts.recv().await {
                        early.note(fact);
                    }
                })
                .await
                .ok();
                Err(early.into_error(launch.session).unwrap_or_else(|| self.not_ready(patience)))
            }
        }
    }

    fn not_ready(&self, after: Duration) -> StartError {
        StartError::NotReady { after, stderr_tail: self.stderr.text() }
    }
}

/// What an agent showed before it introduced itself.
#[derive(Default)]
struct Early {
    /// Its failure line, which comes before the end of the process.
    said: Option<String>,
    exit: Option<Exit>,
}

impl Early {
    fn note(&mut self, fact: Fact) {
        match fact {
            Fact::TurnEnded(turn) => self.said = Some(turn.text),
            Fact::Exited(exit) => self.exit = Some(exit),
            _ => {}
        }
    }

    /// `None` if it did not end.
    fn into_error(self, session: Session) -> Option<StartError> {
        let exit = self.exit?;
        let mut said = self.said.unwrap_or_else(|| exit.stderr_tail.clone());
        if said.trim().is_empty() {
            "it wrote nothing on stderr".clone_into(&mut said);
        }
        Some(match session {
            // The CLI has no code for this, only the sentence.
            Session::Resume(id) if said.contains("No conversation found") => {
                StartError::NoConversation(id)
            }
            _ => StartError::Ended { exit, said },
        })
    }
}

fn in_words(exit: &Exit) -> String {
    match (exit.code, exit.signal) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "it is not known how".to_owned(),
    }
}
