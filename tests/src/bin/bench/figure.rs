//! A figure, and its line.

use serde_json::{Value, json};

/// Something that was measured, or was not and why.
pub(crate) struct Figure {
    metric: &'static str,
    measured: Result<f64, String>,
    unit: &'static str,
    aim: Option<f64>,
    more_is_better: bool,
    reference: Option<String>,
}

impl Figure {
    pub(crate) const fn new(metric: &'static str, value: f64, unit: &'static str) -> Self {
        Self {
            metric,
            measured: Ok(value),
            unit,
            aim: None,
            more_is_better: false,
            reference: None,
        }
    }

    /// One that could not be taken here, and why.
    pub(crate) const fn skipped(metric: &'static str, unit: &'static str, why: String) -> Self {
        Self { metric, measured: Err(why), unit, aim: None, more_is_better: false, reference: None }
    }

    /// At most this much is aimed at.
    pub(crate) const fn aim(mut self, at_most: f64) -> Self {
        self.aim = Some(at_most);
        self
    }

    /// At least this much is aimed at.
    pub(crate) const fn at_least(mut self, aim: f64) -> Self {
        (self.aim, self.more_is_better) = (Some(aim), true);
        self
    }

    /// What it is to be seen beside.
    pub(crate) fn beside(mut self, reference: impl Into<String>) -> Self {
        self.reference = Some(reference.into());
        self
    }

    /// Prints the line.
    pub(crate) fn print(&self) {
        println!("{}", self.line());
    }

    fn line(&self) -> Value {
        let mut line =
            json!({ "bench": bench(self.metric), "metric": self.metric, "unit": self.unit });
        match &self.measured {
            // Two digits after the point: more is noise.
            Ok(value) => line["value"] = json!((value * 100.0).round() / 100.0),
            Err(why) => line["skipped"] = json!(why),
        }
        if let Some(aim) = self.aim {
            line["aim"] = json!(aim);
            if let Ok(value) = self.measured {
                line["met"] = json!(if self.more_is_better { value >= aim } else { value <= aim });
            }
        }
        if let Some(reference) = &self.reference {
            line["reference"] = json!(reference);
        }
        if cfg!(debug_assertions) {
            line["build"] = json!("debug");
        }
        line
    }
}

/// Says that a figure could not be taken although it should have been.
pub(crate) fn print_failure(metric: &str, why: &str) {
    println!("{}", json!({ "bench": bench(metric), "metric": metric, "failed": why }));
}

/// The group that a figure belongs to.
fn bench(metric: &str) -> &'static str {
    match metric.split('_').next() {
        Some("gateway") => "gateway",
        Some("steer") => "steer",
        Some("ingest") => "ingest",
        Some("stream") => "stream",
        Some("fleet") => "fleet",
        Some("pages") => "pages",
        _ => "footprint",
    }
}

/// The middle one (the lower of two); `None` of none.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}

/// The value that such a part of all does not exceed; `None` of none.
pub(crate) fn percentile(values: &[f64], part: f64) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts far below 2^52, and never negative"
    )]
    let below = (values.len() as f64 * part).ceil() as usize;
    values.get(below.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_aimed_at_and_whether_it_was_met() {
        let line = Figure::new("start", 12.345, "ms").aim(12.0).beside("raw: 3 ms").line();
        assert_eq!(line["value"], 12.35);
        assert_eq!((&line["aim"], &line["met"]), (&json!(12.0), &json!(false)));
        assert_eq!(line["reference"], "raw: 3 ms");
        let line = Figure::skipped("start", "ms", "no CLI".into()).aim(12.0).line();
        assert_eq!(line["skipped"], "no CLI");
        assert!(line["met"].is_null() && line["value"].is_null());
    }

    #[test]
    fn the_median_is_a_value_that_was_measured() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(1.0));
        assert_eq!(median(vec![]), None);
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 0.5), Some(100.0));
        assert_eq!(percentile(&values, 0.99), Some(198.0));
        assert_eq!(percentile(&values, 1.0), Some(200.0));
        assert_eq!(percentile(&[7.0], 0.01), Some(7.0));
        assert_eq!(percentile(&[], 0.5), None);
    }
}
