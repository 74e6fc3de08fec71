//! `POST /users`: makes a user, who can do nothing until there is a token.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use specwright_shared::id::UserId;
use specwright_shared::wire::access::{NewUser, UserView};
use specwright_shared::wire::problem::ProblemType;
use uuid::Uuid;

use crate::app::App;
use crate::auth::About;
use crate::extract::Body;
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError};

/// Why there is no user.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateError {
    #[error("there is a user `{0}` already; take another name")]
    Taken(String),
    #[error("the user could not be stored")]
    Store(#[from] StoreError),
}

impl Refusal for CreateError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::Taken(_) => ProblemType::InvalidRequest,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(CreateError);

/// Makes one.
pub(crate) async fn handler(
    State(app): State<App>,
    Body(new): Body<NewUser>,
) -> Result<(StatusCode, Extension<About>, Json<UserView>), CreateError> {
    let user = UserView {
        id: UserId(Uuid::now_v7()),
        name: new.name.into(),
        created_at: app.now(),
        disabled_at: None,
    };
    let mut write = app.store.write().await?;
    store::user::insert(&mut write, &user).await.map_err(|error| {
        if error.is_unique_violation() {
            CreateError::Taken(user.name.clone())
        } else {
            error.into()
        }
    })?;
    write.commit().await?;
    let about = About { thing: Some(user.id.0), project: None };
    Ok((StatusCode::CREATED, Extension(about), Json(user)))
}
