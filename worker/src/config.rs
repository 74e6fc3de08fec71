//! The worker's settings: the only place that reads the environment.
//!
//! What holds: every setting is checked before anything starts; all wrong ones are reported
//! together; a sentence names the variable, what it may be and what it was, and never a secret's
//! value. What passes has been parsed: the rest of the worker sees types, not strings.
//!
//! Deliberately absent: task execution (`TASK_ID`), which is refused with a sentence.

mod agent_user;
mod choice;
mod entrusted;
pub(crate) mod handover;
mod limits;
mod read;
mod secret;
mod workplace;

#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::num::NonZeroU8;
use std::path::PathBuf;
use std::time::Duration;

use specwright_shared::id::{SandboxId, SpecId};
use specwright_shared::trace::TraceContext;
use uuid::Uuid;

pub use choice::{AgentChoice, Credential, GitHub, Start};
pub use limits::{LIMITS, check_limits};
pub use secret::Secret;

use crate::agent::User;
use crate::log::Format;
use crate::log::json::Fields;
use crate::spool::{SPOOL_MAX_BYTES_DEFAULT, SPOOL_MAX_BYTES_MIN};
use limits::Limits;
use read::Reader;

/// Variables of ours that programs started by us may have. Git gets all of these: among them are the
/// user's own ways to reach private repositories. The agent gets fewer (`agent::inherited`).
const HANDED_ON: [&str; 30] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
    "TZ",
    "TERM",
    "TMPDIR",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "SSH_AUTH_SOCK",
    "GIT_SSH_COMMAND",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "GIT_CONFIG_GLOBAL",
    "SPECWRIGHT_SANDBOX",
];

/// All settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The spec that is planned.
    pub spec_id: SpecId,
    /// Where its phases begin.
    pub start: Start,
    /// Who we are.
    pub sandbox_id: SandboxId,
    /// Our credential at the control API.
    pub sandbox_token: Secret,
    /// The control API's address up to and including `/api/v1`.
    pub control_api: reqwest::Url,
    /// Where the clone goes, or where the work is when the job names no repository.
    pub workspace_dir: PathBuf,
    /// Where the spool, the inbox and the agent's private files live.
    pub state_dir: PathBuf,
    /// Where documents are written.
    pub output_dir: PathBuf,
    /// Access to GitHub.
    pub github: GitHub,
    /// The agent.
    pub agent: AgentChoice,
    /// The user that it runs as; absent: ours.
    pub agent_user: Option<User>,
    /// What opens its model; absent where none is needed.
    pub credential: Option<Credential>,
    /// The model's address.
    pub model_base_url: String,
    /// The model that is asked for; absent: the agent's default.
    pub model: Option<String>,
    /// The agent's limit of turns.
    pub max_turns: Option<u32>,
    /// The job's budget in US dollars.
    pub max_budget_usd: Option<f64>,
    /// The limit of one attempt.
    pub phase_timeout: Duration,
    /// The limit of a tool call that declares none.
    pub tool_timeout: Duration,
    /// How long an agent at its turn may say nothing while no tool is at work.
    pub silence_timeout: Duration,
    /// The longest that an agent may take to answer an interrupt, or to begin with a message when it is
    /// idle (`AGENT_ANSWER_TIMEOUT`).
    pub answer_timeout: Duration,
    /// How long an open call of the model may bring no byte.
    pub model_silence_timeout: Duration,
    /// How long it may bring nothing but pings.
    pub model_ping_timeout: Duration,
    /// How long the job may wait, in all, for a model's service that takes no calls.
    pub model_park_timeout: Duration,
    /// Attempts per phase.
    pub max_attempts: NonZeroU8,
    /// What the spool may take on the disk.
    pub spool_max_bytes: u64,
    /// Whether to end when the parent process does.
    pub die_with_parent: bool,
    /// Whether a phase context came by the environment (it is not used).
    pub phase_context_given: bool,
    /// What programs that we start may have of our environment; no secret is among it.
    pub environment: Vec<(OsString, OsString)>,
    /// What is logged, as `tracing` reads it (`RUST_LOG`).
    pub log_filter: String,
    /// How it is written (`LOG_FORMAT`).
    pub log_format: Format,
    /// The request that this run is done for (`TRACEPARENT`); else the first step of a trace of its own.
    pub trace: TraceContext,
}

