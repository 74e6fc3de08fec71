//! Asks the service that a credential is for whether it takes it.
//!
//! What holds: the answer never depends on what a user names, only the operator says where the services
//! are; a credential goes to its own service alone, and is never forwarded; a service that cannot be
//! reached, or says neither yes nor no, refuses nothing.

use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{StatusCode, Url, redirect};
use specwright_shared::wire::credential::{CredentialKind, SecretText};

use crate::client::{install_tls_provider, is_loopback};
use crate::problem::chain;

/// How long a service may take to answer: who sets a credential waits for it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The version of the model's API whose list of models is asked for.
const MODEL_API_VERSION: &str = "2023-06-01";

/// Where the services are that credentials open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialServices {
    /// The API of GitHub, e.g. `https://api.github.com`; absent: where it is, is not known.
    pub github: Option<Url>,
    /// The model's API, e.g. `https://api.anthropic.com`.
    pub model: Url,
}

/// What a service says of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// It takes it.
    Taken,
    /// It does not: whose it is, is unknown there, or was revoked.
    Refused {
        /// The service's host.
        host: String,
    },
    /// Neither, in words.
    Nothing(String),
}

impl CredentialServices {
    /// Whether the service takes a credential of this kind.
    pub(crate) async fn ask(&self, kind: CredentialKind, value: &SecretText) -> Said {
        let (base, path) = match kind {
            // The one thing that every kind of token may read; it counts against no limit.
            CredentialKind::GithubToken => match &self.github {
                Some(github) => (github, "rate_limit"),
                None => return Said::Nothing("GITHUB_API_URL does not say where".to_owned()),
            },
            CredentialKind::ModelApiKey => (&self.model, "v1/models"),
            // It is made for conversations alone, and those cost.
            CredentialKind::ModelOauthToken => {
                return Said::Nothing("nothing can be asked with it that is free".to_owned());
            }
        };
        let http = match http(base) {
            Ok(http) => http,
            Err(error) => return Said::Nothing(chain(&error)),
        };
        let host = base.host_str().unwrap_or_default().to_owned();
        let mut url = base.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => drop(segments.pop_if_empty().extend(path.split('/'))),
            Err(()) => return Said::Nothing(format!("{base} is no address of a service")),
        }
        let Ok(mut key) = HeaderValue::from_str(value.reveal()) else {
            return Said::Nothing("no header can hold it".to_owned());
        };
        key.set_sensitive(true);
        let request = http.get(url);
        let request = match kind {
            CredentialKind::GithubToken => request.bearer_auth(value.reveal()),
            CredentialKind::ModelApiKey | CredentialKind::ModelOauthToken => {
                request.header("x-api-key", key).header("anthropic-version", MODEL_API_VERSION)
            }
        };
        match request.send().await {
            Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED => Said::Refused { host },
            Ok(answer) if answer.status().is_success() => Said::Taken,
            Ok(answer) => Said::Nothing(format!("{host} answered {}", answer.status())),
            Err(error) => Said::Nothing(format!("{host} was not reached: {}", chain(&error))),
        }
    }
}

/// Made when it is wanted, which is seldom: a client holds the roots of all certificates.
fn http(base: &Url) -> Result<reqwest::Client, reqwest::Error> {
    install_tls_provider();
    let builder = reqwest::Client::builder();
    // A proxy for the world outside cannot reach this machine's own loopback, and is to see no key for it.
    let builder = if is_loopback(base) { builder.no_proxy() } else { builder };
    builder
        .timeout(ANSWER_TIMEOUT)
        // A redirect could carry the key to another host.
        .redirect(redirect::Policy::none())
        .user_agent(concat!("specwright/", env!("CARGO_PKG_VERSION")))
        .build()
}
