//! The model and the limits of a job. Whoever starts a worker can have them checked first, by the same
//! rules.

use std::ffi::OsString;
use std::num::NonZeroU8;
use std::time::Duration;

use super::WrongSettings;
use super::read::Reader;
use crate::agent::INTERRUPT_PATIENCE;

/// The default limit of one attempt: it has room for a silent tool call of the longest kind and the
/// work around it. What is not at work is found out long before, see below.
const PHASE_TIMEOUT_DEFAULT_SECS: u64 = 60 * 60;
/// The longest of these times: a day; beyond that a number is a slip of the pen.
const TIMEOUT_MAX_SECS: u64 = 24 * 60 * 60;
/// The default limit of a tool call that declares none: a compiler may be silent for 25 minutes. No call
/// may take longer than its attempt.
const TOOL_TIMEOUT_DEFAULT_SECS: u64 = 30 * 60;
/// The default limit of silence: turns of a model of 14 minutes without a line were seen.
const SILENCE_TIMEOUT_DEFAULT_SECS: u64 = 15 * 60;
/// The default limit of what an agent does at once when it is well: answering an interrupt, beginning
/// with a message when it is idle. 10 to 350 ms were measured, the most on a loaded machine.
const ANSWER_TIMEOUT_DEFAULT_SECS: u64 = INTERRUPT_PATIENCE.as_secs();
/// The default limit of a model connection without a byte. The service pings more often, and the CLI
/// gives an open stream up after 90 s itself; this is for what it does not notice.
const MODEL_SILENCE_DEFAULT_SECS: u64 = 120;
/// The default limit of a model connection with nothing but pings, or of an answer in one piece: ten
/// minutes is the longest that the service takes for one.
const MODEL_PING_DEFAULT_SECS: u64 = 600;
/// The default limit of waiting for a service that takes no calls: usage limits are set back every
/// five hours.
const MODEL_PARK_DEFAULT_SECS: u64 = 6 * 60 * 60;
/// The default number of attempts per phase.
const MAX_ATTEMPTS_DEFAULT: u8 = 3;
/// The most attempts per phase: what has failed ten times fails for another reason.
const MAX_ATTEMPTS_MAX: u8 = 10;
/// The largest budget of one job that is taken as meant.
const MAX_BUDGET_MAX_USD: f64 = 10_000.0;
/// The most turns that are taken as meant.
const MAX_TURNS_MAX: u32 = 10_000;

/// The variables that are read here.
pub const LIMITS: [&str; 11] = [
    "MODEL",
    "MAX_TURNS",
    "MAX_BUDGET_USD",
    "PHASE_TIMEOUT",
    "TOOL_TIMEOUT",
    "AGENT_SILENCE_TIMEOUT",
    "AGENT_ANSWER_TIMEOUT",
    "MODEL_SILENCE_TIMEOUT",
    "MODEL_PING_TIMEOUT",
    "MODEL_PARK_TIMEOUT",
    "MAX_ATTEMPTS",
];

/// What they say.
pub(super) struct Limits {
    pub(super) model: Option<String>,
    pub(super) max_turns: Option<u32>,
    pub(super) max_budget_usd: Option<f64>,
    pub(super) phase_timeout: Duration,
    pub(super) tool_timeout: Duration,
    pub(super) silence_timeout: Duration,
    pub(super) answer_timeout: Duration,
    pub(super) model_silence_timeout: Duration,
    pub(super) model_ping_timeout: Duration,
    pub(super) model_park_timeout: Duration,
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
        let mut seconds = |name, default| {
            let wanted = "whole seconds from 1 to 86400";
            let secs = read.or(name, wanted, default, |text| {
                text.parse().ok().filter(|secs| (1..=TIMEOUT_MAX_SECS).contains(secs))
            });
            Duration::from_secs(secs)
        };
        let phase_timeout = seconds("PHASE_TIMEOUT", PHASE_TIMEOUT_DEFAULT_SECS);
        let tool_timeout = seconds("TOOL_TIMEOUT", TOOL_TIMEOUT_DEFAULT_SECS);
        let silence_timeout = seconds("AGENT_SILENCE_TIMEOUT", SILENCE_TIMEOUT_DEFAULT_SECS);
        let answer_timeout = seconds("AGENT_ANSWER_TIMEOUT", ANSWER_TIMEOUT_DEFAULT_SECS);
        let model_silence_timeout = seconds("MODEL_SILENCE_TIMEOUT", MODEL_SILENCE_DEFAULT_SECS);
        let model_ping_timeout = seconds("MODEL_PING_TIMEOUT", MODEL_PING_DEFAULT_SECS);
        let model_park_timeout = seconds("MODEL_PARK_TIMEOUT", MODEL_PARK_DEFAULT_SECS);
        let max_attempts = read.or(
            "MAX_ATTEMPTS",
            "a whole number from 1 to 10",
            NonZeroU8::MIN.saturating_add(MAX_ATTEMPTS_DEFAULT - 1),
            |text| text.parse::<NonZeroU8>().ok().filter(|most| most.get() <= MAX_ATTEMPTS_MAX),
        );
        Self {
            model,
            max_turns,
            max_budget_usd,
            phase_timeout,
            tool_timeout,
            silence_timeout,
            answer_timeout,
            model_silence_timeout,
            model_ping_timeout,
            model_park_timeout,
            max_attempts,
        }
    }
}
