//! `AGENT_USER`: the user that the agent runs as, and where it has its own files then.

use std::path::{Path, PathBuf};

use super::read::Reader;
use crate::agent::User;

/// What the setting is checked against.
pub(super) struct System {
    passwd: String,
    we_are_root: bool,
}

impl System {
    /// This one. Without a file of users, there are only numbers.
    pub(super) fn here() -> Self {
        let passwd = std::fs::read("/etc/passwd").unwrap_or_default();
        Self {
            passwd: String::from_utf8_lossy(&passwd).into_owned(),
            we_are_root: rustix::process::geteuid().is_root(),
        }
    }
}

/// The agent's own directory beside its workspace: one in STATE_DIR would be closed to it.
pub(super) fn beside(workspace: &Path) -> PathBuf {
    // Of a directory that is there already, the setting ends in a slash.
    let mut name = workspace.file_name().unwrap_or_default().to_owned();
    name.push(".agent");
    workspace.with_file_name(name)
}

impl Reader<'_> {
    /// The user, if one is named. What is `ours` must not lie where it has its own files.
    pub(super) fn agent_user(
        &mut self,
        system: &System,
        workspace: Option<&Path>,
        ours: [Option<&Path>; 2],
    ) -> Option<User> {
        let may_be = "a user of /etc/passwd or `uid[:gid]`, not root and not in root's group";
        let user = self.optional("AGENT_USER", may_be, |text| User::named(text, &system.passwd))?;
        if !system.we_are_root {
            self.wrong.push(
                "AGENT_USER is set, but this worker is not root, who alone can start an agent as \
                 another user; leave it out, or start the worker as root."
                    .to_owned(),
            );
        }
        let private = workspace.map(beside)?;
        for path in ours.into_iter().flatten() {
            if path.starts_with(&private) || private.starts_with(path) {
                self.wrong.push(format!(
                    "With AGENT_USER, {private:?} is the agent's; STATE_DIR and OUTPUT_DIR must be \
                     neither in it nor around it; one was {path:?}."
                ));
            }
        }
        Some(user)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn read(text: &str, we_are_root: bool, state: &str) -> (Option<User>, String) {
        let lookup = |name: &str| (name == "AGENT_USER").then(|| OsString::from(text));
        let mut read = Reader::new(&lookup);
        let system = System { passwd: "agent:x:1000:1000::/:/bin/sh\n".to_owned(), we_are_root };
        let ours = [Some(Path::new(state)), None];
        let user = read.agent_user(&system, Some(Path::new("/place/work")), ours);
        (user, read.wrong.join("\n"))
    }

    #[test]
    fn a_user_is_taken_from_root_only_and_never_root_itself() {
        let (user, wrong) = read("agent", true, "/place/state");
        assert_eq!((user.map(|user| user.uid), wrong.as_str()), (Some(1000), ""));
        assert_eq!(read("", false, "/place/state"), (None, String::new()));
        for (text, we_are_root, sentence) in [
            ("agent", false, "AGENT_USER is set, but this worker is not root"),
            ("root", true, "AGENT_USER must be a user of /etc/passwd or `uid[:gid]`"),
            ("0:0", true, "not root and not in root's group; it was \"0:0\"."),
            ("nobody-knows", true, "it was \"nobody-knows\"."),
        ] {
            let (_, wrong) = read(text, we_are_root, "/place/state");
            assert!(wrong.contains(sentence), "{text}: {wrong}");
        }
    }

    #[test]
    fn the_agents_own_directory_is_beside_the_workspace_and_never_in_it() {
        for workspace in ["/place/work", "/place/work/"] {
            assert_eq!(beside(Path::new(workspace)), Path::new("/place/work.agent"));
        }
    }

    #[test]
    fn what_is_ours_is_not_where_the_agent_has_its_own() {
        for state in ["/place/work.agent", "/place/work.agent/state", "/place"] {
            let (_, wrong) = read("agent", true, state);
            assert!(wrong.contains("is the agent's"), "{state}: {wrong}");
        }
    }
}
