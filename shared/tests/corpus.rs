//! The corpus: one complete, valid set of five documents (`corpus/good`, free to use in other
//! tests), and small changes that break it (`corpus/broken.json`). The derived schemas and the types
//! are held against each other over both.

#![expect(
    clippy::unwrap_used,
    reason = "a broken corpus has to fail the test, also in its readers"
)]

use jsonschema::Validator;
use serde::Deserialize;
use serde_json::{Value, json};
use specwright_shared::documents::{self, Accepted, Document, Sync};
use specwright_shared::gate;
use specwright_shared::phase::Phase;

const WITH_DOCUMENT: [Phase; 5] =
    [Phase::Explore, Phase::Requirements, Phase::Design, Phase::Tasks, Phase::Sync];

/// What a document may weigh as a schema: it travels in an argument of the agent's command line.
const SCHEMA_MAX_BYTES: usize = 32 * 1024;

fn read(path: &str) -> Value {
    let path = format!("{}/tests/corpus/{path}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn good(phase: Phase) -> Value {
    read(&format!("good/{phase}.json"))
}

fn schema(phase: Phase) -> Value {
    documents::schema(phase).unwrap_or_else(|| schemars::schema_for!(Sync).to_value())
}

fn validator(phase: Phase) -> Validator {
    jsonschema::draft202012::new(&schema(phase)).unwrap()
}

#[test]
fn the_good_set_passes_every_gate_with_room() {
    let mut accepted = Accepted::default();
    for phase in WITH_DOCUMENT {
        let document = Document::parse(phase, &good(phase)).unwrap();
        let verdict = gate::judge(&document, &accepted, None);
        assert!(verdict.passes() && verdict.score >= 0.9, "{phase}: {verdict:#?}");
        accepted.insert(document);
    }
}

#[test]
fn the_good_set_fits_its_schemas() {
    for phase in WITH_DOCUMENT {
        let found: Vec<_> = validator(phase)
            .iter_errors(&good(phase))
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(found.is_empty(), "{phase}: {found:#?}");
    }
}

#[test]
fn reading_and_writing_a_document_loses_nothing() {
    for phase in WITH_DOCUMENT {
        let document = Document::parse(phase, &good(phase)).unwrap();
        assert_eq!(Document::parse(phase, &document.to_value()).unwrap(), document);
        let valid = validator(phase).is_valid(&document.to_value());
        assert!(valid, "{phase}: what the types write does not fit the schema");
    }
}

/// A change to a good document that makes it bad.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Broken {
    name: String,
    document: Phase,
    at: String,
    /// `set` puts a value there (`null` too), `remove` takes away what is there.
    #[serde(default)]
    set: Value,
    #[serde(default)]
    remove: bool,
    /// False where the types are stricter than a schema can say.
    schema_refuses: bool,
    /// True where the schema is stricter than the types, and the gate refuses.
    #[serde(default)]
    types_accept: bool,
}

impl Broken {
    fn apply(&self) -> Value {
        let mut value = good(self.document);
        let (parent, key) = self.at.rsplit_once('/').unwrap();
        let parent =
            value.pointer_mut(parent).unwrap_or_else(|| panic!("{}: no parent", self.name));
        match parent {
            Value::Object(fields) if self.remove => {
                assert!(fields.remove(key).is_some(), "{}: nothing to remove", self.name);
            }
            Value::Object(fields) => {
                fields.insert(key.to_owned(), self.set.clone());
            }
            Value::Array(items) => items[key.parse::<usize>().unwrap()] = self.set.clone(),
            other => panic!("{}: {other} has no parts", self.name),
        }
        value
    }
}

fn broken() -> Vec<Broken> {
    serde_json::from_value(read("broken.json")).unwrap()
}

#[test]
fn types_and_schemas_refuse_the_same_documents() {
    for broken in broken() {
        let value = broken.apply();
        let name = &broken.name;
        let by_schema = !validator(broken.document).is_valid(&value);
        assert_eq!(by_schema, broken.schema_refuses, "schema: {name}");
        let by_types = Document::parse(broken.document, &value).is_err();
        assert_eq!(by_types, !broken.types_accept, "types: {name}");
        assert!(by_schema || by_types, "nobody refuses: {name}");
    }
}

#[test]
fn where_types_and_schemas_differ_is_a_short_list() {
    let differing: Vec<_> = broken()
        .into_iter()
        .filter(|broken| !broken.schema_refuses || broken.types_accept)
        .map(|broken| broken.name)
        .collect();
    assert_eq!(
        differing,
        [
            "more hours than a week has",
            "nothing but spaces",
            "a control character",
            "an absolute path",
            "a path that leads out of the repository",
            "a path with backslashes",
            "a feature name of more than 60 characters",
        ]
    );
}

#[test]
fn what_the_types_refuse_is_told_with_its_place() {
    for broken in broken().iter().filter(|broken| !broken.types_accept) {
        let Err(finding) = Document::parse(broken.document, &broken.apply()) else {
            panic!("{} was taken", broken.name)
        };
        let steps = broken.at.split('/').filter(|step| step.parse::<usize>().is_err());
        let last = steps.clone().next_back().unwrap_or_default();
        let told = finding.at.contains(last) || finding.message.contains(last);
        assert!(told, "{}: {finding}", broken.name);
    }
}

#[test]
fn a_schema_fits_an_argument() {
    for phase in WITH_DOCUMENT {
        let size = schema(phase).to_string().len();
        assert!(size < SCHEMA_MAX_BYTES, "{phase}: {size} bytes");
    }
}

#[test]
fn the_digest_does_not_depend_on_the_order_of_keys() {
    fn reversed(value: &Value) -> String {
        match value {
            Value::Object(fields) => {
                let fields: Vec<_> = fields
                    .iter()
                    .rev()
                    .map(|(key, field)| format!("{}:{}", json!(key), reversed(field)))
                    .collect();
                format!("{{{}}}", fields.join(","))
            }
            Value::Array(items) => {
                format!("[{}]", items.iter().map(reversed).collect::<Vec<_>>().join(","))
            }
            other => other.to_string(),
        }
    }
    for phase in WITH_DOCUMENT {
        let value = good(phase);
        let turned = reversed(&value);
        assert_ne!(turned, value.to_string());
        let turned = serde_json::from_str(&turned).unwrap();
        let digest = |value| Document::parse(phase, value).unwrap().digest();
        assert_eq!(digest(&turned), digest(&value), "{phase}");
    }
}
