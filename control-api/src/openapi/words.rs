//! What no type says about a route: a sentence, the status of its success, and the problems that are
//! its own. Those that follow from its access, its parameters and its body are not repeated here.

use schemars::generate::SchemaGenerator;
use serde_json::Value;
use specwright_shared::trajectory::Trajectory;
use specwright_shared::wire::Page;
use specwright_shared::wire::event::EventView;
use specwright_shared::wire::problem::ProblemType as P;

use super::describe::AnyObject;

type Schema = fn(&mut SchemaGenerator) -> Value;

/// What an answer's body is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    /// What the handler's type says.
    Typed,
    /// JSON that the handler wrote itself.
    Json(Schema),
    /// Server-sent events.
    Events,
    /// Another media type.
    Of(&'static str),
}

/// The words about one route.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    pub(super) route: &'static str,
    pub(super) summary: &'static str,
    pub(super) statuses: &'static [u16],
    pub(super) problems: &'static [P],
    pub(super) answer: Answer,
    pub(super) body: Option<Schema>,
    pub(super) headers: &'static [(&'static str, bool, &'static str)],
    /// JSON.
    pub(super) example: Option<&'static str>,
}

const fn says(route: &'static str, summary: &'static str) -> Words {
    Words {
        route,
        summary,
        statuses: &[200],
        problems: &[],
        answer: Answer::Typed,
        body: None,
        headers: &[],
        example: None,
    }
}

impl Words {
    const fn with(self, statuses: &'static [u16]) -> Self {
        Self { statuses, ..self }
    }
    const fn or(self, problems: &'static [P]) -> Self {
        Self { problems, ..self }
    }
    const fn gives(self, answer: Answer) -> Self {
        Self { answer, ..self }
    }
    const fn takes(self, body: Schema) -> Self {
        Self { body: Some(body), ..self }
    }
    const fn headed(self, headers: &'static [(&'static str, bool, &'static str)]) -> Self {
        Self { headers, ..self }
    }
    const fn as_in(self, example: &'static str) -> Self {
        Self { example: Some(example), ..self }
    }
}

fn object(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<AnyObject>().to_value()
}

fn events(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<Page<EventView>>().to_value()
}

fn trajectory(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<Trajectory>().to_value()
}

const LAST_EVENT: &[(&str, bool, &str)] =
    &[("Last-Event-ID", false, "Goes before `after`: the id of the last event that was read.")];

