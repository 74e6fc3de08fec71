//! `GET /board`: the tickets that one sees in the columns of the board.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use specwright_shared::id::ProjectId;
use specwright_shared::phase::TicketPhase;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::ticket::{Board, Column};

use crate::app::App;
use crate::auth::Person;
use crate::extract::Params;
use crate::problem::{Refusal, impl_answer};
use crate::store::ticket::Filter;
use crate::store::{self, StoreError};

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BoardError {
    #[error("the board could not be read")]
    Store(#[from] StoreError),
}

impl Refusal for BoardError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(BoardError);

/// The query.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    project_id: Option<ProjectId>,
}

/// Shows it.
pub(crate) async fn handler(
    State(app): State<App>,
    person: Person,
    Params(query): Params<Query>,
) -> Result<Json<Board>, BoardError> {
    let mut session = app.store.read().await?;
    let filter = Filter { project: query.project_id, ..Filter::default() };
    let tickets = store::ticket::list(&mut session, person.sight(), filter).await?;
    let mut columns: Vec<Column> =
        TicketPhase::ALL.into_iter().map(|phase| Column { phase, tickets: Vec::new() }).collect();
    for ticket in tickets {
        if let Some(column) = columns.iter_mut().find(|column| column.phase == ticket.phase) {
            column.tickets.push(ticket);
        }
    }
    Ok(Json(Board { columns }))
}
