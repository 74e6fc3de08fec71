//! The live display: a head, a row per phase, and a bar for the whole run. Drawn by indicatif, which
//! knows how to move the cursor; every text in it comes from [`super::row`].

use console::style;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use specwright_shared::phase::{Phase, PhaseStatus};
use specwright_shared::time::Timestamp;

use super::keys::QuietKeys;
use super::row;
use crate::output::{fit, width};
use crate::timeline::{PhaseLine, Timeline};
use crate::wording::{cost, count, duration};

/// Redraws a second: smooth for a spinner, nothing for a terminal.
const REDRAWS: u8 = 12;

/// What stands left of a row: two columns, and two of air at the right edge.
const MARGIN: usize = 4;

/// A row that only says what it is given.
const TEXT: &str = "{msg}";
/// A row with a spinner.
const WORKING: &str = "{spinner:.cyan} {msg}";
/// The run as a whole.
const WHOLE: &str = "{bar:24.cyan/dim} {msg}";

pub(crate) struct Live {
    drawing: MultiProgress,
    /// Title and heads; a bar that is dropped takes its line with it.
    head: [ProgressBar; 2],
    rows: Vec<ProgressBar>,
    whole: ProgressBar,
    _keys: QuietKeys,
}

impl Live {
    /// Draws the display for a run that has not begun.
    pub(super) fn start(title: &str) -> Self {
        let target = ProgressDrawTarget::stdout_with_hz(REDRAWS);
        let drawing = MultiProgress::with_draw_target(target);
        let columns = width();
        let line = |text: String| {
            let bar = drawing.add(ProgressBar::new_spinner().with_style(template(TEXT)));
            bar.set_message(text);
            bar
        };
        let head = [
            line(style(fit(title, columns - MARGIN)).bold().to_string()),
            line(format!("  {}", style(row::head(columns - MARGIN)).dim())),
        ];
        head.iter().for_each(ProgressBar::tick);
        let rows = Phase::ALL.map(|phase| line(format!("  {phase}"))).to_vec();
        let whole = ProgressBar::new(Phase::ALL.len() as u64).with_style(template(WHOLE));
        Self { whole: drawing.add(whole), drawing, head, rows, _keys: QuietKeys::start() }
    }

    /// Draws the run as it stands at `now`.
    pub(super) fn show(&mut self, timeline: &Timeline, now: Timestamp) {
        for (bar, line) in self.rows.iter().zip(&timeline.phases) {
            show_row(bar, line, now);
        }
        self.whole.set_length(timeline.phases.iter().filter(|line| counts(line)).count() as u64);
        self.whole.set_position(timeline.accepted() as u64);
        let elapsed = timeline.began.map(|began| now.since(began)).unwrap_or_default();
        let elapsed = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let label = if timeline.rehearsal { "  rehearsal: no model" } else { "" };
        self.whole.set_message(format!(
            "{} accepted  {}  {}{label}",
            count(timeline.accepted(), "phase"),
            cost(timeline.cost_usd()),
            duration(elapsed)
        ));
    }

    /// Prints a line above the display.
    pub(super) fn print_above(&self, line: &str) {
        // A terminal that is gone needs no line; the run goes on.
        drop(self.drawing.println(line));
    }

    /// Draws the last state and lets go of the terminal.
    pub(super) fn end(&mut self, timeline: &Timeline, now: Timestamp) {
        self.show(timeline, now);
        for bar in self.head.iter().chain(&self.rows).chain([&self.whole]) {
            bar.abandon();
        }
        // The last line has no end of its own.
        drop(console::Term::stdout().write_line(""));
    }
}

/// Whether a phase belongs to the whole that the bar shows.
fn counts(line: &PhaseLine) -> bool {
    line.asked_for || line.status == PhaseStatus::Accepted
}

fn show_row(bar: &ProgressBar, line: &PhaseLine, now: Timestamp) {
    let text = row::row(line, now, width() - MARGIN);
    if line.status == PhaseStatus::Running {
        bar.set_style(template(WORKING));
        bar.set_message(text);
        bar.tick();
        return;
    }
    let text = match line.status {
        PhaseStatus::Accepted => format!("{} {text}", style("✓").green()),
        PhaseStatus::Failed => format!("{} {}", style("✗").red(), style(text).red()),
        PhaseStatus::Pending | PhaseStatus::Running => format!("  {}", style(text).dim()),
    };
    bar.set_style(template(TEXT));
    bar.set_message(text);
}

/// The templates are constants of this file and all of them are drawn in a test.
fn template(text: &'static str) -> ProgressStyle {
    ProgressStyle::with_template(text).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_one() {
        for text in [TEXT, WORKING, WHOLE] {
            assert!(ProgressStyle::with_template(text).is_ok(), "{text}");
        }
    }
}
