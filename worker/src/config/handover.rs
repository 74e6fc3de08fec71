//! Secrets that come on stdin instead of by the environment.
//!
//! What holds: with `SPECWRIGHT_SECRETS=stdin`, the secret variables are read from stdin, once, as
//! `NAME=value` with a NUL behind each; then stdin is `/dev/null`, so that nothing that this process
//! starts finds them there. Who starts the worker that way, and why: `supervise::hide`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

/// The variables whose values are secrets.
pub(crate) const SECRETS: [&str; 4] =
    ["SANDBOX_TOKEN", "GITHUB_TOKEN", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"];
/// Says where the secrets are.
pub(crate) const SECRETS_FROM: &str = "SPECWRIGHT_SECRETS";
/// The one place besides the environment.
pub(crate) const FROM_STDIN: &str = "stdin";
/// Four keys are far below this, and a pipe takes it (64 KiB) without a reader.
pub(crate) const SECRETS_MAX_BYTES: usize = 32 * 1024;

/// Whether the secrets come on stdin.
pub(crate) fn are_on_stdin() -> bool {
    std::env::var_os(SECRETS_FROM).is_some_and(|from| from == FROM_STDIN)
}

/// The secrets in this process's environment, as they stand on stdin later; empty: there are none.
pub(crate) fn in_the_environment() -> Vec<u8> {
    let mut all = Vec::new();
    for name in SECRETS {
        if let Some(value) = std::env::var_os(name) {
            all.extend_from_slice(name.as_bytes());
            all.push(b'=');
            all.extend_from_slice(value.as_bytes());
            all.push(0);
        }
    }
    all
}

/// Takes what stands on stdin, and puts nothing in its place.
pub(crate) fn take() -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(SECRETS_MAX_BYTES as u64).read_to_end(&mut bytes)?;
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok(bytes)
}

/// The variables in it; nothing but secrets comes this way.
pub(super) fn parse(bytes: &[u8]) -> BTreeMap<OsString, OsString> {
    bytes
        .split(|byte| *byte == 0)
        .filter_map(|entry| {
            let at = entry.iter().position(|byte| *byte == b'=')?;
            let (name, value) = (OsStr::from_bytes(&entry[..at]), &entry[at + 1..]);
            let known = SECRETS.iter().any(|secret| name == *secret);
            known.then(|| (name.to_owned(), OsString::from_vec(value.to_vec())))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_secrets_come_by_stdin_and_a_value_may_hold_an_equals_sign() {
        let found = parse(b"SANDBOX_TOKEN=a=b\0PATH=/x\0GITHUB_TOKEN=\0nonsense\0");
        assert_eq!(found.len(), 2);
        assert_eq!(found[OsStr::new("SANDBOX_TOKEN")], "a=b");
        assert_eq!(found[OsStr::new("GITHUB_TOKEN")], "");
    }
}
