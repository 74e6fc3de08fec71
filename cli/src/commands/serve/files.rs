//! How many files may be open at once: each worker keeps two connections, and what a login shell or
//! systemd gives at first is 1,024.
//!
//! Deliberately absent: raising what the system allows at most; that is the administrator's word
//! (`LimitNOFILE=` of the unit).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enough for 30,000 workers. Not more: programs that close all files that could be open, as some of an
/// agent's tools do, take long where millions could be.
const ENOUGH: u64 = 65_536;

/// Raises the limit of this process as far as it may and needs to.
pub(super) fn raise() {
    let Some(raised) = raised(getrlimit(Resource::Nofile)) else { return };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it is; many workers may not fit");
    }
}

/// What to ask for; `None`: what there is does.
fn raised(now: Rlimit) -> Option<Rlimit> {
    let current = now.current?;
    let wanted = now.maximum.map_or(ENOUGH, |maximum| maximum.min(ENOUGH));
    (current < wanted).then_some(Rlimit { current: Some(wanted), maximum: now.maximum })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_files_as_are_needed_and_allowed() {
        let limit = |current, maximum| Rlimit { current, maximum };
        let raised_to = |now| raised(now).map(|raised| (raised.current, raised.maximum));
        let plenty = Some(1 << 20);
        assert_eq!(raised_to(limit(Some(1024), plenty)), Some((Some(ENOUGH), plenty)));
        assert_eq!(raised_to(limit(Some(1024), Some(4096))), Some((Some(4096), Some(4096))));
        assert_eq!(raised_to(limit(Some(1024), None)), Some((Some(ENOUGH), None)));
        for enough in [limit(plenty, plenty), limit(Some(4096), Some(4096)), limit(None, None)] {
            assert_eq!(raised_to(enough), None);
        }
    }
}
