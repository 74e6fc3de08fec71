//! One small repository, and the documents of a spec for it that pass every gate.

use serde_json::Value;
use specwright_shared::phase::Phase;

/// The idea that the documents are about.
pub const IDEA: &str = "Limit each API client to 100 requests a minute";

/// The files of the repository that the documents speak of.
pub const FILES: [(&str, &str); 5] = [
    ("README.md", "# Courier\n\nA small HTTP service that passes parcels on.\n"),
    ("Cargo.toml", "[package]\nname = \"courier\"\nversion = \"0.1.0\"\nedition = \"2024\"\n"),
    ("src/main.rs", "mod http;\n\nfn main() {\n    http::serve();\n}\n"),
    ("src/http.rs", "pub fn serve() {}\n"),
    ("tests/http.rs", "#[test]\nfn serves() {}\n"),
];

/// The document of a phase.
///
/// # Panics
/// For `sync` and `complete`, which no model writes.
#[must_use]
pub fn document(phase: Phase) -> Value {
    let text = match phase {
        Phase::Explore => include_str!("sample/explore.json"),
        Phase::Requirements => include_str!("sample/requirements.json"),
        Phase::Design => include_str!("sample/design.json"),
        Phase::Tasks => include_str!("sample/tasks.json"),
        Phase::Sync | Phase::Complete => panic!("{phase} is computed; no model writes it"),
    };
    match serde_json::from_str(text) {
        Ok(document) => document,
        Err(error) => panic!("the sample document of {phase} is no JSON: {error}"),
    }
}

/// A document of the phase `requirements` that has the right shape and fails its gate: its one
/// requirement builds on another that is not there.
#[must_use]
pub fn requirements_with_a_dangling_reference() -> Value {
    let mut document = document(Phase::Requirements);
    document["requirements"][0]["dependencies"] = serde_json::json!(["REQ-LIMIT-FUNC-099"]);
    document
}

/// A document of the phase `requirements` that does not have the right shape.
#[must_use]
pub fn requirements_of_the_wrong_shape() -> Value {
    let mut document = document(Phase::Requirements);
    document["requirements"] = Value::String("none".into());
    document
}

#[cfg(test)]
mod tests {
    use specwright_shared::documents::{Accepted, Document};
    use specwright_shared::gate;

    use super::*;

    fn judge(phase: Phase, value: &Value, earlier: &Accepted) -> gate::Verdict {
        let document = Document::parse(phase, value).expect("the shape is right");
        let has_file = |path: &str| FILES.iter().any(|(name, _)| *name == path);
        gate::judge(&document, earlier, Some(&has_file))
    }

    #[test]
    fn every_sample_passes_its_gate() {
        let mut accepted = Accepted::default();
        for phase in Phase::ALL.into_iter().filter(|phase| phase.needs_agent()) {
            let value = document(phase);
            let verdict = judge(phase, &value, &accepted);
            assert!(verdict.passes(), "{phase}: {verdict:#?}");
            accepted.insert(Document::parse(phase, &value).expect("just parsed"));
        }
    }

    #[test]
    fn the_dangling_reference_fails_its_gate_and_nothing_else_does() {
        let mut accepted = Accepted::default();
        let explore = document(Phase::Explore);
        accepted.insert(Document::parse(Phase::Explore, &explore).expect("the shape is right"));
        let broken = requirements_with_a_dangling_reference();
        let verdict = judge(Phase::Requirements, &broken, &accepted);
        let errors: Vec<_> = verdict.findings.iter().filter(|one| one.is_error()).collect();
        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert!(!verdict.passes());
    }

    #[test]
    fn the_wrong_shape_does_not_parse() {
        let wrong = requirements_of_the_wrong_shape();
        assert!(Document::parse(Phase::Requirements, &wrong).is_err());
    }
}
