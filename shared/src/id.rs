//! Identifiers. Rows have UUIDs of version 7; what a document names has a readable key.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_newtype {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text).map(Self)
            }
        }
        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
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
                json_schema!({ "type": "string", "format": "uuid" })
            }
        }
    )*};
}

uuid_newtype! {
    /// A project: specs and tickets belong to one.
    ProjectId;
    /// A spec.
    SpecId;
    /// A sandbox: one isolated place with one worker doing one job.
    SandboxId;
    /// A ticket: a card on the board.
    TicketId;
    /// A task: what an agent executes.
    TaskId;
    /// A message into a running agent; the same id stands on the agent's stdin line.
    MessageId;
    /// An event, given by who recorded it.
    EventId;
    /// A user.
    UserId;
    /// A token of a user.
    TokenId;
    /// What a guardian did.
    InterventionId;
}

/// Why a key was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` is not {what}; {shape}")]
pub struct KeyError {
    /// The key's beginning.
    pub key: String,
    /// What it should have been.
    pub what: &'static str,
    /// What such a key looks like.
    pub shape: &'static str,
}

macro_rules! key_newtype {
    ($($(#[$doc:meta])* $name:ident, $what:literal, $shape:literal, $pattern:literal, $check:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks and takes a key.
            ///
            /// # Errors
            /// [`KeyError`] with the shape that would be right.
            pub fn new(key: impl Into<String>) -> Result<Self, KeyError> {
                let key = key.into();
                let check: fn(&str) -> bool = $check;
                if check(&key) {
                    Ok(Self(key))
                } else {
                    let key = key.chars().take(60).collect();
                    Err(KeyError { key, what: $what, shape: $shape })
                }
            }

            /// The key as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = KeyError;
            fn try_from(key: String) -> Result<Self, KeyError> {
                Self::new(key)
            }
        }
        impl From<$name> for String {
            fn from(key: $name) -> Self {
                key.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
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
                json_schema!({ "type": "string", "pattern": $pattern, "description": $shape })
            }
        }
    )*};
}

key_newtype! {
    /// A requirement's key: `REQ-{FEATURE}-{CATEGORY}-{NNN}`.
    RequirementId, "a requirement id",
        "it looks like REQ-RATE-FUNC-001: a feature of 2 to 12 capitals or digits, then FUNC, PERF, SEC, USE, REL or CON, then three digits",
        "^REQ-[A-Z][A-Z0-9]{1,11}-(FUNC|PERF|SEC|USE|REL|CON)-[0-9]{3}$",
        |key| {
            let mut parts = key.split('-');
            let (Some("REQ"), Some(feature), Some(category), Some(number), None) =
                (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
            else {
                return false;
            };
            (2..=12).contains(&feature.len())
                && feature.starts_with(|c: char| c.is_ascii_uppercase())
                && feature.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
                && matches!(category, "FUNC" | "PERF" | "SEC" | "USE" | "REL" | "CON")
                && three_digits(number)
        };
    /// A ticket's key inside its spec: `TKT-001`.
    TicketKey, "a ticket id", "it looks like TKT-001: TKT- and three digits", "^TKT-[0-9]{3}$",
        |key| key.strip_prefix("TKT-").is_some_and(three_digits);
    /// A spec task's key inside its spec: `TSK-001`.
    SpecTaskKey, "a task id", "it looks like TSK-001: TSK- and three digits", "^TSK-[0-9]{3}$",
        |key| key.strip_prefix("TSK-").is_some_and(three_digits);
    /// A feature's name in documents and file names: lower case, digits and hyphens.
    Slug, "a feature name",
        "it looks like rate-limit: lower-case letters, digits and single hyphens, at most 60 characters",
        "^[a-z0-9]+(-[a-z0-9]+)*$",
        |key| {
            key.len() <= 60
                && key.split('-').all(|word| {
                    !word.is_empty()
                        && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                })
        };
}

fn three_digits(number: &str) -> bool {
    number.len() == 3 && number.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_one_shape() {
        assert!(RequirementId::new("REQ-RATE-FUNC-001").is_ok());
        for bad in [
            "REQ-RATE-001",
            "REQ-rate-FUNC-001",
            "REQ-RATE-FOO-001",
            "REQ-RATE-FUNC-1",
            "REQ-R-FUNC-001",
            "REQ-RATE-FUNC-001-X",
            "../../REQ",
        ] {
            assert!(RequirementId::new(bad).is_err(), "{bad} was taken");
        }
        assert!(TicketKey::new("TKT-001").is_ok() && TicketKey::new("TKT-1").is_err());
        assert!(SpecTaskKey::new("TSK-010").is_ok() && SpecTaskKey::new("TASK-010").is_err());
        assert!(
            Slug::new("rate-limit").is_ok() && Slug::new("-x").is_err() && Slug::new("A").is_err()
        );
    }
}
