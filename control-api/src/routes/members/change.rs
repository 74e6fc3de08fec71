//! `PUT` and `DELETE /projects/{id}/members/{name}`: makes a user a member, gives another role, takes
//! one out. A project keeps an owner, whatever is asked.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use specwright_shared::id::{ProjectId, UserId};
use specwright_shared::wire::access::{MemberView, PutMember, Role, UserName};
use specwright_shared::wire::problem::ProblemType;

use crate::app::App;
use crate::extract::{Body, PathId, PathName};
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError, Write};

/// Why nothing changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    #[error("there is no user `{0}`")]
    NoUser(String),
    #[error("`{0}` is no member of the project")]
    NoMember(String),
    #[error("`{0}` is the project's only owner; make someone else an owner first")]
    LastOwner(String),
    #[error("the members could not be stored")]
    Store(#[from] StoreError),
}

impl Refusal for ChangeError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NoUser(_) | Self::NoMember(_) => ProblemType::NotFound,
            Self::LastOwner(_) => ProblemType::IllegalTransition,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(ChangeError);

/// Makes a member, or changes a role.
pub(crate) async fn put_handler(
    State(app): State<App>,
    PathId(project): PathId<ProjectId>,
    PathName(name): PathName<UserName>,
    Body(put): Body<PutMember>,
) -> Result<Json<MemberView>, ChangeError> {
    let name = String::from(name);
    let mut write = app.store.write().await?;
    let members = locked(&mut write, project).await?;
    let user = user(&mut write, &name).await?;
    if put.role != Role::Owner {
        keeps_an_owner(&members, user, &name)?;
    }
    let now = app.now();
    store::member::put(&mut write, project, user, put.role, now).await?;
    let members = store::member::list(&mut write, project).await?;
    write.commit().await?;
    members
        .into_iter()
        .find(|member| member.user_id == user)
        .map(Json)
        .ok_or(ChangeError::NoMember(name))
}

/// Takes a member out.
pub(crate) async fn remove_handler(
    State(app): State<App>,
    PathId(project): PathId<ProjectId>,
    PathName(name): PathName<UserName>,
) -> Result<StatusCode, ChangeError> {
    let name = String::from(name);
    let mut write = app.store.write().await?;
    let members = locked(&mut write, project).await?;
    let user = user(&mut write, &name).await?;
    keeps_an_owner(&members, user, &name)?;
    if !store::member::remove(&mut write, project, user).await? {
        return Err(ChangeError::NoMember(name));
    }
    write.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The members, while nobody else changes them: two owners cannot take each other out at once.
async fn locked(write: &mut Write, project: ProjectId) -> Result<Vec<MemberView>, StoreError> {
    store::project::lock(write, project).await?;
    store::member::list(write, project).await
}

async fn user(write: &mut Write, name: &str) -> Result<UserId, ChangeError> {
    let user = store::user::named(write, name).await?;
    Ok(user.ok_or_else(|| ChangeError::NoUser(name.to_owned()))?.id)
}

fn keeps_an_owner(members: &[MemberView], without: UserId, name: &str) -> Result<(), ChangeError> {
    let is_owner = |member: &&MemberView| member.role == Role::Owner;
    let mut owners = members.iter().filter(is_owner);
    let was_owner = owners.clone().any(|owner| owner.user_id == without);
    if was_owner && !owners.any(|owner| owner.user_id != without) {
        return Err(ChangeError::LastOwner(name.to_owned()));
    }
    Ok(())
}
