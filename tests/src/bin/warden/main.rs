//! Ends what a test left when it was killed before it could do so itself.
//!
//! On stdin is the path of a test's world, then nothing until the pipe ends, which it does when the test
//! does, however that comes. Then every process that names the path is killed, until none does, and the
//! directory is removed. After a test that ended by itself there is nothing to do.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use specwright_tests::system::processes;

/// How often is looked: what is killed may start another one just before.
const ROUNDS: usize = 200;
/// How long the system has to take the killed ones out of its table.
const BETWEEN: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let mut world = String::new();
    // A pipe that breaks is a test that has ended, too.
    let read = std::io::stdin().read_to_string(&mut world);
    let world = PathBuf::from(world.trim_end());
    // Every process names the root.
    if read.is_err() || !world.is_absolute() || world.parent().is_none() {
        return ExitCode::FAILURE;
    }
    for _ in 0..ROUNDS {
        let left = processes::naming(&world);
        if left.is_empty() {
            break;
        }
        for process in left {
            process.kill();
        }
        sleep(BETWEEN);
    }
    match std::fs::remove_dir_all(&world) {
        Err(error) if world.exists() => {
            eprintln!("{} is left: {error}", world.display());
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
