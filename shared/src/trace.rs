//! Trace context (W3C, level 1): what a request, the run that it started and the messages into that
//! run have in common, so that each can be found from the other.
//!
//! What holds: what was parsed is valid and is written as it came, in lower case; an id is never
//! zero. A context from outside is believed as a name only: nothing is allowed because of it.
//!
//! Deliberately absent: `tracestate`. It is for vendors who want their own words back, and we hand
//! none on.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::num::{NonZeroU64, NonZeroU128};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The header that carries it, both ways, and in capitals the variable that a worker gets.
pub const TRACEPARENT: &str = "traceparent";

/// How long a context of version 00 is; later versions may only add behind it.
const LENGTH: usize = 55;

/// Why a context, or an id of one, was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// Not the id of a trace.
    #[error("a trace id is 32 hexadecimal digits in lower case, not all of them 0")]
    Trace,
    /// Not a context.
    #[error(
        "a trace context is `00-TRACE-SPAN-01`: 32 and 16 hexadecimal digits in lower case, not \
         all of them 0"
    )]
    Context,
}

/// The name of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceId(NonZeroU128);

/// The name of a step in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(NonZeroU64);

/// Where in which trace something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// The step.
    pub span: SpanId,
    /// Whether who began the trace keeps it.
    pub sampled: bool,
}

impl TraceId {
    /// From the 16 bytes of a UUID; `None` for the nil one.
    #[must_use]
    pub fn of(uuid: Uuid) -> Option<Self> {
        NonZeroU128::new(uuid.as_u128()).map(Self)
    }

    /// The same bytes, for the store.
    #[must_use]
    pub const fn as_uuid(self) -> Uuid {
        Uuid::from_u128(self.0.get())
    }

    /// The same as a number.
    #[must_use]
    pub const fn get(self) -> u128 {
        self.0.get()
    }
}

impl SpanId {
    /// The same as a number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl TraceContext {
    /// Of two numbers; `None` when one is 0.
    #[must_use]
    pub fn of(trace: u128, span: u64, sampled: bool) -> Option<Self> {
        let (trace, span) = (NonZeroU128::new(trace)?, NonZeroU64::new(span)?);
        Some(Self { trace: TraceId(trace), span: SpanId(span), sampled })
    }

    /// A new trace. Each name is made of a random UUID of its own.
    #[must_use]
    pub fn begun(trace: Uuid, span: Uuid) -> Self {
        let trace = TraceId(NonZeroU128::new(trace.as_u128()).unwrap_or(NonZeroU128::MIN));
        Self { trace, span: SpanId(random(span)), sampled: true }
    }

    /// The next step of the same trace, named after a random UUID.
    #[must_use]
    pub fn step(self, span: Uuid) -> Self {
        Self { span: SpanId(random(span)), ..self }
    }
}

/// The half of a UUID that says nothing of its version.
fn random(uuid: Uuid) -> NonZeroU64 {
    NonZeroU64::new(uuid.as_u64_pair().1).unwrap_or(NonZeroU64::MIN)
}

fn digits(text: &str, length: usize) -> Option<&str> {
    let lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == length && text.bytes().all(lower)).then_some(text)
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl TraceContext {
    /// What the header `traceparent` says.
    #[must_use]
    pub fn header(&self) -> String {
        let mut text = String::with_capacity(LENGTH);
        // A `String` takes everything.
        write!(text, "{self}").unwrap_or_default();
        text
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

impl FromStr for TraceId {
    type Err = TraceError;

    fn from_str(text: &str) -> Result<Self, TraceError> {
        digits(text, 32)
            .and_then(|digits| u128::from_str_radix(digits, 16).ok())
            .and_then(NonZeroU128::new)
            .map(Self)
            .ok_or(TraceError::Trace)
    }
}

impl FromStr for TraceContext {
    type Err = TraceError;

    fn from_str(text: &str) -> Result<Self, TraceError> {
        parse(text).ok_or(TraceError::Context)
    }
}

fn parse(text: &str) -> Option<TraceContext> {
    let (known, more) = text.split_at_checked(LENGTH)?;
    let mut parts = known.split('-');
    let version = digits(parts.next()?, 2)?;
    let trace: TraceId = parts.next()?.parse().ok()?;
    let span = u64::from_str_radix(digits(parts.next()?, 16)?, 16).ok()?;
    let flags = u8::from_str_radix(digits(parts.next()?, 2)?, 16).ok()?;
    let fits = match version {
        "ff" => false,
        "00" => more.is_empty(),
        _ => more.is_empty() || more.starts_with('-'),
    };
    TraceContext::of(trace.get(), span, flags & 1 == 1).filter(|_| fits && parts.next().is_none())
}

macro_rules! text {
    ($($name:ident, $pattern:literal;)*) => {$(
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
        impl TryFrom<String> for $name {
            type Error = TraceError;
            fn try_from(text: String) -> Result<Self, TraceError> {
                text.parse()
            }
        }
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    )*};
}

text! {
    TraceId, "^[0-9a-f]{32}$";
    TraceContext, "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$";
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_is_read_and_written_as_it_came() {
        let context: TraceContext = GOOD.parse().unwrap();
        assert_eq!(context.to_string(), GOOD);
        assert_eq!(context.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(context.sampled);
        assert_eq!(TraceId::of(context.trace.as_uuid()), Some(context.trace));
        let step = context.step(Uuid::from_u128(7));
        assert_eq!(step.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000007-01");
    }

    #[test]
    fn what_is_no_context_is_refused() {
        for bad in [
            "",
            "00",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0é",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
        ] {
            assert_eq!(bad.parse::<TraceContext>(), Err(TraceError::Context), "{bad}");
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-what-will-come";
        let context: TraceContext = later.parse().unwrap();
        assert_eq!(context.to_string(), GOOD);
    }
}
