//! Who may do what. The actor is the token, never an id in a body.
//!
//! What holds: a route opens to what its entry in the table says ([`Access`]), and to nobody else;
//! [`guard`] decides before the handler runs, and handlers never ask for roles. What one may not see
//! is answered like what is not there; what one sees but may not do is refused. A sandbox's token
//! opens that sandbox's worker routes and nothing more, and ends some time after it. Tokens are kept
//! as SHA-256: the owner's is compared in constant time, the others are found by their hash, about
//! which time tells nothing.
//!
//! Deliberately absent: sessions, cookies and passwords; a limit on wrong tokens (256 random bits are
//! not guessed, and behind a proxy all callers have one address).

mod access;
mod actor;
mod admit;
mod guard;
mod known;
mod listen;
mod owner_token;
mod rate;
mod seal;
mod streams;
mod token;
mod vigil;
mod waiting;

pub(crate) use access::{Access, Thing};
pub(crate) use actor::{About, Actor, Brought, Person};
pub(crate) use admit::{AuthError, may};
pub(crate) use guard::{Gate, guard};
pub(crate) use known::{KnownSandboxes, keep_known};
pub use listen::{ListenRefused, check_listen};
pub use owner_token::{OwnerToken, OwnerTokenError, owner_token};
pub(crate) use rate::{Class, Limiter, TooFast};
pub use rate::{Rate, Rates};
pub(crate) use seal::{SealError, Sealed};
pub use seal::{SealFileError, SealKeyError, SealKeys};
pub(crate) use streams::OpenStreams;
pub(crate) use token::{SandboxToken, UserToken, hash};
pub(crate) use vigil::Vigils;
