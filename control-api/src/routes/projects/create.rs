//! `POST /projects`: makes a project, or gives the one of that name.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use specwright_shared::id::ProjectId;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::spec::{NewProject, ProjectView};
use uuid::Uuid;

use crate::app::App;
use crate::auth::Owner;
use crate::extract::Body;
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError};

/// Why there is no project.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateError {
    #[error("the project could not be stored")]
    Store(#[from] StoreError),
}

impl Refusal for CreateError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(CreateError);

/// Makes it: 201 when it was made now, 200 when it was there.
pub(crate) async fn handler(
    State(app): State<App>,
    Owner(owner): Owner,
    Body(new): Body<NewProject>,
) -> Result<(StatusCode, Json<ProjectView>), CreateError> {
    let mut write = app.store.write().await?;
    let id = ProjectId(Uuid::now_v7());
    let (project, made) =
        store::project::ensure(&mut write, id, owner, &new.name, app.now()).await?;
    write.commit().await?;
    Ok((if made { StatusCode::CREATED } else { StatusCode::OK }, Json(project)))
}
