//! The owner's token: made at the first start, kept in a file that only its owner may read.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::token;
use crate::private::private_directory;

/// The file's name in the config directory.
const FILE: &str = "owner-token";
/// The shortest token that is taken when a person chooses it.
const CHOSEN_MIN_CHARS: usize = 20;

/// The owner's token. It shows itself only where asked to.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnerToken(String);

/// Why there is no owner token.
#[derive(Debug, thiserror::Error)]
pub enum OwnerTokenError {
    /// A file that others can read is no secret.
    #[error("{} can be read by others (mode {mode:03o}); run `chmod 600` on it, or remove it and start again to get a new token", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// What is there is no token.
    #[error(
        "{what} is not a token: it has at least {CHOSEN_MIN_CHARS} letters, digits, `-`, `_` or `.`"
    )]
    Malformed {
        /// Where it came from.
        what: String,
    },
    /// The operating system's generator failed.
    #[error("no random bytes can be had for a token")]
    Random(#[source] getrandom::Error),
    /// The file could not be read or made.
    #[error("the owner token's file {} could not be {doing}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl OwnerToken {
    /// A token that someone chose.
    ///
    /// # Errors
    /// [`OwnerTokenError::Malformed`] when it is too short or has characters that do not travel in a
    /// header.
    pub fn new(token: impl Into<String>) -> Result<Self, OwnerTokenError> {
        Self::parse(token.into(), "what was given")
    }

    fn parse(token: String, what: &str) -> Result<Self, OwnerTokenError> {
        let fits = token.len() >= CHOSEN_MIN_CHARS
            && token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if fits {
            Ok(Self(token))
        } else {
            Err(OwnerTokenError::Malformed { what: what.to_owned() })
        }
    }

    /// The token itself, for an `Authorization` header.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for OwnerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnerToken(…)")
    }
}

/// Reads the owner's token from `config_dir`, or makes it there (mode 0600) at the first start. Two
/// first starts at once agree on one token.
///
/// # Errors
/// [`OwnerTokenError`], as a sentence with the file and the remedy.
pub fn owner_token(config_dir: &Path) -> Result<OwnerToken, OwnerTokenError> {
    let path = config_dir.join(FILE);
    let failed = |doing| {
        let path = path.clone();
        move |source| OwnerTokenError::File { path, doing, source }
    };
    match fs::metadata(&path) {
        Ok(_) => read(&path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            private_directory(config_dir).map_err(failed("made"))?;
            make(config_dir, &path)?;
            read(&path)
        }
        Err(error) => Err(failed("read")(error)),
    }
}

fn read(path: &Path) -> Result<OwnerToken, OwnerTokenError> {
    let failed = |source| OwnerTokenError::File { path: path.to_owned(), doing: "read", source };
    let mode = fs::metadata(path).map_err(failed)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(OwnerTokenError::Exposed { path: path.to_owned(), mode });
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    OwnerToken::parse(text.trim().to_owned(), &path.display().to_string())
}

/// Writes a new token aside and links it into place: whoever links first wins, and nobody ever reads
/// half a token.
fn make(directory: &Path, path: &Path) -> Result<(), OwnerTokenError> {
    let token = token::random("swo_").map_err(OwnerTokenError::Random)?;
    let aside_name = token::random(".owner-token-").map_err(OwnerTokenError::Random)?;
    let aside = directory.join(aside_name);
    let made = write(&aside, &token).and_then(|()| match fs::hard_link(&aside, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => File::open(directory)?.sync_all(),
    });
    let removed = fs::remove_file(&aside);
    made.and(removed).map_err(|source| OwnerTokenError::File {
        path: path.to_owned(),
        doing: "made",
        source,
    })
}

fn write(aside: &Path, token: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(aside)?;
    writeln!(file, "{token}")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_first_start_makes_it_and_later_ones_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("specwright");
        let first = owner_token(&config).unwrap();
        assert_eq!(owner_token(&config).unwrap(), first);
        let mode = fs::metadata(config.join(FILE)).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600);
        assert_eq!(fs::read_dir(&config).unwrap().count(), 1, "nothing is left aside");
        assert!(!format!("{first:?}").contains(first.secret()));
    }

    #[test]
    fn first_starts_at_once_agree_on_one_token() {
        let directory = tempfile::tempdir().unwrap();
        let tokens: Vec<OwnerToken> = std::thread::scope(|scope| {
            let starts: Vec<_> =
                (0..8).map(|_| scope.spawn(|| owner_token(directory.path()).unwrap())).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        assert!(tokens.iter().all(|token| *token == tokens[0]));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_remedy() {
        let directory = tempfile::tempdir().unwrap();
        owner_token(directory.path()).unwrap();
        let path = directory.path().join(FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = owner_token(directory.path()).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn what_is_no_token_is_refused() {
        assert!(OwnerToken::new("short").is_err());
        assert!(OwnerToken::new("twenty characters but blanks").is_err());
        assert!(OwnerToken::new("0123456789abcdef-_.ABC").is_ok());
    }
}
