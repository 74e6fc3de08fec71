//! `explore`: the repository as it stands, and what the idea touches.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Note, Prose};
use crate::id::Slug;
use crate::list::List;
use crate::path::RepoPath;
use crate::text::Line;

/// Output of the phase `explore`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Explore {
    /// What this code base is and does, in a few paragraphs.
    pub codebase_summary: Prose,
    /// What kind of project it is, e.g. "command-line tool in Rust".
    pub project_type: Line,
    /// Languages, frameworks and tools in use.
    #[serde(default)]
    pub tech_stack: List<Line, 0, 50>,
    /// The important directories and what they are for.
    #[serde(default)]
    pub structure: List<Place, 0, 100>,
    /// The files that matter most for this idea.
    #[serde(default)]
    pub key_files: List<KeyFile, 0, 100>,
    /// Patterns in the code that the work should follow.
    #[serde(default)]
    pub relevant_patterns: List<Pattern, 0, 50>,
    /// Data models that exist already.
    #[serde(default)]
    pub existing_models: List<ExistingModel, 0, 50>,
    /// How code is named, tested and laid out here.
    pub conventions: Conventions,
    /// Where execution starts.
    #[serde(default)]
    pub entry_points: List<RepoPath, 0, 50>,
    /// How tests are organised and run.
    pub test_structure: Note,
    /// Questions that an experienced engineer would ask before starting.
    #[serde(default)]
    pub discovery_questions: List<DiscoveryQuestions, 0, 10>,
    /// The idea in this repository's terms.
    pub feature_summary: FeatureSummary,
    /// Existing code that the idea touches.
    #[serde(default)]
    pub related_to_feature: List<Related, 0, 50>,
    /// Anything else worth knowing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<Prose>,
}

/// A directory and its purpose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Where it is.
    pub path: RepoPath,
    /// What it is for.
    pub purpose: Line,
}

/// A file and its purpose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    /// Where it is; it must exist.
    pub path: RepoPath,
    /// Why it matters.
    pub purpose: Line,
}

/// A pattern that the code follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// Its name.
    pub pattern: Line,
    /// How it looks here.
    pub description: Note,
    /// Where it can be seen.
    #[serde(default)]
    pub files: List<RepoPath, 0, 20>,
}

/// A data model that exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExistingModel {
    /// Its name.
    pub name: Line,
    /// Where it is defined.
    pub file: RepoPath,
    /// Its fields.
    #[serde(default)]
    pub fields: List<Line, 0, 100>,
}

/// How code is written here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conventions {
    /// How things are named.
    pub naming: Note,
    /// How things are tested.
    pub testing: Note,
    /// Other habits.
    #[serde(default)]
    pub patterns: List<Line, 0, 30>,
}

/// The five areas that discovery has to cover.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum DiscoveryArea {
    /// Why it is worth doing.
    #[serde(rename = "Problem & Value")]
    ProblemAndValue,
    /// Who meets it, and how.
    #[serde(rename = "Users & Journeys")]
    UsersAndJourneys,
    /// What is in and what is out.
    #[serde(rename = "Scope & Boundaries")]
    ScopeAndBoundaries,
    /// What the code base imposes.
    #[serde(rename = "Technical Context")]
    TechnicalContext,
    /// What could go wrong, and what it costs.
    #[serde(rename = "Trade-offs & Risks")]
    TradeOffsAndRisks,
}

impl DiscoveryArea {
    /// All five.
    pub const ALL: [Self; 5] = [
        Self::ProblemAndValue,
        Self::UsersAndJourneys,
        Self::ScopeAndBoundaries,
        Self::TechnicalContext,
        Self::TradeOffsAndRisks,
    ];

    /// The name in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProblemAndValue => "Problem & Value",
            Self::UsersAndJourneys => "Users & Journeys",
            Self::ScopeAndBoundaries => "Scope & Boundaries",
            Self::TechnicalContext => "Technical Context",
            Self::TradeOffsAndRisks => "Trade-offs & Risks",
        }
    }
}

/// Questions of one area.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiscoveryQuestions {
    /// The area.
    pub category: DiscoveryArea,
    /// The questions.
    pub questions: List<Line, 1, 10>,
}

/// The idea in this repository's terms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureSummary {
    /// A short name for it, e.g. `rate-limit`.
    pub name: Slug,
    /// The idea in one line.
    pub one_liner: Line,
    /// What problem it solves.
    pub problem_statement: Note,
    /// What belongs to it.
    pub scope_in: List<Line, 1, 30>,
    /// What does not.
    #[serde(default)]
    pub scope_out: List<Line, 0, 30>,
    /// What the code base or platform imposes.
    #[serde(default)]
    pub technical_constraints: List<Line, 0, 30>,
    /// What could go wrong.
    #[serde(default)]
    pub risks_identified: List<Line, 0, 30>,
    /// How one would see that it works.
    #[serde(default)]
    pub success_metrics: List<Line, 0, 30>,
}

/// Existing code that the idea touches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Related {
    /// What it is.
    pub name: Line,
    /// Where it is.
    pub file: RepoPath,
    /// What it has to do with the idea.
    pub relevance: Line,
}
