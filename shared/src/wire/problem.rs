//! Errors as `application/problem+json` (RFC 9457) with a stable `type`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

macro_rules! problem_types {
    ($($(#[$doc:meta])* $name:ident = $status:literal, $word:literal, $title:literal;)*) => {
        /// The kinds of problem that a client can tell apart. The list is part of the contract.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum ProblemType {
            $($(#[$doc])* #[serde(rename = $word)] $name,)*
        }

        impl ProblemType {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The `type` member.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// The HTTP status that goes with it.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// The `title` member.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

problem_types! {
    /// The body, a query parameter or a path segment is not what the route takes.
    InvalidRequest = 422, "invalid-request", "The request is not what this route takes";
    /// No token, or one that nobody knows.
    Unauthorized = 401, "unauthorized", "A valid token is needed";
    /// The token is known but not for this.
    Forbidden = 403, "forbidden", "This token does not open this route";
    /// No such thing, or not for this token.
    NotFound = 404, "not-found", "There is no such thing";
    /// The path exists, the method does not.
    MethodNotAllowed = 405, "method-not-allowed", "This route does not take this method";
    /// The body is larger than the route allows.
    TooLarge = 413, "too-large", "The request is too large";
    /// The spec is being executed already.
    AlreadyExecuting = 409, "already-executing", "The spec is being executed already";
    /// The state does not allow this transition.
    IllegalTransition = 409, "illegal-transition", "The state does not allow this";
    /// The spec has used up its starts or what it may cost; the detail says which, and the remedy.
    BreakerOpen = 409, "breaker-open", "The spec has used up what it may";
    /// A newer generation of this sandbox exists; the caller has to stop.
    Fenced = 409, "fenced", "A newer generation of this sandbox took over";
    /// The sandbox has ended; nothing more is taken.
    SandboxEnded = 409, "sandbox-ended", "The sandbox has ended";
    /// A sequence number was left out; `seq` says which comes next.
    SequenceGap = 409, "sequence-gap", "A sequence number is missing";
    /// An event of a known type has a wrong body; `seq` says which.
    InvalidEvent = 422, "invalid-event", "An event's body does not fit its type";
    /// A reported output fails its own gate when checked again.
    GateRefused = 422, "gate-refused", "The output does not pass its gate";
    /// What stood behind this cursor is gone, or the cursor is of another life of the database;
    /// `oldest` is the cursor to go on from.
    CursorExpired = 410, "cursor-expired", "The cursor is no longer valid";
    /// A sandbox could not be started.
    SandboxStartFailed = 502, "sandbox-start-failed", "The sandbox could not be started";
    /// The worker speaks another protocol version.
    ProtocolMismatch = 409, "protocol-mismatch", "Worker and control API speak different versions";
    /// More requests or events than this token may send, or more streams than it may have open;
    /// `Retry-After` says when the next is taken.
    RateLimited = 429, "rate-limited", "Too many requests";
    /// Guardians have done enough to this sandbox for now; `Retry-After` says when the next is taken.
    InterventionTooSoon = 429, "intervention-too-soon", "Guardians have done enough for now";
    /// Credentials cannot be kept or opened: this control API has no key for them, or a wrong one.
    NoSealKey = 409, "no-seal-key", "Credentials cannot be kept here";
    /// Took longer than the route allows.
    TimedOut = 503, "timed-out", "The request took too long";
    /// The database is away or busy, or a run's credentials cannot be opened just now, so that its events
    /// cannot be cleaned of them; `Retry-After` says when to come again.
    Unavailable = 503, "unavailable", "This cannot be done just now";
    /// A fault of ours; the log has the details under the same request id.
    Internal = 500, "internal", "Something went wrong on our side";
}

/// A problem, as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Which kind.
    #[serde(rename = "type")]
    pub kind: ProblemType,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// This case in words: what, where, what would be right.
    pub detail: String,
    /// With [`ProblemType::SequenceGap`]: the next number that is taken. With
    /// [`ProblemType::InvalidEvent`] and [`ProblemType::GateRefused`]: the number of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// With [`ProblemType::CursorExpired`]: the cursor before the oldest event that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<String>,
}

impl Problem {
    /// A problem of a kind, with this case in words.
    #[must_use]
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self {
            kind,
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: detail.into(),
            seq: None,
            oldest: None,
        }
    }

    /// The same with a sequence number.
    #[must_use]
    pub fn at_seq(self, seq: u64) -> Self {
        Self { seq: Some(seq), ..self }
    }
}
