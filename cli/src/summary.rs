//! What a spec has come to: gathered once, shown as the last JSON object of a run or as text.

use serde::Serialize;
use specwright_control_api::client::{Client, ClientError};
use specwright_shared::id::{SpecId, TaskId, TicketId};
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::{Phase, PhaseStatus, SpecStatus};
use specwright_shared::wire::sandbox::SandboxView;
use specwright_shared::wire::spec::{Coverage, DocumentView, PhaseView, SpecView};
use specwright_shared::wire::ticket::{TaskView, TicketView};

/// Everything that is shown of a spec.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SpecState {
    pub(crate) spec: SpecView,
    pub(crate) phases: Vec<PhaseView>,
    pub(crate) documents: Vec<DocumentView>,
    pub(crate) tickets: Vec<TicketView>,
    /// The living sandbox, with what it is at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sandbox: Option<SandboxView>,
}

impl SpecState {
    /// Asks the control API for it.
    pub(crate) async fn fetch(client: &Client, id: SpecId) -> Result<Self, ClientError> {
        let spec = client.spec(id).await?;
        let sandbox = match spec.sandbox_id {
            Some(sandbox) => Some(client.sandbox(sandbox).await?),
            None => None,
        };
        Ok(Self {
            spec,
            sandbox,
            phases: client.phases(id).await?,
            documents: client.documents(id).await?,
            tickets: client.tickets(id).await?,
        })
    }

    /// Whether no model was used for it.
    pub(crate) fn is_rehearsal(&self) -> bool {
        is_rehearsal(&self.spec)
    }
}

/// Whether a spec's newest run was done by the rehearsal agent.
pub(crate) fn is_rehearsal(spec: &SpecView) -> bool {
    spec.agent.as_deref() == Some("rehearsal")
}

/// The last object that `launch --json`, `resume --json` and `watch --json` print.
#[derive(Debug, Serialize)]
pub(crate) struct Summary<'a> {
    r#type: &'static str,
    spec_id: SpecId,
    status: SpecStatus,
    agent: Option<&'a str>,
    phases: Vec<PhaseSummary>,
    documents: Vec<&'a str>,
    tickets: Vec<TicketSummary<'a>>,
    coverage: Coverage,
    events: u64,
    cost_usd: f64,
    /// Why it is not completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Outcome>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct PhaseSummary {
    phase: Phase,
    status: PhaseStatus,
    attempts: u8,
    score: Option<f64>,
    duration_ms: u64,
    cost_usd: f64,
}

#[derive(Debug, Serialize)]
struct TicketSummary<'a> {
    id: TicketId,
    local_id: &'a str,
    title: &'a str,
    depends_on: &'a [TicketId],
    tasks: Vec<TaskSummary<'a>>,
}

#[derive(Debug, Serialize)]
struct TaskSummary<'a> {
    id: TaskId,
    local_id: &'a str,
    title: &'a str,
    depends_on: &'a [TaskId],
    requirements: &'a [String],
}

/// The files of the documents that are in one.
fn files(state: &SpecState) -> impl Iterator<Item = &str> {
    state.documents.iter().map(|document| document.path.as_str()).filter(|path| !path.is_empty())
}

impl<'a> From<&'a SpecState> for Summary<'a> {
    fn from(state: &'a SpecState) -> Self {
        let spec = &state.spec;
        Self {
            r#type: "summary",
            spec_id: spec.id,
            status: spec.status,
            agent: spec.agent.as_deref(),
            phases: state.phases.iter().map(PhaseSummary::from).collect(),
            documents: files(state).collect(),
            tickets: state.tickets.iter().map(TicketSummary::from).collect(),
            // Before `sync` nothing is counted yet.
            coverage: spec.coverage.unwrap_or(Coverage { requirements: 0, covered: 0 }),
            events: spec.events,
            cost_usd: spec.cost_usd,
            reason: spec.reason.filter(|_| spec.status != SpecStatus::Completed),
            message: spec.message.as_deref().filter(|_| spec.status != SpecStatus::Completed),
        }
    }
}

