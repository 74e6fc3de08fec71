//! What another process of the worker's own user can see of it.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;

use super::*;

/// `nobody`: root can look into every process, so a test that is root becomes somebody else.
const NOBODY: u32 = 65_534;

/// Makes a command run as a user that is not root.
fn as_somebody(command: &mut Command, user: u32) -> &mut Command {
    if user == NOBODY { command.uid(NOBODY).gid(NOBODY) } else { command }
}

/// Whether that user can read a file.
fn can_read(user: u32, path: &str) -> bool {
    let mut cat = Command::new("cat");
    cat.arg(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    as_somebody(&mut cat, user).status().unwrap().success()
}

#[test]
fn a_process_of_the_same_user_reads_neither_the_environment_nor_the_memory_of_the_worker() {
    let place = tempfile::tempdir().unwrap();
    let own = std::fs::metadata(place.path()).unwrap().uid();
    let user = if own == 0 { NOBODY } else { own };
    let control = Control::start(Some(repository(place.path())));
    control.refuse_events(true);
    let more = [("ANTHROPIC_API_KEY", "sk-ant-a-key-of-a-test")];
    let mut command = supervised(place.path(), &control.url, &more);
    if user == NOBODY {
        // The programs lie where only root may go.
        let program = place.path().join("specwright-worker");
        std::fs::copy(env!("CARGO_BIN_EXE_specwright-worker"), &program).unwrap();
        let settings: Vec<_> = command
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        let log = std::fs::File::options().append(true).open(place.path().join("log")).unwrap();
        command = Command::new(program);
        command.arg("supervise").env_clear().envs(settings);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut chown = Command::new("chown");
        let owner = format!("{NOBODY}:{NOBODY}");
        assert!(chown.args(["--recursive", &owner]).arg(place.path()).status().unwrap().success());
    }
    as_somebody(&mut command, user);
    let supervisor = Child::start(command);
    control::until("hello was said", || control.generation() == 1);
    let [worker] = children(supervisor.0.id())[..] else { panic!("{}", log(place.path())) };

    let mut other = Command::new("sleep");
    other.arg("60").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    as_somebody(&mut other, user);
    let other = Child::start(other);
    for file in ["environ", "maps"] {
        control::until("that user to see a process that hides nothing", || {
            can_read(user, &format!("/proc/{}/{file}", other.0.id()))
        });
        for pid in [supervisor.0.id(), worker] {
            assert!(!can_read(user, &format!("/proc/{pid}/{file}")), "{file} of {pid}");
        }
    }
    for pid in [supervisor.0.id(), worker] {
        let mut list = Command::new("ls");
        list.arg(format!("/proc/{pid}/fd")).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(!as_somebody(&mut list, user).status().unwrap().success(), "open files of {pid}");
    }
}
