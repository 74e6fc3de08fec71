//! `GET /specs/{id}/phases` and `…/phases/{phase}`: the first without outputs, the second with.

use axum::Json;
use axum::extract::State;
use specwright_shared::id::SpecId;
use specwright_shared::phase::Phase;
use specwright_shared::wire::Page;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::spec::PhaseView;

use crate::app::App;
use crate::extract::{Params, PathId, PathName, WholeList};
use crate::problem::{Refusal, impl_answer};
use crate::store::phase::PhaseRecord;
use crate::store::{self, StoreError};

/// Why it cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PhasesError {
    #[error("there is no spec {0}")]
    NotFound(SpecId),
    #[error("the spec could not be read")]
    Store(#[from] StoreError),
}

impl Refusal for PhasesError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NotFound(_) => ProblemType::NotFound,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(PhasesError);

/// All six.
pub(crate) async fn list_handler(
    State(app): State<App>,
    PathId(id): PathId<SpecId>,
    Params(_): Params<WholeList>,
) -> Result<Json<Page<PhaseView>>, PhasesError> {
    let phases = read(&app, id).await?;
    let items = phases.into_iter().map(|record| record.view(false)).collect();
    Ok(Json(Page { items, next: None }))
}

/// One, with its accepted output.
pub(crate) async fn show_handler(
    State(app): State<App>,
    PathId(id): PathId<SpecId>,
    PathName(phase): PathName<Phase>,
) -> Result<Json<PhaseView>, PhasesError> {
    let phases = read(&app, id).await?;
    let record = phases.into_iter().find(|record| record.phase == phase);
    Ok(Json(record.unwrap_or_else(|| PhaseRecord::pending(phase)).view(true)))
}

async fn read(app: &App, id: SpecId) -> Result<Vec<PhaseRecord>, PhasesError> {
    let mut session = app.store.read().await?;
    store::spec::find(&mut session, id).await?.ok_or(PhasesError::NotFound(id))?;
    Ok(store::phase::list(&mut session, id).await?)
}
