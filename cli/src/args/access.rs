//! Users, tokens, members, credentials and the audit log, as clap reads them.

use clap::{Args, Subcommand};
use specwright_shared::wire::access::{Role, TokenKind, UserName};
use specwright_shared::wire::credential::CredentialKind;

/// `user`
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// List the users
    List,
    /// Make a user; `specwright token create --user` makes them a token
    Add {
        /// The name: lower-case letters, digits, `.`, `_`, `-`
        name: UserName,
    },
    /// Let no token of a user open anything
    Disable {
        /// The user's name
        name: UserName,
    },
    /// Let a user's tokens open again what they did
    Enable {
        /// The user's name
        name: UserName,
    },
}

/// `token`
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// List your tokens, or those of a user
    List {
        /// A user's instead of yours (administrators)
        #[arg(long, value_name = "NAME")]
        user: Option<UserName>,
    },
    /// Make a token; it is shown once
    Create {
        /// What it is called, to be told from others
        name: String,
        /// For this user instead of you (administrators)
        #[arg(long, value_name = "NAME")]
        user: Option<UserName>,
        /// What it is for: user, guardian, readonly or admin
        #[arg(long, default_value = "user")]
        kind: TokenKind,
        /// The only project that it opens: its id, a beginning of it, or its name
        #[arg(long)]
        project: Option<String>,
        /// After how many days it opens nothing any more [default: never]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=3650))]
        days: Option<u64>,
    },
    /// Revoke a token; it opens nothing from the next request on
    Revoke {
        /// The token's id, as `specwright token list` shows it
        id: uuid::Uuid,
    },
}

/// `member`
#[derive(Debug, Subcommand)]
pub(crate) enum MemberCommand {
    /// List a project's members
    List {
        /// The project: its id, a beginning of it, or its name
        project: String,
    },
    /// Make a user a member, or give another role
    Set {
        /// The project: its id, a beginning of it, or its name
        project: String,
        /// The user's name
        user: UserName,
        /// owner, member or viewer
        role: Role,
    },
    /// Take a user out of a project
    Remove {
        /// The project: its id, a beginning of it, or its name
        project: String,
        /// The user's name
        user: UserName,
    },
}

/// Whose credential.
#[derive(Debug, Args)]
pub(crate) struct OfProject {
    /// A project's instead of yours: its id, a beginning of it, or its name
    #[arg(long)]
    pub(crate) project: Option<String>,
}

/// `credential`
#[derive(Debug, Subcommand)]
pub(crate) enum CredentialCommand {
    /// List what is kept; the keys themselves are never shown
    List(OfProject),
    /// Keep a key, read from stdin
    Set {
        /// `github_token`, `model_api_key` or `model_oauth_token`
        kind: CredentialKind,
        #[command(flatten)]
        of: OfProject,
    },
    /// Forget a key
    Remove {
        /// `github_token`, `model_api_key` or `model_oauth_token`
        kind: CredentialKind,
        #[command(flatten)]
        of: OfProject,
    },
    /// Seal everything anew with the newest seal key
    Rotate,
}

/// `audit`
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// What was done in this project: its id, a beginning of it, or its name [default: everywhere]
    #[arg(long)]
    pub(crate) project: Option<String>,
}
