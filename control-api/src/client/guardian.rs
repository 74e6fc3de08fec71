//! What a guardian asks for.

use http::Method;
use specwright_shared::id::SandboxId;
use specwright_shared::trajectory::Trajectory;
use specwright_shared::wire::intervention::{InterventionView, NewIntervention};

use super::{ANSWER_TIMEOUT, Client, ClientError};

impl Client {
    /// `GET /sandboxes/{id}/trajectory`: what an agent did, condensed; behind a cursor, if one is given.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn trajectory(
        &self,
        id: SandboxId,
        since: Option<&str>,
    ) -> Result<Trajectory, ClientError> {
        let query: Vec<_> = since.map(|since| ("since", since.to_owned())).into_iter().collect();
        self.get(&format!("/api/v1/sandboxes/{id}/trajectory"), &query, ANSWER_TIMEOUT).await
    }

    /// `POST /sandboxes/{id}/interventions`. The same key again is the same intervention.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn intervene(
        &self,
        id: SandboxId,
        key: &str,
        new: &NewIntervention,
    ) -> Result<InterventionView, ClientError> {
        let path = format!("/api/v1/sandboxes/{id}/interventions");
        let request = self.request(Method::POST, &path)?.header("idempotency-key", key).json(new);
        self.answer(request, "POST", &path).await
    }
}
