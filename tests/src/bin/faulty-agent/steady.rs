//! A steady pace of lines that each tell the time at which they are written.
//!
//! What holds: each line has a moment of its own, fixed at the beginning, so that one that comes late
//! delays no other.

use std::num::NonZeroU32;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use super::behaviour::Behaviour;

/// What fills a line up to about 330 bytes.
const PADDING: usize = 150;
/// Into so many parts an interval is cut for those who are told at the same moment: each begins in the
/// part that its process id gives, so that they do not all speak at once.
const PARTS: u32 = 10;

/// So many lines, so many a second.
pub(crate) struct Pace {
    per_second: NonZeroU32,
    lines: u32,
}

impl Pace {
    /// The pace of `steady:LINES_PER_SECOND:LINES`, if that was told.
    pub(crate) fn of(behaviour: &Behaviour) -> Result<Option<Self>> {
        let Some(told) = behaviour.behind("steady") else { return Ok(None) };
        let both = told.split_once(':');
        let (per_second, lines) = both.context("`steady:LINES_PER_SECOND:LINES` needs both")?;
        let (per_second, lines) = (per_second.parse()?, lines.parse()?);
        Ok(Some(Self { per_second, lines }))
    }

    /// Says the lines: the microseconds of the clock, the number of the line from 1, and padding.
    pub(crate) fn keep(&self, mut say: impl FnMut(&str) -> Result<()>) -> Result<()> {
        let part = Duration::from_secs(1) / self.per_second.get() / PARTS;
        let begins = Instant::now() + part * (std::process::id() % PARTS);
        for number in 1..=self.lines {
            let due = begins + Duration::from_secs(number.into()) / self.per_second.get();
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
            say(&format!("{at} {number} {:x<PADDING$}", ""))?;
        }
        Ok(())
    }
}
