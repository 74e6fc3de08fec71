//! The job as a block of data in a prompt.
//!
//! What holds: the block is JSON in which `<` is written `\u003c`, so no text of a user, a
//! repository or a model can close it; its size is bounded, and what was left out is named.

use serde_json::{Value, json};
use specwright_shared::documents::Accepted;
use specwright_shared::excerpt::Excerpt;
use specwright_shared::phase::Phase;
use specwright_shared::wire::sandbox::SpecJob;

/// The most bytes of the earlier phases' outputs: about 100,000 tokens, half of what the smallest
/// model in use takes, so that there is room for reading code.
pub(super) const CONTEXT_MAX_BYTES: usize = 400 * 1024;
/// The most bytes of the idea. The control API takes longer ones; this many are read by a model.
pub(super) const IDEA_MAX_BYTES: usize = 400 * 1024;

/// Lists of a document that later phases can do without, the least useful first. All of them are
/// optional in their schema, so a document without them is still whole.
const DISPENSABLE: [(Phase, &str); 14] = [
    (Phase::Explore, "discovery_questions"),
    (Phase::Explore, "existing_models"),
    (Phase::Explore, "structure"),
    (Phase::Explore, "notes"),
    (Phase::Explore, "relevant_patterns"),
    (Phase::Explore, "related_to_feature"),
    (Phase::Explore, "tech_stack"),
    (Phase::Requirements, "open_questions"),
    (Phase::Requirements, "assumptions"),
    (Phase::Design, "migration_plan"),
    (Phase::Design, "architecture_diagram"),
    (Phase::Design, "security_considerations"),
    (Phase::Design, "error_handling"),
    (Phase::Design, "integration_points"),
];

/// The block for a phase, with the outputs of the phases before it.
pub(super) fn block(job: &SpecJob, phase: Phase) -> String {
    let mut accepted: Accepted = job.accepted.clone();
    accepted.forget_from(phase);
    // String keys and finite numbers only: it cannot fail to encode.
    let mut accepted = serde_json::to_value(&accepted).unwrap_or_default();
    let omitted = shorten(&mut accepted);
    let idea = Excerpt::within(&job.description, IDEA_MAX_BYTES);
    let mut data = json!({
        "title": job.title,
        "description": idea.text,
        "accepted": accepted,
    });
    if idea.cut {
        data["description_bytes"] = json!(idea.bytes);
    }
    if !omitted.is_empty() {
        data["omitted"] = json!(omitted);
    }
    let json = data.to_string().replace('<', "\\u003c");
    format!("<specwright-data name=\"job\">{json}</specwright-data>")
}

/// Drops dispensable lists until the rest fits; gives their names.
pub(super) fn shorten(accepted: &mut Value) -> Vec<String> {
    let mut omitted = Vec::new();
    let mut size = accepted.to_string().len();
    for (phase, field) in DISPENSABLE {
        if size <= CONTEXT_MAX_BYTES {
            break;
        }
        let document = accepted.get_mut(phase.as_str()).and_then(Value::as_object_mut);
        if let Some(dropped) = document.and_then(|document| document.remove(field)) {
            size -= dropped.to_string().len();
            omitted.push(format!("{phase}.{field}"));
        }
    }
    omitted
}
