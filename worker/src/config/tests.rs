//! One table of settings and what is said about them.

use std::collections::BTreeMap;

use super::*;

const SECRET: &str = "sk-very-secret value";

fn good() -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("SPEC_ID", "01890a5d-ac96-774b-bcce-b302099a8057".to_owned()),
        ("SANDBOX_ID", "01890a5d-ac96-774b-bcce-b302099a8058".to_owned()),
        ("SANDBOX_TOKEN", "token-of-this-sandbox".to_owned()),
        ("CONTROL_API_URL", "http://127.0.0.1:9".to_owned()),
        ("WORKSPACE_DIR", "/nowhere/workspace".to_owned()),
        ("STATE_DIR", "/nowhere/state".to_owned()),
        ("AGENT", "rehearsal".to_owned()),
    ])
}

fn read(changes: &[(&'static str, &str)]) -> Result<Config, WrongSettings> {
    let mut settings = good();
    for (name, value) in changes {
        settings.insert(name, (*value).to_owned());
    }
    Config::from_lookup(&|name| settings.get(name).map(OsString::from))
}

#[test]
fn the_least_that_is_needed_has_sensible_defaults() {
    let config = read(&[]).unwrap();
    assert_eq!(config.control_api.as_str(), "http://127.0.0.1:9/api/v1");
    assert_eq!(config.output_dir, PathBuf::from("/nowhere/state/documents"));
    assert_eq!(config.phase_timeout, Duration::from_secs(3600));
    // A compiler that is silent for 25 minutes, and a model that says nothing for 14, are work: no limit
    // of ours is shorter, and the attempt has room for both.
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    assert!(config.tool_timeout > minutes(25) && config.silence_timeout > minutes(14));
    assert!(config.phase_timeout > minutes(25 + 14));
    assert_eq!(config.max_attempts.get(), 3);
    assert_eq!(config.start, Start::AsTheJobSays);
    assert!(!config.die_with_parent);
}

#[test]
fn each_wrong_setting_gets_a_sentence_that_names_it_and_what_it_may_be() {
    let table: &[(&str, &str, &str)] = &[
        ("SPEC_ID", "7", "SPEC_ID must be a spec's UUID; it was \"7\"."),
        ("SPEC_PHASE", "prd", "SPEC_PHASE must be `all` or one of explore"),
        ("SANDBOX_ID", "", "SANDBOX_ID must be a sandbox's UUID; it was not set."),
        ("SANDBOX_TOKEN", "", "SANDBOX_TOKEN must be a token; it was not set."),
        ("SANDBOX_TOKEN", SECRET, "SANDBOX_TOKEN must be printable ASCII"),
        ("CONTROL_API_URL", "ftp://x", "CONTROL_API_URL must be the control API's http"),
        ("CONTROL_API_URL", "http://a:b@x", "CONTROL_API_URL must be the control API's http"),
        ("WORKSPACE_DIR", "relative", "WORKSPACE_DIR must be an absolute path"),
        ("WORKSPACE_DIR", "/a/../b", "WORKSPACE_DIR must be an absolute path"),
        ("WORKSPACE_DIR", "/", "WORKSPACE_DIR must be an absolute path"),
        ("WORKSPACE_DIR", "/nowhere/state/x", "neither inside the other"),
        ("STATE_DIR", "/nowhere/workspace/.state", "neither inside the other"),
        ("OUTPUT_DIR", "/nowhere/workspace/docs", "OUTPUT_DIR must be outside of WORKSPACE_DIR"),
        ("GITHUB_REPO", "https://github.com/a/b", "GITHUB_REPO must be `owner/name`"),
        ("GITHUB_REPO", "../b", "GITHUB_REPO must be `owner/name`"),
        ("BRANCH_NAME", "--upload-pack=x", "BRANCH_NAME must be a branch name"),
        ("BASE_BRANCH", "a..b", "BASE_BRANCH must be a branch name"),
        ("AGENT", "gpt", "AGENT must be `claude`, `rehearsal` or the absolute path"),
        ("AGENT", "claude", "AGENT=claude needs the Claude CLI"),
        ("ANTHROPIC_API_KEY", SECRET, "ANTHROPIC_API_KEY must be printable ASCII"),
        ("ANTHROPIC_BASE_URL", "api.anthropic.com", "ANTHROPIC_BASE_URL must be an http"),
        ("MODEL", "--dangerous", "MODEL must be a model's name"),
        ("MAX_TURNS", "0", "MAX_TURNS must be a whole number from 1 to 10000; it was \"0\"."),
        ("MAX_BUDGET_USD", "-1", "MAX_BUDGET_USD must be US dollars above 0"),
        ("MAX_BUDGET_USD", "NaN", "MAX_BUDGET_USD must be US dollars above 0"),
        ("PHASE_TIMEOUT", "15m", "PHASE_TIMEOUT must be whole seconds"),
        ("TOOL_TIMEOUT", "0", "TOOL_TIMEOUT must be whole seconds"),
        ("AGENT_SILENCE_TIMEOUT", "-1", "AGENT_SILENCE_TIMEOUT must be whole seconds"),
        ("MODEL_SILENCE_TIMEOUT", "0", "MODEL_SILENCE_TIMEOUT must be whole seconds"),
        ("MODEL_PING_TIMEOUT", "10m", "MODEL_PING_TIMEOUT must be whole seconds"),
        ("MODEL_PARK_TIMEOUT", "-1", "MODEL_PARK_TIMEOUT must be whole seconds"),
        ("MAX_ATTEMPTS", "0", "MAX_ATTEMPTS must be a whole number from 1 to 10"),
        ("SPOOL_MAX_BYTES", "1", "SPOOL_MAX_BYTES must be a whole number of bytes, at least"),
        ("DIE_WITH_PARENT", "yes", "DIE_WITH_PARENT must be `1` or `0`"),
        ("TASK_ID", "x", "TASK_ID is set, but this worker plans specs only"),
    ];
    for (name, value, sentence) in table {
        let wrong = read(&[(name, value)]).unwrap_err().to_string();
        assert!(wrong.contains(sentence), "{name}={value}: {wrong}");
        assert!(!wrong.contains(SECRET), "{name}: a secret is shown: {wrong}");
    }
}

#[test]
fn all_wrong_settings_are_reported_together() {
    let wrong = read(&[("SPEC_ID", "x"), ("MAX_TURNS", "many"), ("AGENT", "?")]).unwrap_err();
    assert_eq!(wrong.0.len(), 3, "{wrong}");
}

#[test]
fn a_branch_of_no_repository_is_refused_with_a_sentence() {
    let wrong = read(&[("BRANCH_NAME", "feature/x")]).unwrap_err();
    assert_eq!(wrong.0.len(), 1, "{wrong}");
    assert!(wrong.0[0].starts_with("BRANCH_NAME is set, but GITHUB_REPO"), "{wrong}");
    let both = read(&[("BRANCH_NAME", "feature/x"), ("GITHUB_REPO", "team/limiter")]).unwrap();
    assert_eq!(both.github.branch_name.as_deref(), Some("feature/x"));
    // Only what is wrong is told: a repository of a wrong form was named all the same.
    let wrong = read(&[("BRANCH_NAME", "feature/x"), ("GITHUB_REPO", "../x")]).unwrap_err();
    assert_eq!(wrong.0.len(), 1, "{wrong}");
}

#[test]
fn the_old_name_of_the_address_is_taken_and_the_prefix_is_not_doubled() {
    let config =
        read(&[("CONTROL_API_URL", ""), ("CALLBACK_URL", "https://x.example/base/api/v1/")]);
    assert_eq!(config.unwrap().control_api.as_str(), "https://x.example/base/api/v1");
}

#[test]
fn two_keys_are_refused_and_one_is_kept_secret() {
    let two = [("ANTHROPIC_API_KEY", "sk-ant-1234"), ("CLAUDE_CODE_OAUTH_TOKEN", "oat-1234")];
    assert!(read(&two).unwrap_err().to_string().contains("both set"));
    let config = read(&two[..1]).unwrap();
    assert!(!format!("{config:?}").contains("sk-ant-1234"));
    assert!(config.secrets().contains(&"sk-ant-1234".to_owned()));
}

#[test]
fn nothing_secret_is_handed_on() {
    let config = read(&[("PATH", "/usr/bin"), ("ANTHROPIC_API_KEY", "sk-ant-1234")]).unwrap();
    assert_eq!(config.environment, [("PATH".into(), "/usr/bin".into())]);
}

#[test]
fn two_names_of_one_place_are_seen_to_be_one() {
    let place = tempfile::tempdir().unwrap();
    let link = place.path().join("link");
    std::os::unix::fs::symlink(place.path(), &link).unwrap();
    let workspace = place.path().join("w").display().to_string();
    let state = link.join("w/state").display().to_string();
    let wrong = read(&[("WORKSPACE_DIR", &workspace), ("STATE_DIR", &state)]).unwrap_err();
    assert!(wrong.to_string().contains("neither inside the other"), "{wrong}");
}

#[test]
fn keys_that_come_with_the_welcome_win_over_the_environment() {
    use specwright_shared::wire::credential::{Entrusted, SecretText};
    let config = read(&[("PATH", "/usr/bin"), ("ANTHROPIC_API_KEY", "sk-ant-1234")]).unwrap();
    let untouched = config.entrusted_with(&Entrusted::default());
    assert_eq!(untouched.secrets(), config.secrets());
    let entrusted = Entrusted {
        github_token: Some(SecretText::new("ghp_of-the-project")),
        model_oauth_token: Some(SecretText::new("sk-ant-oat-of-the-project")),
        ..Entrusted::default()
    };
    let with = config.entrusted_with(&entrusted);
    let secrets = with.secrets();
    assert!(secrets.iter().any(|secret| secret == "ghp_of-the-project"));
    assert!(secrets.iter().any(|secret| secret == "sk-ant-oat-of-the-project"));
    assert!(!secrets.iter().any(|secret| secret == "sk-ant-1234"), "the environment's is out");
    assert!(!format!("{with:?}").contains("of-the-project"));
}

#[test]
fn the_model_cli_needs_a_key_from_somewhere_and_a_rehearsal_none() {
    let rehearsal = read(&[]).unwrap();
    assert_eq!(rehearsal.lacks(), None);
    let mut config = rehearsal;
    config.agent = AgentChoice::Claude { program: "/usr/bin/true".into() };
    assert!(config.lacks().is_some_and(|lack| lack.contains("ANTHROPIC_API_KEY")));
    config.credential = Some(Credential::ApiKey(Secret::new("sk-ant-1234".to_owned())));
    assert_eq!(config.lacks(), None);
}
