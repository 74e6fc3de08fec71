//! The command line, as clap reads it.
//!
//! `supervise`, `worker` and `rehearsal-agent` are not here: they are what sandboxes run, not people, and `main`
//! takes them before anything of this is looked at. Nor is the environment read here: clap would take
//! an empty variable for a value, and show options in its usage line that nobody gave.

pub(crate) mod access;
#[cfg(test)]
mod named;
pub(crate) mod server;
pub(crate) mod steering;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use specwright_shared::phase::Phase;

use crate::args::access::{AuditArgs, CredentialCommand, MemberCommand, TokenCommand, UserCommand};
use crate::args::server::{BackupArgs, RestoreArgs, ServeArgs};
use crate::args::steering::{
    HoldArgs, InterruptArgs, InterveneArgs, SayArgs, StopArgs, TrajectoryArgs,
};
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

/// A run.
#[derive(Debug, Args)]
pub(crate) struct RunArg {
    /// The spec or sandbox: its id, or a beginning of it that no other id has
    #[arg(value_name = "SPEC|SANDBOX")]
    pub(crate) of: String,
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
