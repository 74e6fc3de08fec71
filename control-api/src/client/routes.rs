//! One method per route.

use std::time::Duration;

use serde::de::DeserializeOwned;
use specwright_shared::documents::Sync;
use specwright_shared::id::{ProjectId, SandboxId, SpecId};
use specwright_shared::phase::{Phase, SpecStatus};
use specwright_shared::wire::Page;
use specwright_shared::wire::event::EventView;
use specwright_shared::wire::message::{Message, NewMessage};
use specwright_shared::wire::sandbox::SandboxView;
use specwright_shared::wire::spec::{
    Cancel, DocumentView, Launch, Launched, NewProject, NewSpec, PhaseView, ProjectView,
    RunOptions, SpecView,
};
use specwright_shared::wire::ticket::{Board, TaskView, TicketView};
use specwright_shared::wire::watch::NewHold;

use super::{ANSWER_TIMEOUT, Client, ClientError};

/// How many items are asked for at once; the most that the control API gives.
const PAGE: usize = 200;

/// What an answer may take beyond the wait that was asked for.
const BEYOND_WAIT: Duration = Duration::from_secs(10);

/// Which specs are wanted; the default is all.
#[derive(Debug, Clone, Copy, Default)]
pub struct SpecFilter {
    /// Of this project only.
    pub project_id: Option<ProjectId>,
    /// In this state only.
    pub status: Option<SpecStatus>,
}

impl Client {
    /// `GET /healthz`: whether anyone is there.
    ///
    /// # Errors
    /// [`ClientError`], as for every method here.
    pub async fn health(&self) -> Result<serde_json::Value, ClientError> {
        self.get("/healthz", &[], ANSWER_TIMEOUT).await
    }

    /// `POST /projects`
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn create_project(&self, project: &NewProject) -> Result<ProjectView, ClientError> {
        self.post("/api/v1/projects", project).await
    }

