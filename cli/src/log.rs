//! Where logs go: to a file in the data directory, so that a command's answer holds nothing else;
//! for `serve`, whose only answer is its address, to stderr.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use specwright_control_api::private_directory;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::SubscriberBuilder;

use crate::exit::{Exit, Failure};

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

/// Logs to the file in `data_dir`.
pub(crate) fn to_file(data_dir: &Path) -> Result<(), LogError> {
    let path = data_dir.join(FILE);
    let file = open(data_dir, &path).map_err(|source| LogError { path, source })?;
    builder().with_ansi(false).with_writer(Mutex::new(file)).init();
    Ok(())
}

/// Logs to stderr.
pub(crate) fn to_stderr() {
    let colour = console::colors_enabled_stderr();
    builder().with_ansi(colour).with_writer(io::stderr).init();
}

fn builder() -> SubscriberBuilder<
    tracing_subscriber::fmt::format::DefaultFields,
    tracing_subscriber::fmt::format::Format,
    EnvFilter,
> {
    let filter =
        EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    // Not its own complaints: they are made with `eprintln!`, which panics on a full disk.
    tracing_subscriber::fmt().log_internal_errors(false).with_env_filter(filter)
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
