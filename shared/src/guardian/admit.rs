//! Whether one more intervention may be made now.

use std::fmt;
use std::time::Duration;

use super::Settings;
use crate::time::Timestamp;
use crate::wire::intervention::InterventionKind;

/// An intervention that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// What.
    pub kind: InterventionKind,
    /// When.
    pub at: Timestamp,
}

/// Which bound is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The time after any intervention.
    Gap,
    /// The time after one of the same kind.
    CoolDown,
    /// So many of the kind.
    CeilingOfKind(u32),
    /// So many of all kinds.
    CeilingOfAll(u32),
}

/// Why it may not be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooSoon {
    /// Of which kind it would be.
    pub kind: InterventionKind,
    /// The bound that holds longest.
    pub bound: Bound,
    /// When that is over; absent: never, settings forbid the kind.
    pub wait: Option<Duration>,
}

impl fmt::Display for TooSoon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind;
        match self.bound {
            Bound::Gap => {
                write!(f, "the last intervention has hardly had the time to show an effect")?
            }
            Bound::CoolDown => write!(f, "the last `{kind}` is too recent")?,
            Bound::CeilingOfKind(max) => {
                write!(f, "the ceiling of {max} of kind `{kind}` is reached")?
            }
            Bound::CeilingOfAll(max) => write!(f, "the ceiling of {max} interventions is reached")?,
        }
        match self.wait {
            Some(wait) => write!(f, "; the next one is taken in {} s", seconds(wait)),
            None => write!(f, "; settings forbid it altogether"),
        }
    }
}

impl std::error::Error for TooSoon {}

/// Whole seconds, rounded up: who waits so long has waited long enough.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// Decides. `made` are the sandbox's interventions, by whomever, in any order.
///
/// # Errors
/// [`TooSoon`], with the bound that holds longest.
pub fn admit(
    kind: InterventionKind,
    made: &[Made],
    now: Timestamp,
    settings: &Settings,
) -> Result<(), TooSoon> {
    let ceiling = settings.of(kind);
    let mut all: Vec<Timestamp> = made.iter().map(|made| made.at).collect();
    let mut same: Vec<Timestamp> =
        made.iter().filter(|made| made.kind == kind).map(|made| made.at).collect();
    all.sort_unstable();
    same.sort_unstable();
    let after_last = |times: &[Timestamp], wait_s: u64| {
        let last = times.last()?;
        Some(last.plus(Duration::from_secs(wait_s)))
    };
    let bounds = [
        (Bound::Gap, Some(after_last(&all, settings.gap_s))),
        (Bound::CoolDown, Some(after_last(&same, ceiling.cool_down_s))),
        (Bound::CeilingOfKind(ceiling.max), below(&same, ceiling.max, settings.window())),
        (Bound::CeilingOfAll(settings.max), below(&all, settings.max, settings.window())),
    ];
    let mut longest: Option<(Bound, Duration)> = None;
    for (bound, until) in bounds {
        let Some(until) = until else { return Err(TooSoon { kind, bound, wait: None }) };
        let wait = until.map(|until| until.since(now)).unwrap_or_default();
        if wait > longest.map(|(_, wait)| wait).unwrap_or_default() {
            longest = Some((bound, wait));
        }
    }
    match longest {
        None => Ok(()),
        Some((bound, wait)) => Err(TooSoon { kind, bound, wait: Some(wait) }),
    }
}

/// When fewer than `max` of these lie in the window behind: `Some(None)` for always so far, `None` for
/// never.
#[expect(clippy::option_option, reason = "never, at once, and at some time are three answers")]
fn below(times: &[Timestamp], max: u32, window: Duration) -> Option<Option<Timestamp>> {
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    if max == 0 {
        return None;
    }
    let Some(at) = times.len().checked_sub(max) else { return Some(None) };
    Some(times.get(at).map(|time| time.plus(window)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use InterventionKind::{Interrupt, Nudge, Stop};

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(1_795_000_000_000_000).plus(Duration::from_secs(seconds))
    }

    fn made(list: &[(InterventionKind, u64)]) -> Vec<Made> {
        list.iter().map(|(kind, seconds)| Made { kind: *kind, at: at(*seconds) }).collect()
    }

    fn wait(
        kind: InterventionKind,
        list: &[(InterventionKind, u64)],
        now: u64,
    ) -> Option<(Bound, u64)> {
        let refused = admit(kind, &made(list), at(now), &Settings::default()).err()?;
        Some((refused.bound, refused.wait.unwrap().as_secs()))
    }

    #[test]
    fn a_kind_cools_down_and_all_kinds_leave_a_gap() {
        assert_eq!(wait(Nudge, &[], 0), None);
        assert_eq!(wait(Nudge, &[(Nudge, 0)], 10), Some((Bound::CoolDown, 590)));
        assert_eq!(wait(Interrupt, &[(Nudge, 0)], 10), Some((Bound::Gap, 50)));
        assert_eq!(wait(Interrupt, &[(Nudge, 0)], 60), None);
        assert_eq!(wait(Nudge, &[(Nudge, 0)], 600), None);
    }

    #[test]
    fn a_ceiling_is_over_when_the_oldest_leaves_the_window() {
        let nudges: Vec<_> = (0..5).map(|number| (Nudge, number * 700)).collect();
        assert_eq!(wait(Nudge, &nudges, 6000), Some((Bound::CeilingOfKind(5), 6 * 3600 - 6000)));
        assert_eq!(wait(Nudge, &nudges, 6 * 3600), None);
        assert_eq!(wait(Stop, &nudges, 6000), None, "another kind has its own");
        let many: Vec<_> = (0..10).map(|number| (InterventionKind::ALL[number % 5], 0)).collect();
        let refused = wait(Stop, &many, 3600).unwrap();
        assert_eq!(refused.1, 5 * 3600);
    }

    #[test]
    fn the_order_of_what_was_made_does_not_matter_and_what_is_forbidden_has_no_end() {
        assert_eq!(wait(Nudge, &[(Nudge, 50), (Nudge, 0)], 100), Some((Bound::CoolDown, 550)));
        let mut settings = Settings::default();
        settings.stop.max = 0;
        let refused = admit(Stop, &[], at(0), &settings).unwrap_err();
        assert_eq!(refused.wait, None);
        assert!(refused.to_string().contains("forbid"), "{refused}");
    }

    #[test]
    fn a_refusal_says_in_words_how_long() {
        let refused = admit(Nudge, &made(&[(Nudge, 0)]), at(10), &Settings::default()).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the last `nudge` is too recent; the next one is taken in 590 s"
        );
    }
}
