//! How much guardians may do, and when the built-in one does something: data, not code.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::wire::intervention::InterventionKind;

/// A week: no run is observed for longer.
const LONGEST_S: u64 = 7 * 24 * 3600;
/// The most interventions that a ceiling allows: above that it is none.
const MOST: u32 = 100;

/// How often something of one kind may be done to a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ceiling {
    /// How often within `window_s`.
    pub max: u32,
    /// How long after the last one of the kind, in seconds.
    pub cool_down_s: u64,
}

/// The settings of the guardians' door and of the built-in guardian.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether the built-in guardian watches.
    pub on: bool,
    /// The time in which ceilings count.
    pub window_s: u64,
    /// How many interventions of all kinds a sandbox may have within `window_s`.
    pub max: u32,
    /// How long after an intervention of any kind the next may follow: an agent needs the time to
    /// show what comes of it.
    pub gap_s: u64,
    /// How long an intervention is observed before its outcome is judged.
    pub observe_s: u64,
    /// Bounds of nudges.
    pub nudge: Ceiling,
    /// Bounds of interrupts.
    pub interrupt: Ceiling,
    /// Bounds of redirections.
    pub redirect: Ceiling,
    /// Bounds of parking.
    pub park: Ceiling,
    /// Bounds of stopping.
    pub stop: Ceiling,
    /// Built-in guardian: so often the same call with the same answer is a loop.
    pub loop_repeats: u32,
    /// Built-in guardian: so many failed calls in a row are a storm of errors.
    pub failures_in_a_row: u32,
    /// Built-in guardian: so many changed files are too many in a phase that plans.
    pub writes_out_of_scope: u32,
    /// Built-in guardian: so much may be spent without anything new, in US dollars.
    pub spend_without_progress_usd: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            on: false,
            window_s: 6 * 3600,
            max: 10,
            gap_s: 60,
            observe_s: 300,
            nudge: Ceiling { max: 5, cool_down_s: 600 },
            interrupt: Ceiling { max: 3, cool_down_s: 900 },
            redirect: Ceiling { max: 3, cool_down_s: 900 },
            park: Ceiling { max: 2, cool_down_s: 900 },
            stop: Ceiling { max: 2, cool_down_s: 900 },
            // As the worker's own detector of loops.
            loop_repeats: crate::liveness::REPEATS_MAX,
            failures_in_a_row: 8,
            writes_out_of_scope: 1,
            spend_without_progress_usd: 1.0,
        }
    }
}

/// Why settings are not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Not an object with known names and fitting values.
    #[error("the guardian's settings do not fit: {0}")]
    Shape(String),
    /// A number that is none.
    #[error("`{name}` is {found}; it is {least} to {most}")]
    Range {
        /// Which.
        name: &'static str,
        /// What it was.
        found: u64,
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// A spend that is none.
    #[error("`spend_without_progress_usd` is not a positive number of US dollars")]
    Spend,
}

impl Settings {
    /// These settings with the fields of `over` (a JSON object) in the place of their own.
    ///
    /// # Errors
    /// [`SettingsError`], when the result cannot be used.
    pub fn with(&self, over: &Value) -> Result<Self, SettingsError> {
        let shape = |error: serde_json::Error| SettingsError::Shape(error.to_string());
        let Value::Object(over) = over else {
            return Err(SettingsError::Shape("they are not a JSON object".to_owned()));
        };
        let mut whole = serde_json::to_value(self).map_err(shape)?;
        if let Value::Object(fields) = &mut whole {
            fields.extend(over.clone());
        }
        let settings: Self = serde_json::from_value(whole).map_err(shape)?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingsError> {
        let ceilings = InterventionKind::ALL.iter().map(|kind| (kind.as_str(), self.of(*kind)));
        let counts = ceilings.clone().map(|(name, ceiling)| (name, u64::from(ceiling.max)));
        let waits = ceilings.map(|(name, ceiling)| (name, ceiling.cool_down_s));
        // 0 of a kind forbids the kind.
        let counts = counts.chain([("max", u64::from(self.max))]);
        let counts = counts.map(|(name, found)| (name, found, 0, u64::from(MOST)));
        let waits =
            waits.chain([("gap_s", self.gap_s)]).map(|(name, found)| (name, found, 0, LONGEST_S));
        let least_one = [
            ("window_s", self.window_s, 1, LONGEST_S),
            ("observe_s", self.observe_s, 1, LONGEST_S),
            // Twice is no loop, and no storm.
            ("loop_repeats", u64::from(self.loop_repeats), 3, 1000),
            ("failures_in_a_row", u64::from(self.failures_in_a_row), 3, 1000),
            ("writes_out_of_scope", u64::from(self.writes_out_of_scope), 1, 1000),
        ];
        for (name, found, least, most) in counts.chain(waits).chain(least_one) {
            if !(least..=most).contains(&found) {
                return Err(SettingsError::Range { name, found, least, most });
            }
        }
        let spend = self.spend_without_progress_usd;
        if spend.is_finite() && spend > 0.0 { Ok(()) } else { Err(SettingsError::Spend) }
    }

    /// The bounds of a kind.
    #[must_use]
    pub const fn of(&self, kind: InterventionKind) -> Ceiling {
        match kind {
            InterventionKind::Nudge => self.nudge,
            InterventionKind::Interrupt => self.interrupt,
            InterventionKind::Redirect => self.redirect,
            InterventionKind::Park => self.park,
            InterventionKind::Stop => self.stop,
        }
    }

    /// The time in which ceilings count.
    #[must_use]
    pub const fn window(&self) -> Duration {
        Duration::from_secs(self.window_s)
    }

    /// How long an intervention is observed.
    #[must_use]
    pub const fn observe(&self) -> Duration {
        Duration::from_secs(self.observe_s)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_built_in_guardian_is_off_and_the_defaults_fit() {
        let settings = Settings::default();
        assert!(!settings.on);
        assert_eq!(settings.with(&json!({})), Ok(settings.clone()));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_name() {
        for (over, word) in [
            (json!([]), "JSON object"),
            (json!({ "no": 1 }), "`no`"),
            (json!({ "observe_s": 0 }), "`observe_s` is 0; it is 1 to 604800"),
            (json!({ "nudge": { "max": 1000, "cool_down_s": 1 } }), "`nudge` is 1000"),
            (json!({ "nudge": { "max": 1 } }), "cool_down_s"),
            (json!({ "loop_repeats": 1 }), "`loop_repeats`"),
            (json!({ "spend_without_progress_usd": 0 }), "positive"),
        ] {
            let error = Settings::default().with(&over).unwrap_err().to_string();
            assert!(error.contains(word), "{over}: {error}");
        }
        let own = json!({ "stop": { "max": 0, "cool_down_s": 0 } });
        assert_eq!(Settings::default().with(&own).unwrap().stop.max, 0, "a kind can be forbidden");
    }
}
