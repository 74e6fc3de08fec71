//! The command line, as clap reads it.
//!
//! `supervise`, `worker` and `rehearsal-agent` are not here: they are what sandboxes run, not people, and `main`
//! takes them before anything of this is looked at. Nor is the environment read here: clap would take
//! an empty variable for a value, and show options in its usage line that nobody gave.

pub(crate) mod access;
#[cfg(test)]
mod named;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use specwright_shared::phase::Phase;
use specwright_shared::wire::intervention::InterventionKind;

use crate::args::access::{AuditArgs, CredentialCommand, MemberCommand, TokenCommand, UserCommand};
use crate::exit;

/// The variables that are not options, too; the end of `--help`.
const ENVIRONMENT: &str = "\
Environment:
  ANTHROPIC_API_KEY, CLAUDE_CODE_OAUTH_TOKEN  key for the model; one is enough
                          (runs of `serve` have it with --own-keys only)
  SPECWRIGHT_TOKEN        token for --server
  SPECWRIGHT_OWNER_TOKEN  owner token for `serve` [default: made at first start]
  SPECWRIGHT_SEAL_KEY     keys that seal credentials, newest first: 32 bytes as
                          base64 or hex, commas between them; or in the file that
                          SPECWRIGHT_SEAL_KEY_FILE names, one on a line
  SPECWRIGHT_CREDENTIAL_CHECK  `ask` GitHub (at GITHUB_API_URL) and the model's
                          API (at ANTHROPIC_BASE_URL) whether a credential is
                          good before it is kept, or look at its `form` alone
                          [default: ask]
  SPECWRIGHT_CONFIG_DIR   where the owner token is kept
                          [default: $XDG_CONFIG_HOME/specwright]
  NO_COLOR                no colour";

/// From an idea to a verified spec and tickets, by coding agents in sandboxes.
#[derive(Debug, Parser)]
#[command(
    name = "specwright",
    version,
    after_help = format!("{}\n\n{ENVIRONMENT}", exit::HELP),
    max_term_width = 80
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Control API to talk to; without it, one is started inside this command [env: SPECWRIGHT_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// Where specs, documents and logs are kept [env: SPECWRIGHT_DATA_DIR] [default:
    /// $XDG_DATA_HOME/specwright]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an idea through all phases, to a verified spec and tickets
    #[command(after_help = exit::HELP)]
    Launch(LaunchArgs),
    /// Go on with a spec whose run failed or was stopped
    #[command(after_help = exit::HELP)]
    Resume(ResumeArgs),
    /// List the specs
    List,
    /// Show a spec: phases, documents, tickets, coverage
    Show(SpecArg),
    /// Show what happened to a spec so far, then what happens now
    Watch(SpecArg),
    /// Show the board: tickets and their tasks
    Board,
    /// Say something to a running agent, and wait until it has seen it
    Say(SayArgs),
    /// Break off what a running agent is doing, and tell it why and to go on
    Interrupt(InterruptArgs),
    /// Show what an agent has done so far, condensed as a guardian gets it
    Trajectory(TrajectoryArgs),
    /// Intervene in a run as a guardian does: within ceilings, and with an outcome
    Intervene(InterveneArgs),
    /// End a run after the phase at work; the spec can be resumed
    Pause(SpecArg),
    /// Stop a run; the spec can be resumed
    Stop(StopArgs),
    /// Keep a sandbox from being ended for its verdict, to look into it
    Hold(HoldArgs),
    /// Let a held sandbox go again
    Release(RunArg),
    /// Let a spec that has used up its starts or its money go on
    ResetBreaker(SpecArg),
    /// Users of the control API (administrators)
    #[command(subcommand)]
    User(UserCommand),
    /// Tokens that open the control API
    #[command(subcommand)]
    Token(TokenCommand),
    /// Who belongs to a project
    #[command(subcommand)]
    Member(MemberCommand),
    /// Keys that runs are given: of a project, or of yours
    #[command(subcommand)]
    Credential(CredentialCommand),
    /// Who did what
    Audit(AuditArgs),
    /// Run the control API for others to use
    Serve(ServeArgs),
    /// Copy the SQLite database into a file, also while it is being used
    Backup(BackupArgs),
    /// Put a copy in the place of the SQLite database, which is kept beside it
    Restore(RestoreArgs),
    /// Check everything that a run needs, each line with its remedy
    Doctor(DoctorArgs),
}

