//! Tokens: 256 random bits as text, kept by others as their SHA-256 only.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// How many random bytes a token has.
const BYTES: usize = 32;

/// SHA-256 of a token, as it is stored and compared. The tokens are random, so a slow hash would
/// protect nothing.
pub(crate) fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// A new token with a prefix that tells secret scanners and people what it is.
pub(super) fn random(prefix: &str) -> Result<String, getrandom::Error> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// The token of one sandbox. Held between making it and handing it to the place, never stored.
pub(crate) struct SandboxToken(String);

impl SandboxToken {
    /// A new token.
    pub(crate) fn generate() -> Result<Self, getrandom::Error> {
        random("sws_").map(Self)
    }

    /// Its SHA-256.
    pub(crate) fn hash(&self) -> [u8; 32] {
        hash(&self.0)
    }

    /// The token itself, for the worker's environment.
    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SandboxToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SandboxToken(…)")
    }
}

/// A token of a user. Held between making it and showing it once, never stored.
pub(crate) struct UserToken(String);

impl UserToken {
    /// A new token.
    pub(crate) fn generate() -> Result<Self, getrandom::Error> {
        random("swt_").map(Self)
    }

    /// Its SHA-256.
    pub(crate) fn hash(&self) -> [u8; 32] {
        hash(&self.0)
    }

    /// The token itself, for the one answer that shows it.
    pub(crate) fn into_secret(self) -> String {
        self.0
    }
}

impl fmt::Debug for UserToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserToken(…)")
    }
}
