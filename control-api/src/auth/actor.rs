//! Who makes a request, as its token says.

use axum::extract::FromRequestParts;
use http::request::Parts;
use specwright_shared::id::{ProjectId, SandboxId, TokenId, UserId};
use specwright_shared::time::Timestamp;
use specwright_shared::wire::access::TokenKind;
use specwright_shared::wire::problem::{Problem, ProblemType};
use uuid::Uuid;

use crate::problem::Answer;
use crate::store::project::Sight;
use crate::store::token::Bearer;
use crate::store::user::{OWNER, OWNER_ID};

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Actor {
    Person(Person),
    Sandbox(SandboxId),
}

/// A user, with what the token at hand is for. A handler takes it as an argument; the guard has
/// decided by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) user: UserId,
    pub(crate) name: String,
    /// `None`: the owner's token, which is in a file and not in the store.
    pub(crate) token: Option<TokenId>,
    pub(crate) kind: TokenKind,
    /// The only project that the token opens.
    pub(crate) scope: Option<ProjectId>,
    /// When the token ends by itself.
    pub(crate) expires_at: Option<Timestamp>,
}

impl Person {
    /// The owner, by the token in the file.
    pub(crate) fn owner() -> Self {
        Self {
            user: OWNER_ID,
            name: OWNER.to_owned(),
            token: None,
            kind: TokenKind::Admin,
            scope: None,
            expires_at: None,
        }
    }

    /// Which projects are seen, for lists.
    pub(crate) fn sight(&self) -> Sight {
        let everything = self.kind == TokenKind::Admin;
        Sight { user: (!everything).then_some(self.user), project: self.scope }
    }
}

impl From<Bearer> for Person {
    fn from(bearer: Bearer) -> Self {
        Self {
            user: bearer.user,
            name: bearer.name,
            token: Some(bearer.token),
            kind: bearer.kind,
            scope: bearer.project,
            expires_at: bearer.expires_at,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Person {
    type Rejection = Answer<Problem>;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        match parts.extensions.get() {
            Some(Actor::Person(person)) => Ok(person.clone()),
            _ => Err(misplaced()),
        }
    }
}

/// SHA-256 of the token that a request brought.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Brought(pub(crate) [u8; 32]);

impl<S: Sync> FromRequestParts<S> for Brought {
    type Rejection = Answer<Problem>;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        parts.extensions.get().copied().ok_or_else(misplaced)
    }
}

/// The table gave a route to someone else than its handler expects.
fn misplaced() -> Answer<Problem> {
    Answer(Problem::new(ProblemType::Internal, "the route's access does not fit its handler"))
}

/// What a creation made, for the audit log: a handler whose path names nothing adds it to its answer
/// as an `Extension`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct About {
    pub(crate) thing: Option<Uuid>,
    pub(crate) project: Option<ProjectId>,
}
