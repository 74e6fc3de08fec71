//! Sandboxes: places where workers run, and who makes them.
//!
//! [`Provider`] is an enum, not a trait: which providers there are is known when this is built, a
//! call then needs no boxed future, and the compiler says everywhere what a new one has to answer.

pub(crate) mod local;
pub(crate) mod lost;
pub(crate) mod restart;
pub(crate) mod salvage;

use std::time::Duration;

use serde_json::Value;
use specwright_shared::id::{SandboxId, SpecId};
use specwright_shared::trace::TraceContext;
use specwright_shared::wire::spec::RunOptions;

use crate::app::App;
use crate::auth::SandboxToken;

/// What a place is to be made for.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) sandbox: SandboxId,
    pub(crate) spec: SpecId,
    pub(crate) token: SandboxToken,
    pub(crate) options: RunOptions,
    /// The request that asked for the run.
    pub(crate) traceparent: Option<TraceContext>,
}

/// Whose facts are to be delivered from a place that lost its worker.
#[derive(Debug)]
pub(crate) struct Rest {
    pub(crate) sandbox: SandboxId,
    pub(crate) spec: SpecId,
    pub(crate) token: SandboxToken,
}

/// Whether something still runs in a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Life {
    /// It does.
    Alive,
    /// It does not; why, in words.
    Gone(String),
    /// That cannot be seen from here; only the lease tells.
    Unknown,
}

/// A place that a provider lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Whose label it has.
    pub(crate) sandbox: SandboxId,
    /// How long it is there.
    pub(crate) age: Duration,
}

/// Who makes places.
#[derive(Debug)]
pub(crate) enum Provider {
    /// A process on this machine.
    Local(local::Local),
}

impl Provider {
    /// Its name in the store and on the wire.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Local(_) => "local",
        }
    }

    /// Makes a place with a worker in it.
    pub(crate) async fn start(&self, app: &App, start: Start) -> Result<(), local::StartError> {
        match self {
            Self::Local(local) => local.start(app, start).await,
        }
    }

    /// Whether something still runs in a place that this provider made.
    pub(crate) fn life(&self, sandbox: SandboxId, place: Option<&Value>) -> Life {
        match self {
            Self::Local(local) => local.life(sandbox, place),
        }
    }

    /// Whether a place goes on when this control API ends. Where it does not, nobody else's runs are
    /// taken up: they would end with a command that has nothing to do with them.
    pub(crate) const fn places_outlive_us(&self) -> bool {
        match self {
            Self::Local(local) => !local.die_with_parent,
        }
    }

    /// Whether this process made the place and watches it.
    pub(crate) fn observes(&self, sandbox: SandboxId) -> bool {
        match self {
            Self::Local(local) => local.observed_ids().contains(&sandbox),
        }
    }

    /// Whether somebody on this machine watches the place, this process or another one: who sees its
    /// worker's end ends what it leaves, and delivers it.
    pub(crate) fn is_watched(&self, sandbox: SandboxId, place: Option<&Value>) -> bool {
        match self {
            Self::Local(local) => local.is_watched(sandbox, place),
        }
    }

    /// The places of this deployment that something runs in, as far as they are seen from here.
    pub(crate) fn list(&self) -> Vec<Listed> {
        match self {
            Self::Local(local) => local.list(),
        }
    }

    /// Ends what runs in a place that was listed, whatever the store says of it.
    pub(crate) async fn end_listed(&self, app: &App, sandbox: SandboxId) {
        match self {
            Self::Local(local) => local.end_listed(app, sandbox).await,
        }
    }

    /// Whether a place that lost its worker may hold facts that it had not delivered, and can be reached.
    pub(crate) fn has_rest(&self, app: &App, sandbox: SandboxId, place: Option<&Value>) -> bool {
        match self {
            Self::Local(_) => local::has_rest(&app.data_dir, sandbox, place),
        }
    }

    /// Delivers them: by a worker that does nothing else. Comes back when it is gone.
    pub(crate) async fn deliver_rest(&self, app: &App, rest: Rest) -> Result<(), local::RestError> {
        match self {
            Self::Local(local) => local.deliver_rest(app, rest).await,
        }
    }

    /// This control API, as a place of its own; what [`Provider::is_gone`] is asked about later.
    pub(crate) fn ourselves(&self) -> Value {
        match self {
            Self::Local(_) => local::ourselves(),
        }
    }

    /// Whether such a control API is seen to be gone.
    pub(crate) fn is_gone(&self, control_api: &Value) -> bool {
        match self {
            Self::Local(_) => local::is_gone(control_api),
        }
    }

    /// Ends what runs in a place, and waits until it is gone.
    pub(crate) async fn end(&self, app: &App, sandbox: SandboxId, place: Option<&Value>) {
        match self {
            Self::Local(local) => local.end(app, sandbox, place).await,
        }
    }
}
