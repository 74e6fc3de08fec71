//! Control requests to the agent and their answers.
//!
//! What holds: an answer counts only if its id was asked by us (the CLI echoes our own answers), once,
//! and every wait ends: with the answer, at its limit, or with the process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::stdin::{Closed, Stdin};
use super::stream::Answer;

type Outcome = Result<Value, String>;

/// Asks, and matches answers; clones share the open questions.
#[derive(Clone)]
pub(crate) struct Control {
    stdin: Stdin,
    open: Arc<Mutex<HashMap<String, oneshot::Sender<Outcome>>>>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum AskError {
    /// The agent's stdin or stdout is closed.
    Closed,
    /// None came in time.
    NoAnswer,
    /// The agent said no; in its words.
    Refused(String),
}

impl From<Closed> for AskError {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl Control {
    pub(crate) fn new(stdin: Stdin) -> Self {
        Self { stdin, open: Arc::default() }
    }

    /// Asks and waits for the answer, at most for `patience` (writing included).
    pub(crate) async fn ask(&self, request: &Value, patience: Duration) -> Result<Value, AskError> {
        let request_id = Uuid::new_v4().to_string();
        let (send, answer) = oneshot::channel();
        self.questions().insert(request_id.clone(), send);
        let line = json!({"type": "control_request", "request_id": request_id, "request": request});
        let asked = async {
            self.stdin.write(&line).await?;
            answer.await.map_err(|_| AskError::Closed)?.map_err(AskError::Refused)
        };
        let outcome = tokio::time::timeout(patience, asked).await;
        self.questions().remove(&request_id);
        outcome.unwrap_or(Err(AskError::NoAnswer))
    }

    /// Takes a line of the agent that answers; an id that was not asked is dropped.
    pub(crate) fn answered(&self, answer: Answer) {
        if let Some(question) = self.questions().remove(&answer.request_id) {
            question.send(answer.outcome).ok(); // The asker ran out of patience.
        }
    }

    /// Nothing more will be answered.
    pub(crate) fn close(&self) {
        self.questions().clear();
    }

    /// Answers a question of the agent: we registered nothing that it may ask. Does not wait, since
    /// the reader calls it: an agent that reads only when it is read would hold both.
    pub(crate) fn refuse(&self, request_id: &str) {
        let response = json!({"subtype": "error", "request_id": request_id,
            "error": "Specwright answers no requests of the agent"});
        if !self.stdin.offer(&json!({"type": "control_response", "response": response})) {
            tracing::warn!(request_id, "a question of the agent stays open: it does not listen");
        }
    }

    fn questions(&self) -> MutexGuard<'_, HashMap<String, oneshot::Sender<Outcome>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
