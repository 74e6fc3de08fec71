//! Where logs go: to a file in the data directory, so that a command's answer holds nothing else;
//! for `serve`, whose only answer is its address, to stderr, and its spans to a collector if one is
//! named ([`export`]).
//!
//! What holds: no secret that this process knows is in it, whoever wrote it into a message.

pub(crate) mod export;

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use specwright_control_api::private_directory;
use specwright_shared::redact::Redactor;
use specwright_worker::log::json::{Fields, JsonLines};
use specwright_worker::log::{Format, Redacting};
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry};

use crate::exit::{Exit, Failure};

/// What gets what is logged.
pub(crate) type Lines = Box<dyn Layer<Registry> + Send + Sync>;

/// The file's name; the one before it has `.1` behind it.
const FILE: &str = "specwright.log";

/// How large the file may be when a command begins; a larger one is put aside, over the one that was
/// put aside before. So there are never much more than twice as many bytes of logs.
const ASIDE_AT_BYTES: u64 = 8 * 1024 * 1024;

/// No file can be written.
#[derive(Debug, thiserror::Error)]
#[error(
    "the log {} cannot be written; choose another place with --data-dir or SPECWRIGHT_DATA_DIR",
    path.display()
)]
pub(crate) struct LogError {
    path: PathBuf,
    source: io::Error,
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        Self::of(Exit::NotReady, error)
    }
}

/// Logs to the file in `data_dir`; `filter` says what.
pub(crate) fn to_file(
    data_dir: &Path,
    filter: Option<&str>,
    secrets: Redactor,
) -> Result<(), LogError> {
    let path = data_dir.join(FILE);
    let file = open(data_dir, &path).map_err(|source| LogError { path, source })?;
    start(filter, text(false, Redacting::of_process(secrets, Mutex::new(file))), None);
    Ok(())
}

/// Logs to stderr, and hands spans on to be sent.
pub(crate) fn to_stderr(
    format: Format,
    filter: Option<&str>,
    secrets: Redactor,
    export: Option<&export::Export>,
) {
    let writer = Redacting::of_process(secrets, io::stderr);
    let lines = match format {
        Format::Text => text(console::colors_enabled_stderr(), writer),
        Format::Json => JsonLines::new(Fields::default(), writer).boxed(),
    };
    start(filter, lines, export.map(export::Export::layer));
}

fn start(filter: Option<&str>, lines: Lines, more: Option<Lines>) {
    let wanted = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse_lossy(filter.unwrap_or_default());
    let lines = lines.with_filter(wanted).boxed();
    let all: Vec<Lines> = std::iter::once(lines).chain(more).collect();
    tracing_subscriber::registry().with(all).init();
}

/// Lines for people.
fn text<W>(colour: bool, writer: W) -> Lines
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let fields = debug_fn(|line, field, value| match field.name() {
        "message" => write!(line, "{value:?}"),
        // Words for a collector; what they say stands under other names, too.
        name if name.starts_with("otel.") => Ok(()),
        name => write!(line, "{name}={value:?}"),
    });
    tracing_subscriber::fmt::layer()
        .fmt_fields(fields.delimited(" "))
        // Not its own complaints: they are made with `eprintln!`, which panics on a full disk.
        .log_internal_errors(false)
        .with_ansi(colour)
        .with_writer(writer)
        .boxed()
}

fn open(data_dir: &Path, path: &Path) -> io::Result<fs::File> {
    // What is planned, and the log that may name it, are their owner's.
    private_directory(data_dir)?;
    if path.metadata().is_ok_and(|meta| meta.len() > ASIDE_AT_BYTES) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_large_log_is_put_aside_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        open(dir.path(), &path).unwrap().set_len(ASIDE_AT_BYTES + 1).unwrap();
        writeln!(open(dir.path(), &path).unwrap(), "next").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "next\n");
        assert!(dir.path().join("specwright.log.1").metadata().unwrap().len() > ASIDE_AT_BYTES);
    }
}