/// Of every route, in the order of the table.
pub(super) const ALL: &[Words] = &[
    says("GET /healthz", "Whether this process answers."),
    says(
        "GET /readyz",
        "Whether the database answers; its schema was brought up to date before anything was served.",
    ),
    says("GET /metrics", "What happens here, for Prometheus.")
        .gives(Answer::Of("application/openmetrics-text")),
    says("GET /openapi.json", "This document.").gives(Answer::Json(object)),
    says("GET /docs", "This document as a page.").gives(Answer::Of("text/html")),
    says("GET /api/v1/projects", "The projects that one sees."),
    says("POST /api/v1/projects", "Make a project, or find one's own of that name.")
        .with(&[200, 201])
        .as_in(r#"{"name": "website"}"#),
    says("GET /api/v1/projects/{id}/members", "Who belongs to a project."),
    says("PUT /api/v1/projects/{id}/members/{name}", "Add a member, or change its role.")
        .or(&[P::IllegalTransition])
        .as_in(r#"{"role": "member"}"#),
    says("DELETE /api/v1/projects/{id}/members/{name}", "Take a member out.")
        .with(&[204])
        .or(&[P::IllegalTransition]),
    says("GET /api/v1/projects/{id}/audit", "Who changed what in a project."),
    says("GET /api/v1/projects/{id}/liveness", "The limits of a project's idle monitor."),
    says("PUT /api/v1/projects/{id}/liveness", "Set those of them that are to differ.")
        .takes(object)
        .as_in(r#"{"idle_s": 300}"#),
    says("GET /api/v1/projects/{id}/guardian", "How much guardians may do in a project."),
    says("PUT /api/v1/projects/{id}/guardian", "Set what of it is to differ.")
        .takes(object)
        .as_in(r#"{"on": true}"#),
    says("GET /api/v1/projects/{id}/credentials", "A project's credentials, without the keys."),
    says("PUT /api/v1/projects/{id}/credentials/{name}", "Keep a credential for a project.")
        .or(&[P::NoSealKey]),
    says("DELETE /api/v1/projects/{id}/credentials/{name}", "Forget a credential of a project.")
        .with(&[204]),
    says("GET /api/v1/specs", "Specs, newest first."),
    says("POST /api/v1/specs", "Write an idea down, without starting anything.")
        .with(&[201])
        .or(&[P::NotFound])
        .as_in(r#"{"description": "A dark mode for the settings page"}"#),
    says("POST /api/v1/specs/launch", "Write an idea down and start its run.")
        .with(&[202])
        .or(&[P::NotFound, P::BreakerOpen, P::SandboxStartFailed])
        .as_in(r#"{"spec": {"description": "A dark mode"}, "run": {"agent": "rehearsal"}}"#),
    says("GET /api/v1/specs/{id}", "A spec."),
    says(
        "POST /api/v1/specs/{id}/execute",
        "Start, or go on from the first phase that is not accepted.",
    )
    .with(&[202])
    .or(&[P::AlreadyExecuting, P::IllegalTransition, P::BreakerOpen, P::SandboxStartFailed])
    .as_in(r#"{"until": "design"}"#),
    says("POST /api/v1/specs/{id}/cancel", "Stop its run: when the agent comes to rest, or now.")
        .with(&[200, 202])
        .or(&[P::IllegalTransition])
        .as_in(r#"{"reason": "not this quarter"}"#),
    says("POST /api/v1/specs/{id}/pause", "Stop its run after the phase at work.")
        .with(&[202])
        .or(&[P::IllegalTransition]),
    says(
        "POST /api/v1/specs/{id}/breaker/reset",
        "Let it start again, after it had used up what it may.",
    ),
    says("GET /api/v1/specs/{id}/phases", "Its phases, without outputs."),
    says("GET /api/v1/specs/{id}/phases/{name}", "A phase with its output."),
    says("GET /api/v1/events", "Events of all specs that one sees, as a page that can wait.")
        .or(&[P::CursorExpired])
        .gives(Answer::Json(events)),
    says(
        "GET /api/v1/events/stream",
        "The same as server-sent events: what is stored, then what comes.",
    )
    .or(&[P::CursorExpired])
    .headed(LAST_EVENT)
    .gives(Answer::Events),
    says(
        "GET /api/v1/specs/{id}/events",
        "A spec's events in commit order, as a page that can wait.",
    )
    .or(&[P::CursorExpired])
    .gives(Answer::Json(events)),
    says("GET /api/v1/specs/{id}/events/stream", "The same as server-sent events.")
        .or(&[P::CursorExpired])
        .headed(LAST_EVENT)
        .gives(Answer::Events),
    says("GET /api/v1/sandboxes/{id}/events", "What a sandbox reported, as a page that can wait.")
        .or(&[P::CursorExpired])
        .gives(Answer::Json(events)),
    says("GET /api/v1/sandboxes/{id}/events/stream", "The same as server-sent events.")
        .or(&[P::CursorExpired])
        .headed(LAST_EVENT)
        .gives(Answer::Events),
    says("GET /api/v1/specs/{id}/documents", "Its documents, without their contents."),
    says("GET /api/v1/specs/{id}/documents/{name}", "A document with its content."),
    says("GET /api/v1/specs/{id}/coverage", "Which requirement is met by which task.")
        .gives(Answer::Json(object)),
    says("GET /api/v1/sandboxes", "Sandboxes, newest first."),
    says("GET /api/v1/sandboxes/{id}", "A sandbox with its verdicts."),
    says("POST /api/v1/sandboxes/{id}/hold", "Do not end it for a verdict until then.")
        .or(&[P::SandboxEnded])
        .as_in(r#"{"until": "2030-01-31T12:00:00Z", "reason": "looking into it"}"#),
    says("POST /api/v1/sandboxes/{id}/release", "Take a hold back.").or(&[P::SandboxEnded]),
    says(
        "GET /api/v1/sandboxes/{id}/trajectory",
        "What a guardian needs to know of a run, in bounded size.",
    )
    .with(&[200, 304])
    .headed(&[("If-None-Match", false, "The `ETag` of an earlier answer.")])
    .gives(Answer::Json(trajectory)),
    says(
        "GET /api/v1/sandboxes/{id}/interventions",
        "What guardians did to a run, and what came of it.",
    ),
    says("POST /api/v1/sandboxes/{id}/interventions", "Intervene.")
        .with(&[200, 201])
        .or(&[P::SandboxEnded, P::IllegalTransition, P::InterventionTooSoon])
        .headed(&[(
            "Idempotency-Key",
            true,
            "New for each intervention: sent again it is not made twice.",
        )]),
    says("GET /api/v1/sandboxes/{id}/messages", "The messages to an agent and their receipts."),
    says("POST /api/v1/sandboxes/{id}/messages", "Say something to the agent.")
        .with(&[200, 201])
        .or(&[P::SandboxEnded, P::IllegalTransition])
        .as_in(r#"{"kind": "user_message", "text": "Leave the API as it is."}"#),
    says("POST /api/v1/sandboxes/{id}/hello", "A worker is up: its job and its generation.").or(&[
        P::SandboxEnded,
        P::ProtocolMismatch,
        P::NoSealKey,
    ]),
    says("POST /api/v1/sandboxes/{id}/events", "A batch of events, in order and without a gap.")
        .or(&[P::Fenced, P::SandboxEnded, P::SequenceGap, P::InvalidEvent, P::GateRefused]),
    says("POST /api/v1/sandboxes/{id}/heartbeat", "The worker lives.")
        .or(&[P::Fenced, P::SandboxEnded]),
    says(
        "GET /api/v1/sandboxes/{id}/messages/poll",
        "Messages behind a position; waits when asked to.",
    )
    .or(&[P::SandboxEnded]),
    says("GET /api/v1/sandboxes/{id}/messages/stream", "The same as server-sent events.")
        .or(&[P::SandboxEnded])
        .headed(&[(
            "Last-Event-ID",
            false,
            "Goes before `after`: the position of the last message.",
        )])
        .gives(Answer::Events),
    says(
        "PUT /api/v1/sandboxes/{id}/transcript",
        "The agent's conversation, as gzip of JSON lines.",
    )
    .or(&[P::Fenced, P::SandboxEnded]),
    says("GET /api/v1/sandboxes/{id}/transcript", "The same bytes.")
        .gives(Answer::Of("application/gzip")),
    says("GET /api/v1/duties", "Background duties: who does them, and what they did."),
    says("GET /api/v1/board", "Tickets by their phase: a page of each column."),
    says("GET /api/v1/tickets", "A spec's tickets."),
    says("GET /api/v1/tickets/{id}", "A ticket."),
    says("GET /api/v1/tasks", "A spec's tasks."),
    says("GET /api/v1/tasks/{id}", "A task."),
    says("GET /api/v1/tokens", "One's own tokens, without what opens anything."),
    says("POST /api/v1/tokens", "Make a token; it is shown this once.")
        .with(&[201])
        .or(&[P::NotFound, P::IllegalTransition])
        .as_in(r#"{"name": "laptop", "kind": "user"}"#),
    says("DELETE /api/v1/tokens/{id}", "Revoke a token.").with(&[204]),
    says("GET /api/v1/credentials", "One's own credentials, without the keys."),
    says("PUT /api/v1/credentials/{name}", "Keep a credential of one's own.").or(&[P::NoSealKey]),
    says("DELETE /api/v1/credentials/{name}", "Forget a credential of one's own.").with(&[204]),
    says("POST /api/v1/credentials/rotate", "Seal all credentials with the newest key.")
        .or(&[P::NoSealKey]),
    says("GET /api/v1/users", "Users."),
    says("POST /api/v1/users", "Make a user.")
        .with(&[201])
        .or(&[P::IllegalTransition])
        .as_in(r#"{"name": "ada"}"#),
    says("POST /api/v1/users/{id}/disable", "No token of this user opens anything any more.")
        .or(&[P::IllegalTransition]),
    says("POST /api/v1/users/{id}/enable", "They open again what they did."),
    says("GET /api/v1/users/{id}/tokens", "A user's tokens."),
    says("POST /api/v1/users/{id}/tokens", "Make a token for a user; it is shown this once.")
        .with(&[201])
        .or(&[P::IllegalTransition]),
    says("GET /api/v1/audit", "Who changed what."),
];
