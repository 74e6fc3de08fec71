//! `POST /specs`: writes an idea down. Nothing runs yet.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use specwright_shared::wire::spec::{NewSpec, SpecView};

use crate::app::App;
use crate::auth::{About, Person};
use crate::extract::Body;
use crate::spec_intake::{self, IntakeError};

/// Makes it.
pub(crate) async fn handler(
    State(app): State<App>,
    person: Person,
    Body(new): Body<NewSpec>,
) -> Result<(StatusCode, Extension<About>, Json<SpecView>), IntakeError> {
    spec_intake::within_reach(&app, &person, &new)?;
    let mut write = app.store.write().await?;
    let spec = spec_intake::take(&mut write, &person, new, app.now()).await?;
    write.commit().await?;
    let about = About { thing: Some(spec.id.0), project: Some(spec.project_id) };
    Ok((StatusCode::CREATED, Extension(about), Json(spec.into())))
}
