//! What is said to a run, asked about it, and done to it.

use clap::Args;
use specwright_shared::phase::Phase;
use specwright_shared::wire::intervention::InterventionKind;

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
