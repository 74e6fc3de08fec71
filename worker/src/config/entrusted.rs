//! Settings that come with the welcome: keys of the spec's project and owner.
//!
//! What holds: they win over the environment's, of which nothing is left where they speak; they are
//! held like all secrets, in memory, and known to every redactor from then on.

use specwright_shared::wire::credential::Entrusted;

use super::{AgentChoice, Config, Credential, Secret};

impl Config {
    /// The same settings with these keys.
    #[must_use]
    pub fn entrusted_with(&self, entrusted: &Entrusted) -> Self {
        let secret = |value: &specwright_shared::wire::credential::SecretText| {
            Secret::new(value.reveal().to_owned())
        };
        let mut config = self.clone();
        if let Some(token) = &entrusted.github_token {
            config.github.token = Some(secret(token));
        }
        let key = entrusted.model_api_key.as_ref().map(|key| Credential::ApiKey(secret(key)));
        let token = entrusted.model_oauth_token.as_ref();
        if let Some(credential) = key.or_else(|| token.map(|key| Credential::OAuth(secret(key)))) {
            config.credential = Some(credential);
        }
        config
    }

    /// What the agent lacks to work, as a sentence. Asked after the welcome, which may bring it.
    pub(crate) fn lacks(&self) -> Option<&'static str> {
        let needs = matches!(self.agent, AgentChoice::Claude { .. });
        (needs && self.credential.is_none()).then_some(
            "AGENT=claude needs ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN; neither was set, and \
             the spec's project and owner have no such credential. AGENT=rehearsal needs no key.",
        )
    }
}
