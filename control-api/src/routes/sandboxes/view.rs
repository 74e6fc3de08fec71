//! A sandbox as people see it: with its verdict, judged now, and who holds it.

use specwright_shared::phase::SandboxState;
use specwright_shared::wire::sandbox::SandboxView;

use crate::app::App;
use crate::reconcile::liveness::verdict;
use crate::store::sandbox::Sandbox;
use crate::store::{self, Session, StoreError};

/// Of a sandbox as stored.
pub(super) async fn of(
    app: &App,
    session: &mut Session,
    sandbox: Sandbox,
) -> Result<SandboxView, StoreError> {
    let now = app.now();
    let mut settings = app.liveness.clone();
    let mut hold = None;
    // What has ended is finished, by any settings.
    if sandbox.state != SandboxState::Ended {
        if let Some(spec) = store::spec::find(session, sandbox.spec_id).await? {
            settings = app.settings_of(session, spec.project_id).await?;
        }
        let watched = store::liveness::find(session, sandbox.id).await?;
        hold = watched.and_then(|watched| watched.hold).filter(|hold| hold.until > now);
    }
    let verdict = Some(verdict(app, &sandbox, &settings, now));
    Ok(SandboxView { verdict, hold, ..sandbox.into() })
}
