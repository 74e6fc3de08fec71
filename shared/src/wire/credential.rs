//! Credentials: keys that a run needs and that nobody can read back.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::words;
use crate::time::Timestamp;

words! {
    /// What a credential opens.
    CredentialKind, "a kind of credential" {
        /// Repositories and pull requests on GitHub.
        GithubToken = "github_token",
        /// The model, by a key that is paid per use.
        ModelApiKey = "model_api_key",
        /// The model, by a subscription's token.
        ModelOauthToken = "model_oauth_token",
    }
}

/// The shortest value that is taken: what a redactor can find without hiding ordinary words, and then
/// some.
pub const CREDENTIAL_MIN_CHARS: usize = 20;
/// The longest: the longest known form, twice.
pub const CREDENTIAL_MAX_CHARS: usize = 512;

/// How tokens of GitHub begin.
const GITHUB_PREFIXES: [&str; 6] = ["ghp_", "github_pat_", "gho_", "ghu_", "ghs_", "ghr_"];
/// How a subscription's token of the model begins.
const OAUTH_PREFIX: &str = "sk-ant-oat";

/// A value that shows itself only where asked to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SecretText(String);

impl SecretText {
    /// Takes it.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// Why a value is not what it is said to be. No variant holds any of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// Too short or too long.
    #[error(
        "has {0} characters; a key has {CREDENTIAL_MIN_CHARS} to {CREDENTIAL_MAX_CHARS}; was it cut, or pasted with something else?"
    )]
    Length(usize),
    /// A character that no key has.
    #[error("has a blank or a character that no key has; give the key alone, without quotes")]
    Character,
    /// A key of another kind.
    #[error("does not look like {looks_like}; {instead}")]
    Kind {
        /// What it should look like.
        looks_like: &'static str,
        /// What would be right.
        instead: &'static str,
    },
}

impl CredentialKind {
    /// Checks a value's form. Whether its service takes it, is asked by who keeps it.
    ///
    /// # Errors
    /// [`CredentialError`], a sentence without the value.
    pub fn check(self, value: &str) -> Result<(), CredentialError> {
        let length = value.chars().count();
        if !(CREDENTIAL_MIN_CHARS..=CREDENTIAL_MAX_CHARS).contains(&length) {
            return Err(CredentialError::Length(length));
        }
        if !value.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'')) {
            return Err(CredentialError::Character);
        }
        let github = GITHUB_PREFIXES.iter().any(|prefix| value.starts_with(prefix));
        let oauth = value.starts_with(OAUTH_PREFIX);
        let wrong = |looks_like, instead| Err(CredentialError::Kind { looks_like, instead });
        match self {
            Self::GithubToken if !github => wrong(
                "a token of GitHub",
                "one begins with ghp_, github_pat_, gho_, ghu_, ghs_ or ghr_",
            ),
            Self::ModelApiKey if github || oauth => wrong(
                "an API key of the model",
                "a token that begins with sk-ant-oat is a model_oauth_token, one with gh a github_token",
            ),
            Self::ModelOauthToken if !oauth => {
                wrong("a subscription's token of the model", "one begins with sk-ant-oat")
            }
            Self::GithubToken | Self::ModelApiKey | Self::ModelOauthToken => Ok(()),
        }
    }
}

/// `PUT /projects/{id}/credentials/{name}`, `PUT /credentials/{name}` (one's own); the name is the
/// kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutCredential {
    /// The key itself; it cannot be read again.
    pub value: SecretText,
}

/// A credential, as far as anyone is shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CredentialView {
    /// What it opens.
    pub kind: CredentialKind,
    /// Its last four characters, to be told from others.
    pub last_four: String,
    /// Who set it.
    pub set_by: String,
    /// When.
    pub set_at: Timestamp,
    /// When the service that it is for took it; absent: it was not asked, or said neither yes nor no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<Timestamp>,
}

/// The answer to `POST /credentials/rotate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rotated {
    /// The key that seals everything now: the beginning of its SHA-256.
    pub key_id: String,
    /// How many were sealed anew.
    pub resealed: u64,
    /// How many that key sealed already.
    pub unchanged: u64,
}

/// What a run gets of its project's and its owner's credentials, in the answer to `hello` and nowhere
/// else.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Entrusted {
    /// For GitHub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github_token: Option<SecretText>,
    /// For the model; at most one of this and the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_api_key: Option<SecretText>,
    /// For the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_oauth_token: Option<SecretText>,
}

impl Entrusted {
    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.github_token.is_none()
            && self.model_api_key.is_none()
            && self.model_oauth_token.is_none()
    }

    /// Every value, for a redactor.
    pub fn values(&self) -> impl Iterator<Item = String> {
        [&self.github_token, &self.model_api_key, &self.model_oauth_token]
            .into_iter()
            .flatten()
            .map(|secret| secret.reveal().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_checked_by_its_form_and_never_repeated() {
        let api = "sk-ant-api03-0123456789abcdef";
        let oauth = "sk-ant-oat01-0123456789abcdef";
        let github = "ghp_0123456789abcdefghij";
        assert_eq!(CredentialKind::ModelApiKey.check(api), Ok(()));
        assert_eq!(CredentialKind::ModelOauthToken.check(oauth), Ok(()));
        assert_eq!(CredentialKind::GithubToken.check(github), Ok(()));
        for (kind, wrong) in [
            (CredentialKind::GithubToken, api),
            (CredentialKind::ModelApiKey, github),
            (CredentialKind::ModelApiKey, oauth),
            (CredentialKind::ModelOauthToken, api),
            (CredentialKind::ModelApiKey, "short"),
            (CredentialKind::ModelApiKey, "\"sk-ant-api03-0123456789abcdef\""),
            (CredentialKind::ModelApiKey, "sk-ant-api03 0123456789abcdef"),
        ] {
            let error = kind.check(wrong).unwrap_err().to_string();
            assert!(!error.contains("0123456789"), "{error}");
        }
        assert!(!format!("{:?}", SecretText::new(api)).contains("api03"));
    }
}
