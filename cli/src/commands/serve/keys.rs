//! The keys in `serve`'s own environment, which are nobody's but the operator's.
//!
//! What holds: without `--own-keys`, none of [`OWN`] reaches a local sandbox, and the log names those
//! that are there. Any user of a server may launch a run, so a key that all runs had would open the
//! operator's repositories to everyone, and pay for everyone's model. Deliberately absent: keys in
//! files below `HOME` (`~/.ssh`, `~/.netrc`, git's own helpers): what `serve`'s user can read, its
//! local sandboxes can.

use std::ffi::OsString;

/// The variables that are a key, or the way to one.
const OWN: [&str; 4] =
    ["GITHUB_TOKEN", "SSH_AUTH_SOCK", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"];

/// Takes our own keys out of what local sandboxes are handed on, and says so in the log.
pub(super) fn keep(environment: &mut Vec<(OsString, OsString)>) {
    let kept = taken_out(environment);
    if !kept.is_empty() {
        tracing::warn!(
            "{} of this process's environment is not handed on to runs; keep a key for a project or \
             a user with `specwright credential set`, or start with --own-keys to give it to every \
             user's runs",
            kept.join(", ")
        );
    }
}

/// Takes them out, and names them.
fn taken_out(environment: &mut Vec<(OsString, OsString)>) -> Vec<&'static str> {
    let (own, rest): (Vec<_>, Vec<_>) = std::mem::take(environment)
        .into_iter()
        .partition(|(name, _)| OWN.iter().any(|own| name == own));
    *environment = rest;
    OWN.into_iter().filter(|known| own.iter().any(|(name, _)| name == known)).collect()
}

#[cfg(test)]
mod tests {
    use specwright_control_api::HANDED_ON;

    use super::*;

    #[test]
    fn every_key_is_taken_out_and_named_and_the_rest_stays() {
        let all = HANDED_ON.iter().map(|name| (OsString::from(name), OsString::from("x")));
        let mut environment: Vec<_> = all.collect();
        assert_eq!(taken_out(&mut environment), OWN);
        assert_eq!(environment.len(), HANDED_ON.len() - OWN.len());
        // A new variable whose name says that it is a key has to be put in the list, too.
        for (name, _) in &environment {
            let name = name.to_str().unwrap();
            assert!(
                !["TOKEN", "KEY", "SECRET", "SOCK"].iter().any(|word| name.contains(word)),
                "{name}"
            );
        }
        assert!(taken_out(&mut environment).is_empty());
    }
}
