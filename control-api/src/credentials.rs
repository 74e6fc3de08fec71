//! What a run is entrusted with: its project's credentials, and where that has none, its owner's.
//!
//! What holds: a sealed value is opened for a `hello` and for the redactor of what that worker
//! reports, and never shown to anyone else; what cannot be opened is an error, never left out.

mod ask;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use specwright_shared::id::{ProjectId, SandboxId, SpecId};
use specwright_shared::redact::Redactor;
use specwright_shared::wire::access::UserView;
use specwright_shared::wire::credential::{CredentialKind, Entrusted};
use specwright_shared::wire::problem::ProblemType;

use crate::app::App;
use crate::auth::{SealError, Sealed};
use crate::store::credential::Holder;
use crate::store::user::OWNER_ID;
use crate::store::{self, Session, StoreError};

pub use ask::CredentialServices;
pub(crate) use ask::Said;

/// How many redactors are kept: more than workers report to one control API at once.
const KEPT_MAX: usize = 10_000;

/// How long it takes at least until an operator has given back a key. Nothing is lost meanwhile.
const KEY_AWAY: Duration = Duration::from_secs(10);

/// Why a run gets no credentials.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EntrustError {
    #[error(
        "its project or owner has credentials, but this control API has no key to open them with; set SPECWRIGHT_SEAL_KEY or SPECWRIGHT_SEAL_KEY_FILE"
    )]
    NoKey,
    #[error("a credential ({kind}) cannot be opened: {why}")]
    Sealed { kind: CredentialKind, why: SealError },
    #[error("the credentials could not be read")]
    Store(#[from] StoreError),
}

impl EntrustError {
    /// When to come again: while a key is away, what is said by a run or to it cannot be cleaned of the
    /// run's credentials, and waits. `None`: the store failed, and says so itself.
    pub(crate) const fn key_away(&self) -> Option<Duration> {
        match self {
            Self::NoKey | Self::Sealed { .. } => Some(KEY_AWAY),
            Self::Store(_) => None,
        }
    }

    /// What that is called where a run goes on.
    pub(crate) const fn kind(&self) -> ProblemType {
        match self {
            Self::NoKey | Self::Sealed { .. } => ProblemType::Unavailable,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}

/// What the run of a spec is entrusted with: of its owner nothing any more, when the owner is disabled
/// or has left the project.
pub(crate) async fn entrusted(
    app: &App,
    session: &mut Session,
    spec: SpecId,
) -> Result<Entrusted, EntrustError> {
    of_run(app, session, spec, Owner::Entitled).await
}

/// When an owner's credentials count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// To be handed out: as long as the owner may read in the project.
    Entitled,
    /// To be taken out of what is reported: also later, as a run under way may have them.
    Anyone,
}

async fn of_run(
    app: &App,
    session: &mut Session,
    spec: SpecId,
    whose: Owner,
) -> Result<Entrusted, EntrustError> {
    let mut entrusted = Entrusted::default();
    let Some(spec) = store::spec::find(session, spec).await? else { return Ok(entrusted) };
    let mut found = store::credential::list(session, Holder::Project(spec.project_id)).await?;
    if let Some(owner) = store::user::named(session, &spec.owner).await?
        && (whose == Owner::Anyone || is_entitled(session, &owner, spec.project_id).await?)
    {
        found.extend(store::credential::list(session, Holder::User(owner.id)).await?);
    }
    for credential in found {
        let kind = credential.kind;
        let has_model = entrusted.model_api_key.is_some() || entrusted.model_oauth_token.is_some();
        let place = match kind {
            CredentialKind::GithubToken if entrusted.github_token.is_none() => {
                &mut entrusted.github_token
            }
            CredentialKind::ModelApiKey if !has_model => &mut entrusted.model_api_key,
            CredentialKind::ModelOauthToken if !has_model => &mut entrusted.model_oauth_token,
            // The project's came before.
            _ => continue,
        };
        let keys = app.seal_keys.as_ref().ok_or(EntrustError::NoKey)?;
        let sealed = Sealed { key_id: credential.key_id, bytes: credential.sealed };
        let opened = keys.open(credential.id, kind, &sealed);
        *place = Some(opened.map_err(|why| EntrustError::Sealed { kind, why })?);
    }
    Ok(entrusted)
}

/// Whether this user is there and belongs to the project; the machine's owner belongs to each.
async fn is_entitled(
    session: &mut Session,
    user: &UserView,
    project: ProjectId,
) -> Result<bool, StoreError> {
    if user.disabled_at.is_some() {
        return Ok(false);
    }
    Ok(user.id == OWNER_ID || store::member::role(session, project, user.id).await?.is_some())
}

/// Redactors that know what a worker was entrusted with, the newest generation of each
/// sandbox that was heard of: one that claims many holds no more room than another.
#[derive(Debug, Default)]
pub(crate) struct Redactors(Mutex<HashMap<SandboxId, (u64, Arc<Redactor>)>>);

impl Redactors {
    /// The redactor for what a worker of this generation reports. It is made from what is stored now,
    /// once per control API.
    pub(crate) async fn of(
        &self,
        app: &App,
        sandbox: SandboxId,
        generation: u64,
    ) -> Result<Arc<Redactor>, EntrustError> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&sandbox) {
            Some((known, redactor)) if *known == generation => return Ok(Arc::clone(redactor)),
            _ => {}
        }
        let mut session = app.store.read().await?;
        let redactor = match store::sandbox::find(&mut session, sandbox).await? {
            Some(sandbox) => {
                let entrusted = of_run(app, &mut session, sandbox.spec_id, Owner::Anyone).await?;
                if entrusted.is_empty() {
                    app.redactor.clone()
                } else {
                    app.redactor.knowing(entrusted.values())
                }
            }
            None => app.redactor.clone(),
        };
        let redactor = Arc::new(redactor);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT_MAX {
            known.clear();
        }
        known.insert(sandbox, (generation, Arc::clone(&redactor)));
        Ok(redactor)
    }
}
