//! `design`: how it will be built.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Note, Prose};
use crate::id::{RequirementId, Slug};
use crate::list::List;
use crate::path::RepoPath;
use crate::text::Line;

/// Output of the phase `design`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Design {
    /// The feature's name, as in `requirements`.
    pub feature_name: Slug,
    /// The approach and why, in a few paragraphs of Markdown.
    pub architecture_overview: Prose,
    /// A Mermaid diagram's source, without a fence. Left out, one is drawn from `components`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture_diagram: Option<Prose>,
    /// The parts, new and changed.
    pub components: List<Component, 1, 60>,
    /// Data that is stored or passed.
    #[serde(default)]
    pub data_models: List<DataModel, 0, 60>,
    /// HTTP endpoints, new and changed.
    #[serde(default)]
    pub api_endpoints: List<ApiEndpoint, 0, 100>,
    /// Where this meets other systems.
    #[serde(default)]
    pub integration_points: List<Note, 0, 30>,
    /// What can go wrong, and what happens then.
    #[serde(default)]
    pub error_handling: List<ErrorCase, 0, 50>,
    /// How it will be tested.
    pub testing_strategy: TestingStrategy,
    /// What an attacker could try, and what stops it.
    #[serde(default)]
    pub security_considerations: List<Note, 0, 30>,
    /// How existing data and users get there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration_plan: Option<Prose>,
}

/// A part of the design.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Its name, unique in the design.
    pub name: Line,
    /// What kind of thing it is: module, service, table, command …
    #[serde(rename = "type")]
    pub kind: Line,
    /// Where it lives or will live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_path: Option<RepoPath>,
    /// The one thing it is responsible for.
    pub responsibility: Note,
    /// What it offers.
    #[serde(default)]
    pub interfaces: List<Interface, 0, 30>,
    /// Names of components that it uses.
    #[serde(default)]
    pub dependencies: List<Line, 0, 30>,
    /// Requirements that it serves.
    #[serde(default)]
    pub requirements: List<RequirementId, 0, 100>,
}

/// Something that a component offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// The function, method or command.
    pub method: Line,
    /// What goes in.
    #[serde(default)]
    pub inputs: List<Line, 0, 20>,
    /// What comes out.
    #[serde(default)]
    pub outputs: List<Line, 0, 20>,
}

/// Data that is stored or passed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataModel {
    /// Its name.
    pub name: Line,
    /// The table, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_name: Option<Line>,
    /// What it stands for.
    pub description: Note,
    /// Its fields.
    pub fields: List<Field, 1, 100>,
    /// Indexes.
    #[serde(default)]
    pub indexes: List<Line, 0, 30>,
    /// How it relates to others.
    #[serde(default)]
    pub relationships: List<Line, 0, 30>,
}

/// A field of a data model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its name.
    pub name: Line,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Line,
    /// What it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Note>,
    /// Whether it may be missing.
    #[serde(default)]
    pub nullable: bool,
}

/// An HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names of RFC 9110 speak for themselves")]
pub enum HttpMethod {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

impl HttpMethod {
    /// The name in a request line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }
}

/// An HTTP endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiEndpoint {
    /// The method.
    pub method: HttpMethod,
    /// The path, starting with `/`.
    pub path: Line,
    /// What it does.
    pub description: Note,
    /// Whether a caller must be known.
    pub auth_required: bool,
    /// The request's shape in words or JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Note>,
    /// The answer's shape in words or JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Note>,
    /// What it refuses, and with which status.
    #[serde(default)]
    pub errors: List<ErrorCase, 0, 20>,
}

/// Something that can go wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorCase {
    /// When it happens.
    pub situation: Note,
    /// What the system does then.
    pub response: Note,
}

/// How it will be tested.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestingStrategy {
    /// Tests of one part.
    pub unit_tests: List<Line, 1, 50>,
    /// Tests of parts together.
    #[serde(default)]
    pub integration_tests: List<Line, 0, 50>,
}
