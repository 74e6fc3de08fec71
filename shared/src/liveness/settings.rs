//! After how long a sandbox counts as what, and what is done about it: data, not code.
//!
//! What holds: every field has a default, so that settings name only what they change; unknown names
//! and limits that contradict one another are refused with a sentence. A project's settings lie over
//! the control API's ([`Settings::with`]).

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::policy::{Action, Rung};
use super::{Limits, VerdictKind};
use crate::outcome::Outcome;

/// A week: no limit of a run is longer.
const LONGEST_S: u64 = 7 * 24 * 3600;
/// What all runs of one spec may cost where nothing else is said.
const SPEND_MAX_USD_DEFAULT: f64 = 100.0;
/// The most steps of one ladder: there are four actions.
const RUNGS_MAX: usize = 8;

/// The settings of the idle monitor, in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// From the request to the first heartbeat, until a sandbox counts as never started.
    pub never_started_s: u64,
    /// Without a heartbeat, until the worker counts as silent.
    pub silent_s: u64,
    /// Without a heartbeat, until it counts as lost.
    pub lost_s: u64,
    /// With nothing to do, until the agent counts as idle.
    pub idle_s: u64,
    /// With something to do and no sign of progress, until the run counts as stuck.
    pub stuck_s: u64,
    /// Between two phases, until the run counts as idle.
    pub between_phases_s: u64,
    /// The whole life of a sandbox.
    pub life_s: u64,
    /// How long the place of a finished run may still be there.
    pub finished_s: u64,
    /// What is done about a run that is stuck.
    pub stuck: Vec<Rung>,
    /// What is done about an idle one.
    pub idle: Vec<Rung>,
    /// What is done about a silent one.
    pub silent: Vec<Rung>,
    /// What is done about a lost one.
    pub lost: Vec<Rung>,
    /// What is done about one that lives too long.
    pub life: Vec<Rung>,
    /// How often in its life an agent is nudged and interrupted, all together; then these steps are
    /// left out.
    pub soft_max: u32,
    /// How often a run is started again by itself, from the last accepted phase.
    pub restarts: u8,
    /// The endings after which it is; `timed_out` where a verdict ended it, not where its worker used up
    /// its attempts.
    pub restart_after: Vec<Outcome>,
    /// How many sandboxes of one spec may be asked for within `starts_window_s`.
    pub starts_max: u32,
    /// See `starts_max`.
    pub starts_window_s: u64,
    /// What all runs of one spec may cost together, in US dollars; `null`: no limit here.
    pub spend_max_usd: Option<f64>,
}

impl Default for Settings {
    fn default() -> Self {
        let rung = |action, after_s| Rung { action, after_s };
        let soft = [rung(Action::Nudge, 0), rung(Action::Interrupt, 180)];
        let hard = [rung(Action::SaveWork, 180), rung(Action::End, 120)];
        Self {
            never_started_s: 180,
            silent_s: 120,
            lost_s: 600,
            idle_s: 600,
            stuck_s: 900,
            between_phases_s: 300,
            life_s: 6 * 3600,
            finished_s: 120,
            stuck: soft.into_iter().chain(hard).collect(),
            // There is nothing to interrupt.
            idle: soft.into_iter().take(1).chain(hard).collect(),
            // It may be a network that comes back; `lost` says when that is no longer believed.
            silent: Vec::new(),
            // Nobody is there who could save anything.
            lost: vec![rung(Action::End, 0)],
            life: vec![rung(Action::SaveWork, 0), rung(Action::End, 120)],
            soft_max: 5,
            restarts: 1,
            // What was ended from outside. Who says himself that he failed has tried as often as he may,
            // and would do the same again at the same price.
            restart_after: vec![Outcome::Lost, Outcome::TimedOut],
            starts_max: 20,
            starts_window_s: 3600,
            // For what goes round in circles while nobody looks, over all runs: a job's own budget is
            // for one of them, and has no default.
            spend_max_usd: Some(SPEND_MAX_USD_DEFAULT),
        }
    }
}

