//! Cursors: places in logs, as readers hold them. For readers they are opaque.
//!
//! What holds: a cursor names its log and the life of the database that it is from, so that one of
//! another log is refused, and one of another life is told from one whose events are gone.

use std::borrow::Cow;
use std::str::FromStr;

use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema, json_schema};
use specwright_shared::id::{SandboxId, SpecId};

use crate::store::event::log::Log;
use crate::store::event::order::Place;

/// Whose places a cursor counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    Spec(u32),
    Sandbox(u32),
    Seen,
}

impl Tag {
    const fn of(log: Log) -> Self {
        match log {
            // The random end of the id: enough to notice a mistake.
            Log::Spec(SpecId(id)) => Self::Spec(id.as_u128() as u32),
            Log::Sandbox(SandboxId(id)) => Self::Sandbox(id.as_u128() as u32),
            Log::Seen(_) => Self::Seen,
        }
    }
}

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Spec(id) => write!(f, "s{id:08x}"),
            Self::Sandbox(id) => write!(f, "b{id:08x}"),
            Self::Seen => f.write_str("a"),
        }
    }
}

impl FromStr for Tag {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let id = |text| u32::from_str_radix(text, 16).map_err(drop);
        match text.split_at_checked(1).ok_or(())? {
            ("s", text) => id(text).map(Self::Spec),
            ("b", text) => id(text).map(Self::Sandbox),
            ("a", "") => Ok(Self::Seen),
            _ => Err(()),
        }
    }
}

/// From where a reader wants to read on, as it says.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum After {
    /// From the oldest event that is there.
    #[default]
    Oldest,
    /// Behind a position of a spec or a number of a sandbox, as the event itself says it.
    Number(i64),
    /// Behind a place that was given out.
    Cursor { tag: String, epoch: String, place: Place },
}

impl JsonSchema for After {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "After".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Behind what to read: the `next` of a page, the `id` of a stream's event, or \
                the position of an event. Absent: from the oldest event.",
        })
    }
}

/// Why there is no reading on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CursorError {
    #[error("`after` is not a cursor; give the `next` of the page before, or the `id` of an event")]
    NoCursor,
    #[error("the cursor is of another list of events; give one that this list gave out")]
    AnotherLog,
    #[error("the cursor is of another life of the database")]
    AnotherLife,
}

impl FromStr for After {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = text.parse().map_err(|_| CursorError::NoCursor)?;
            return Ok(if number == 0 { Self::Oldest } else { Self::Number(number) });
        }
        let mut parts = text.split('.');
        let mut part = || parts.next().ok_or(CursorError::NoCursor);
        let (tag, epoch, txid, number) = (part()?, part()?, part()?, part()?);
        let count = |text: &str| match text.parse() {
            Ok(count) if count >= 0 => Ok(count),
            _ => Err(CursorError::NoCursor),
        };
        let place = Place { txid: count(txid)?, number: count(number)? };
        if parts.next().is_some() || tag.parse::<Tag>().is_err() {
            return Err(CursorError::NoCursor);
        }
        Ok(Self::Cursor { tag: tag.to_owned(), epoch: epoch.to_owned(), place })
    }
}

impl TryFrom<String> for After {
    type Error = CursorError;

    fn try_from(text: String) -> Result<Self, CursorError> {
        text.parse()
    }
}

impl After {
    /// The place in this log; `None`: the oldest event's.
    pub(crate) fn place(&self, log: Log, epoch: &str) -> Result<Option<Place>, CursorError> {
        match self {
            Self::Oldest => Ok(None),
            Self::Number(_) if matches!(log, Log::Seen(_)) => Err(CursorError::NoCursor),
            Self::Number(number) => Ok(Some(Place::behind(*number))),
            Self::Cursor { tag, .. } if *tag != Tag::of(log).to_string() => {
                Err(CursorError::AnotherLog)
            }
            Self::Cursor { epoch: other, .. } if other != epoch => Err(CursorError::AnotherLife),
            Self::Cursor { place, .. } => Ok(Some(*place)),
        }
    }
}

/// A place of a log as a reader holds it.
pub(crate) fn cursor(log: Log, epoch: &str, place: Place) -> String {
    format!("{}.{epoch}.{}.{}", Tag::of(log), place.txid, place.number)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::store::project::Sight;

    #[test]
    fn a_cursor_comes_back_as_the_place_that_it_was_made_of_and_fits_no_other_log() {
        let id = Uuid::now_v7();
        let all = Log::Seen(Sight::default());
        let place = Place { txid: 7, number: 12 };
        for log in [Log::Spec(SpecId(id)), Log::Sandbox(SandboxId(id)), all] {
            let text = cursor(log, "epoch", place);
            let after: After = text.parse().unwrap();
            assert_eq!(after.place(log, "epoch"), Ok(Some(place)), "{text}");
            assert_eq!(after.place(log, "other"), Err(CursorError::AnotherLife));
            let other = Log::Spec(SpecId(Uuid::nil()));
            assert_eq!(after.place(other, "epoch"), Err(CursorError::AnotherLog));
        }
        let number: After = "12".parse().unwrap();
        assert_eq!(number.place(Log::Spec(SpecId(id)), "e"), Ok(Some(Place::behind(12))));
        assert_eq!(number.place(all, "e"), Err(CursorError::NoCursor));
        assert_eq!("0".parse(), Ok(After::Oldest));
        for nonsense in ["x", "a.e.1", "a.e.1.2.3", "a.e.-1.2", "b.e.1.2", "99999999999999999999"] {
            assert_eq!(nonsense.parse::<After>(), Err(CursorError::NoCursor), "{nonsense}");
        }
    }
}
