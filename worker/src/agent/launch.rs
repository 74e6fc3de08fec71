//! What an agent is started with, and the command line and environment that come of it.
//!
//! What holds: the environment is built from nothing; only names of [`INHERITED`] pass, and the only
//! credential in it is the gateway's dummy. Size never meets `argv`: the prompt goes over stdin, and
//! what must be an argument is bounded. The repository's own settings, hooks, servers and notes are
//! not loaded (`--setting-sources=`): an untrusted repository would otherwise run code. The CLI's
//! tools read its working directory and its own session, nothing else ([`PERMISSION_MODE`]).

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use serde_json::Value;
use specwright_shared::redact::Redactor;
use uuid::Uuid;

use super::private::{CONFIG_DIR, TMP_DIR};
use super::user::User;

/// The most bytes of schema and system prompt together. Linux takes 128 KiB per argument; this leaves
/// room for either alone and for what a wrapper script may add.
pub const ARGUMENTS_MAX_BYTES: usize = 96 * 1024;

/// The permission mode that we ask for and then verify. In it the CLI refuses, without a question that
/// nobody would answer, every call that no rule allows; we give no rule, so that what is left is its
/// own: the reading tools may look into the working directory and at the files of their own session;
/// links that lead out are not followed (ADR 14). Planning needs no more.
pub const PERMISSION_MODE: &str = "dontAsk";

/// Variables of ours that may pass to the agent: where things are and which language, time and
/// certificates apply, and the mark by which whoever made the sandbox finds its processes when we are
/// gone. Proxies do not pass (they carry passwords, and the gateway is on loopback).
pub const INHERITED: [&str; 16] = [
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
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "SPECWRIGHT_SANDBOX",
];

/// The variable that marks every process of one agent's tree.
pub(crate) const MARKER: &str = "SPECWRIGHT_AGENT";

/// A silent model connection is given up after this; the CLI's default is 300 s.
const BYTE_STREAM_IDLE_TIMEOUT_MS: &str = "90000";

/// Switches of the CLI: nothing phones home or updates itself, nothing outlives its turn, failures at
/// start are told on stdout, and only what we give it speaks to the model.
const SWITCHES: [(&str, &str); 8] = [
    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
    ("DISABLE_AUTOUPDATER", "1"),
    ("CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS", "1"),
    ("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1"),
    ("CLAUDE_CODE_STARTUP_FAILURE_RESULTS", "1"),
    ("CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS", BYTE_STREAM_IDLE_TIMEOUT_MS),
    ("CLAUDE_CODE_DISABLE_AUTO_MEMORY", "1"),
    ("CLAUDE_CODE_DISABLE_BUNDLED_SKILLS", "1"),
];

/// Which conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// A new one with this id.
    New(Uuid),
    /// An earlier one, from its transcript in the private directory.
    Resume(Uuid),
}

impl Session {
    /// The conversation's id.
    #[must_use]
    pub const fn id(self) -> Uuid {
        match self {
            Self::New(id) | Self::Resume(id) => id,
        }
    }
}

/// Everything that an agent's process is started with.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Arguments before ours, e.g. `rehearsal-agent`.
    pub leading_args: Vec<OsString>,
    /// Where it works.
    pub workdir: PathBuf,
    /// Its configuration, transcripts and temporary files; made with mode 0700.
    pub private_dir: PathBuf,
    /// The model; else the CLI's default.
    pub model: Option<String>,
    /// The conversation.
    pub session: Session,
    /// Appended to the CLI's own system prompt. Constant text: it is an argument.
    pub system_prompt: String,
    /// The JSON Schema of the output.
    pub schema: Value,
    /// The tools that it gets, and no others.
    pub tools: Vec<&'static str>,
    /// The most model calls per message.
    pub max_turns: Option<u32>,
    /// The most dollars of this process.
    pub max_budget_usd: Option<f64>,
    /// The gateway.
    pub base_url: String,
    /// The gateway's dummy key.
    pub dummy_key: String,
    /// Variables from [`inherited`].
    pub environment: Vec<(OsString, OsString)>,
    /// Takes known secrets out of its stderr.
    pub redactor: Redactor,
    /// The user that it runs as; else ours. One process has one agent of such a user at a time.
    pub user: Option<User>,
}

