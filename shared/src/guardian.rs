//! What a guardian may do, what the built-in one would do, and what came of it.
//!
//! What holds: all of it follows from stored facts, settings and the moment. Whoever intervenes is
//! held to the same ceilings ([`admit`]); what was done so far is counted from the stored
//! interventions, never from what an agent was told. An outcome ([`assess`]) compares what the agent
//! did before and after, not what it said.
//!
//! Deliberately absent: doing it, and a model. A guardian with one is a program outside.

mod admit;
mod outcome;
mod rules;
mod settings;

pub use admit::{Bound, Made, TooSoon, admit};
pub use outcome::{Activity, Ended, assess};
pub use rules::{Judged, Proposal, propose};
pub use settings::{Ceiling, Settings, SettingsError};
