//! Keeps the echo of Ctrl-C (`^C`) off the screen while a live display is drawn: it would move the
//! cursor to the next row behind the display's back, and a stale row would stay.

use std::io::stdin;

use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

/// The terminal's echo as it was; put back when this is dropped.
pub(super) struct QuietKeys(Option<Termios>);

impl QuietKeys {
    /// Stops the echo of control characters. Does nothing where there is no terminal, or where it is
    /// not ours: the system stops a background process that changes one.
    pub(super) fn start() -> Self {
        let Some(before) = in_foreground().then(|| tcgetattr(stdin()).ok()).flatten() else {
            return Self(None);
        };
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHOCTL);
        // A terminal that refuses keeps its echo: not pretty, and no more than that.
        let changed = tcsetattr(stdin(), OptionalActions::Now, &quiet).is_ok();
        Self(changed.then_some(before))
    }
}

impl Drop for QuietKeys {
    fn drop(&mut self) {
        if let Some(before) = self.0.take().filter(|_| in_foreground())
            && let Err(error) = tcsetattr(stdin(), OptionalActions::Now, &before)
        {
            // A terminal that is gone needs nothing put back.
            tracing::debug!(%error, "the terminal's echo could not be put back");
        }
    }
}

fn in_foreground() -> bool {
    tcgetpgrp(stdin()).is_ok_and(|group| group == getpgrp())
}
