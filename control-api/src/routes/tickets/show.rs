//! `GET /tickets/{id}`

use axum::Json;
use axum::extract::State;
use specwright_shared::id::TicketId;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::ticket::TicketView;

use crate::app::App;
use crate::auth::Person;
use crate::extract::PathId;
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError};

/// Why it cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShowError {
    #[error("there is no ticket {0}")]
    NotFound(TicketId),
    #[error("the ticket could not be read")]
    Store(#[from] StoreError),
}

impl Refusal for ShowError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NotFound(_) => ProblemType::NotFound,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(ShowError);

/// Shows it.
pub(crate) async fn handler(
    State(app): State<App>,
    person: Person,
    PathId(id): PathId<TicketId>,
) -> Result<Json<TicketView>, ShowError> {
    let mut session = app.store.read().await?;
    let found = store::ticket::find(&mut session, person.sight(), id).await?;
    found.map(Json).ok_or(ShowError::NotFound(id))
}
