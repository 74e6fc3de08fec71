//! A real PostgreSQL for tests: an own cluster in a temporary directory, reached by a unix socket,
//! gone with the value.

use std::ffi::OsStr;
use std::marker::PhantomData;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Where Debian and others put the server's programs, newest first.
const PLACES: [&str; 6] = [
    "/usr/lib/postgresql/18/bin",
    "/usr/lib/postgresql/17/bin",
    "/usr/lib/postgresql/16/bin",
    "/usr/lib/postgresql/15/bin",
    "/usr/local/pgsql/bin",
    "/usr/bin",
];

/// A running server.
pub(crate) struct PostgresServer {
    programs: PathBuf,
    directory: TempDir,
}

impl PostgresServer {
    /// Starts one; `None` when this machine has no PostgreSQL, which is said, and which no test may go
    /// on without where all must run (`CI=true`).
    pub(crate) fn start() -> Option<Self> {
        let found = PLACES.iter().map(PathBuf::from).find(|place| place.join("initdb").exists());
        let must_run = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(
            found.is_some() || !must_run,
            "CI=true, and this machine has no PostgreSQL; ./tests/run installs it"
        );
        if found.is_none() {
            eprintln!("NOT run on PostgreSQL: this machine has none");
        }
        let programs = found?;
        let server = Self { programs, directory: tempfile::tempdir().unwrap() };
        if is_root() {
            // The server refuses to run as root.
            let (user, group) = account("postgres");
            chown(server.directory.path(), Some(user), Some(group)).unwrap();
        }
        let data = server.data();
        server.run(
            "initdb",
            &[
                "-D".as_ref(),
                data.as_os_str(),
                "-U".as_ref(),
                "postgres".as_ref(),
                "-A".as_ref(),
                "trust".as_ref(),
                "-E".as_ref(),
                "UTF8".as_ref(),
                "--no-sync".as_ref(),
            ],
        );
        let options = format!("-c listen_addresses= -k {}", server.directory.path().display());
        server.run(
            "pg_ctl",
            &[
                "-D".as_ref(),
                data.as_os_str(),
                "-w".as_ref(),
                "-t".as_ref(),
                "60".as_ref(),
                "-l".as_ref(),
                server.directory.path().join("log").as_os_str(),
                "-o".as_ref(),
                options.as_ref(),
                "start".as_ref(),
            ],
        );
        Some(server)
    }

    /// The address of its database.
    pub(crate) fn address(&self) -> String {
        let socket = self.directory.path().display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{socket}/postgres")
    }

    /// Ends it as a power cut would, and starts it again.
    pub(crate) fn crash_and_start(&self) {
        let data = self.data();
        let options = format!("-c listen_addresses= -k {}", self.directory.path().display());
        self.run(
            "pg_ctl",
            &[
                "-D".as_ref(),
                data.as_os_str(),
                "-m".as_ref(),
                "immediate".as_ref(),
                "-w".as_ref(),
                "-l".as_ref(),
                self.directory.path().join("log").as_os_str(),
                "-o".as_ref(),
                options.as_ref(),
                "restart".as_ref(),
            ],
        );
    }

    /// Ends it as a power cut would.
    pub(crate) fn stop(&self) {
        let data = self.data();
        self.run(
            "pg_ctl",
            &[
                "-D".as_ref(),
                data.as_os_str(),
                "-m".as_ref(),
                "immediate".as_ref(),
                "-w".as_ref(),
                "stop".as_ref(),
            ],
        );
    }

    /// Starts it after [`Self::stop`].
    pub(crate) fn start_again(&self) {
        let data = self.data();
        let options = format!("-c listen_addresses= -k {}", self.directory.path().display());
        self.run(
            "pg_ctl",
            &[
                "-D".as_ref(),
                data.as_os_str(),
                "-w".as_ref(),
                "-l".as_ref(),
                self.directory.path().join("log").as_os_str(),
                "-o".as_ref(),
                options.as_ref(),
                "start".as_ref(),
            ],
        );
    }

