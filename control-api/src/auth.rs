//! Who may do what. The actor is the token, never an id in a body.
//!
//! What holds: a route opens to what its entry in the table says ([`Access`]), and to nobody else; a
//! sandbox's token opens that sandbox's worker routes and nothing more; tokens are kept and compared
//! as SHA-256, the owner's in constant time; a sandbox's ends [`LATE_FACTS_MAX`] after the sandbox.

mod listen;
mod owner_token;
mod token;

pub use listen::{ListenRefused, check_listen};
pub use owner_token::{OwnerToken, OwnerTokenError, owner_token};
pub(crate) use token::{SandboxToken, hash};

use std::time::Duration;

use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use specwright_shared::id::SandboxId;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::problem::{Problem, ProblemType};
use subtle::ConstantTimeEq;

use crate::app::App;
use crate::problem::{Answer, Refusal};
use crate::store::{self, StoreError};

/// The one owner there is until users come.
pub(crate) const OWNER: &str = "owner";

/// How long an owner waits for what a crash left to be settled; what takes longer is told as it stands.
const LOOKED_MAX: Duration = Duration::from_secs(10);

/// How long after its sandbox's end a worker's token is good: a machine that slept over a long weekend
/// still brings what it has. Then it opens nothing any more, and what comes is not stored.
const LATE_FACTS_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Whom a route is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everyone.
    Public,
    /// The owner.
    Owner,
    /// The worker of the sandbox that the path names as `{id}`.
    OwnSandbox,
}

/// Who makes a request, as its token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Actor {
    Owner(&'static str),
    Sandbox(SandboxId),
}

/// Why a request was turned away.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthError {
    /// No token, or none that anyone has.
    #[error(
        "send `Authorization: Bearer TOKEN` with the owner's token, or in a sandbox with its own"
    )]
    Unknown,
    /// Known, but not for this.
    #[error("the token is known, but this route is not for it")]
    NotYours,
    /// The store failed.
    #[error("the token could not be looked up")]
    Store(#[from] StoreError),
}

impl Refusal for AuthError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::Unknown => ProblemType::Unauthorized,
            Self::NotYours => ProblemType::Forbidden,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}

/// Lets a request through when its token opens the route, and notes who it is.
pub(crate) async fn guard(
    State((app, access)): State<(App, Access)>,
    parameters: RawPathParams,
    mut request: Request,
    next: Next,
) -> Response {
    if access == Access::Public {
        return next.run(request).await;
    }
    if access == Access::Owner {
        // What a crash left is settled first, so that the first answer is true. Workers do not wait:
        // they are who settles it.
        drop(tokio::time::timeout(LOOKED_MAX, app.looked.cancelled()).await);
    }
    let id = parameters.iter().find(|(name, _)| *name == "id").map(|(_, id)| id.to_owned());
    let token = bearer(request.headers());
    match admit(&app, access, id.as_deref(), token).await {
        Ok(actor) => {
            request.extensions_mut().insert(actor);
            next.run(request).await
        }
        Err(error) => Answer(error).into_response(),
    }
}

/// SHA-256 of the token that a request brings.
fn bearer(headers: &HeaderMap) -> Option<[u8; 32]> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| hash(token.trim()))
}

/// Sandboxes that ended after this may bring facts now.
fn late_facts_since(now: Timestamp) -> Timestamp {
    let micros = i64::try_from(LATE_FACTS_MAX.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(now.as_micros().saturating_sub(micros))
}

async fn admit(
    app: &App,
    access: Access,
    id: Option<&str>,
    token: Option<[u8; 32]>,
) -> Result<Actor, AuthError> {
    let hash = token.ok_or(AuthError::Unknown)?;
    let actor = if bool::from(hash.ct_eq(&app.owner_hash)) {
        Actor::Owner(OWNER)
    } else {
        let mut session = app.store.read().await?;
        let ended_after = late_facts_since(app.now());
        let sandbox = store::sandbox::by_token(&mut session, &hash, ended_after).await?;
        Actor::Sandbox(sandbox.ok_or(AuthError::Unknown)?)
    };
    let opens = match (&actor, access) {
        (_, Access::Public) | (Actor::Owner(_), Access::Owner) => true,
        (Actor::Sandbox(own), Access::OwnSandbox) => {
            id.and_then(|id| id.parse().ok()).is_some_and(|id: SandboxId| id == *own)
        }
        (Actor::Owner(_), Access::OwnSandbox) | (Actor::Sandbox(_), Access::Owner) => false,
    };
    if opens { Ok(actor) } else { Err(AuthError::NotYours) }
}

/// The owner that makes a request: the one that its token names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner(pub(crate) &'static str);

impl<S: Sync> FromRequestParts<S> for Owner {
    type Rejection = Answer<Problem>;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        match parts.extensions.get() {
            Some(Actor::Owner(name)) => Ok(Self(name)),
            // The table gave this route to someone else than its handler expects.
            _ => Err(Answer(Problem::new(
                ProblemType::Internal,
                "the route's access does not fit its handler",
            ))),
        }
    }
}
