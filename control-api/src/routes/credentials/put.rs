//! `PUT /projects/{id}/credentials/{name}` and `PUT /credentials/{name}` (one's own): checks the
//! form, asks the service that it is for, seals and stores. Runs that are under way keep what they were
//! given at their start.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use specwright_shared::id::ProjectId;
use specwright_shared::wire::credential::{
    CredentialError, CredentialKind, CredentialView, PutCredential, SecretText,
};
use specwright_shared::wire::problem::ProblemType;
use uuid::Uuid;

use crate::app::App;
use crate::auth::{Person, SealError};
use crate::credentials::Said;
use crate::extract::{Body, PathId, PathName};
use crate::problem::{Refusal, impl_answer};
use crate::store::credential::{Credential, Holder};
use crate::store::{self, StoreError};

/// Why it was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PutError {
    #[error("`value` {0}")]
    Form(#[from] CredentialError),
    #[error(
        "`value` is not known to {host}: it was revoked, has expired, or was mistyped; make another one there"
    )]
    Refused { host: String },
    #[error(
        "this control API has no key to seal credentials with; set SPECWRIGHT_SEAL_KEY_FILE and start it again"
    )]
    NoKey,
    #[error("the credential could not be sealed")]
    Seal(#[from] SealError),
    #[error("the credential could not be stored")]
    Store(#[from] StoreError),
}

impl Refusal for PutError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::Form(_) | Self::Refused { .. } => ProblemType::InvalidRequest,
            Self::NoKey => ProblemType::NoSealKey,
            Self::Seal(_) | Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(PutError);

/// One's own.
pub(crate) async fn handler(
    State(app): State<App>,
    person: Person,
    PathName(kind): PathName<CredentialKind>,
    Body(new): Body<PutCredential>,
) -> Result<Json<CredentialView>, PutError> {
    put(&app, Holder::User(person.user), kind, person.name, new).await
}

/// A project's.
pub(crate) async fn project_handler(
    State(app): State<App>,
    person: Person,
    PathId(id): PathId<ProjectId>,
    PathName(kind): PathName<CredentialKind>,
    Body(new): Body<PutCredential>,
) -> Result<Json<CredentialView>, PutError> {
    put(&app, Holder::Project(id), kind, person.name, new).await
}

async fn put(
    app: &App,
    holder: Holder,
    kind: CredentialKind,
    set_by: String,
    new: PutCredential,
) -> Result<Json<CredentialView>, PutError> {
    kind.check(new.value.reveal())?;
    let keys = Arc::clone(app.seal_keys.as_ref().ok_or(PutError::NoKey)?);
    let confirmed = confirmed(app, kind, &new.value).await?;
    let id = Uuid::now_v7();
    let sealed = keys.seal(id, kind, &new.value)?;
    // A key has many more than four characters (`check`), all of one byte.
    let last_four = new.value.reveal().chars().rev().take(4).collect::<Vec<_>>();
    let credential = Credential {
        id,
        kind,
        sealed: sealed.bytes,
        key_id: sealed.key_id,
        last_four: last_four.into_iter().rev().collect(),
        set_by,
        set_at: app.now(),
        confirmed_at: confirmed.then(|| app.now()),
    };
    let mut write = app.store.write().await?;
    store::credential::put(&mut write, holder, &credential).await?;
    write.commit().await?;
    Ok(Json(credential.into()))
}

/// Whether the service took it.
async fn confirmed(app: &App, kind: CredentialKind, value: &SecretText) -> Result<bool, PutError> {
    let Some(services) = &app.credential_services else { return Ok(false) };
    match services.ask(kind, value).await {
        Said::Taken => Ok(true),
        Said::Refused { host } => Err(PutError::Refused { host }),
        Said::Nothing(why) => {
            tracing::warn!(%kind, why, "a credential is kept that its service did not confirm");
            Ok(false)
        }
    }
}