/// What is logged, before the settings as a whole are checked (`RUST_LOG`).
pub(crate) fn log_filter() -> String {
    std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned())
}

/// How it is written (`LOG_FORMAT`). A wrong value is the worker's to refuse.
pub(crate) fn log_format() -> Format {
    std::env::var("LOG_FORMAT").ok().and_then(|word| word.parse().ok()).unwrap_or_default()
}

/// What each JSON line of a supervisor's log says: whose worker it starts.
pub(crate) fn named() -> Fields {
    let set = |name: &str| std::env::var(name).ok();
    let context = set("TRACEPARENT").and_then(|context| context.parse::<TraceContext>().ok());
    let named = [
        ("sandbox", set("SANDBOX_ID")),
        ("spec", set("SPEC_ID")),
        ("trace_id", context.map(|context| context.trace.to_string())),
    ];
    Fields::of(named.into_iter().filter_map(|(name, value)| Some((name, value?))))
}

/// Whether this process is to end with its parent. A wrong value is the worker's to refuse.
pub(crate) fn dies_with_parent() -> bool {
    std::env::var_os("DIE_WITH_PARENT").is_some_and(|value| value == "1")
}

/// The process that started this one, by its own word (`PARENT_PID`).
pub(crate) fn parent() -> Option<i32> {
    std::env::var("PARENT_PID").ok()?.parse().ok()
}

/// Settings that were refused; one sentence each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct WrongSettings(pub Vec<String>);

impl fmt::Display for WrongSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl Config {
    /// Reads the settings of this process.
    ///
    /// # Errors
    /// [`WrongSettings`] with a sentence for each one that is missing or wrong.
    pub fn from_env() -> Result<Self, WrongSettings> {
        if !handover::are_on_stdin() {
            return Self::from_lookup(&|name| std::env::var_os(name));
        }
        let taken = handover::take().map_err(|error| {
            let from = handover::SECRETS_FROM;
            WrongSettings(vec![format!("{from}=stdin, but stdin cannot be read: {error}.")])
        })?;
        let secrets = handover::parse(&taken);
        Self::from_lookup(&|name| {
            secrets.get(OsStr::new(name)).cloned().or_else(|| std::env::var_os(name))
        })
    }

    /// Reads settings from anywhere.
    ///
    /// # Errors
    /// [`WrongSettings`] with a sentence for each one that is missing or wrong.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, WrongSettings> {
        let mut read = Reader::new(lookup);
        let environment = HANDED_ON
            .iter()
            .filter_map(|name| Some((OsString::from(name), lookup(name)?)))
            .collect();