    /// Stops all its processes where they stand, as on a machine that hangs: connections stay, new ones
    /// are made, and nothing is ever answered. They go on when the value goes.
    pub(crate) fn freeze(&self) -> Frozen<'_> {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        let postmaster = file.lines().next().and_then(|line| line.trim().parse().ok()).unwrap();
        let mut frozen = Frozen { stopped: Vec::new(), of: PhantomData };
        // The first of them makes all others, and none any more when it stands.
        frozen.stop(postmaster);
        for (process, parent, _) in processes() {
            if parent == postmaster {
                frozen.stop(process);
            }
        }
        frozen
    }

    /// A dump of its database, as the documents say; `None` where the server came without the program.
    pub(crate) fn dump(&self) -> Option<PathBuf> {
        self.programs.join("pg_dump").exists().then(|| {
            let file = self.directory.path().join("specwright.dump");
            let to = format!("--file={}", file.display());
            self.ask("pg_dump", &["--format=custom".as_ref(), to.as_ref(), "postgres".as_ref()]);
            file
        })
    }

    /// Puts a dump into a database of its own, whose address this is.
    pub(crate) fn restore_dump(&self, dump: &Path) -> String {
        self.ask("createdb", &["specwright_new".as_ref()]);
        let into: &[&OsStr] =
            &["--no-owner".as_ref(), "--dbname=specwright_new".as_ref(), dump.as_os_str()];
        self.ask("pg_restore", into);
        let address = self.address();
        let server = address.strip_suffix("/postgres").unwrap_or(&address);
        format!("{server}/specwright_new")
    }

    /// Runs a client program on it.
    fn ask(&self, program: &str, arguments: &[&OsStr]) {
        let host = format!("--host={}", self.directory.path().display());
        let common: [&OsStr; 2] = [host.as_ref(), "--username=postgres".as_ref()];
        self.run(program, &[&common[..], arguments].concat());
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn run(&self, program: &str, arguments: &[&OsStr]) {
        let output = self.command(program, arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{program}: {}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn command(&self, program: &str, arguments: &[&OsStr]) -> Command {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .args(arguments)
            .current_dir("/")
            .env("LC_ALL", "C")
            .stdin(std::process::Stdio::null());
        command
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        let data = self.data();
        let stopped = self
            .command(
                "pg_ctl",
                &[
                    "-D".as_ref(),
                    data.as_os_str(),
                    "-m".as_ref(),
                    "immediate".as_ref(),
                    "-w".as_ref(),
                    "stop".as_ref(),
                ],
            )
            .output();
        if let Err(error) = stopped {
            eprintln!("PostgreSQL could not be stopped: {error}");
        }
    }
}

/// The processes of a server, which stand still.
pub(crate) struct Frozen<'s> {
    stopped: Vec<Pid>,
    /// A server whose processes stand still cannot be ended.
    of: PhantomData<&'s PostgresServer>,
}

impl Frozen<'_> {
    fn stop(&mut self, process: i32) {
        let Some(pid) = Pid::from_raw(process) else { return };
        if kill_process(pid, Signal::STOP).is_err() {
            // It ended meanwhile.
            return;
        }
        self.stopped.push(pid);
        // It stands still, or has ended.
        while processes().any(|(id, _, state)| id == process && !matches!(state, 'T' | 'Z' | 'X')) {
            std::thread::yield_now();
        }
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        for pid in &self.stopped {
            kill_process(*pid, Signal::CONT).ok();
        }
    }
}

/// All processes: which, whose children, and in what state.
fn processes() -> impl Iterator<Item = (i32, i32, char)> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|entry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // Behind the name, which may hold anything.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let state = fields.next()?.chars().next()?;
        Some((id, fields.next()?.parse().ok()?, state))
    })
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// User and group number of an account.
fn account(name: &str) -> (u32, u32) {
    let accounts = std::fs::read_to_string(Path::new("/etc/passwd")).unwrap();
    let fields = accounts
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields[0] == name)
        .unwrap_or_else(|| panic!("there is no user {name}"));
    (fields[2].parse().unwrap(), fields[3].parse().unwrap())
}
