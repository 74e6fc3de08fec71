//! Processes that the agent leaves behind: deaf, and in sessions of their own.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// How long a descendant may take to be there.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether these arguments are those of a descendant.
pub(crate) fn is_one(arguments: &[String]) -> bool {
    matches!(arguments.first().map(String::as_str), Some("descendant" | "middle"))
}

/// Starts two of them and waits until they are deaf: one stays our child but knows nothing of our
/// environment, the other keeps the environment but loses its parent.
pub(crate) fn leave(folder: &Path) -> Result<()> {
    let program = std::env::current_exe()?;
    let (child, orphan) = (folder.join("child.pid"), folder.join("orphan.pid"));
    quiet(Command::new(&program).arg("descendant").arg(&child).env_clear()).spawn()?;
    let middle = quiet(Command::new(&program).arg("middle").arg(&orphan)).status()?;
    ensure!(middle.success(), "the orphan's parent failed");
    let deadline = Instant::now() + PATIENCE;
    while !(child.exists() && orphan.exists()) {
        ensure!(Instant::now() < deadline, "the descendants did not come up");
        std::thread::yield_now();
    }
    Ok(())
}

/// The life of a descendant: `middle` starts another one and ends at once.
pub(crate) fn live(arguments: &[String]) -> Result<ExitCode> {
    let [kind, pid_file] = arguments else { anyhow::bail!("a descendant needs a file") };
    if kind == "middle" {
        let program = std::env::current_exe()?;
        quiet(Command::new(program).arg("descendant").arg(pid_file)).spawn()?;
        return Ok(ExitCode::SUCCESS);
    }
    rustix::process::setsid().context("no session of its own")?;
    super::signals::ignore_all()?;
    // Written aside and renamed: who sees the file sees the number.
    let aside = format!("{pid_file}.new");
    std::fs::write(&aside, std::process::id().to_string())?;
    std::fs::rename(&aside, pid_file)?;
    super::sleep_for_ever()
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}
