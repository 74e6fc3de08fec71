//! `GET /sandboxes/{id}/messages`: the history. Reading consumes nothing.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use specwright_shared::id::SandboxId;
use specwright_shared::wire::Page;
use specwright_shared::wire::message::Message;
use specwright_shared::wire::problem::ProblemType;

use crate::app::App;
use crate::extract::{Limit, Params, PathId};
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError};

/// Why it cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MessagesError {
    #[error("there is no sandbox {0}")]
    NotFound(SandboxId),
    #[error("the sandbox could not be read")]
    Store(#[from] StoreError),
}

impl Refusal for MessagesError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NotFound(_) => ProblemType::NotFound,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(MessagesError);

/// The query.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    /// The position behind which to read; what `next` of an earlier page said.
    #[serde(default)]
    after: u64,
    #[serde(default)]
    limit: Limit,
}

/// Lists a page.
pub(crate) async fn handler(
    State(app): State<App>,
    PathId(id): PathId<SandboxId>,
    Params(query): Params<Query>,
) -> Result<Json<Page<Message>>, MessagesError> {
    let mut session = app.store.read().await?;
    store::sandbox::find(&mut session, id).await?.ok_or(MessagesError::NotFound(id))?;
    let mut items =
        store::message::list(&mut session, id, query.after, query.limit.and_one()).await?;
    let more = items.len() > query.limit.items();
    items.truncate(query.limit.items());
    let next = items.last().filter(|_| more).map(|last| last.position.to_string());
    Ok(Json(Page { items, next }))
}
