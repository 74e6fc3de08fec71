//! The worker's log, on stderr.
//!
//! What holds: no known secret is in it, whoever wrote it into a message (an agent's last words are
//! part of many).

use std::io::{self, Write};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use specwright_shared::redact::Redactor;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// What the log of this process takes out.
static REDACTOR: OnceLock<Arc<RwLock<Redactor>>> = OnceLock::new();

/// Takes out what this one knows from now on.
pub(crate) fn redact(redactor: Redactor) {
    // A worker that runs in a test has no log of its own.
    if let Some(known) = REDACTOR.get() {
        *known.write().unwrap_or_else(PoisonError::into_inner) = redactor;
    }
}

/// Starts to log. The filter is of targets and levels (`info,specwright_worker=debug`): one by span
/// and field would bring a regular-expression engine into an image that has no other use for it.
pub(crate) fn to_stderr(filter: &str, redactor: Redactor) {
    let targets = filter.parse::<Targets>();
    let wrong = targets.is_err();
    let targets = targets.unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    let redactor = Arc::clone(REDACTOR.get_or_init(|| Arc::new(RwLock::new(redactor))));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(Redacting { redactor, inner: io::stderr })
        .with_ansi(false)
        // It would say so with `eprintln!`, which panics when stderr is a file on a full disk: a line
        // that cannot be logged must not end the task that logs.
        .log_internal_errors(false);
    tracing_subscriber::registry().with(lines.with_filter(targets)).init();
    if wrong {
        tracing::warn!("RUST_LOG is not a list of targets and levels; `info` is used");
    }
}

/// Writers that redact.
struct Redacting<W> {
    redactor: Arc<RwLock<Redactor>>,
    inner: W,
}

/// One line on its way out. The formatter hands over a whole line at once, so that no secret is split.
struct Line<'a, W> {
    redactor: &'a RwLock<Redactor>,
    inner: W,
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Redacting<W> {
    type Writer = Line<'a, W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Line { redactor: &self.redactor, inner: self.inner.make_writer() }
    }
}

impl<W: Write> Write for Line<'_, W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let redactor = self.redactor.read().unwrap_or_else(PoisonError::into_inner);
        self.inner.write_all(redactor.text(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_known_secret_never_reaches_the_log() {
        let kept = Kept::default();
        let inner = {
            let kept = kept.clone();
            move || kept.clone()
        };
        let redactor = Arc::new(RwLock::new(Redactor::default()));
        *redactor.write().unwrap() = Redactor::new(["sk-ant-a-real-key".to_owned()]);
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(Redacting { redactor, inner })
            .with_ansi(false);
        let subscriber = tracing_subscriber::registry().with(lines);
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(message = "cannot start: ANTHROPIC_API_KEY=sk-ant-a-real-key", "over");
        });
        let bytes = kept.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("ANTHROPIC_API_KEY=[redacted]"), "{text}");
        assert!(!text.contains("a-real-key"), "{text}");
    }
}
