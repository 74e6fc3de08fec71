//! A repository on another machine, and what opens it.

use super::git::Access;
use crate::config::Config;

/// Where it is. The token, if there is one, is for its server only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remote {
    pub(super) url: String,
    pub(super) access: Option<Access>,
}

impl Remote {
    /// `owner/name` on GitHub.
    pub(super) fn on_github(config: &Config, repository: &str) -> Self {
        Self::at(config, &format!("{}/{repository}", config.github.url))
    }

    /// Any address; the token goes along only where it belongs.
    pub(super) fn at(config: &Config, url: &str) -> Self {
        let server = &config.github.url;
        let theirs = url.strip_prefix(server.as_str()).is_some_and(|path| path.starts_with('/'));
        let access = config.github.token.clone().filter(|_| theirs);
        let access = access.map(|token| Access { server: server.clone(), token });
        Self { url: url.to_owned(), access }
    }

    /// Whether the worker may push there: only where its own token opens the door. What a person's
    /// own keys would open is that person's to write.
    pub(super) const fn is_ours_to_push(&self) -> bool {
        self.access.is_some()
    }
}
