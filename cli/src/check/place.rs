//! The places on this machine: directories, disk, token file, loopback.

use std::ffi::OsStr;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use specwright_control_api::private_directory;

use super::Check;
use super::program;

/// Below this much free space a run may not get to its end: a clone of a large repository and its
/// events.
const FREE_SPACE_LEAST: u64 = 512 * 1024 * 1024;

/// `git`, and its version.
pub(crate) async fn git(path: &OsStr) -> Check {
    const NAME: &str = "git";
    let install = "install it (Debian: apt-get install git)";
    let Some(git) = program::on_path("git", path) else {
        return Check::bad(NAME, "not on PATH", install);
    };
    match program::ask(&git, &[OsStr::new("--version")]).await {
        Ok(answer) if answer.status.success() => {
            let said = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
            let version = said.strip_prefix("git version ").unwrap_or(&said).to_owned();
            Check::good(NAME, format!("{version} at {}", git.display()))
        }
        Ok(answer) => {
            let found = format!("{} ended with {}", git.display(), answer.status);
            Check::bad(NAME, found, install)
        }
        Err(error) => Check::bad(NAME, error.to_string(), install),
    }
}

/// The data directory: made if missing, written to, with room left.
pub(crate) fn data_dir(dir: &Path) -> Check {
    const NAME: &str = "data directory";
    let remedy = "make it writable, or choose another with --data-dir or SPECWRIGHT_DATA_DIR";
    if let Err(error) = private_directory(dir).and_then(|()| write_aside(dir)) {
        return Check::bad(NAME, format!("{} cannot be written: {error}", dir.display()), remedy);
    }
    match rustix::fs::statvfs(dir) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let found = format!("{}, {} free", dir.display(), size(free));
            if free < FREE_SPACE_LEAST {
                let remedy = format!("free some space, at least {}", size(FREE_SPACE_LEAST));
                Check::bad(NAME, found, remedy)
            } else {
                Check::good(NAME, found)
            }
        }
        Err(error) => {
            Check::bad(NAME, format!("{}: free space unknown: {error}", dir.display()), remedy)
        }
    }
}

fn write_aside(dir: &Path) -> std::io::Result<()> {
    tempfile::tempfile_in(dir)?.write_all(b"x")
}

/// The owner's token: nobody but its owner may read it. `given`: it comes from the environment.
pub(crate) fn owner_token(file: &Path, given: bool) -> Check {
    const NAME: &str = "owner token";
    if given {
        return Check::good(NAME, "from SPECWRIGHT_OWNER_TOKEN");
    }
    match file.metadata() {
        Ok(meta) => {
            let mode = meta.permissions().mode() & 0o777;
            let found = format!("{}, mode {mode:04o}", file.display());
            if mode & 0o077 == 0 {
                Check::good(NAME, found)
            } else {
                Check::bad(NAME, found, format!("chmod 600 {}", file.display()))
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Check::good(NAME, format!("{} is made at the first start", file.display()))
        }
        Err(error) => {
            let remedy = "make it readable, or choose another place with SPECWRIGHT_CONFIG_DIR";
            Check::bad(NAME, format!("{}: {error}", file.display()), remedy)
        }
    }
}

/// Whether a port on loopback can be had.
pub(crate) fn loopback() -> Check {
    const NAME: &str = "loopback";
    match TcpListener::bind((Ipv4Addr::LOCALHOST, 0)) {
        Ok(_) => Check::good(NAME, "127.0.0.1 can be listened on"),
        Err(error) => {
            let remedy = "bring the loopback interface up (ip link set lo up)";
            Check::bad(NAME, format!("127.0.0.1 cannot be listened on: {error}"), remedy)
        }
    }
}

/// A size as a person reads it.
fn size(bytes: u64) -> String {
    const GIB: u64 = 1024 * 1024 * 1024;
    const MIB: u64 = 1024 * 1024;
    if bytes >= GIB {
        format!("{}.{} GiB", bytes / GIB, bytes % GIB * 10 / GIB)
    } else {
        format!("{} MiB", bytes / MIB)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_data_directory_is_made_and_one_below_a_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("a/b");
        let check = data_dir(&data);
        assert!(data.is_dir() && check.found.contains(" free"), "{check:?}");
        assert_eq!(fs::read_dir(&data).unwrap().count(), 0);
        assert_eq!(data.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        let check = data_dir(&file.join("data"));
        assert!(check.blocks() && check.remedy.is_some(), "{check:?}");
    }

    #[test]
    fn a_token_that_others_can_read_is_told_with_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("owner-token");
        assert!(owner_token(&file, false).ok);
        fs::write(&file, "t").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let check = owner_token(&file, false);
        assert!(check.blocks() && check.found.ends_with("mode 0644"), "{check:?}");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(owner_token(&file, false).ok);
    }

    #[test]
    fn sizes_are_read_easily() {
        assert_eq!(size(700 * 1024 * 1024), "700 MiB");
        assert_eq!(size(5 * 1024 * 1024 * 1024 + 600 * 1024 * 1024), "5.5 GiB");
    }
}
