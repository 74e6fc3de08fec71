//! `GET /board`: the tickets that one sees in the columns of the board, so many of each; and with
//! `phase` and `after` the next ones of a column.

use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use specwright_shared::id::ProjectId;
use specwright_shared::phase::TicketPhase;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::ticket::{Board, Column};
use uuid::Uuid;

use crate::app::App;
use crate::auth::Person;
use crate::extract::{Limit, Params};
use crate::problem::{Refusal, impl_answer};
use crate::store::StoreError;
use crate::store::ticket::column::{self, Place};

/// Why there is no board.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BoardError {
    #[error("`after` is a place in one column: give that column's `phase` with it")]
    WhichColumn,
    #[error("`after` is not a place in a column; give the `next` that came with it")]
    NoPlace,
    #[error("the board could not be read")]
    Store(#[from] StoreError),
}

impl Refusal for BoardError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::WhichColumn | Self::NoPlace => ProblemType::InvalidRequest,
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
    /// This column only.
    phase: Option<TicketPhase>,
    /// How many tickets of each column.
    #[serde(default)]
    limit: Limit,
    /// The `next` of the column; `phase` says which.
    after: Option<String>,
}

/// Shows it.
pub(crate) async fn handler(
    State(app): State<App>,
    person: Person,
    Params(query): Params<Query>,
) -> Result<Json<Board>, BoardError> {
    let after = match (&query.after, query.phase) {
        (None, _) => Place::TOP,
        (Some(_), None) => return Err(BoardError::WhichColumn),
        (Some(after), Some(_)) => parse(after).ok_or(BoardError::NoPlace)?,
    };
    let mut session = app.store.read().await?;
    let reach = person.sight().reach(&mut session, query.project_id).await?;
    let phases: Vec<TicketPhase> = TicketPhase::ALL
        .into_iter()
        .filter(|phase| query.phase.is_none_or(|only| only == *phase))
        .collect();
    let pages = column::pages(&mut session, reach, &phases, after, query.limit.items()).await?;
    let columns = pages
        .into_iter()
        .map(|page| Column {
            phase: page.phase,
            tickets: page.tickets,
            next: page.next.map(written),
        })
        .collect();
    Ok(Json(Board { columns }))
}

fn written(place: Place) -> String {
    format!("{}.{}", place.spec.simple(), place.position)
}

fn parse(text: &str) -> Option<Place> {
    let (spec, position) = text.split_once('.')?;
    let (spec, position) = (Uuid::try_parse(spec).ok()?, i64::from_str(position).ok()?);
    Some(Place { spec, position })
}
