//! Sealing: credentials are stored as ChaCha20-Poly1305 with a random nonce, bound to the row that
//! they stand in. The first key seals; all keys open, so that keys can be changed one after the other.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest as _, Sha256};
use specwright_shared::wire::credential::{CredentialKind, SecretText};
use uuid::Uuid;

/// How many bytes a key has.
const KEY_BYTES: usize = 32;
/// How much of a key's SHA-256 names it.
const ID_BYTES: usize = 4;

/// One key.
struct SealKey {
    id: String,
    key: LessSafeKey,
}

/// The keys that seal and open credentials.
pub struct SealKeys {
    newest: SealKey,
    older: Vec<SealKey>,
}

impl fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealKeys").field("newest", &self.newest.id).finish_non_exhaustive()
    }
}

/// Why there are no keys. No variant holds any of what was given.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealKeyError {
    /// Nothing but white space.
    #[error("holds no key; `openssl rand -base64 32` makes one")]
    Empty,
    /// Not 32 bytes.
    #[error(
        "has at place {0} what is not a key: 32 random bytes as base64 or as 64 hexadecimal digits; `openssl rand -base64 32` makes one"
    )]
    Malformed(usize),
}

/// Why a file gives no keys.
#[derive(Debug, thiserror::Error)]
pub enum SealFileError {
    /// It cannot be read.
    #[error("the seal keys' file {} cannot be read ({source})", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that others can read is no secret.
    #[error("{} can be read by others (mode {mode:03o}); run `chmod 600` on it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// What is in it is not right.
    #[error("the seal keys' file {} {source}", path.display())]
    Keys {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: SealKeyError,
    },
}

/// Why something is not sealed or opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    #[error("no random bytes can be had for a nonce")]
    Random(#[from] getrandom::Error),
    #[error("it was sealed with the key {0}, which this control API does not have")]
    OtherKey(String),
    #[error("it does not open with its key {0}: it was changed, or moved here from elsewhere")]
    Broken(String),
}

/// Something sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// Which key seals it.
    pub(crate) key_id: String,
    /// Nonce, ciphertext, tag.
    pub(crate) bytes: Vec<u8>,
}

impl SealKey {
    fn new(bytes: &[u8; KEY_BYTES]) -> Option<Self> {
        let id = hex(&Sha256::digest(bytes)[..ID_BYTES]);
        let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, bytes).ok()?);
        Some(Self { id, key })
    }
}

impl SealKeys {
    /// Reads keys, one on a line or with commas between them; the first one seals.
    ///
    /// # Errors
    /// [`SealKeyError`]
    pub fn parse(text: &str) -> Result<Self, SealKeyError> {
        let words = text.split([',', '\n']).map(str::trim).filter(|word| !word.is_empty());
        let mut keys = Vec::new();
        for (place, word) in (1..).zip(words) {
            let bytes = unhex(word).or_else(|| STANDARD.decode(word).ok());
            let bytes: Option<[u8; KEY_BYTES]> = bytes.and_then(|bytes| bytes.try_into().ok());
            let key = bytes.as_ref().and_then(SealKey::new);
            keys.push(key.ok_or(SealKeyError::Malformed(place))?);
        }
        let mut keys = keys.into_iter();
        let newest = keys.next().ok_or(SealKeyError::Empty)?;
        Ok(Self { newest, older: keys.collect() })
    }

    /// Reads them from a file that nobody else may read.
    ///
    /// # Errors
    /// [`SealFileError`]
    pub fn read(path: &Path) -> Result<Self, SealFileError> {
        let failed = |source| SealFileError::Unreadable { path: path.to_owned(), source };
        let mode = std::fs::metadata(path).map_err(failed)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SealFileError::Exposed { path: path.to_owned(), mode });
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        Self::parse(&text).map_err(|source| SealFileError::Keys { path: path.to_owned(), source })
    }

    /// Which key seals.
    pub(crate) fn newest_id(&self) -> &str {
        &self.newest.id
    }

    /// Seals a value for the row with this id.
    pub(crate) fn seal(
        &self,
        row: Uuid,
        kind: CredentialKind,
        value: &SecretText,
    ) -> Result<Sealed, SealError> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce)?;
        let mut text = value.reveal().as_bytes().to_vec();
        self.newest
            .key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(bound_to(row, kind)),
                &mut text,
            )
            .map_err(|_| SealError::Broken(self.newest.id.clone()))?;
        let bytes = nonce.into_iter().chain(text).collect();
        Ok(Sealed { key_id: self.newest.id.clone(), bytes })
    }

    /// Opens what stands in the row with this id.
    pub(crate) fn open(
        &self,
        row: Uuid,
        kind: CredentialKind,
        sealed: &Sealed,
    ) -> Result<SecretText, SealError> {
        let key = std::iter::once(&self.newest)
            .chain(&self.older)
            .find(|key| key.id == sealed.key_id)
            .ok_or_else(|| SealError::OtherKey(sealed.key_id.clone()))?;
        let broken = || SealError::Broken(sealed.key_id.clone());
        let (nonce, text) = sealed.bytes.split_at_checked(NONCE_LEN).ok_or_else(broken)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| broken())?;
        let mut text = text.to_vec();
        let aad = Aad::from(bound_to(row, kind));
        let plain = key.key.open_in_place(nonce, aad, &mut text).map_err(|_| broken())?;
        let plain = std::str::from_utf8(plain).map_err(|_| broken())?;
        Ok(SecretText::new(plain))
    }
}

