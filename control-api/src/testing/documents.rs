//! Five small documents that pass their gates.

use serde_json::{Value, json};
use specwright_shared::coverage::synchronise;
use specwright_shared::documents::{Document, Sync};
use specwright_shared::phase::Phase;

fn parse(phase: Phase, value: &Value) -> Document {
    Document::parse(phase, value).unwrap_or_else(|finding| panic!("{phase}: {finding}"))
}

/// The document of a phase; `None` for `complete`.
pub(crate) fn of(phase: Phase) -> Option<Document> {
    let value = match phase {
        Phase::Explore => json!({
            "codebase_summary": "A small service.", "project_type": "service in Rust",
            "conventions": { "naming": "snake case", "testing": "beside the code" },
            "test_structure": "Unit tests.",
            "discovery_questions": [
                { "category": "Problem & Value", "questions": ["Who suffers today?"] },
                { "category": "Users & Journeys", "questions": ["Who calls the service?"] },
                { "category": "Scope & Boundaries", "questions": ["Which routes are meant?"] },
                { "category": "Technical Context", "questions": ["Where is state kept?"] },
                { "category": "Trade-offs & Risks", "questions": ["What if the clock jumps?"] },
            ],
            "feature_summary": {
                "name": "rate-limit", "one_liner": "Limit each client",
                "problem_statement": "One client can starve the others.",
                "scope_in": ["counting requests"],
            },
        }),
        Phase::Requirements => json!({
            "feature_name": "rate-limit",
            "requirements": [
                {
                    "id": "REQ-RATE-FUNC-001", "title": "Limit requests", "priority": "HIGH",
                    "text": "When a client sends more than 100 requests in a minute, the service shall answer with status 429.",
                    "acceptance_criteria": ["The 101st request gets 429.", "The 100th request gets 200."],
                },
                {
                    "id": "REQ-RATE-PERF-001", "title": "Count cheaply", "priority": "MEDIUM",
                    "text": "The service shall count a request in less than 1 millisecond.",
                    "acceptance_criteria": ["A benchmark shows it.", "Ten clients at once are counted right."],
                },
            ],
        }),
        Phase::Design => json!({
            "feature_name": "rate-limit", "architecture_overview": "A counter in front of the routes.",
            "components": [{
                "name": "Limiter", "type": "module", "responsibility": "Counts requests.",
                "requirements": ["REQ-RATE-FUNC-001", "REQ-RATE-PERF-001"],
            }],
            "error_handling": [{ "situation": "The limit is reached.", "response": "Status 429." }],
            "testing_strategy": { "unit_tests": ["the window slides"] },
        }),
        Phase::Tasks => json!({
            "feature_name": "rate-limit",
            "tickets": [
                {
                    "id": "TKT-001", "title": "Count", "description": "Count requests per client.",
                    "priority": "HIGH", "estimate": "S", "requirements": ["REQ-RATE-PERF-001"],
                    "acceptance_criteria": ["Requests are counted."],
                },
                {
                    "id": "TKT-002", "title": "Refuse", "description": "Refuse what is too much.",
                    "priority": "HIGH", "estimate": "S", "requirements": ["REQ-RATE-FUNC-001"],
                    "acceptance_criteria": ["Too much is refused."], "depends_on": ["TKT-001"],
                },
            ],
            "tasks": [
                {
                    "id": "TSK-001", "parent_ticket": "TKT-001", "title": "Write the counter",
                    "description": "A sliding window.", "type": "implementation",
                    "priority": "HIGH", "estimated_hours": 2.0,
                    "files_to_create": ["src/limiter.rs"],
                    "acceptance_criteria": ["The window slides."],
                    "requirements": ["REQ-RATE-PERF-001"],
                },
                {
                    "id": "TSK-002", "parent_ticket": "TKT-002", "title": "Answer with 429",
                    "description": "Use the counter.", "type": "implementation",
                    "priority": "HIGH", "estimated_hours": 1.0,
                    "files_to_modify": ["src/main.rs"],
                    "acceptance_criteria": ["The answer is 429."], "depends_on": ["TSK-001"],
                    "requirements": ["REQ-RATE-FUNC-001"],
                },
            ],
        }),
        Phase::Sync => return Some(Document::Sync(Box::new(sync()))),
        Phase::Complete => return None,
    };
    Some(parse(phase, &value))
}

fn sync() -> Sync {
    let (
        Some(Document::Requirements(requirements)),
        Some(Document::Design(design)),
        Some(Document::Tasks(tasks)),
    ) = (of(Phase::Requirements), of(Phase::Design), of(Phase::Tasks))
    else {
        panic!("each phase has its own document")
    };
    synchronise(&requirements, &design, &tasks).unwrap()
}
