//! `POST /tokens`: a token of one's own, shown once.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use specwright_shared::id::{ProjectId, TokenId, UserId};
use specwright_shared::time::Timestamp;
use specwright_shared::wire::access::{Deed, NewToken, TokenKind, TokenMade, TokenView};
use specwright_shared::wire::problem::ProblemType;
use uuid::Uuid;

use crate::app::App;
use crate::auth::{About, Person, UserToken};
use crate::extract::Body;
use crate::problem::{Refusal, impl_answer};
use crate::store::token::NewRow;
use crate::store::{self, StoreError};

/// How many tokens of a user may be good at once: far more than a person has programs and machines, and
/// a bound on what all of them together may send and keep open.
pub(crate) const LIVING_MAX: u64 = 200;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateError {
    #[error("there is no user {0}")]
    NotFound(UserId),
    #[error("only an administrator makes tokens of the kind `admin`")]
    NotAdmin,
    #[error("a token of the kind `admin` is for all projects; leave `project_id` out")]
    AdminOfProject,
    #[error("`project_id`: there is no project {0} that this user belongs to")]
    NoProject(ProjectId),
    #[error("`expires_at` has passed; give a later time or none")]
    TooLate,
    #[error(
        "`expires_at`: the token that asks ends at {0}, and one that it makes ends no later; give that time or a sooner one"
    )]
    Outlives(Timestamp),
    #[error(
        "this user has {LIVING_MAX} tokens that are neither revoked nor expired, which is the most; revoke one that is no longer used"
    )]
    TooMany,
    #[error("no random bytes can be had for a token")]
    Random(#[from] getrandom::Error),
    #[error("the token could not be stored")]
    Store(#[from] StoreError),
}

impl Refusal for CreateError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NotFound(_) => ProblemType::NotFound,
            Self::NotAdmin => ProblemType::Forbidden,
            Self::TooMany => ProblemType::IllegalTransition,
            Self::AdminOfProject | Self::NoProject(_) | Self::TooLate | Self::Outlives(_) => {
                ProblemType::InvalidRequest
            }
            Self::Random(_) | Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(CreateError);

/// Makes one.
pub(crate) async fn handler(
    State(app): State<App>,
    person: Person,
    Body(new): Body<NewToken>,
) -> Result<(StatusCode, Extension<About>, Json<TokenMade>), CreateError> {
    make(&app, &person, person.user, new).await
}

/// Makes a token of a user, as far as who asks may: no token makes a wider one than itself, nor one
/// that outlives it.
pub(crate) async fn make(
    app: &App,
    by: &Person,
    user: UserId,
    new: NewToken,
) -> Result<(StatusCode, Extension<About>, Json<TokenMade>), CreateError> {
    let now = app.now();
    if new.expires_at.is_some_and(|at| at <= now) {
        return Err(CreateError::TooLate);
    }
    if let Some(end) = by.expires_at
        && new.expires_at.is_none_or(|at| at > end)
    {
        return Err(CreateError::Outlives(end));
    }
    if new.kind == TokenKind::Admin {
        // The kind is in the body, where the guard does not look.
        if !Deed::Administer.open_to(by.kind) {
            return Err(CreateError::NotAdmin);
        }
        if new.project_id.is_some() {
            return Err(CreateError::AdminOfProject);
        }
    }
    let token = UserToken::generate()?;
    let mut write = app.store.write().await?;
    // Or of two at once each would be the last one that there is room for.
    store::user::lock(&mut write, user).await?;
    let of = store::user::find(&mut write, user).await?.ok_or(CreateError::NotFound(user))?;
    if let Some(project) = new.project_id {
        let role = store::member::role(&mut write, project, user).await?;
        role.ok_or(CreateError::NoProject(project))?;
    }
    if store::token::living(&mut write, user, now).await? >= LIVING_MAX {
        return Err(CreateError::TooMany);
    }
    let view = TokenView {
        id: TokenId(Uuid::now_v7()),
        user: of.name,
        kind: new.kind,
        project_id: new.project_id,
        name: new.name.to_string(),
        created_at: now,
        expires_at: new.expires_at,
        last_used_at: None,
        revoked_at: None,
    };
    let row = NewRow { view: view.clone(), user, hash: token.hash() };
    store::token::insert(&mut write, &row).await?;
    write.commit().await?;
    let about = About { thing: Some(view.id.0), project: view.project_id };
    let made = TokenMade { view, token: token.into_secret() };
    Ok((StatusCode::CREATED, Extension(about), Json(made)))
}
