//! A phase as one row of the live display: pure, so that its width can be tested.

use specwright_shared::phase::PhaseStatus;
use specwright_shared::time::Timestamp;

use crate::output::{cell, fit};
use crate::timeline::PhaseLine;
use crate::wording::{cost, duration};

/// The heads of the columns; the mark's column has none.
pub(super) fn head(width: usize) -> String {
    columns(["phase", "try", "score", "cost", "time", "now"], width)
}

/// The row, without its mark.
pub(super) fn row(line: &PhaseLine, now: Timestamp, width: usize) -> String {
    let attempt = match (line.attempt, line.max_attempts) {
        (0, _) => String::new(),
        (attempt, 0) => attempt.to_string(),
        (attempt, max) => format!("{attempt}/{max}"),
    };
    let score = line.score.map(|score| format!("{score:.2}")).unwrap_or_default();
    let cost = if line.attempt == 0 { String::new() } else { cost(line.cost_usd) };
    let elapsed = line.elapsed_ms(now).map(duration).unwrap_or_default();
    let last = match line.status {
        PhaseStatus::Pending if !line.asked_for => "not asked for",
        PhaseStatus::Pending => "",
        PhaseStatus::Accepted if !line.asked_for => "accepted before",
        PhaseStatus::Accepted => "accepted",
        PhaseStatus::Running | PhaseStatus::Failed => &line.activity,
    };
    columns([line.phase.as_str(), &attempt, &score, &cost, &elapsed, last], width)
}

fn columns([phase, attempt, score, cost, time, last]: [&str; 6], width: usize) -> String {
    let fixed = [cell(phase, 13), cell(attempt, 4), cell(score, 6), cell(cost, 8), cell(time, 7)];
    let fixed = fixed.concat();
    let rest = width.saturating_sub(fixed.len());
    format!("{fixed}{}", fit(last, rest))
}

#[cfg(test)]
mod tests {
    use console::measure_text_width;
    use specwright_shared::phase::Phase;

    use super::*;

    #[test]
    fn a_row_fits_its_width_and_stands_below_its_head() {
        let line = PhaseLine {
            phase: Phase::Requirements,
            status: PhaseStatus::Running,
            asked_for: true,
            attempt: 2,
            max_attempts: 3,
            score: Some(0.5),
            cost_usd: 12.5,
            began: Some(Timestamp::from_micros(0)),
            duration_ms: None,
            activity: "Read a/very/long/path/of/日本語/that/does/not/fit/in/a/row/at/all.rs".into(),
        };
        let row = row(&line, Timestamp::from_micros(192_000_000), 76);
        assert!(measure_text_width(&row) <= 76, "{row}");
        assert!(row.starts_with("requirements 2/3 0.50  $12.50  3m12s  Read a/very"), "{row}");
        assert!(head(76).starts_with("phase        try score cost    time   now"), "{}", head(76));
    }
}
