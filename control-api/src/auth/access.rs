//! What a route is for, as the table of routes says it.

use specwright_shared::wire::access::Deed;
use uuid::Uuid;

use crate::store::project::Belonging;

/// Whom a route is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everyone.
    Public,
    /// The worker of the sandbox that the path names as `{id}`.
    OwnSandbox,
    /// People and programs who may do this to what the path names as `{id}`; where it names nothing,
    /// who may do it at all.
    Deed(Deed),
}

/// What the `{id}` of a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Thing {
    Project,
    Spec,
    Sandbox,
    Ticket,
    Task,
    User,
    Token,
}

impl Thing {
    /// What the `{id}` of this path names, by the collection before it. `None`: the path has no
    /// `{id}`, or one that nobody can judge; a test sees to it that the table has none of the latter.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let (before, _) = path.split_once("/{id}")?;
        Some(match before.rsplit('/').next()? {
            "projects" => Self::Project,
            "specs" => Self::Spec,
            "sandboxes" => Self::Sandbox,
            "tickets" => Self::Ticket,
            "tasks" => Self::Task,
            "users" => Self::User,
            "tokens" => Self::Token,
            _ => return None,
        })
    }

    /// The word for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Spec => "spec",
            Self::Sandbox => "sandbox",
            Self::Ticket => "ticket",
            Self::Task => "task",
            Self::User => "user",
            Self::Token => "token",
        }
    }

    /// What of a project it is, if it is that.
    pub(super) fn belonging(self, id: Uuid) -> Option<Belonging> {
        match self {
            Self::Project => Some(Belonging::Project(id.into())),
            Self::Spec => Some(Belonging::Spec(id.into())),
            Self::Sandbox => Some(Belonging::Sandbox(id.into())),
            Self::Ticket => Some(Belonging::Ticket(id.into())),
            Self::Task => Some(Belonging::Task(id.into())),
            Self::User | Self::Token => None,
        }
    }
}
