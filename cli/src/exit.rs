//! How the command ends: exit codes, and failures as sentences. Both are part of the contract: the
//! codes stand in `--help`, and scripts rely on them.

use std::error::Error;
use std::process::ExitCode;

use specwright_control_api::client::ClientError;
use specwright_shared::wire::problem::ProblemType;
use specwright_worker::config::WrongSettings;

/// What the exit codes mean; the end of `--help` of what can end in all of these ways.
pub(crate) const HELP: &str = "\
Exit codes:
  0    done: the run (or the command) did what it was asked to do
  1    the run failed, or the control API could not do what was asked
  2    wrong usage: an argument, a path or an id is not what it should be
  3    the environment is not ready; `specwright doctor` says what is missing
  130  interrupted (Ctrl-C or SIGTERM)";

/// An exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The run completed; the command did its work.
    Done,
    /// The run failed.
    Failed,
    /// The arguments are wrong.
    Usage,
    /// Something that a run needs is missing.
    NotReady,
    /// Someone pressed Ctrl-C.
    Interrupted,
}

impl Exit {
    /// The number; 130 is what shells use for a command ended by Ctrl-C.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotReady => 3,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// A command that could not be done.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What, where, what would be right.
    sentence: String,
    /// What lies below.
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure in words.
    pub(crate) fn new(exit: Exit, sentence: impl Into<String>) -> Self {
        Self { exit, sentence: sentence.into(), source: None }
    }

    /// An error of an operation, with the exit code that it calls for.
    pub(crate) fn of(exit: Exit, error: impl Error + Send + Sync + 'static) -> Self {
        let sentence = error.to_string();
        // The sentence is the error's own; only what lies below it is a cause of its own.
        Self { exit, sentence, source: Some(Box::new(error)) }
    }

    /// The sentence, and each cause on its own line.
    pub(crate) fn report(&self) -> String {
        let mut report = format!("specwright: {}", self.sentence);
        let mut cause = self.source.as_deref().and_then(|own| own.source());
        while let Some(below) = cause {
            report.push_str(&format!("\n  because: {below}"));
            cause = below.source();
        }
        report
    }
}

impl From<WrongSettings> for Failure {
    fn from(wrong: WrongSettings) -> Self {
        Self::of(Exit::Usage, wrong)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = exit_of(&error);
        if error.problem() == Some(ProblemType::Unauthorized) {
            // Its own sentence is for who sends requests by hand.
            return Self::new(
                exit,
                "the control API does not know this token, or it has expired or was revoked; set \
                 SPECWRIGHT_TOKEN to another one",
            );
        }
        Self::of(exit, error)
    }
}

/// The exit code for a request that failed.
fn exit_of(error: &ClientError) -> Exit {
    match error {
        ClientError::Address { .. } | ClientError::Scheme { .. } => Exit::Usage,
        ClientError::Setup(_)
        | ClientError::Unreachable { .. }
        | ClientError::Gateway { .. }
        | ClientError::NoProblem { .. } => Exit::NotReady,
        ClientError::TimedOut { .. } | ClientError::Body { .. } => Exit::Failed,
        ClientError::Problem(problem) => match problem.kind {
            ProblemType::InvalidRequest | ProblemType::NotFound | ProblemType::TooLarge => {
                Exit::Usage
            }
            ProblemType::Unauthorized
            | ProblemType::Forbidden
            | ProblemType::RateLimited
            | ProblemType::NoSealKey => Exit::NotReady,
            ProblemType::MethodNotAllowed
            | ProblemType::AlreadyExecuting
            | ProblemType::IllegalTransition
            | ProblemType::Fenced
            | ProblemType::SandboxEnded
            | ProblemType::SequenceGap
            | ProblemType::InvalidEvent
            | ProblemType::GateRefused
            | ProblemType::CursorExpired
            | ProblemType::BreakerOpen
            | ProblemType::InterventionTooSoon
            | ProblemType::SandboxStartFailed
            | ProblemType::ProtocolMismatch
            | ProblemType::TimedOut
            | ProblemType::Unavailable
            | ProblemType::Internal => Exit::Failed,
        },
    }
}

#[cfg(test)]
mod tests {
    use specwright_shared::wire::problem::Problem;

    use super::*;

    #[test]
    fn every_code_that_exists_stands_in_the_help() {
        for exit in [Exit::Done, Exit::Failed, Exit::Usage, Exit::NotReady, Exit::Interrupted] {
            let line = format!("\n  {:<5}", exit.code());
            assert!(HELP.contains(&line), "{exit:?}");
        }
    }

    #[test]
    fn a_problem_ends_with_the_code_that_its_kind_calls_for() {
        let failure =
            |kind| Failure::from(ClientError::Problem(Box::new(Problem::new(kind, "no"))));
        let exit = |kind| failure(kind).exit.code();
        assert_eq!(exit(ProblemType::NotFound), 2);
        assert_eq!(exit(ProblemType::Unauthorized), 3);
        assert_eq!(exit(ProblemType::AlreadyExecuting), 1);
        assert!(failure(ProblemType::Unauthorized).report().contains("SPECWRIGHT_TOKEN"));
    }

    #[test]
    fn a_cause_is_told_once_below_its_sentence() {
        #[derive(Debug, thiserror::Error)]
        #[error("the file cannot be read")]
        struct Top(#[source] std::io::Error);
        let failure = Failure::of(Exit::Failed, Top(std::io::Error::other("disk on fire")));
        assert_eq!(
            failure.report(),
            "specwright: the file cannot be read\n  because: disk on fire"
        );
    }
}