    /// `GET /projects`, all pages.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn projects(&self) -> Result<Vec<ProjectView>, ClientError> {
        self.all("/api/v1/projects", &[]).await
    }

    /// `POST /specs`
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn create_spec(&self, spec: &NewSpec) -> Result<SpecView, ClientError> {
        self.post("/api/v1/specs", spec).await
    }

    /// `GET /specs`, all pages.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn specs(&self, filter: SpecFilter) -> Result<Vec<SpecView>, ClientError> {
        let project = filter.project_id.map(|id| ("project_id", id.to_string()));
        let status = filter.status.map(|status| ("status", status.to_string()));
        let query: Vec<_> = project.into_iter().chain(status).collect();
        self.all("/api/v1/specs", &query).await
    }

    /// `POST /specs/launch`
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn launch(&self, launch: &Launch) -> Result<Launched, ClientError> {
        self.post("/api/v1/specs/launch", launch).await
    }

    /// `GET /specs/{id}`
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn spec(&self, id: SpecId) -> Result<SpecView, ClientError> {
        self.one(format!("/api/v1/specs/{id}")).await
    }

    /// `POST /specs/{id}/execute`
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn execute(&self, id: SpecId, run: &RunOptions) -> Result<Launched, ClientError> {
        self.post(&format!("/api/v1/specs/{id}/execute"), run).await
    }

    /// `POST /specs/{id}/cancel`
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn cancel(&self, id: SpecId, cancel: &Cancel) -> Result<SpecView, ClientError> {
        self.post(&format!("/api/v1/specs/{id}/cancel"), cancel).await
    }

    /// `POST /specs/{id}/pause`: the run ends after the phase at work.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn pause(&self, id: SpecId) -> Result<SpecView, ClientError> {
        self.post(&format!("/api/v1/specs/{id}/pause"), &serde_json::json!({})).await
    }

    /// `POST /specs/{id}/breaker/reset`: what it has used so far no longer counts.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn reset_breaker(&self, id: SpecId) -> Result<SpecView, ClientError> {
        self.post(&format!("/api/v1/specs/{id}/breaker/reset"), &serde_json::json!({})).await
    }

    /// `POST /sandboxes/{id}/hold`: it is not ended for a verdict until then.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn hold(&self, id: SandboxId, hold: &NewHold) -> Result<SandboxView, ClientError> {
        self.post(&format!("/api/v1/sandboxes/{id}/hold"), hold).await
    }

    /// `POST /sandboxes/{id}/release`: nobody holds it any more.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn release(&self, id: SandboxId) -> Result<SandboxView, ClientError> {
        self.post(&format!("/api/v1/sandboxes/{id}/release"), &serde_json::json!({})).await
    }

    /// `GET /specs/{id}/phases`
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn phases(&self, id: SpecId) -> Result<Vec<PhaseView>, ClientError> {
        self.all(&format!("/api/v1/specs/{id}/phases"), &[]).await
    }

    /// `GET /specs/{id}/phases/{phase}`, with the accepted output.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn phase(&self, id: SpecId, phase: Phase) -> Result<PhaseView, ClientError> {
        self.one(format!("/api/v1/specs/{id}/phases/{phase}")).await
    }

    /// `GET /specs/{id}/events`: what came behind `after` (absent: from the beginning), at most one
    /// page; an empty page after `wait` if nothing came.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn events(
        &self,
        id: SpecId,
        after: Option<&str>,
        wait: Duration,
    ) -> Result<Page<EventView>, ClientError> {
        let mut query =
            vec![("limit", PAGE.to_string()), ("wait_ms", wait.as_millis().to_string())];
        query.extend(after.map(|after| ("after", after.to_owned())));
        self.get(&format!("/api/v1/specs/{id}/events"), &query, wait + BEYOND_WAIT).await
    }

    /// `GET /specs/{id}/documents`
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn documents(&self, id: SpecId) -> Result<Vec<DocumentView>, ClientError> {
        self.all(&format!("/api/v1/specs/{id}/documents"), &[]).await
    }

    /// `GET /specs/{id}/documents/{name}`, with its content.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn document(&self, id: SpecId, name: &str) -> Result<DocumentView, ClientError> {
        // Names are chosen by code (`requirements.md`); one that would change the path is none.
        let name: String = name.chars().filter(|c| !matches!(c, '/' | '?' | '#' | '%')).collect();
        self.one(format!("/api/v1/specs/{id}/documents/{name}")).await
    }

    /// `GET /specs/{id}/coverage`: the accepted output of `sync`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn coverage(&self, id: SpecId) -> Result<Sync, ClientError> {
        self.one(format!("/api/v1/specs/{id}/coverage")).await
    }

    /// `GET /sandboxes`, all pages.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn sandboxes(&self) -> Result<Vec<SandboxView>, ClientError> {
        self.all("/api/v1/sandboxes", &[]).await
    }

    /// `GET /sandboxes/{id}`
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn sandbox(&self, id: SandboxId) -> Result<SandboxView, ClientError> {
        self.one(format!("/api/v1/sandboxes/{id}")).await
    }

    /// `POST /sandboxes/{id}/messages`
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn say(&self, id: SandboxId, message: &NewMessage) -> Result<Message, ClientError> {
        self.post(&format!("/api/v1/sandboxes/{id}/messages"), message).await
    }

    /// `GET /sandboxes/{id}/messages`: the history; consumes nothing.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn messages(&self, id: SandboxId) -> Result<Vec<Message>, ClientError> {
        self.all(&format!("/api/v1/sandboxes/{id}/messages"), &[]).await
    }

    /// `GET /board`
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn board(&self, project: Option<ProjectId>) -> Result<Board, ClientError> {
        let query: Vec<_> = project.map(|id| ("project_id", id.to_string())).into_iter().collect();
        self.get("/api/v1/board", &query, ANSWER_TIMEOUT).await
    }

    /// `GET /tickets`: those of a spec, with their tasks, all pages.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn tickets(&self, spec: SpecId) -> Result<Vec<TicketView>, ClientError> {
        self.all("/api/v1/tickets", &[("spec_id", spec.to_string())]).await
    }

    /// `GET /tasks`: those of a spec, all pages.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn tasks(&self, spec: SpecId) -> Result<Vec<TaskView>, ClientError> {
        self.all("/api/v1/tasks", &[("spec_id", spec.to_string())]).await
    }

    /// The first page of a list.
    pub(super) async fn first<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Vec<T>, ClientError> {
        let query = [("limit", PAGE.to_string())];
        let page: Page<T> = self.get(path, &query, ANSWER_TIMEOUT).await?;
        Ok(page.items)
    }

    async fn one<T: DeserializeOwned>(&self, path: String) -> Result<T, ClientError> {
        self.get(&path, &[], ANSWER_TIMEOUT).await
    }

    /// Follows a list's cursors to its end.
    pub(super) async fn all<T: DeserializeOwned>(
        &self,
        path: &str,
        filter: &[(&str, String)],
    ) -> Result<Vec<T>, ClientError> {
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut query = filter.to_vec();
            query.push(("limit", PAGE.to_string()));
            query.extend(after.take().map(|after| ("after", after)));
            let page: Page<T> = self.get(path, &query, ANSWER_TIMEOUT).await?;
            items.extend(page.items);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(items),
            }
        }
    }
}
