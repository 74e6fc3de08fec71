//! The control API as a server of its own, and copies of its database.

use std::path::PathBuf;

use clap::Args;

/// `serve`
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8137")]
    pub(crate) listen: String,
    /// Database [env: SPECWRIGHT_DATABASE_URL] [default: a SQLite file in the data directory]
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<String>,
    /// Let others reach it without TLS: every token then travels in the clear. Better: listen on
    /// 127.0.0.1 behind a proxy with TLS
    #[arg(long)]
    pub(crate) plain_http: bool,
    /// Let every user plan for repositories that are directories of this machine, or in its network
    /// [default: administrators only]
    #[arg(long)]
    pub(crate) local_repositories: bool,
    /// Give every user's runs here this process's own keys: GITHUB_TOKEN, SSH_AUTH_SOCK,
    /// ANTHROPIC_API_KEY, CLAUDE_CODE_OAUTH_TOKEN [default: only what `specwright credential set`
    /// keeps]
    #[arg(long)]
    pub(crate) own_keys: bool,
    /// Requests that one token may send, in the long run [default: 100]
    #[arg(long, value_name = "PER_SECOND", env = "SPECWRIGHT_REQUESTS_PER_SECOND", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) requests: Option<u32>,
    /// Events that one sandbox may send, in the long run [default: 2000]
    #[arg(long, value_name = "PER_SECOND", env = "SPECWRIGHT_EVENTS_PER_SECOND", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) events: Option<u32>,
    /// Address at which workers reach it, when a proxy stands before it [default: the one that is
    /// listened on]
    #[arg(long, value_name = "URL", env = "SPECWRIGHT_PUBLIC_URL")]
    pub(crate) public_url: Option<String>,
    /// How long to wait at the start for a PostgreSQL server that is not there yet [default: 60]
    #[arg(long, value_name = "SECONDS", env = "SPECWRIGHT_DATABASE_WAIT", value_parser = clap::value_parser!(u64).range(..=86_400))]
    pub(crate) database_wait: Option<u64>,
    /// How long events stay as they are before they are packed; they can be read as before
    /// [default: for ever]
    #[arg(long, value_name = "DAYS", env = "SPECWRIGHT_KEEP_EVENTS", value_parser = clap::value_parser!(u64).range(1..=36_500))]
    pub(crate) keep_events: Option<u64>,
    /// How long a sandbox may be silent before it counts as lost; its heartbeats come several times
    /// as often [default: 90]
    #[arg(long, value_name = "SECONDS", env = "SPECWRIGHT_LEASE", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) lease: Option<u64>,
    /// Limits and steps of the idle monitor that are not to be the default ones, e.g.
    /// '{"idle_s": 300, "restarts": 0}'
    #[arg(long, value_name = "JSON", env = "SPECWRIGHT_LIVENESS")]
    pub(crate) liveness: Option<String>,
    /// How much guardians may do, and whether the built-in one watches, e.g. '{"on": true}'
    #[arg(long, value_name = "JSON", env = "SPECWRIGHT_GUARDIAN")]
    pub(crate) guardian: Option<String>,
    /// How the log is written, here and by workers: text or json. What is logged is said by
    /// SPECWRIGHT_LOG, e.g. `warn` or `info,specwright_control_api=debug`
    #[arg(long, value_name = "FORMAT", env = "SPECWRIGHT_LOG_FORMAT", default_value = "text")]
    pub(crate) log: LogFormat,
}

/// How a log is written.
pub(crate) type LogFormat = specwright_worker::log::Format;

/// `backup`
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// File to make; one that is there is not written over
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Database to copy [env: SPECWRIGHT_DATABASE_URL] [default: the SQLite file in the data
    /// directory]
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<String>,
}

/// `restore`
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// Copy that `specwright backup` made
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Database to replace [env: SPECWRIGHT_DATABASE_URL] [default: the SQLite file in the data
    /// directory]
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<String>,
}
