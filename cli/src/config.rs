//! What the command line takes from its environment, read here and nowhere else.
//!
//! An option wins over its variable.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use etcetera::{BaseStrategy as _, HomeDirError, base_strategy::Xdg};
use specwright_worker::config::{LIMITS, WrongSettings, check_limits};

/// The name of our directory below the user's data and config directories.
const OWN_DIRECTORY: &str = "specwright";

/// The variables that hold a key for the model; either will do.
pub(crate) const MODEL_KEYS: [&str; 2] = ["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"];

/// What a worker may be entrusted with.
const KEYS: [&str; 3] = ["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "GITHUB_TOKEN"];

/// How long one request to a collector may take, as OpenTelemetry has it.
const COLLECTOR_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether spans are sent, by OpenTelemetry's own variables; where to and how, its library reads there.
fn collector(text: &dyn Fn(&str) -> Option<String>) -> Option<Duration> {
    let endpoints = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    let named = endpoints.into_iter().any(|name| text(name).is_some());
    let off = text("OTEL_SDK_DISABLED").is_some_and(|off| off.eq_ignore_ascii_case("true"))
        || text("OTEL_TRACES_EXPORTER").is_some_and(|exporter| exporter == "none");
    let own = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
    let own = own.into_iter().find_map(text).and_then(|millis| millis.parse().ok());
    (named && !off).then(|| own.map_or(COLLECTOR_TIMEOUT, Duration::from_millis))
}

/// What the environment says.
pub(crate) struct Config {
    /// Specs, documents, logs, the SQLite file.
    pub(crate) data_dir: PathBuf,
    /// The owner's token.
    pub(crate) config_dir: PathBuf,
    /// The token for `--server`.
    pub(crate) token: Option<String>,
    /// The owner token that `serve` is to take instead of the one in the config directory.
    pub(crate) owner_token: Option<String>,
    /// The keys that seal credentials.
    pub(crate) seal_keys: Option<String>,
    /// The file that has them, where no variable does.
    pub(crate) seal_key_file: Option<PathBuf>,
    /// How credentials are checked before they are kept: `ask` or `form`.
    pub(crate) credential_check: Option<String>,
    /// Where repositories are, if not on the public GitHub.
    pub(crate) github: Option<String>,
    /// Where GitHub's API is.
    pub(crate) github_api: Option<String>,
    /// Where the model's API is.
    pub(crate) model_api: Option<String>,
    /// The control API to talk to, where no option says it.
    pub(crate) server: Option<String>,
    /// The database of `serve`, where no option says it.
    pub(crate) database: Option<String>,
    /// What limits a job, for the worker to read: checked here before anything is stored.
    limits: Vec<(&'static str, OsString)>,
    /// Where programs are looked for.
    pub(crate) path: OsString,
    /// The variable that holds a key for the model, if one does; never the key.
    pub(crate) model_key: Option<&'static str>,
    /// What is logged, as `tracing` reads it.
    pub(crate) log_filter: Option<String>,
    /// How long one request to a collector of spans may take; absent: none is named.
    pub(crate) collector_timeout: Option<Duration>,
    /// Keys of the model and of repositories, for the log to leave out.
    keys: Vec<String>,
    /// Whether the terminal can move its cursor.
    pub(crate) smart_terminal: bool,
}

/// The environment does not say where the user's directories are.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// Neither a home directory nor the two variables.
    #[error(
        "the home directory is not known; set HOME, or SPECWRIGHT_DATA_DIR and \
         SPECWRIGHT_CONFIG_DIR"
    )]
    NoHome(#[source] HomeDirError),
    /// The current directory is gone, so a relative path means nothing.
    #[error("the current directory cannot be read; go into one that exists")]
    NoCurrentDirectory(#[source] std::io::Error),
}

impl Config {
    /// Reads the process's environment; `data_dir` is what the option says.
    pub(crate) fn read(data_dir: Option<PathBuf>) -> Result<Self, ConfigError> {
        Self::from_lookup(data_dir, |name| std::env::var_os(name))
    }

    /// The same from any source of variables. An empty variable counts as not set.
    fn from_lookup(
        data_dir: Option<PathBuf>,
        lookup: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ConfigError> {
        let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let text = |name: &str| set(name).and_then(|value| value.into_string().ok());
        let data_dir = data_dir.filter(|dir| !dir.as_os_str().is_empty());
        let data_dir = data_dir.or_else(|| set("SPECWRIGHT_DATA_DIR").map(PathBuf::from));
        let config_dir = set("SPECWRIGHT_CONFIG_DIR").map(PathBuf::from);
        let (data_dir, config_dir) = match (data_dir, config_dir) {
            (Some(data), Some(config)) => (data, config),
            (data, config) => {
                let user = Xdg::new().map_err(ConfigError::NoHome)?;
                (
                    data.unwrap_or_else(|| user.data_dir().join(OWN_DIRECTORY)),
                    config.unwrap_or_else(|| user.config_dir().join(OWN_DIRECTORY)),
                )
            }
        };
        let absolute =
            |path: PathBuf| std::path::absolute(path).map_err(ConfigError::NoCurrentDirectory);
        Ok(Self {
            data_dir: absolute(data_dir)?,
            config_dir: absolute(config_dir)?,
            token: text("SPECWRIGHT_TOKEN"),
            owner_token: text("SPECWRIGHT_OWNER_TOKEN"),
            seal_keys: text("SPECWRIGHT_SEAL_KEY"),
            seal_key_file: set("SPECWRIGHT_SEAL_KEY_FILE").map(PathBuf::from),
            credential_check: text("SPECWRIGHT_CREDENTIAL_CHECK"),
            github: text("GITHUB_URL"),
            github_api: text("GITHUB_API_URL"),
            model_api: text("ANTHROPIC_BASE_URL"),
            server: text("SPECWRIGHT_URL"),
            database: text("SPECWRIGHT_DATABASE_URL"),
            limits: LIMITS.into_iter().filter_map(|name| Some((name, set(name)?))).collect(),
            path: set("PATH").unwrap_or_default(),
            model_key: MODEL_KEYS.into_iter().find(|name| set(name).is_some()),
            log_filter: text("SPECWRIGHT_LOG").or_else(|| text("RUST_LOG")),
            collector_timeout: collector(&text),
            keys: KEYS.into_iter().filter_map(text).collect(),
            smart_terminal: set("TERM").is_none_or(|term| term != "dumb"),
        })
    }

    /// Everything that the environment says and nobody is to read in a log.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let own = [&self.token, &self.owner_token, &self.seal_keys];
        own.into_iter().flatten().chain(&self.keys).cloned().collect()
    }

    /// Checks the limits of a job, and the model that an option names, as its worker will.
    pub(crate) fn check_limits(&self, model: Option<&str>) -> Result<(), WrongSettings> {
        let variable = |name: &str| {
            let given = self.limits.iter().find(|(known, _)| *known == name);
            given.map(|(_, value)| value.clone())
        };
        match model {
            None => check_limits(&variable),
            Some(model) => check_limits(&|name| match name {
                "MODEL" => Some(model.into()),
                _ => variable(name),
            })
            .map_err(|WrongSettings(wrong)| {
                let named = |sentence: String| match sentence.strip_prefix("MODEL ") {
                    Some(rest) => format!("--model {rest}"),
                    None => sentence,
                };
                WrongSettings(wrong.into_iter().map(named).collect())
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Config {
        let lookup = |name: &str| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        };
        Config::from_lookup(Some("/data".into()), lookup).unwrap()
    }

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        let config = read(&[
            ("SPECWRIGHT_CONFIG_DIR", "/config"),
            ("ANTHROPIC_API_KEY", ""),
            ("CLAUDE_CODE_OAUTH_TOKEN", "k"),
        ]);
        assert_eq!(config.model_key, Some("CLAUDE_CODE_OAUTH_TOKEN"));
        assert!(config.token.is_none());
    }

    #[test]
    fn a_credential_is_asked_about_where_its_service_is_and_nowhere_else() {
        let of = |more: &[(&str, &str)]| {
            let config = read(&[&[("SPECWRIGHT_CONFIG_DIR", "/c")], more].concat());
            crate::connect::credential_services(&config).map(|services| {
                services
                    .map(|found| (found.github.map(|url| url.to_string()), found.model.to_string()))
            })
        };
        let (github, model) = ("https://api.github.com/", "https://api.anthropic.com/");
        let both =
            |github: Option<&str>, model: &str| Some((github.map(str::to_owned), model.to_owned()));
        assert_eq!(of(&[]).unwrap(), both(Some(github), model));
        assert_eq!(of(&[("SPECWRIGHT_CREDENTIAL_CHECK", "form")]).unwrap(), None);
        let own = ("GITHUB_URL", "https://git.example.org");
        assert_eq!(of(&[own]).unwrap(), both(None, model), "not at the public one");
        let api = ("GITHUB_API_URL", "https://git.example.org/api/v3");
        let gateway = ("ANTHROPIC_BASE_URL", "http://127.0.0.1:4000");
        let found = of(&[own, api, gateway]).unwrap();
        assert_eq!(found, both(Some(api.1), "http://127.0.0.1:4000/"));
        for (name, value) in [
            ("SPECWRIGHT_CREDENTIAL_CHECK", "off"),
            ("GITHUB_API_URL", "api.github.com"),
            ("ANTHROPIC_BASE_URL", "https://u:secret@example.org"),
        ] {
            let error = of(&[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(name) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn spans_are_sent_where_an_endpoint_is_named_and_nothing_says_otherwise() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        let of = |more: &[(&str, &str)]| {
            read(&[&[("SPECWRIGHT_CONFIG_DIR", "/c")], more].concat()).collector_timeout
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[endpoint]), Some(COLLECTOR_TIMEOUT));
        let timeout = ("OTEL_EXPORTER_OTLP_TIMEOUT", "250");
        assert_eq!(of(&[endpoint, timeout]), Some(Duration::from_millis(250)));
        assert_eq!(of(&[endpoint, ("OTEL_SDK_DISABLED", "true")]), None);
        assert_eq!(of(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]), None);
    }

    #[test]
    fn a_limit_that_a_worker_would_refuse_is_refused_by_its_name() {
        let config = read(&[("SPECWRIGHT_CONFIG_DIR", "/c"), ("MAX_ATTEMPTS", "99")]);
        let wrong = config.check_limits(Some("a b")).unwrap_err().to_string();
        assert!(wrong.contains("MAX_ATTEMPTS must be a whole number from 1 to 10"), "{wrong}");
        assert!(wrong.contains("--model must be a model's name"), "{wrong}");
        let config = read(&[("SPECWRIGHT_CONFIG_DIR", "/c"), ("MAX_ATTEMPTS", "2")]);
        assert_eq!(config.check_limits(None), Ok(()));
        // An empty option is a value, as the shell gave it.
        assert!(config.check_limits(Some("-x")).is_err());
    }

    #[test]
    fn directories_are_absolute() {
        let config = read(&[("SPECWRIGHT_CONFIG_DIR", "here")]);
        assert!(config.config_dir.is_absolute() && config.config_dir.ends_with("here"));
        assert_eq!(config.data_dir, PathBuf::from("/data"));
    }
}
