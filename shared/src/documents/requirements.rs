//! `requirements`: EARS sentences with acceptance criteria.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Note, Priority};
use crate::id::{RequirementId, Slug};
use crate::list::List;
use crate::text::{Line, Text};

/// Output of the phase `requirements`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requirements {
    /// The feature's name, as in `explore`.
    pub feature_name: Slug,
    /// What is required.
    pub requirements: List<Requirement, 1, 200>,
    /// What is taken for granted.
    #[serde(default)]
    pub assumptions: List<Line, 0, 50>,
    /// What is deliberately not asked for.
    #[serde(default)]
    pub out_of_scope: List<Line, 0, 50>,
    /// What nobody could answer yet.
    #[serde(default)]
    pub open_questions: List<Line, 0, 50>,
}

/// One requirement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// Its key; the third part is its category (FUNC, PERF, SEC, USE, REL, CON).
    pub id: RequirementId,
    /// Three to six words.
    pub title: Line,
    /// How urgent it is.
    pub priority: Priority,
    /// One EARS sentence: `[While …,] [When …,] the <system> shall <response>.`
    pub text: Text<1000>,
    /// How one checks that it is met; at least two.
    pub acceptance_criteria: List<Text<500>, 2, 20>,
    /// Requirements that this one builds on.
    #[serde(default)]
    pub dependencies: List<RequirementId, 0, 50>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<Note>,
}
