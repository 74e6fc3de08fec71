//! `POST /specs/launch`: writes an idea down and executes it, in one request and one transaction.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::spec::{Launch, Launched};

use crate::app::App;
use crate::auth::{About, Person};
use crate::execution::{self, ExecuteError};
use crate::extract::Body;
use crate::problem::{Refusal, impl_answer};
use crate::spec_intake::{self, IntakeError};
use crate::store::StoreError;
use crate::trace::Trace;

/// Why nothing was launched, or what was launched did not come up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error(transparent)]
    Intake(#[from] IntakeError),
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    #[error("the spec could not be stored")]
    Store(#[from] StoreError),
}

impl Refusal for LaunchError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::Intake(error) => error.kind(),
            Self::Execute(error) => error.kind(),
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(LaunchError);

/// Launches.
pub(crate) async fn handler(
    State(app): State<App>,
    person: Person,
    Trace(trace): Trace,
    Body(launch): Body<Launch>,
) -> Result<(StatusCode, Extension<About>, Json<Launched>), LaunchError> {
    spec_intake::within_reach(&app, &person, &launch.spec)?;
    execution::within_reach(&person, &launch.run)?;
    let mut write = app.store.write().await?;
    let spec = spec_intake::take(&mut write, &person, launch.spec, app.now()).await?;
    let requested = execution::request(&app, &mut write, spec, launch.run, trace).await?;
    write.commit().await?;
    let launched = execution::start(&app, requested).await?;
    let spec = &launched.spec;
    let about = About { thing: Some(spec.id.0), project: Some(spec.project_id) };
    Ok((StatusCode::ACCEPTED, Extension(about), Json(launched)))
}