/// Which agent does the work.
#[derive(Debug, Clone, Args)]
pub(crate) struct AgentArgs {
    /// `claude`, `rehearsal` (no model, no key), or a program that speaks the same protocol
    #[arg(long, value_name = "AGENT", default_value = "claude")]
    pub(crate) agent: String,
}

/// `launch`
#[derive(Debug, Args)]
pub(crate) struct LaunchArgs {
    /// The idea, in a sentence or many; `-` reads it from stdin
    #[arg(value_name = "IDEA")]
    pub(crate) idea: String,
    /// Repository to plan for [default: the git work tree around the current directory]
    #[arg(long, value_name = "PATH|URL")]
    pub(crate) repo: Option<String>,
    /// Project that it belongs to: its id, a beginning of it, or its name [default: yours, named
    /// after the repository]
    #[arg(long, value_name = "PROJECT")]
    pub(crate) project: Option<String>,
    /// A short title [default: the idea's first line]
    #[arg(long)]
    pub(crate) title: Option<String>,
    #[command(flatten)]
    pub(crate) agent: AgentArgs,
    /// Model for the agent [default: the agent's own]
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// Last phase to do: explore, requirements, design, tasks, sync or complete
    #[arg(long, value_name = "PHASE")]
    pub(crate) until: Option<Phase>,
    /// How often a run whose sandbox is lost, or stuck, goes on in another one [default: once]
    #[arg(long, value_name = "TIMES")]
    pub(crate) restarts: Option<u8>,
    /// Let the built-in guardian nudge the agent when it goes round in circles
    #[arg(long)]
    pub(crate) guardian: bool,
}

/// `resume`
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// The spec: its id, or a beginning of it that no other id has
    #[arg(value_name = "SPEC")]
    pub(crate) spec: String,
    /// Phase to start at; its output and all later ones are made anew [default: the first phase
    /// that was not accepted]
    #[arg(long, value_name = "PHASE")]
    pub(crate) from: Option<Phase>,
    /// Last phase to do
    #[arg(long, value_name = "PHASE")]
    pub(crate) until: Option<Phase>,
    /// How often a run whose sandbox is lost, or stuck, goes on in another one [default: once]
    #[arg(long, value_name = "TIMES")]
    pub(crate) restarts: Option<u8>,
    /// Let the built-in guardian nudge the agent when it goes round in circles
    #[arg(long)]
    pub(crate) guardian: bool,
    /// Another agent than last time: `claude`, `rehearsal`, or a program
    #[arg(long, value_name = "AGENT")]
    pub(crate) agent: Option<String>,
    /// Model for the agent [default: the agent's own]
    #[arg(long)]
    pub(crate) model: Option<String>,
}

/// A spec.
#[derive(Debug, Args)]
pub(crate) struct SpecArg {
    /// The spec: its id, or a beginning of it that no other id has
    #[arg(value_name = "SPEC")]
    pub(crate) spec: String,
}

/// `say`
#[derive(Debug, Args)]
pub(crate) struct SayArgs {
    /// The spec or sandbox: its id, or a beginning of it that no other id has
    #[arg(value_name = "SPEC|SANDBOX")]
    pub(crate) to: String,
    /// What to say
    #[arg(value_name = "TEXT")]
    pub(crate) text: String,
    /// At once: what the agent is doing is broken off
    #[arg(long, conflicts_with = "later")]
    pub(crate) now: bool,
    /// After what the agent is doing [default: at its next tool call]
    #[arg(long)]
    pub(crate) later: bool,
    /// Phase that it is meant for: it waits for that one, and is refused when it has passed
    #[arg(long, value_name = "PHASE")]
    pub(crate) phase: Option<Phase>,
    /// It is worth nothing after this time, and is not given to the agent any more
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=604_800))]
    pub(crate) within: Option<u64>,
}