        read.refuse_if_set(
            "TASK_ID",
            "this worker plans specs only; leave it out and give SPEC_ID",
        );
        let spec_id = read.needed("SPEC_ID", "a spec's UUID", |text| text.parse().ok());
        let start = read.or(
            "SPEC_PHASE",
            "`all` or one of explore, requirements, design, tasks, sync, complete",
            Start::AsTheJobSays,
            |text| {
                if text == "all" {
                    Some(Start::AsTheJobSays)
                } else {
                    text.parse().ok().map(Start::At)
                }
            },
        );
        let sandbox_id = read.needed("SANDBOX_ID", "a sandbox's UUID", |text| text.parse().ok());
        let sandbox_token = read.needed_secret("SANDBOX_TOKEN");
        let control_api = read.control_api();
        let (workspace_dir, state_dir, output_dir) = read.directories();
        let github = read.github();
        let credential = read.credential();
        let agent = read.agent();
        let agent_user = read.agent_user(
            &agent_user::System::here(),
            workspace_dir.as_deref(),
            [state_dir.as_deref(), output_dir.as_deref()],
        );
        let model_base_url = read.or(
            "ANTHROPIC_BASE_URL",
            "an http or https address",
            "https://api.anthropic.com".to_owned(),
            |text| read::web_address(text).map(|url| url.as_str().trim_end_matches('/').to_owned()),
        );
        let limits = Limits::read(&mut read);
        let spool_max_bytes = read.or(
            "SPOOL_MAX_BYTES",
            "a whole number of bytes, at least 4194304",
            SPOOL_MAX_BYTES_DEFAULT,
            |text| text.parse().ok().filter(|bytes| *bytes >= SPOOL_MAX_BYTES_MIN),
        );
        let die_with_parent = read.or("DIE_WITH_PARENT", "`1` or `0`", false, |text| match text {
            "1" => Some(true),
            "0" => Some(false),
            _ => None,
        });
        let log_filter =
            read.or("RUST_LOG", "a filter", "info".to_owned(), |text| Some(text.to_owned()));
        let log_format =
            read.or("LOG_FORMAT", "`text` or `json`", Format::Text, |word| word.parse().ok());
        // A name only: one that is none is no reason not to work.
        let trace = read.raw("TRACEPARENT").and_then(|context| context.to_str()?.parse().ok());
        let begun = || TraceContext::begun(Uuid::new_v4(), Uuid::new_v4());
        let phase_context_given = read.is_set("PHASE_CONTEXT_B64");

        // A value is absent only where a sentence about it was written.
        match (spec_id, sandbox_id, sandbox_token, control_api, workspace_dir, state_dir, agent) {
            (
                Some(spec_id),
                Some(sandbox_id),
                Some(sandbox_token),
                Some(control_api),
                Some(workspace_dir),
                Some(state_dir),
                Some(agent),
            ) if read.wrong.is_empty() => Ok(Self {
                spec_id,
                start,
                sandbox_id,
                sandbox_token,
                control_api,
                output_dir: output_dir.unwrap_or_else(|| state_dir.join("documents")),
                workspace_dir,
                state_dir,
                github,
                agent,
                agent_user,
                credential,
                model_base_url,
                model: limits.model,
                max_turns: limits.max_turns,
                max_budget_usd: limits.max_budget_usd,
                phase_timeout: limits.phase_timeout,
                max_attempts: limits.max_attempts,
                tool_timeout: limits.tool_timeout,
                silence_timeout: limits.silence_timeout,
                answer_timeout: limits.answer_timeout,
                model_silence_timeout: limits.model_silence_timeout,
                model_ping_timeout: limits.model_ping_timeout,
                model_park_timeout: limits.model_park_timeout,
                spool_max_bytes,
                die_with_parent,
                phase_context_given,
                environment,
                log_filter,
                log_format,
                trace: trace.unwrap_or_else(begun),
            }),
            _ => Err(WrongSettings(read.wrong)),
        }
    }

    /// What each JSON line of the log says of us.
    pub(crate) fn named(&self) -> Fields {
        Fields::of([
            ("sandbox", self.sandbox_id.to_string()),
            ("spec", self.spec_id.to_string()),
            ("trace_id", self.trace.trace.to_string()),
        ])
    }

    /// Every value that must never be written anywhere.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets = vec![self.sandbox_token.reveal().to_owned()];
        secrets.extend(self.github.token.iter().map(|token| token.reveal().to_owned()));
        secrets.extend(self.credential.iter().map(|key| key.secret().reveal().to_owned()));
        secrets
    }

    /// Where the agent has its own files. A user of its own cannot reach into STATE_DIR.
    #[must_use]
    pub fn agent_dir(&self) -> PathBuf {
        match &self.agent_user {
            None => self.state_dir.join("agent"),
            Some(_) => agent_user::beside(&self.workspace_dir),
        }
    }

    /// Takes these values out of all that is written down, shown or sent on.
    #[must_use]
    pub fn redactor(&self) -> specwright_shared::redact::Redactor {
        specwright_shared::redact::Redactor::new(self.secrets())
    }

    /// Whether no model is used.
    #[must_use]
    pub fn is_rehearsal(&self) -> bool {
        self.agent == AgentChoice::Rehearsal
    }
}
