//! The worker's log, on stderr; and what the log of a control API is made of, too.
//!
//! What holds: no known secret is in it, whoever wrote it into a message (an agent's last words are
//! part of many). As JSON, each line says whose it is: sandbox, spec and trace.

pub mod json;

use std::io::{self, Write};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use json::{Fields, JsonLines};
use specwright_shared::redact::Redactor;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one object a line.
    Json,
}

impl std::str::FromStr for Format {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("a log is written as `text` or as `json`"),
        }
    }
}

/// What the log of this process takes out.
static REDACTOR: OnceLock<Arc<RwLock<Redactor>>> = OnceLock::new();

/// Takes out what this one knows from now on.
pub fn redact(redactor: Redactor) {
    // A worker that runs in a test has no log of its own.
    if let Some(known) = REDACTOR.get() {
        *known.write().unwrap_or_else(PoisonError::into_inner) = redactor;
    }
}

/// Starts to log. The filter is of targets and levels (`info,specwright_worker=debug`): one by span
/// and field would bring a regular-expression engine into an image that has no other use for it.
/// `own`: what JSON lines say of the whole process.
pub(crate) fn to_stderr(filter: &str, format: Format, own: Fields, redactor: Redactor) {
    let targets = filter.parse::<Targets>();
    let wrong = targets.is_err();
    let targets = targets.unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    let writer = Redacting::of_process(redactor, io::stderr);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
        Format::Json => JsonLines::new(own, writer).boxed(),
        Format::Text => tracing_subscriber::fmt::layer()
            .with_writer(writer)
            .with_ansi(false)
            // It would say so with `eprintln!`, which panics when stderr is a file on a full disk: a
            // line that cannot be logged must not end the task that logs.
            .log_internal_errors(false)
            .boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(targets)).init();
    if wrong {
        tracing::warn!("RUST_LOG is not a list of targets and levels; `info` is used");
    }
}

/// Writers that redact.
#[derive(Debug)]
pub struct Redacting<W> {
    redactor: Arc<RwLock<Redactor>>,
    inner: W,
}

impl<W> Redacting<W> {
    /// The writer of this process's log. It takes out what this one knows, or a later one
    /// ([`redact`]).
    pub fn of_process(redactor: Redactor, inner: W) -> Self {
        let redactor = REDACTOR.get_or_init(|| Arc::new(RwLock::new(redactor)));
        Self { redactor: Arc::clone(redactor), inner }
    }
}

/// One line on its way out. The formatter hands over a whole line at once, so that no secret is split.
#[derive(Debug)]
pub struct Line<'a, W> {
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

    /// What was written.
    #[derive(Clone, Default)]
    pub(super) struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Kept {
        pub(super) fn maker(&self) -> impl Fn() -> Self + use<> {
            let kept = self.clone();
            move || kept.clone()
        }

        pub(super) fn text(&self) -> String {
            let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            String::from_utf8(bytes).unwrap()
        }
    }

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
        let inner = kept.maker();
        let redactor = Arc::new(RwLock::new(Redactor::default()));
        *redactor.write().unwrap() = Redactor::new(["sk-ant-a-real-key".to_owned()]);
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(Redacting { redactor, inner })
            .with_ansi(false);
        let subscriber = tracing_subscriber::registry().with(lines);
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(message = "cannot start: ANTHROPIC_API_KEY=sk-ant-a-real-key", "over");
        });
        let text = kept.text();
        assert!(text.contains("ANTHROPIC_API_KEY=[redacted]"), "{text}");
        assert!(!text.contains("a-real-key"), "{text}");
    }
}