/// Why settings are not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Not an object with known names and fitting values.
    #[error("the liveness settings do not fit: {0}")]
    Shape(String),
    /// A limit that is none.
    #[error("`{name}` is {found}; it is 1 to {LONGEST_S} seconds")]
    Limit {
        /// Which.
        name: &'static str,
        /// What it was.
        found: u64,
    },
    /// Lost before silent.
    #[error("`lost_s` ({lost}) is shorter than `silent_s` ({silent}); give it at least as long")]
    LostBeforeSilent {
        /// `lost_s`.
        lost: u64,
        /// `silent_s`.
        silent: u64,
    },
    /// A ladder that goes down, or is too long.
    #[error("the steps of `{0}` do not rise (nudge, interrupt, save_work, end; each at most once)")]
    Ladder(&'static str),
    /// A ladder by which a run could stay for ever.
    #[error("the steps of `{0}` do not lead to an `end`: such a run would stay for ever")]
    NoEnd(&'static str),
    /// A run that succeeded is not started again.
    #[error(
        "`restart_after` names `{0}`, after which nothing is started again; name lost, timed_out, worker_error or agent_error"
    )]
    RestartAfter(Outcome),
    /// A spend that is none.
    #[error("`spend_max_usd` is not a positive number of US dollars")]
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
        for (name, found) in [
            ("never_started_s", self.never_started_s),
            ("silent_s", self.silent_s),
            ("lost_s", self.lost_s),
            ("idle_s", self.idle_s),
            ("stuck_s", self.stuck_s),
            ("between_phases_s", self.between_phases_s),
            ("life_s", self.life_s),
            ("finished_s", self.finished_s),
            ("starts_window_s", self.starts_window_s),
        ] {
            if !(1..=LONGEST_S).contains(&found) {
                return Err(SettingsError::Limit { name, found });
            }
        }
        if self.lost_s < self.silent_s {
            return Err(SettingsError::LostBeforeSilent {
                lost: self.lost_s,
                silent: self.silent_s,
            });
        }
        for (name, ladder) in [
            ("stuck", &self.stuck),
            ("idle", &self.idle),
            ("silent", &self.silent),
            ("lost", &self.lost),
            ("life", &self.life),
        ] {
            let rises = ladder.windows(2).all(|pair| pair[0].action < pair[1].action);
            if !rises || ladder.len() > RUNGS_MAX {
                return Err(SettingsError::Ladder(name));
            }
            if let Some(rung) = ladder.iter().find(|rung| rung.after_s > LONGEST_S) {
                return Err(SettingsError::Limit { name: "after_s", found: rung.after_s });
            }
        }
        // The last resorts: what no other verdict ends, and what nobody hears of any more.
        for (name, ladder) in [("lost", &self.lost), ("life", &self.life)] {
            if ladder.last().is_none_or(|rung| rung.action != Action::End) {
                return Err(SettingsError::NoEnd(name));
            }
        }
        let may_follow = |outcome: &Outcome| {
            matches!(
                outcome,
                Outcome::Lost | Outcome::TimedOut | Outcome::WorkerError | Outcome::AgentError
            )
        };
        if let Some(outcome) = self.restart_after.iter().find(|outcome| !may_follow(outcome)) {
            return Err(SettingsError::RestartAfter(*outcome));
        }
        if self.spend_max_usd.is_some_and(|usd| !usd.is_finite() || usd <= 0.0) {
            return Err(SettingsError::Spend);
        }
        Ok(())
    }

    /// The limits that a verdict is judged by.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let seconds = Duration::from_secs;
        Limits {
            start: seconds(self.never_started_s),
            silent: seconds(self.silent_s),
            lost: seconds(self.lost_s),
            idle: seconds(self.idle_s),
            stuck: seconds(self.stuck_s),
            between_phases: seconds(self.between_phases_s),
            life: seconds(self.life_s),
            ..Limits::default()
        }
    }

    /// What is done about a verdict, step by step; empty: nothing.
    #[must_use]
    pub fn ladder(&self, kind: VerdictKind, too_old: bool) -> &[Rung] {
        match kind {
            VerdictKind::Stuck if too_old => &self.life,
            VerdictKind::Stuck => &self.stuck,
            VerdictKind::Idle => &self.idle,
            VerdictKind::Silent => &self.silent,
            VerdictKind::Lost => &self.lost,
            VerdictKind::Starting
            | VerdictKind::Working
            | VerdictKind::WaitingModel
            | VerdictKind::WaitingTool
            | VerdictKind::WaitingApproval
            | VerdictKind::WaitingUsageLimit
            | VerdictKind::Finished => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_defaults_are_the_documented_ones_and_fit() {
        let settings = Settings::default();
        assert_eq!(settings.with(&json!({})), Ok(settings.clone()));
        assert_eq!(settings.limits(), Limits::default());
        let minutes = |seconds: u64| seconds / 60;
        assert_eq!(
            [settings.never_started_s, settings.silent_s, settings.idle_s].map(minutes),
            [3, 2, 10]
        );
        assert_eq!([settings.stuck_s, settings.between_phases_s].map(minutes), [15, 5]);
        assert_eq!([settings.life_s, settings.finished_s].map(minutes), [6 * 60, 2]);
        assert_eq!((settings.starts_max, settings.starts_window_s), (20, 3600));
        assert_eq!(settings.spend_max_usd, Some(100.0));
        assert_eq!(settings.with(&json!({ "spend_max_usd": null })).unwrap().spend_max_usd, None);
    }

    #[test]
    fn a_project_changes_what_it_names_and_nothing_else() {
        let over = json!({ "idle_s": 60, "idle": [{ "action": "end", "after_s": 5 }] });
        let settings = Settings::default().with(&over).unwrap();
        assert_eq!(settings.idle_s, 60);
        assert_eq!(settings.idle, [Rung { action: Action::End, after_s: 5 }]);
        assert_eq!(settings.stuck, Settings::default().stuck);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_name() {
        for (over, word) in [
            (json!([]), "JSON object"),
            (json!({ "idel_s": 1 }), "idel_s"),
            (json!({ "idle_s": 0 }), "`idle_s` is 0"),
            (json!({ "life_s": u64::MAX }), "`life_s`"),
            (json!({ "lost_s": 60 }), "`lost_s` (60) is shorter"),
            (json!({ "life": [] }), "`life` do not lead to an `end`"),
            (
                json!({ "lost": [{ "action": "nudge", "after_s": 0 }] }),
                "`lost` do not lead to an `end`",
            ),
            (json!({ "restart_after": ["succeeded"] }), "`succeeded`"),
            (json!({ "restart_after": ["cancelled"] }), "`cancelled`"),
            (json!({ "spend_max_usd": -1 }), "positive"),
            (
                json!({ "stuck": [{ "action": "end", "after_s": 0 }, { "action": "nudge", "after_s": 0 }] }),
                "`stuck` do not rise",
            ),
        ] {
            let error = Settings::default().with(&over).unwrap_err().to_string();
            assert!(error.contains(word), "{over}: {error}");
        }
    }
}
