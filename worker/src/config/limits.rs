//! The model and the limits of a job. Whoever starts a worker can have them checked first, by the same
//! rules.

use std::ffi::OsString;
use std::num::NonZeroU8;
use std::time::Duration;

use super::WrongSettings;
use super::read::Reader;

/// The default limit of one attempt: a thorough exploration takes minutes, not a quarter of an hour.
const PHASE_TIMEOUT_DEFAULT_SECS: u64 = 900;
/// The longest limit of one attempt: a day; beyond that a number is a slip of the pen.
const PHASE_TIMEOUT_MAX_SECS: u64 = 24 * 60 * 60;
/// The default number of attempts per phase.
const MAX_ATTEMPTS_DEFAULT: u8 = 3;
/// The most attempts per phase: what has failed ten times fails for another reason.
const MAX_ATTEMPTS_MAX: u8 = 10;
/// The largest budget of one job that is taken as meant.
const MAX_BUDGET_MAX_USD: f64 = 10_000.0;
/// The most turns that are taken as meant.
const MAX_TURNS_MAX: u32 = 10_000;

/// The variables that are read here.
pub const LIMITS: [&str; 5] =
    ["MODEL", "MAX_TURNS", "MAX_BUDGET_USD", "PHASE_TIMEOUT", "MAX_ATTEMPTS"];

/// What they say.
pub(super) struct Limits {
    pub(super) model: Option<String>,
    pub(super) max_turns: Option<u32>,
    pub(super) max_budget_usd: Option<f64>,
    pub(super) phase_timeout: Duration,
    pub(super) max_attempts: NonZeroU8,
}

/// Checks them, and nothing else.
///
/// # Errors
/// [`WrongSettings`] with a sentence for each one that a worker would refuse.
pub fn check_limits(lookup: &dyn Fn(&str) -> Option<OsString>) -> Result<(), WrongSettings> {
    let mut read = Reader::new(lookup);
    Limits::read(&mut read);
    if read.wrong.is_empty() { Ok(()) } else { Err(WrongSettings(read.wrong)) }
}

impl Limits {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        let model = read.optional(
            "MODEL",
            "a model's name without spaces, not starting with `-`",
            |text| {
                let fits = !text.starts_with('-') && !text.contains(char::is_whitespace);
                fits.then(|| text.to_owned())
            },
        );
        let max_turns = read.optional("MAX_TURNS", "a whole number from 1 to 10000", |text| {
            text.parse().ok().filter(|turns| (1..=MAX_TURNS_MAX).contains(turns))
        });
        let max_budget_usd = read.optional(
            "MAX_BUDGET_USD",
            "US dollars above 0, at most 10000, like 2.50",
            |text| {
                let dollars: f64 = text.parse().ok()?;
                (dollars > 0.0 && dollars <= MAX_BUDGET_MAX_USD).then_some(dollars)
            },
        );
        let phase_timeout = read.or(
            "PHASE_TIMEOUT",
            "whole seconds from 1 to 86400",
            PHASE_TIMEOUT_DEFAULT_SECS,
            |text| text.parse().ok().filter(|secs| (1..=PHASE_TIMEOUT_MAX_SECS).contains(secs)),
        );
        let max_attempts = read.or(
            "MAX_ATTEMPTS",
            "a whole number from 1 to 10",
            NonZeroU8::MIN.saturating_add(MAX_ATTEMPTS_DEFAULT - 1),
            |text| text.parse::<NonZeroU8>().ok().filter(|most| most.get() <= MAX_ATTEMPTS_MAX),
        );
        let phase_timeout = Duration::from_secs(phase_timeout);
        Self { model, max_turns, max_budget_usd, phase_timeout, max_attempts }
    }
}
