//! The decision: who brings this token, and may they do this to that?

use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use specwright_shared::id::{ProjectId, SandboxId, TokenId, UserId};
use specwright_shared::time::Timestamp;
use specwright_shared::wire::access::{Deed, TokenKind};
use specwright_shared::wire::problem::ProblemType;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{Access, Actor, Person, Thing, hash};
use crate::app::App;
use crate::problem::Refusal;
use crate::store::{self, Session, StoreError};

/// How long after its sandbox's end a worker's token is good: a machine that slept over a long weekend
/// still brings what it has. Then it opens nothing any more, and what comes is not stored.
const LATE_FACTS_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Why a request was turned away.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthError {
    /// No token, or none that opens anything (any more).
    #[error(
        "send `Authorization: Bearer TOKEN` with a token that is neither expired nor revoked, or in a sandbox with its own"
    )]
    Unknown,
    /// Known, but not for this.
    #[error("the token is known, but this route is not for it")]
    NotYours,
    /// A token of this kind does not do that.
    #[error("a token of the kind `{0}` is not for this")]
    Kind(TokenKind),
    /// A token of one project does not reach beyond it.
    #[error("this token is for one project, and what it asks for is not in a project")]
    Scope,
    /// The thing is seen, but the role is too small.
    #[error("you may see this {0}, but your role in its project is not enough for that")]
    Role(&'static str),
    /// Not there, or not for these eyes: nobody can tell which.
    #[error("there is no {what} {id}")]
    Unseen {
        /// What was asked for.
        what: &'static str,
        /// Which.
        id: Uuid,
    },
    /// What stands in the path is no id.
    #[error("`{0}` in the path is not an id")]
    NoId(String),
    /// The store failed.
    #[error("the token could not be looked up, or the deed not be noted; nothing was done")]
    Store(#[from] StoreError),
}

impl Refusal for AuthError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::Unknown => ProblemType::Unauthorized,
            Self::NotYours | Self::Kind(_) | Self::Scope | Self::Role(_) => ProblemType::Forbidden,
            Self::Unseen { .. } => ProblemType::NotFound,
            Self::NoId(_) => ProblemType::InvalidRequest,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}

/// SHA-256 of the token that a request brings.
pub(super) fn bearer(headers: &HeaderMap) -> Result<[u8; 32], AuthError> {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, token) =
        value.and_then(|value| value.split_once(' ')).ok_or(AuthError::Unknown)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(hash(token.trim()))
    } else {
        Err(AuthError::Unknown)
    }
}

/// Who brings a token with this hash, and whether this use is worth noting.
/// What is likely is looked for first: no token is both a sandbox's and somebody else's.
pub(super) async fn identify(
    app: &App,
    session: &mut Session,
    hash: &[u8; 32],
    access: Access,
    now: Timestamp,
) -> Result<(Actor, Option<TokenId>), AuthError> {
    if bool::from(hash.ct_eq(&app.owner_hash)) {
        return Ok((Actor::Person(Person::owner()), None));
    }
    let likely = access == Access::OwnSandbox;
    if likely && let Some(id) = of_sandbox(session, hash, now).await? {
        return Ok((Actor::Sandbox(id), None));
    }
    if let Some(bearer) = store::token::bearer(session, hash, now).await? {
        let noted = bearer.is_worth_noting(now).then_some(bearer.token);
        return Ok((Actor::Person(bearer.into()), noted));
    }
    let sandbox = if likely { None } else { of_sandbox(session, hash, now).await? };
    Ok((Actor::Sandbox(sandbox.ok_or(AuthError::Unknown)?), None))
}

/// Whose token has this hash.
async fn of_sandbox(
    session: &mut Session,
    hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<SandboxId>, StoreError> {
    store::sandbox::token::by_token(session, hash, late_facts_since(now)).await
}

/// Sandboxes that ended after this may bring facts now.
pub(super) fn late_facts_since(now: Timestamp) -> Timestamp {
    let micros = i64::try_from(LATE_FACTS_MAX.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(now.as_micros().saturating_sub(micros))
}

/// Whether a person may do this, to the thing or at all. Says in which project it is.
pub(super) async fn judge(
    session: &mut Session,
    person: &Person,
    deed: Deed,
    thing: Option<(Thing, Uuid)>,
) -> Result<Option<ProjectId>, AuthError> {
    let Some((thing, id)) = thing else {
        if !deed.open_to(person.kind) {
            return Err(AuthError::Kind(person.kind));
        }
        // A token of one project that could make tokens or projects would reach beyond it.
        if person.scope.is_some() && deed == Deed::Manage {
            return Err(AuthError::Scope);
        }
        return Ok(None);
    };
    let unseen = AuthError::Unseen { what: thing.word(), id };
    if let Some(belonging) = thing.belonging(id) {
        let project = store::project::of(session, belonging).await?.ok_or(unseen)?;
        allowed(session, person, deed, project, thing, id).await?;
        return Ok(Some(project));
    }
    let of_user = match thing {
        Thing::Token => store::token::user_of(session, TokenId(id)).await?,
        _ => store::user::find(session, UserId(id)).await?.map(|user| user.id),
    };
    let own = of_user.ok_or(AuthError::Unseen { what: thing.word(), id })? == person.user;
    match (own, person.kind == TokenKind::Admin) {
        (false, false) => Err(unseen),
        _ if !deed.open_to(person.kind) => Err(AuthError::Kind(person.kind)),
        _ if person.scope.is_some() => Err(AuthError::Scope),
        _ => Ok(None),
    }
}

async fn allowed(
    session: &mut Session,
    person: &Person,
    deed: Deed,
    project: ProjectId,
    thing: Thing,
    id: Uuid,
) -> Result<(), AuthError> {
    let unseen = AuthError::Unseen { what: thing.word(), id };
    if person.kind == TokenKind::Admin {
        return Ok(());
    }
    if person.scope.is_some_and(|scope| scope != project) {
        return Err(unseen);
    }
    let role = store::member::role(session, project, person.user).await?.ok_or(unseen)?;
    if !deed.open_to(person.kind) {
        return Err(AuthError::Kind(person.kind));
    }
    if deed.entitled(role) { Ok(()) } else { Err(AuthError::Role(thing.word())) }
}

/// The same for a project that a body names: whether a person may do this there.
pub(crate) async fn may(
    session: &mut Session,
    person: &Person,
    deed: Deed,
    project: ProjectId,
) -> Result<bool, StoreError> {
    match judge(session, person, deed, Some((Thing::Project, project.0))).await {
        Ok(_) => Ok(true),
        Err(AuthError::Store(error)) => Err(error),
        Err(_) => Ok(false),
    }
}