/// Why a launch is refused before anything starts.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Arguments would be too large.
    #[error(
        "schema ({schema} bytes) and system prompt ({system_prompt} bytes) are {ARGUMENTS_MAX_BYTES} \
         bytes at most together, since they are arguments; longer text belongs in the message"
    )]
    TooLarge {
        /// Bytes of the schema.
        schema: usize,
        /// Bytes of the system prompt.
        system_prompt: usize,
    },
    /// Arguments cannot hold a NUL.
    #[error("the {0} holds a NUL character, which no argument can")]
    Nul(&'static str),
    /// A variable that must not reach the agent.
    #[error("the variable `{0}` must not reach the agent; only the names in `INHERITED` may")]
    Variable(String),
}

/// Of these variables, those that may pass to the agent. Values are not looked at.
pub fn inherited(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    variables.into_iter().filter(|(name, _)| may_pass(name)).collect()
}

fn may_pass(name: &OsStr) -> bool {
    INHERITED.iter().any(|allowed| name == *allowed)
}

impl Launch {
    /// Where the CLI keeps its configuration and transcripts.
    pub(crate) fn config_dir(&self) -> PathBuf {
        self.private_dir.join(CONFIG_DIR)
    }

    /// Where the CLI and its tools put temporary files.
    pub(crate) fn tmp_dir(&self) -> PathBuf {
        self.private_dir.join(TMP_DIR)
    }

    /// The arguments after the leading ones. Values that could be taken for a flag or for nothing
    /// (`--resume` takes an optional one) stand behind `=`.
    pub(crate) fn arguments(&self) -> Result<Vec<OsString>, LaunchError> {
        let schema = self.schema.to_string();
        if schema.len() + self.system_prompt.len() > ARGUMENTS_MAX_BYTES {
            let system_prompt = self.system_prompt.len();
            return Err(LaunchError::TooLarge { schema: schema.len(), system_prompt });
        }
        for (what, text) in [
            ("system prompt", self.system_prompt.as_str()),
            ("name of the model", self.model.as_deref().unwrap_or_default()),
        ] {
            if text.contains('\0') {
                return Err(LaunchError::Nul(what));
            }
        }
        let mut all: Vec<String> = [
            "-p",
            "--input-format=stream-json",
            "--output-format=stream-json",
            "--verbose",
            "--replay-user-messages",
            "--setting-sources=",
            "--strict-mcp-config",
            "--system-prompt-snapshot=off",
        ]
        .map(str::to_owned)
        .to_vec();
        all.push(format!("--permission-mode={PERMISSION_MODE}"));
        all.push(match self.session {
            Session::New(id) => format!("--session-id={id}"),
            Session::Resume(id) => format!("--resume={id}"),
        });
        all.push(format!("--append-system-prompt={}", self.system_prompt));
        all.push(format!("--json-schema={schema}"));
        all.push(format!("--tools={}", self.tools.join(",")));
        all.extend(self.model.iter().map(|model| format!("--model={model}")));
        all.extend(self.max_turns.map(|turns| format!("--max-turns={turns}")));
        all.extend(self.max_budget_usd.map(|usd| format!("--max-budget-usd={usd}")));
        Ok(self.leading_args.iter().cloned().chain(all.into_iter().map(OsString::from)).collect())
    }

