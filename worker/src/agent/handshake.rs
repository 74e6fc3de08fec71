//! What the agent must say of itself before we speak with it.
//!
//! What holds: version and permission mode are known from the answer to `initialize`, before any call
//! of the model. What its protocol can do is told at the start of each turn ([`Init`]), also before
//! the model is called: [`Init::check`].

use serde::Deserialize;
use serde_json::Value;

use super::fact::Init;
use super::launch::PERMISSION_MODE;

/// The version whose protocol was measured. Older ones lack receipts; a later one with the same major
/// number must still show [`CAPABILITIES`].
pub const MEASURED_VERSION: (u64, u64, u64) = (2, 1, 330);

/// What we rely on: lifecycle lines per message, and an interrupt that answers what is still queued.
pub const CAPABILITIES: [&str; 2] = ["msg_lifecycle_v1", "interrupt_receipt_v1"];

/// The agent's answer to `initialize`.
#[derive(Debug, Deserialize)]
pub(crate) struct Introduction {
    pub(crate) claude_code_version: String,
    pub(crate) current_permission_mode: String,
}

/// Why an agent is not one that we can work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Another version.
    #[error(
        "the agent is version `{found}`; 2.1.330 or a later 2.x is needed (npm install -g @anthropic-ai/claude-code@2.1.330)"
    )]
    Version {
        /// What it said.
        found: String,
    },
    /// Another permission mode: something in the environment or the settings changed it.
    #[error("the agent is in permission mode `{found}`; `{PERMISSION_MODE}` was asked for")]
    PermissionMode {
        /// What it said.
        found: String,
    },
    /// A part of the protocol is missing.
    #[error("the agent cannot do `{missing}`, which every receipt of a message rests on")]
    Capability {
        /// What it lacks.
        missing: &'static str,
    },
    /// Its introduction has another shape.
    #[error("the agent's answer to `initialize` has no version or no permission mode")]
    Introduction,
}

impl Introduction {
    /// Reads and checks the answer.
    pub(crate) fn checked(answer: &Value) -> Result<Self, Unfit> {
        let introduction = Self::deserialize(answer).map_err(|_| Unfit::Introduction)?;
        check(&introduction.claude_code_version, &introduction.current_permission_mode)?;
        Ok(introduction)
    }
}

impl Init {
    /// Whether the agent that begins this turn is still the one that we can work with.
    ///
    /// # Errors
    /// What is wrong with it, first found first.
    pub fn check(&self) -> Result<(), Unfit> {
        check(&self.version, &self.permission_mode)?;
        let lacks = |wanted: &&&str| !self.capabilities.iter().any(|known| known == **wanted);
        match CAPABILITIES.iter().find(lacks) {
            Some(missing) => Err(Unfit::Capability { missing }),
            None => Ok(()),
        }
    }
}

fn check(version: &str, permission_mode: &str) -> Result<(), Unfit> {
    let fits = numbers(version)
        .is_some_and(|found| found.0 == MEASURED_VERSION.0 && found >= MEASURED_VERSION);
    if !fits {
        return Err(Unfit::Version { found: version.to_owned() });
    }
    if permission_mode != PERMISSION_MODE {
        return Err(Unfit::PermissionMode { found: permission_mode.to_owned() });
    }
    Ok(())
}

fn numbers(version: &str) -> Option<(u64, u64, u64)> {
    let mut parts = version.split_whitespace().next()?.splitn(3, '.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(version: &str, mode: &str) -> Result<(), Unfit> {
        let answer = json!({"claude_code_version": version, "current_permission_mode": mode});
        Introduction::checked(&answer).map(drop)
    }

    #[test]
    fn the_measured_version_and_later_ones_of_its_major_number_fit() {
        for version in ["2.1.330", "2.1.331", "2.2.0", "2.1.330 (Claude Code)"] {
            assert_eq!(checked(version, PERMISSION_MODE), Ok(()), "{version}");
        }
        for version in ["2.1.197", "2.0.999", "1.9.999", "3.0.0", "", "2.1", "two"] {
            assert!(
                matches!(checked(version, PERMISSION_MODE), Err(Unfit::Version { .. })),
                "{version}"
            );
        }
    }

    #[test]
    fn another_permission_mode_or_shape_does_not_fit() {
        assert_eq!(
            checked("2.1.330", "default"),
            Err(Unfit::PermissionMode { found: "default".into() })
        );
        assert_eq!(Introduction::checked(&json!({})).map(drop), Err(Unfit::Introduction));
    }

    #[test]
    fn a_missing_capability_is_named() {
        let init = Init {
            session_id: uuid::Uuid::nil(),
            model: "m".into(),
            permission_mode: PERMISSION_MODE.into(),
            version: "2.1.330".into(),
            tools: Vec::new(),
            capabilities: vec!["msg_lifecycle_v1".into()],
        };
        assert_eq!(init.check(), Err(Unfit::Capability { missing: "interrupt_receipt_v1" }));
    }
}
