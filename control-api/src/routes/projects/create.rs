//! `POST /projects`: makes a project, or gives the one of that name.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use specwright_shared::wire::access::Deed;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::spec::{NewProject, ProjectView};

use crate::app::App;
use crate::auth::{About, Person, may};
use crate::extract::Body;
use crate::problem::{Refusal, impl_answer};
use crate::spec_intake::own_project;
use crate::store::StoreError;

/// Why there is no project.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateError {
    #[error("the project `{0}` was yours and is others' now; take another name")]
    Left(String),
    #[error("the project could not be stored")]
    Store(#[from] StoreError),
}

impl Refusal for CreateError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::Left(_) => ProblemType::InvalidRequest,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(CreateError);

/// Makes it: 201 when it was made now, 200 when it was there.
pub(crate) async fn handler(
    State(app): State<App>,
    person: Person,
    Body(new): Body<NewProject>,
) -> Result<(StatusCode, Extension<About>, Json<ProjectView>), CreateError> {
    let mut write = app.store.write().await?;
    let (project, made) = own_project(&mut write, &person, &new.name, app.now()).await?;
    if !may(&mut write, &person, Deed::Read, project.id).await? {
        return Err(CreateError::Left(project.name));
    }
    write.commit().await?;
    let about = About { thing: Some(project.id.0), project: Some(project.id) };
    let status = if made { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Extension(about), Json(project)))
}