fn bound_to(row: Uuid, kind: CredentialKind) -> Vec<u8> {
    [row.as_bytes().as_slice(), kind.as_str().as_bytes()].concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() != KEY_BYTES * 2 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "0000000000000000000000000000000000000000000000000000000000000001";
    const TWO: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI=";

    #[test]
    fn what_is_sealed_opens_in_its_own_row_alone() {
        let keys = SealKeys::parse(ONE).unwrap();
        let (row, kind) = (Uuid::from_u128(1), CredentialKind::GithubToken);
        let value = SecretText::new("ghp_0123456789abcdefghij");
        let sealed = keys.seal(row, kind, &value).unwrap();
        assert!(!sealed.bytes.windows(10).any(|window| window == b"0123456789"));
        assert_ne!(sealed, keys.seal(row, kind, &value).unwrap(), "no nonce twice");
        assert_eq!(keys.open(row, kind, &sealed).unwrap(), value);
        let elsewhere = Uuid::from_u128(2);
        assert!(matches!(keys.open(elsewhere, kind, &sealed), Err(SealError::Broken(_))));
        let other = CredentialKind::ModelApiKey;
        assert!(matches!(keys.open(row, other, &sealed), Err(SealError::Broken(_))));
        for at in 0..sealed.bytes.len() {
            let mut changed = sealed.clone();
            changed.bytes[at] ^= 1;
            assert!(keys.open(row, kind, &changed).is_err(), "byte {at} was changed");
        }
        let short = Sealed { bytes: vec![0; 3], ..sealed };
        assert!(keys.open(row, kind, &short).is_err());
    }

    #[test]
    fn a_new_key_seals_while_the_old_one_still_opens() {
        let old = SealKeys::parse(ONE).unwrap();
        let both = SealKeys::parse(&format!("{TWO}\n{ONE}\n")).unwrap();
        let new = SealKeys::parse(TWO).unwrap();
        let (row, kind) = (Uuid::nil(), CredentialKind::ModelApiKey);
        let value = SecretText::new("sk-ant-api03-0123456789");
        let sealed = old.seal(row, kind, &value).unwrap();
        assert_eq!(both.open(row, kind, &sealed).unwrap(), value);
        assert!(matches!(new.open(row, kind, &sealed), Err(SealError::OtherKey(_))));
        assert_eq!(both.seal(row, kind, &value).unwrap().key_id, new.newest_id());
    }

    #[test]
    fn a_file_of_keys_is_read_when_it_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("seal-keys");
        let read = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            SealKeys::read(&path)
        };
        let absent = SealKeys::read(&path).unwrap_err();
        assert!(matches!(absent, SealFileError::Unreadable { .. }), "{absent}");
        for mode in [0o600, 0o400] {
            let keys = read(&format!("{TWO}\n{ONE}\n"), mode).unwrap();
            assert_eq!(keys.newest_id(), SealKeys::parse(TWO).unwrap().newest_id(), "the first");
            assert_eq!(keys.older.len(), 1);
            std::fs::remove_file(&path).unwrap();
        }
        for mode in [0o640, 0o604, 0o620] {
            let exposed = read(ONE, mode).unwrap_err().to_string();
            assert!(exposed.contains(&format!("mode {mode:03o}")), "{exposed}");
            assert!(exposed.contains("chmod 600") && exposed.contains("seal-keys"), "{exposed}");
        }
        for (text, word) in [("", "holds no key"), ("not a key of ours", "at place 1")] {
            let wrong = read(text, 0o600).unwrap_err().to_string();
            assert!(wrong.contains(word) && wrong.contains("seal-keys"), "{wrong}");
            assert!(!wrong.contains("of ours"), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        assert_eq!(SealKeys::parse(" \n").unwrap_err(), SealKeyError::Empty);
        let error = SealKeys::parse(&format!("{ONE},secret-but-short")).unwrap_err();
        assert_eq!(error, SealKeyError::Malformed(2));
        assert!(!error.to_string().contains("secret"));
        assert!(!format!("{:?}", SealKeys::parse(ONE).unwrap()).contains("0001"));
    }
}
