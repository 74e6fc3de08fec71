//! The databases that are measured on: a SQLite file, and a real PostgreSQL that is started for the
//! bench or that `--database` names.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// Where Debian and others put the server's programs, newest first.
const PLACES: [&str; 5] = [
    "/usr/lib/postgresql/18/bin",
    "/usr/lib/postgresql/17/bin",
    "/usr/lib/postgresql/16/bin",
    "/usr/lib/postgresql/15/bin",
    "/usr/bin",
];

/// A database for one measurement.
pub(crate) struct Database {
    /// How the control API reaches it.
    pub(crate) url: String,
    server: Option<PathBuf>,
    /// Where it lies, if it is ours.
    place: TempDir,
}

impl Database {
    /// A SQLite file.
    pub(crate) fn sqlite() -> Result<Self> {
        let place = tempfile::tempdir()?;
        let url = format!("sqlite://{}", place.path().join("bench.db").display());
        Ok(Self { url, server: None, place })
    }

    /// The database at an address; it is written to and not cleaned.
    pub(crate) fn at(url: String) -> Result<Self> {
        Ok(Self { url, server: None, place: tempfile::tempdir()? })
    }

    /// A server of its own with the usual settings, so that a commit waits for the disk; `None` when
    /// this machine has no PostgreSQL.
    pub(crate) fn postgres() -> Result<Option<Self>> {
        let found = PLACES.iter().map(PathBuf::from).find(|place| place.join("initdb").exists());
        let Some(programs) = found else { return Ok(None) };
        let place = tempfile::tempdir()?;
        if is_root() {
            // The server refuses to run as root.
            let (user, group) = account("postgres")?;
            chown(place.path(), Some(user), Some(group))?;
        }
        let data = place.path().join("data").display().to_string();
        let log = place.path().join("log").display().to_string();
        let socket = place.path().display().to_string();
        run(
            &programs.join("initdb"),
            &["-D", &data, "-U", "postgres", "-A", "trust", "-E", "UTF8"],
        )?;
        let options = format!("-c listen_addresses= -k {socket}");
        let start = ["-D", &data, "-w", "-t", "60", "-l", &log, "-o", &options, "start"];
        run(&programs.join("pg_ctl"), &start)?;
        let url = format!("postgres://postgres@{}/postgres", socket.replace('/', "%2F"));
        Ok(Some(Self { url, server: Some(programs), place }))
    }

    /// Whether it is a SQLite file.
    pub(crate) fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let Some(programs) = &self.server else { return };
        let data = self.place.path().join("data").display().to_string();
        let stop = ["-D", &data, "-m", "immediate", "-w", "stop"];
        if let Err(error) = run(&programs.join("pg_ctl"), &stop) {
            eprintln!("PostgreSQL could not be stopped: {error:#}");
        }
    }
}

fn run(program: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    let output = command.args(arguments).current_dir("/").env("LC_ALL", "C").output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", program.display());
    Ok(())
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// User and group number of an account.
fn account(name: &str) -> Result<(u32, u32)> {
    let accounts = std::fs::read_to_string("/etc/passwd")?;
    let mut lines = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let fields = lines.find(|fields| fields.first() == Some(&name));
    let fields = fields.with_context(|| format!("there is no user {name}"))?;
    let number = |at: usize| -> Result<u32> { Ok(fields.get(at).context("no number")?.parse()?) };
    Ok((number(2)?, number(3)?))
}
