//! `POST /sandboxes/{id}/hold`: the sandbox is not ended for a verdict until then, so that a person
//! can look into it. A later hold takes the place of an earlier one. It does not hold off a stop that
//! a person asks for, nor the end of what is gone by itself.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use specwright_shared::id::SandboxId;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::sandbox::SandboxView;
use specwright_shared::wire::watch::{Hold, NewHold};

use super::view;
use crate::app::App;
use crate::auth::Person;
use crate::extract::{Body, PathId};
use crate::problem::{Refusal, impl_answer};
use crate::said::{CleanError, Cleaner};
use crate::store::{self, StoreError};

/// The longest hold: one that was forgotten must not cost more than a day.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Why nothing is held.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HoldError {
    #[error("there is no sandbox {0}")]
    NotFound(SandboxId),
    #[error("`until` has passed; give a later time, or use `release`")]
    Passed,
    #[error("`until` is more than {} hours from now; give an earlier time and hold again", LONGEST.as_secs() / 3600)]
    TooLong,
    #[error("the sandbox has ended; there is nothing left to hold")]
    Ended,
    #[error(transparent)]
    Clean(#[from] CleanError),
    #[error("the hold could not be stored")]
    Store(#[from] StoreError),
}

impl Refusal for HoldError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NotFound(_) => ProblemType::NotFound,
            Self::Passed | Self::TooLong => ProblemType::InvalidRequest,
            Self::Ended => ProblemType::SandboxEnded,
            Self::Clean(error) => error.kind(),
            Self::Store(_) => ProblemType::Internal,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Clean(error) => error.retry_after(),
            _ => None,
        }
    }
}
impl_answer!(HoldError);

/// Holds it.
pub(crate) async fn handler(
    State(app): State<App>,
    person: Person,
    PathId(id): PathId<SandboxId>,
    Body(new): Body<NewHold>,
) -> Result<Json<SandboxView>, HoldError> {
    let now = app.now();
    if new.until <= now {
        return Err(HoldError::Passed);
    }
    if new.until > now.plus(LONGEST) {
        return Err(HoldError::TooLong);
    }
    let reason = Cleaner::of(&app, id).await?.line(&new.reason).to_string();
    let hold = Hold { until: new.until, reason, by: person.name };
    set(&app, id, Some(&hold)).await
}

/// Holds it, or lets it go.
pub(super) async fn set(
    app: &App,
    id: SandboxId,
    hold: Option<&Hold>,
) -> Result<Json<SandboxView>, HoldError> {
    let mut write = app.store.write().await?;
    let held = store::liveness::hold(&mut write, id, hold).await?;
    let sandbox = store::sandbox::find(&mut write, id).await?.ok_or(HoldError::NotFound(id))?;
    if !held {
        return Err(HoldError::Ended);
    }
    let view = view::of(app, &mut write, sandbox).await?;
    write.commit().await?;
    Ok(Json(view))
}
