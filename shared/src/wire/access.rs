//! Who may do what: users, members of projects, tokens, and the log of who did what.
//!
//! What holds here: the rules are tables without state ([`Deed::open_to`], [`Deed::entitled`]);
//! a token's kind and its user's role must both allow a deed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::id::{ProjectId, TokenId, UserId};
use crate::text::Line;
use crate::time::Timestamp;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name on the wire and in the store.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(word: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|one| one.as_str() == word).ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|one| one.as_str()).collect();
                    format!("`{word}` is not {}; it is one of {}", $what, known.join(", "))
                })
            }
        }
    };
}
pub(crate) use words;

words! {
    /// What a user is in a project.
    Role, "a role" {
        /// Everything in it, its settings, members and credentials too.
        Owner = "owner",
        /// Reads, launches and steers.
        Member = "member",
        /// Reads.
        Viewer = "viewer",
    }
}

words! {
    /// What a token is for. It narrows what its user may do, and never widens it, but for `admin`.
    TokenKind, "a kind of token" {
        /// Everything, everywhere: users and all projects.
        Admin = "admin",
        /// What its user may do.
        User = "user",
        /// Reads and intervenes: for a program that watches agents.
        Guardian = "guardian",
        /// Reads.
        Readonly = "readonly",
    }
}

/// What a request wants of the thing that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deed {
    /// See it.
    Read,
    /// Make specs, launch, say, interrupt, pause, stop, approve.
    Steer,
    /// Intervene as a guardian.
    Guard,
    /// Change what it is made of: settings, members, credentials, own tokens.
    Manage,
    /// Users, everyone's tokens, the whole audit log.
    Administer,
}

impl Deed {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Read, Self::Steer, Self::Guard, Self::Manage, Self::Administer];

    /// Whether a kind of token is for this.
    #[must_use]
    pub const fn open_to(self, kind: TokenKind) -> bool {
        match kind {
            TokenKind::Admin => true,
            TokenKind::User => !matches!(self, Self::Administer),
            TokenKind::Guardian => matches!(self, Self::Read | Self::Guard),
            TokenKind::Readonly => matches!(self, Self::Read),
        }
    }

    /// Whether a role in a project entitles to this.
    #[must_use]
    pub const fn entitled(self, role: Role) -> bool {
        match role {
            Role::Owner => !matches!(self, Self::Administer),
            Role::Member => matches!(self, Self::Read | Self::Steer | Self::Guard),
            Role::Viewer => matches!(self, Self::Read),
        }
    }
}

/// A user's name: what specs, tickets and messages are signed with, so it is never changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

/// The longest user name, in characters: a column of it fits a terminal.
pub const USER_NAME_MAX: usize = 40;

/// Why a user name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not a user name; it has 1 to {USER_NAME_MAX} lower-case letters, digits, `.`, `_` or `-`, and begins with a letter"
)]
pub struct UserNameError;

impl UserName {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// [`UserNameError`], with the shape that would be right.
    pub fn new(name: impl Into<String>) -> Result<Self, UserNameError> {
        let name = name.into();
        let fits = name.len() <= USER_NAME_MAX
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|b| {
                b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-')
            });
        if fits { Ok(Self(name)) } else { Err(UserNameError) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UserName {
    type Error = UserNameError;
    fn try_from(name: String) -> Result<Self, UserNameError> {
        Self::new(name)
    }
}

impl std::str::FromStr for UserName {
    type Err = UserNameError;
    fn from_str(name: &str) -> Result<Self, UserNameError> {
        Self::new(name)
    }
}

impl From<UserName> for String {
    fn from(name: UserName) -> Self {
        name.0
    }
}

/// `POST /users`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// The name, unique.
    pub name: UserName,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserView {
    /// Which.
    pub id: UserId,
    /// The name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when no token of this user opens anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Timestamp>,
}

/// `PUT /projects/{id}/members/{name}`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutMember {
    /// What the user is to be.
    pub role: Role,
}

/// A member of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemberView {
    /// The user.
    pub user_id: UserId,
    /// The user's name.
    pub name: String,
    /// What the user is there.
    pub role: Role,
    /// Since when.
    pub added_at: Timestamp,
}

/// `POST /tokens` (one's own) and `POST /users/{id}/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is called, to be told from others.
    pub name: Line,
    /// What it is for; `user` where nothing is said. Only an administrator can make an `admin` one.
    #[serde(default = "kind_of_most")]
    pub kind: TokenKind,
    /// The only project that it opens; absent: all of the user's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// From when on it opens nothing; absent: it is good until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

const fn kind_of_most() -> TokenKind {
    TokenKind::User
}

/// A token, without what opens anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenView {
    /// Which.
    pub id: TokenId,
    /// Whose.
    pub user: String,
    /// What it is for.
    pub kind: TokenKind,
    /// The only project that it opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// What it is called.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it opens nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    /// Since when it opens nothing, because someone said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// A token that was just made: the only time that it is shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenMade {
    /// What it is.
    #[serde(flatten)]
    pub view: TokenView,
    /// The token itself; it cannot be read again.
    pub token: String,
}

impl std::fmt::Debug for TokenMade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenMade").field("view", &self.view).finish_non_exhaustive()
    }
}

/// Who did what: one line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// Which.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub user: String,
    /// With which token; absent: the owner's, which is in a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<TokenId>,
    /// Did what: the route's method and path.
    pub route: String,
    /// To which thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thing_id: Option<Uuid>,
    /// A second name in the path, e.g. a member's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thing_name: Option<String>,
    /// In which project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// What came of it: the answer's HTTP status. Absent: it was begun, and is not over, or the
    /// control API ended in the middle of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The request's id, as in the answer's `x-request-id` and in the log.
    pub request_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kinds_and_roles_may_do_is_a_table() {
        let row = |may: &dyn Fn(Deed) -> bool| {
            Deed::ALL.map(|deed| if may(deed) { 'x' } else { '-' }).iter().collect::<String>()
        };
        // Read, Steer, Guard, Manage, Administer
        let kinds: Vec<_> =
            TokenKind::ALL.iter().map(|kind| row(&|deed| deed.open_to(*kind))).collect();
        assert_eq!(kinds, ["xxxxx", "xxxx-", "x-x--", "x----"]);
        let roles: Vec<_> =
            Role::ALL.iter().map(|role| row(&|deed| deed.entitled(*role))).collect();
        assert_eq!(roles, ["xxxx-", "xxx--", "x----"]);
    }

    #[test]
    fn a_user_name_is_short_and_plain() {
        assert!(UserName::new("ada.l-2").is_ok());
        for bad in ["", "Ada", "2ada", "a b", "a/b", "ä", &"a".repeat(41)] {
            assert!(UserName::new(bad).is_err(), "{bad} was taken");
        }
    }
}
