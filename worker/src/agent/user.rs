//! The user of the system that the agent runs as, where that is another one than ours.
//!
//! What holds: it is neither root nor in root's group, so that nothing of ours is its own; its number
//! is never the one that means "as it is" to the system.
//!
//! Deliberately absent: users that only a directory service knows. Their numbers can be given.

/// A user that is not root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its name, else its number.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The one group that it is in.
    pub gid: u32,
}

impl User {
    /// The user by a name, a `uid` or `uid:gid`, among those of `passwd` (the text of `/etc/passwd`). A
    /// number need not be among them; without a group, it is in the one of the same number then.
    /// `None`: there is no such user, or it is root or in root's group.
    #[must_use]
    pub fn named(text: &str, passwd: &str) -> Option<Self> {
        let numbers = |text: &str| {
            let (uid, gid) = text.split_once(':').map_or((text, None), |(u, g)| (u, Some(g)));
            Some((number(uid)?, gid.map(number)))
        };
        let user = match numbers(text) {
            Some((uid, gid)) => {
                let known = users(passwd).find(|user| user.uid == uid);
                let gid = match gid {
                    Some(given) => given?,
                    None => known.as_ref().map_or(uid, |user| user.gid),
                };
                Self { name: known.map_or_else(|| uid.to_string(), |user| user.name), uid, gid }
            }
            None => users(passwd).find(|user| user.name == text)?,
        };
        (user.uid != 0 && user.gid != 0).then_some(user)
    }
}

/// The lines of man 5 passwd: name, password, uid, gid, and what is of no interest.
fn users(passwd: &str) -> impl Iterator<Item = User> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, uid, gid) = (fields.next()?, fields.nth(1)?, fields.next()?);
        Some(User { name: name.to_owned(), uid: number(uid)?, gid: number(gid)? })
    })
}

/// Digits only; the largest number means "as it is" in calls of the system.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n# a comment\n\
        agent:x:1000:1001:,,,:/home/agent:/bin/sh\nstaff:x:7:0::/:/bin/sh\nodd:x\n\
        same:x:4294967295:5::/:/bin/sh\n";

    fn named(text: &str) -> Option<(String, u32, u32)> {
        User::named(text, PASSWD).map(|user| (user.name, user.uid, user.gid))
    }

    #[test]
    fn a_user_is_found_by_name_and_by_number() {
        assert_eq!(named("agent"), Some(("agent".into(), 1000, 1001)));
        assert_eq!(named("1000"), Some(("agent".into(), 1000, 1001)));
        assert_eq!(named("1000:44"), Some(("agent".into(), 1000, 44)));
        assert_eq!(named("4711"), Some(("4711".into(), 4711, 4711)));
    }

    #[test]
    fn root_and_what_is_no_user_are_refused() {
        let not_so = ["root", "0", "0:5", "5:0", "staff", "+5", "-1", "4294967295", "5:4294967295"];
        for text in not_so.into_iter().chain(["same", "odd", "nobody", "", ":", "5:", ":5", "5:x"])
        {
            assert_eq!(named(text), None, "{text}");
        }
    }
}
