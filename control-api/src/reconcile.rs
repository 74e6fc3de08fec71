//! Background duties, one file each. Each looks at the store as it stands, so a crash between any
//! two steps of a request leaves nothing that a later round does not find.

mod gone_sandboxes;
mod overdue_messages;

use crate::app::App;

/// Starts them all; they end at shutdown. [`crate::app::Api::looked`] says when the first look is over.
pub(crate) fn start(app: &App) {
    app.tasks.spawn(gone_sandboxes::run(app.clone()));
    app.tasks.spawn(overdue_messages::run(app.clone()));
}

pub(crate) use gone_sandboxes::end_if_gone;