/// `interrupt`
#[derive(Debug, Args)]
pub(crate) struct InterruptArgs {
    /// The spec or sandbox: its id, or a beginning of it that no other id has
    #[arg(value_name = "SPEC|SANDBOX")]
    pub(crate) to: String,
    /// What the agent is told then
    #[arg(
        value_name = "TEXT",
        default_value = "Look again at what you were doing before you go on."
    )]
    pub(crate) text: String,
    /// Drop messages that the agent has queued and not taken up
    #[arg(long)]
    pub(crate) drop_queued: bool,
}

/// `trajectory`
#[derive(Debug, Args)]
pub(crate) struct TrajectoryArgs {
    /// The spec or sandbox: its id, or a beginning of it that no other id has
    #[arg(value_name = "SPEC|SANDBOX")]
    pub(crate) of: String,
    /// Steps behind this cursor only, which an earlier trajectory told
    #[arg(long, value_name = "CURSOR")]
    pub(crate) since: Option<String>,
}

/// `intervene`
#[derive(Debug, Args)]
pub(crate) struct InterveneArgs {
    /// The spec or sandbox: its id, or a beginning of it that no other id has
    #[arg(value_name = "SPEC|SANDBOX")]
    pub(crate) to: String,
    /// nudge, interrupt, redirect, park or stop
    #[arg(value_name = "KIND")]
    pub(crate) kind: InterventionKind,
    /// Why, in one line
    #[arg(long, value_name = "REASON")]
    pub(crate) because: String,
    /// What shows it
    #[arg(long, value_name = "TEXT")]
    pub(crate) evidence: String,
    /// What the agent is told [default: the reason]
    #[arg(long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
}

/// `stop`
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// The spec: its id, or a beginning of it that no other id has
    #[arg(value_name = "SPEC")]
    pub(crate) spec: String,
    /// End the sandbox at once instead of asking it to stop
    #[arg(long)]
    pub(crate) force: bool,
}

/// `hold`
#[derive(Debug, Args)]
pub(crate) struct HoldArgs {
    /// The spec or sandbox: its id, or a beginning of it that no other id has
    #[arg(value_name = "SPEC|SANDBOX")]
    pub(crate) of: String,
    /// Why, in one line
    #[arg(long, value_name = "REASON")]
    pub(crate) because: String,
    /// For how long; at most a day
    #[arg(long, value_name = "MINUTES", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=1_440))]
    pub(crate) minutes: u64,
}

/// A run.
#[derive(Debug, Args)]
pub(crate) struct RunArg {
    /// The spec or sandbox: its id, or a beginning of it that no other id has
    #[arg(value_name = "SPEC|SANDBOX")]
    pub(crate) of: String,
}

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

/// `doctor`
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) agent: AgentArgs,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_is_the_documented_one() {
        insta::assert_snapshot!(Cli::command().term_width(80).render_long_help());
    }

    #[test]
    fn every_command_takes_json() {
        for line in [
            "specwright launch --json idea",
            "specwright resume --json 01",
            "specwright list --json",
            "specwright show --json 01",
            "specwright watch --json 01",
            "specwright board --json",
            "specwright say 01 text --json",
            "specwright interrupt 01 --json",
            "specwright trajectory 01 --json --since 7",
            "specwright intervene 01 nudge --json --because b --evidence e",
            "specwright pause 01 --json",
            "specwright stop 01 --json",
            "specwright hold 01 --json --because why --minutes 5",
            "specwright release 01 --json",
            "specwright reset-breaker 01 --json",
            "specwright user list --json",
            "specwright token create --json ci --kind readonly --project p --days 30",
            "specwright member set --json p ada viewer",
            "specwright credential set --json github_token --project p",
            "specwright audit --json",
            "specwright serve --json",
            "specwright doctor --json",
        ] {
            assert!(parse(line).unwrap().global.json, "{line}");
        }
    }

    #[test]
    fn a_wrong_phase_is_refused_with_the_right_ones() {
        let error = parse("specwright launch --until prd idea").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("explore, requirements, design"), "{error}");
    }

    #[test]
    fn now_and_later_exclude_one_another() {
        assert_eq!(parse("specwright say 01 text --now --later").unwrap_err().exit_code(), 2);
    }
}
