//! What can go wrong between a client and the control API.

use specwright_shared::wire::problem::{Problem, ProblemType};

/// Why a text is no URL.
pub type NoUrl = <reqwest::Url as std::str::FromStr>::Err;

/// A request that got no useful answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address of the control API is no URL.
    #[error("`{url}` is not the address of a control API; it looks like http://127.0.0.1:8137")]
    Address {
        /// What was given.
        url: String,
        /// What is wrong with it.
        source: NoUrl,
    },
    /// The address has a scheme that is not HTTP, or no host.
    #[error("`{url}` is not the address of a control API; it starts with http:// or https://")]
    Scheme {
        /// What was given.
        url: String,
    },
    /// The HTTP client itself cannot be set up.
    #[error("the HTTP client cannot be set up; are the system's root certificates installed?")]
    Setup(#[source] reqwest::Error),
    /// No connection, or it broke.
    #[error("the control API at {base} cannot be reached; is `specwright serve` running there?")]
    Unreachable {
        /// The address.
        base: String,
        /// What the connection said.
        source: reqwest::Error,
    },
    /// No answer in time.
    #[error("the control API at {base} did not answer {method} {path} in time; try again")]
    TimedOut {
        /// The address.
        base: String,
        /// The method.
        method: &'static str,
        /// The path.
        path: String,
        /// What the connection said.
        source: reqwest::Error,
    },
    /// The control API refused, and said why.
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    /// A proxy answered that it did not reach the control API, or lost it.
    #[error(
        "the proxy at {base} reached no control API for {method} {path} (HTTP {status}); {}",
        if *method == "GET" { "try again in a moment" } else { "look whether it was done, else try again" }
    )]
    Gateway {
        /// The address.
        base: String,
        /// The method.
        method: &'static str,
        /// The path.
        path: String,
        /// The HTTP status.
        status: u16,
    },
    /// Something refused, but not in the control API's words.
    #[error(
        "{base} answered {method} {path} with HTTP {status} and without {expected}, so this is not \
         a control API, or a proxy stands in between; it said: {body}"
    )]
    NoProblem {
        /// The address.
        base: String,
        /// The method.
        method: &'static str,
        /// The path.
        path: String,
        /// The HTTP status.
        status: u16,
        /// The media type that a refusal has.
        expected: &'static str,
        /// The beginning of what came.
        body: String,
    },
    /// The answer is not what the route gives.
    #[error(
        "the control API at {base} answered {method} {path} with something this version does not \
         read; use the same version of specwright on both sides"
    )]
    Body {
        /// The address.
        base: String,
        /// The method.
        method: &'static str,
        /// The path.
        path: String,
        /// What does not fit.
        source: serde_json::Error,
    },
}

impl ClientError {
    /// Which kind of problem the control API named, if it did.
    #[must_use]
    pub fn problem(&self) -> Option<ProblemType> {
        match self {
            Self::Problem(problem) => Some(problem.kind),
            _ => None,
        }
    }

    /// The cursor to go on from, where the one that was given is no longer valid.
    pub(super) fn oldest(&self) -> Option<&str> {
        match self {
            Self::Problem(problem) if problem.kind == ProblemType::CursorExpired => {
                problem.oldest.as_deref()
            }
            _ => None,
        }
    }

    /// Whether the same request may well succeed in a moment.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Gateway { .. } => true,
            Self::Problem(problem) => {
                matches!(problem.kind, ProblemType::TimedOut | ProblemType::Unavailable)
            }
            Self::NoProblem { status, .. } => *status == 429,
            Self::Address { .. } | Self::Scheme { .. } | Self::Setup(_) | Self::Body { .. } => {
                false
            }
        }
    }
}