impl From<&PhaseView> for PhaseSummary {
    fn from(view: &PhaseView) -> Self {
        Self {
            phase: view.phase,
            status: view.status,
            attempts: view.attempts,
            score: view.score,
            duration_ms: view.duration_ms,
            cost_usd: view.cost_usd,
        }
    }
}

impl<'a> From<&'a TicketView> for TicketSummary<'a> {
    fn from(ticket: &'a TicketView) -> Self {
        Self {
            id: ticket.id,
            local_id: &ticket.local_id,
            title: &ticket.title,
            depends_on: &ticket.depends_on,
            tasks: ticket.tasks.iter().map(TaskSummary::from).collect(),
        }
    }
}

impl<'a> From<&'a TaskView> for TaskSummary<'a> {
    fn from(task: &'a TaskView) -> Self {
        Self {
            id: task.id,
            local_id: &task.local_id,
            title: &task.title,
            depends_on: &task.depends_on,
            requirements: &task.requirements,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A spec with one ticket and two tasks, as the control API gives it.
    pub(crate) fn sample() -> SpecState {
        let id = |n: u128| uuid::Uuid::from_u128(n).to_string();
        let at = "2026-11-18T11:06:40.000001Z";
        let task = |n: u128, title: &str, depends_on: &[u128]| {
            json!({
                "id": id(n), "local_id": format!("TSK-{n:03}"), "ticket_id": id(20), "title": title,
                "description": "d", "type": "implementation", "priority": "HIGH",
                "estimated_hours": 2.0, "status": "pending",
                "depends_on": depends_on.iter().map(|n| id(*n)).collect::<Vec<_>>(),
                "requirements": ["REQ-RATE-FUNC-001"], "files_to_create": [],
                "files_to_modify": [], "acceptance_criteria": [],
            })
        };
        let spec = json!({
            "id": id(1), "project_id": id(2), "owner": "owner", "title": "Limit clients",
            "description": "Limit each client", "repository": "/r", "status": "completed",
            "current_phase": "complete", "agent": "rehearsal", "cost_usd": 0.0, "events": 60,
            "coverage": { "requirements": 4, "covered": 4 }, "created_at": at, "updated_at": at,
        });
        let phase = json!({
            "phase": "explore", "status": "accepted", "attempts": 1, "score": 1.0,
            "duration_ms": 120, "cost_usd": 0.0,
        });
        let document = json!({
            "name": "explore.md", "phase": "explore", "path": "/d/explore.md", "sha256": "ab",
            "bytes": 10,
        });
        let ticket = json!({
            "id": id(20), "local_id": "TKT-001", "spec_id": id(1), "project_id": id(2),
            "owner": "owner", "title": "Count requests", "description": "d", "priority": "HIGH",
            "estimate": "M", "phase": "PHASE_INITIAL", "requirements": ["REQ-RATE-FUNC-001"],
            "acceptance_criteria": [], "depends_on": [],
            "tasks": [task(1, "Write the counter", &[]), task(2, "Test the counter", &[1])],
            "rehearsal": true, "created_at": at,
        });
        SpecState {
            spec: serde_json::from_value(spec).unwrap(),
            phases: vec![serde_json::from_value(phase).unwrap()],
            documents: vec![serde_json::from_value(document).unwrap()],
            tickets: vec![serde_json::from_value(ticket).unwrap()],
            sandbox: None,
        }
    }

    #[test]
    fn the_summary_has_the_documented_shape() {
        insta::assert_json_snapshot!(Summary::from(&sample()));
    }

    #[test]
    fn a_failed_spec_says_why() {
        let mut state = sample();
        state.spec.status = SpecStatus::Failed;
        state.spec.reason = Some(Outcome::Lost);
        state.spec.message = Some("the worker is gone".into());
        let summary = serde_json::to_value(Summary::from(&state)).unwrap();
        assert_eq!(summary["reason"], "lost");
        assert_eq!(summary["message"], "the worker is gone");
    }
}
