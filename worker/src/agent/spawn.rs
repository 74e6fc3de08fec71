//! Starting a process that dies with us. The one place with `unsafe` in the workspace.
//!
//! What holds: the child gets SIGKILL from the kernel when this process ends, however it ends. The
//! CLI does not end by itself: with all its pipes closed it was measured to finish its work. A child
//! with a user of its own has that one group and no capability, and gains none by what it starts.
//!
//! Linux sends that signal when the *thread* that forked ends, not the process, and threads of an
//! async runtime come and go. So one thread, which lives as long as the process, does every fork.
//!
//! Deliberately absent: protection of the child's own descendants. The signal is not inherited; see
//! [`super::tree`].

use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};

use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};
use rustix::thread::set_no_new_privs;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::user::User;

/// Starts that wait for the spawning thread; each takes a millisecond, more than a few never wait.
const WAITING_STARTS: usize = 8;

struct Start {
    command: Command,
    runtime: Handle,
    answer: oneshot::Sender<io::Result<Child>>,
}

/// Starts `command` as the leader of its own process group, tied to this process's life, as a user of
/// its own or as ours.
pub(crate) async fn spawn(mut command: Command, user: Option<&User>) -> io::Result<Child> {
    command.process_group(0).kill_on_drop(true);
    if let Some(user) = user {
        // Leaving root this way drops the other groups and every capability.
        command.uid(user.uid).gid(user.gid);
    }
    before_exec(&mut command, getpid(), user.is_some());
    let (answer, child) = oneshot::channel();
    let start = Start { command, runtime: Handle::current(), answer };
    spawner()?.try_send(start).map_err(|_| {
        io::Error::other("too many processes are being started at once, or their thread is gone")
    })?;
    child.await.map_err(|_| io::Error::other("the thread that starts processes is gone"))?
}

#[expect(unsafe_code, reason = "a parent-death signal can only be set between fork and exec")]
fn before_exec(command: &mut Command, parent: Pid, other_user: bool) {
    let before_exec = move || {
        if other_user {
            set_no_new_privs(true)?;
        }
        // Behind the change of user, which would take it back.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before the signal was set: then it would never come.
        if getppid() != Some(parent) {
            return Err(io::Error::from(rustix::io::Errno::CHILD));
        }
        Ok(())
    };
    // SAFETY: between fork and exec of a process with threads only async-signal-safe calls are
    // allowed. The closure makes three plain system calls (prctl twice, getppid) through rustix,
    // allocates nothing, takes no lock and touches no memory but its own copies of `parent` and
    // `other_user`; the errors that it makes hold a number only.
    unsafe {
        command.pre_exec(before_exec);
    }
}

fn spawner() -> io::Result<&'static SyncSender<Start>> {
    static SPAWNER: OnceLock<Result<SyncSender<Start>, io::ErrorKind>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (send, starts) = sync_channel::<Start>(WAITING_STARTS);
        let serve = move || {
            for Start { mut command, runtime, answer } in starts {
                let _entered = runtime.enter();
                // Nobody waits any more: the child is dropped, and so killed.
                answer.send(command.spawn()).ok();
            }
        };
        // Lives as long as the process by design: its end would kill every agent.
        std::thread::Builder::new()
            .name("agent-spawner".to_owned())
            .spawn(serve)
            .map_err(|source| source.kind())?;
        Ok(send)
    });
    spawner.as_ref().map_err(|kind| io::Error::from(*kind))
}
