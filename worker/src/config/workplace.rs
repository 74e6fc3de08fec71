//! Settings that say where things are: the control API, directories, GitHub, the agent.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use super::read::{Reader, web_address};
use super::{AgentChoice, Credential, GitHub};

/// Where repositories are when no other address is given.
const GITHUB: &str = "https://github.com";

impl Reader<'_> {
    /// `CONTROL_API_URL`, or its alias `CALLBACK_URL`.
    pub(super) fn control_api(&mut self) -> Option<reqwest::Url> {
        let alias = !self.is_set("CONTROL_API_URL") && self.is_set("CALLBACK_URL");
        let name = if alias { "CALLBACK_URL" } else { "CONTROL_API_URL" };
        self.needed(name, "the control API's http or https address", |text| {
            let mut url = web_address(text)?;
            let path = url.path().trim_end_matches('/').to_owned();
            let path = if path.ends_with("/api/v1") { path } else { format!("{path}/api/v1") };
            url.set_path(&path);
            Some(url)
        })
    }

    /// The three directories; workspace and state never one inside the other.
    pub(super) fn directories(&mut self) -> (Option<PathBuf>, Option<PathBuf>, Option<PathBuf>) {
        let workspace = self.directory("WORKSPACE_DIR", true);
        let state = self.directory("STATE_DIR", true);
        let output = self.directory("OUTPUT_DIR", false);
        if let (Some(workspace), Some(state)) = (&workspace, &state)
            && nested(workspace, state)
        {
            self.wrong.push(format!(
                "WORKSPACE_DIR and STATE_DIR must be two places, neither inside the other; they \
                 were {workspace:?} and {state:?}."
            ));
        }
        if let (Some(workspace), Some(output)) = (&workspace, &output)
            && output.starts_with(workspace)
        {
            self.wrong.push(format!(
                "OUTPUT_DIR must be outside of WORKSPACE_DIR, which planning does not change; it \
                 was {output:?}."
            ));
        }
        (workspace, state, output)
    }

    fn directory(&mut self, name: &str, needed: bool) -> Option<PathBuf> {
        let may_be = "an absolute path without `..`";
        let Some(raw) = self.raw(name) else {
            if needed {
                self.wrong.push(format!("{name} must be {may_be}; it was not set."));
            }
            return None;
        };
        let path = PathBuf::from(&raw);
        let plain = path.is_absolute()
            && !path.components().any(|part| part == Component::ParentDir)
            && path.parent().is_some();
        if !plain {
            self.wrong.push(format!("{name} must be {may_be}, not the root; it was {raw:?}."));
            return None;
        }
        Some(resolved(&path))
    }

    pub(super) fn github(&mut self) -> GitHub {
        let branch = "a branch name that git allows";
        let addresses = "an https address without a path, or an http one of this machine";
        if self.is_set("BRANCH_NAME") && !self.is_set("GITHUB_REPO") {
            self.wrong.push(
                "BRANCH_NAME is set, but GITHUB_REPO, the repository that the branch is of, is not; \
                 set both, or leave BRANCH_NAME out."
                    .to_owned(),
            );
        }
        GitHub {
            url: self.or("GITHUB_URL", addresses, GITHUB.to_owned(), github_address),
            repo: self.optional("GITHUB_REPO", "`owner/name`", |text| {
                is_repo_name(text).then(|| text.to_owned())
            }),
            token: self.optional_secret("GITHUB_TOKEN"),
            branch_name: self.optional("BRANCH_NAME", branch, branch_name),
            base_branch: self.optional("BASE_BRANCH", branch, branch_name),
        }
    }

    pub(super) fn credential(&mut self) -> Option<Credential> {
        let key = self.optional_secret("ANTHROPIC_API_KEY").map(Credential::ApiKey);
        let token = self.optional_secret("CLAUDE_CODE_OAUTH_TOKEN").map(Credential::OAuth);
        if key.is_some() && token.is_some() {
            self.wrong.push(
                "ANTHROPIC_API_KEY and CLAUDE_CODE_OAUTH_TOKEN are both set (not shown); set one, \
                 so that it is clear who pays."
                    .to_owned(),
            );
        }
        key.or(token)
    }

    /// `AGENT`. Its version is checked when it starts, before any call of the model.
    /// Its key may come with the welcome ([`super::Config::lacks`]).
    pub(super) fn agent(&mut self) -> Option<AgentChoice> {
        let raw = self.raw("AGENT").unwrap_or_else(|| "claude".into());
        if raw == "rehearsal" {
            return Some(AgentChoice::Rehearsal);
        }
        if raw != "claude" {
            let program = PathBuf::from(&raw);
            if program.is_absolute() && is_program(&program) {
                return Some(AgentChoice::Program(program));
            }
            self.wrong.push(format!(
                "AGENT must be `claude`, `rehearsal` or the absolute path of a program; it was \
                 {raw:?}."
            ));
            return None;
        }
        let program = self.raw("PATH").and_then(|path| on_path("claude", &path));
        if program.is_none() {
            self.wrong.push(
                "AGENT=claude needs the Claude CLI as `claude` on PATH; it was not found. Install \
                 version 2.1.330 or newer, or set AGENT=rehearsal, which needs none."
                    .to_owned(),
            );
        }
        program.map(|program| AgentChoice::Claude { program })
    }
}

/// Whether one of the two is, or lies in, the other.
fn nested(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// The path with the links in its existing part followed, so that two names of one place are seen
/// to be one.
fn resolved(path: &Path) -> PathBuf {
    for existing in path.ancestors() {
        if let Ok(real) = existing.canonicalize()
            && let Ok(rest) = path.strip_prefix(existing)
        {
            return real.join(rest);
        }
    }
    path.to_path_buf()
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

fn on_path(name: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(name))
        .find(|program| is_program(program))
}

/// A server of GitHub's kind. A token goes over the network encrypted only.
fn github_address(text: &str) -> Option<String> {
    let url = web_address(text)?;
    let here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let fits = url.path() == "/" && (url.scheme() == "https" || here);
    fits.then(|| url.as_str().trim_end_matches('/').to_owned())
}

fn is_repo_name(text: &str) -> bool {
    let word = |part: &str| {
        !part.is_empty()
            && part.len() <= 100
            && !part.starts_with(['-', '.'])
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    text.split_once('/').is_some_and(|(owner, name)| word(owner) && word(name))
}

/// The rules of `git check-ref-format`, those that matter for a branch.
fn branch_name(text: &str) -> Option<String> {
    let bad = text.is_empty()
        || text.len() > 200
        || text.starts_with(['-', '/', '.'])
        || text.ends_with(['/', '.'])
        || text.ends_with(".lock")
        || ["..", "//", "@{", "/."].iter().any(|part| text.contains(part))
        || text.chars().any(|c| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c));
    (!bad).then(|| text.to_owned())
}
