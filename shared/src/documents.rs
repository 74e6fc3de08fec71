//! What the phases produce: five documents, as types from which their JSON Schemas are derived.
//!
//! Ids are typed and checked, sizes are bounded, unknown fields are refused. What can be computed is
//! not asked of the model: a ticket's list of tasks, totals, critical path, coverage and the whole
//! of `sync` follow from the rest.

pub mod design;
pub mod explore;
pub mod requirements;
pub mod sync;
pub mod tasks;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub use design::Design;
pub use explore::Explore;
pub use requirements::Requirements;
pub use sync::Sync;
pub use tasks::Tasks;

use crate::finding::Finding;
use crate::phase::Phase;

/// Body text of a document: paragraphs, Markdown.
pub type Prose = crate::text::Text<8000>;
/// A few sentences.
pub type Note = crate::text::Text<2000>;

/// The largest document, in bytes of JSON. A phase's output beyond this is refused.
pub const DOCUMENT_MAX_BYTES: usize = 1024 * 1024;

/// How urgent something is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Priority {
    /// Nothing else before it.
    Critical,
    /// Soon.
    High,
    /// In its turn.
    Medium,
    /// When there is time.
    Low,
}

impl Priority {
    /// The name on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "CRITICAL",
            Self::High => "HIGH",
            Self::Medium => "MEDIUM",
            Self::Low => "LOW",
        }
    }
}

/// A phase's document.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    /// Output of `explore`.
    Explore(Box<Explore>),
    /// Output of `requirements`.
    Requirements(Box<Requirements>),
    /// Output of `design`.
    Design(Box<Design>),
    /// Output of `tasks`.
    Tasks(Box<Tasks>),
    /// Output of `sync`, computed.
    Sync(Box<Sync>),
}

impl Document {
    /// Reads a phase's output.
    ///
    /// # Errors
    /// One finding of code `shape` that says where the value is wrong, and how. `complete` has no
    /// document, so any value for it is wrong.
    pub fn parse(phase: Phase, value: &Value) -> Result<Self, Box<Finding>> {
        fn read<T: for<'de> Deserialize<'de>>(value: &Value) -> Result<Box<T>, Box<Finding>> {
            serde_path_to_error::deserialize(value).map(Box::new).map_err(|error| {
                Box::new(Finding::error(
                    "shape",
                    error.path().to_string(),
                    format!("The value here {}.", sentence(&error.inner().to_string())),
                    "Give it the shape that the schema asks for.",
                ))
            })
        }
        match phase {
            Phase::Explore => read(value).map(Self::Explore),
            Phase::Requirements => read(value).map(Self::Requirements),
            Phase::Design => read(value).map(Self::Design),
            Phase::Tasks => read(value).map(Self::Tasks),
            Phase::Sync => read(value).map(Self::Sync),
            Phase::Complete => Err(Box::new(Finding::error(
                "shape",
                ".",
                "The phase `complete` has no document.",
                "Send none.",
            ))),
        }
    }

    /// The phase whose output this is.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        match self {
            Self::Explore(_) => Phase::Explore,
            Self::Requirements(_) => Phase::Requirements,
            Self::Design(_) => Phase::Design,
            Self::Tasks(_) => Phase::Tasks,
            Self::Sync(_) => Phase::Sync,
        }
    }

    /// The document as JSON, in the fields' declared order.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let value = match self {
            Self::Explore(document) => serde_json::to_value(document),
            Self::Requirements(document) => serde_json::to_value(document),
            Self::Design(document) => serde_json::to_value(document),
            Self::Tasks(document) => serde_json::to_value(document),
            Self::Sync(document) => serde_json::to_value(document),
        };
        // Strings as map keys and finite numbers only: these types cannot fail to encode.
        value.unwrap_or_default()
    }

    /// SHA-256 of the document's JSON, in hexadecimal. Object keys are sorted (`serde_json`'s map is
    /// a B-tree), so the digest does not depend on who wrote the JSON.
    #[must_use]
    pub fn digest(&self) -> String {
        hex::encode(Sha256::digest(self.to_value().to_string()))
    }
}

/// The JSON Schema of a phase's output, as the agent is given it; `None` where code computes.
#[must_use]
pub fn schema(phase: Phase) -> Option<Value> {
    let schema = match phase {
        Phase::Explore => schemars::schema_for!(Explore),
        Phase::Requirements => schemars::schema_for!(Requirements),
        Phase::Design => schemars::schema_for!(Design),
        Phase::Tasks => schemars::schema_for!(Tasks),
        Phase::Sync | Phase::Complete => return None,
    };
    let mut value = schema.to_value();
    if let Some(object) = value.as_object_mut() {
        // The CLI's validator knows draft 2020-12 keywords but not every `$schema` address.
        object.remove("$schema");
    }
    Some(value)
}

fn sentence(error: &str) -> String {
    // Our own errors continue a sentence ("has 0 items; …"); serde's stand alone.
    let ours = ["has ", "is ", "`"].iter().any(|start| error.starts_with(start));
    if ours { error.to_owned() } else { format!("does not fit: {error}") }
}

/// The accepted outputs of earlier phases: the context of a later one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    /// Output of `explore`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explore: Option<Box<Explore>>,
    /// Output of `requirements`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requirements: Option<Box<Requirements>>,
    /// Output of `design`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub design: Option<Box<Design>>,
    /// Output of `tasks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<Box<Tasks>>,
    /// Output of `sync`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<Box<Sync>>,
}

impl Accepted {
    /// Puts a document in its place.
    pub fn insert(&mut self, document: Document) {
        match document {
            Document::Explore(document) => self.explore = Some(document),
            Document::Requirements(document) => self.requirements = Some(document),
            Document::Design(document) => self.design = Some(document),
            Document::Tasks(document) => self.tasks = Some(document),
            Document::Sync(document) => self.sync = Some(document),
        }
    }

    /// Whether a phase's output is there.
    #[must_use]
    pub const fn has(&self, phase: Phase) -> bool {
        match phase {
            Phase::Explore => self.explore.is_some(),
            Phase::Requirements => self.requirements.is_some(),
            Phase::Design => self.design.is_some(),
            Phase::Tasks => self.tasks.is_some(),
            Phase::Sync => self.sync.is_some(),
            Phase::Complete => false,
        }
    }

    /// The first phase whose output is missing (`complete` when all five are there).
    #[must_use]
    pub fn first_missing(&self) -> Phase {
        Phase::ALL.into_iter().find(|phase| !self.has(*phase)).unwrap_or(Phase::Complete)
    }

    /// Forgets the outputs of a phase and of all after it: what `resume --from` asks for.
    pub fn forget_from(&mut self, phase: Phase) {
        if phase <= Phase::Explore {
            self.explore = None;
        }
        if phase <= Phase::Requirements {
            self.requirements = None;
        }
        if phase <= Phase::Design {
            self.design = None;
        }
        if phase <= Phase::Tasks {
            self.tasks = None;
        }
        if phase <= Phase::Sync {
            self.sync = None;
        }
    }
}
