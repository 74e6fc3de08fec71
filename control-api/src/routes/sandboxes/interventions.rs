//! `GET` and `POST /sandboxes/{id}/interventions`: what guardians did to a run, and the way to do
//! something. Who it is is what the token says.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use specwright_shared::id::SandboxId;
use specwright_shared::wire::Page;
use specwright_shared::wire::intervention::{InterventionView, NewIntervention};
use specwright_shared::wire::problem::ProblemType;

use crate::app::App;
use crate::auth::Person;
use crate::extract::{Body, Params, PathId, WholeList};
use crate::intervene::{Done, Guardian, InterveneError, intervene};
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError};
use crate::trace::Trace;

/// The header that makes a repeat the same intervention.
const KEY: &str = "idempotency-key";
/// The longest key: a UUID and what somebody puts before it.
const KEY_MAX: usize = 128;

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InterventionsError {
    #[error(
        "send `Idempotency-Key` with 1 to {KEY_MAX} printable ASCII characters, a new one for each intervention: sent again it is not made twice"
    )]
    NoKey,
    #[error(transparent)]
    Intervene(#[from] InterveneError),
    #[error("the interventions could not be read")]
    Store(#[from] StoreError),
}

impl Refusal for InterventionsError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NoKey => ProblemType::InvalidRequest,
            Self::Intervene(error) => error.kind(),
            Self::Store(_) => ProblemType::Internal,
        }
    }

    fn retry_after(&self) -> Option<std::time::Duration> {
        match self {
            Self::Intervene(error) => error.retry_after(),
            _ => None,
        }
    }
}
impl_answer!(InterventionsError);

/// Lists them, oldest first.
pub(crate) async fn list_handler(
    State(app): State<App>,
    PathId(id): PathId<SandboxId>,
    Params(_): Params<WholeList>,
) -> Result<Json<Page<InterventionView>>, InterventionsError> {
    let mut session = app.store.read().await?;
    let all = store::intervention::list(&mut session, id).await?;
    Ok(Json(Page { items: all.into_iter().map(|one| one.view).collect(), next: None }))
}

/// Intervenes: 201 when it was done now, 200 for a repeat.
pub(crate) async fn handler(
    State(app): State<App>,
    person: Person,
    Trace(trace): Trace,
    PathId(id): PathId<SandboxId>,
    headers: HeaderMap,
    Body(new): Body<NewIntervention>,
) -> Result<(StatusCode, Json<InterventionView>), InterventionsError> {
    let key = headers.get(KEY).and_then(|key| key.to_str().ok()).map(str::trim);
    let key = key.filter(|key| (1..=KEY_MAX).contains(&key.len()));
    let key = key.ok_or(InterventionsError::NoKey)?;
    let guardian = Guardian { name: &person.name, key, trace: Some(trace) };
    Ok(match intervene(&app, id, guardian, &new).await? {
        Done::Now(view) => (StatusCode::CREATED, Json(view)),
        Done::Before(view) => (StatusCode::OK, Json(view)),
    })
}