    /// The whole environment of the process.
    pub(crate) fn variables(&self, marker: Uuid) -> Result<Vec<(OsString, OsString)>, LaunchError> {
        if let Some((name, _)) = self.environment.iter().find(|(name, _)| !may_pass(name)) {
            return Err(LaunchError::Variable(name.to_string_lossy().into_owned()));
        }
        let mut all = self.environment.clone();
        let mut set = |name: &str, value: &OsStr| all.push((name.into(), value.into()));
        for (name, value) in SWITCHES {
            set(name, value.as_ref());
        }
        set("CLAUDE_CONFIG_DIR", self.config_dir().as_ref());
        set("CLAUDE_CODE_TMPDIR", self.tmp_dir().as_ref());
        set("ANTHROPIC_BASE_URL", self.base_url.as_ref());
        set("ANTHROPIC_API_KEY", self.dummy_key.as_ref());
        set(MARKER, marker.to_string().as_ref());
        if let Some(user) = &self.user {
            // Ours would be closed to it.
            set("HOME", self.private_dir.as_ref());
            set("USER", user.name.as_ref());
            set("LOGNAME", user.name.as_ref());
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn launch() -> Launch {
        Launch {
            program: "/bin/claude".into(),
            leading_args: vec!["rehearsal-agent".into()],
            workdir: "/work".into(),
            private_dir: "/private".into(),
            model: None,
            session: Session::Resume(Uuid::nil()),
            system_prompt: "--not a flag".into(),
            schema: json!({"type": "object"}),
            tools: vec!["Read", "Glob"],
            max_turns: Some(7),
            max_budget_usd: Some(1.5),
            base_url: "http://127.0.0.1:1".into(),
            dummy_key: "dummy".into(),
            environment: vec![("PATH".into(), "/bin".into())],
            redactor: Redactor::default(),
            user: None,
        }
    }

    #[test]
    fn arguments_are_the_measured_set_with_values_behind_an_equals_sign() {
        let arguments: Vec<_> = launch()
            .arguments()
            .unwrap()
            .into_iter()
            .map(|argument| argument.into_string().unwrap())
            .collect();
        assert_eq!(arguments[0], "rehearsal-agent");
        for expected in [
            "-p",
            "--setting-sources=",
            "--permission-mode=dontAsk",
            "--resume=00000000-0000-0000-0000-000000000000",
            "--append-system-prompt=--not a flag",
            r#"--json-schema={"type":"object"}"#,
            "--tools=Read,Glob",
            "--max-turns=7",
            "--max-budget-usd=1.5",
        ] {
            assert!(arguments.iter().any(|argument| argument == expected), "{expected} is missing");
        }
        assert!(!arguments.iter().any(|argument| argument.starts_with("--model")));
    }

    #[test]
    fn what_the_cli_would_do_unasked_is_switched_off() {
        let launch = launch();
        let arguments = launch.arguments().unwrap();
        for switch in ["--setting-sources=", "--strict-mcp-config", "--system-prompt-snapshot=off"]
        {
            assert!(arguments.iter().any(|argument| argument == switch), "{switch} is missing");
        }
        let variables = launch.variables(Uuid::nil()).unwrap();
        for name in [
            "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
            "CLAUDE_CODE_DISABLE_AUTO_MEMORY",
            "DISABLE_AUTOUPDATER",
        ] {
            assert!(variables.contains(&(name.into(), "1".into())), "{name} is missing");
        }
    }

    #[test]
    fn large_arguments_are_refused_before_anything_starts() {
        let mut launch = launch();
        launch.system_prompt = "x".repeat(ARGUMENTS_MAX_BYTES - 17);
        assert!(launch.arguments().is_ok());
        launch.system_prompt.push('x');
        let refusal = launch.arguments().unwrap_err().to_string();
        assert!(refusal.contains("98304 bytes at most"), "{refusal}");
        launch.system_prompt = "a\0b".into();
        assert!(matches!(launch.arguments(), Err(LaunchError::Nul("system prompt"))));
    }

    #[test]
    fn only_allowed_variables_pass_and_the_dummy_is_the_only_key() {
        let mut launch = launch();
        let variables = launch.variables(Uuid::nil()).unwrap();
        let value = |wanted: &str| {
            variables.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone())
        };
        assert_eq!(value("ANTHROPIC_API_KEY"), Some("dummy".into()));
        assert_eq!(value("CLAUDE_CONFIG_DIR"), Some("/private/config".into()));
        // With it the CLI would let root bypass all permissions.
        assert_eq!(value("IS_SANDBOX"), None);

        launch.environment.push(("GITHUB_TOKEN".into(), "s3cret".into()));
        let refusal = launch.variables(Uuid::nil()).unwrap_err().to_string();
        assert!(refusal.contains("GITHUB_TOKEN") && !refusal.contains("s3cret"), "{refusal}");
        assert_eq!(inherited(launch.environment), [("PATH".into(), "/bin".into())]);
    }
}
