//! `POST /specs`: writes an idea down. Nothing runs yet.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use specwright_shared::wire::spec::{NewSpec, SpecView};

use crate::app::App;
use crate::auth::Owner;
use crate::extract::Body;
use crate::spec_intake::{self, IntakeError};

/// Makes it.
pub(crate) async fn handler(
    State(app): State<App>,
    Owner(owner): Owner,
    Body(new): Body<NewSpec>,
) -> Result<(StatusCode, Json<SpecView>), IntakeError> {
    let mut write = app.store.write().await?;
    let spec = spec_intake::take(&mut write, owner, new, app.now()).await?;
    write.commit().await?;
    Ok((StatusCode::CREATED, Json(spec.into())))
}
