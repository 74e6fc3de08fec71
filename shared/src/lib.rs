//! What Specwright decides, without doing anything.
//!
//! This crate is pure: no files, no network, no clock, no environment, no async. The worker and the
//! control API call the same functions, so that a claim made by one can be checked by the other.
//!
//! Start at [`phase`] (the words), [`machine`] (how a run moves), [`documents`] (what a phase
//! produces), [`gate`] (what a phase's output must satisfy) and [`wire`] (what is said over HTTP).

pub mod budget;
pub mod coverage;
pub mod documents;
pub mod ears;
pub mod excerpt;
pub mod finding;
pub mod gate;
pub mod graph;
pub mod guardian;
pub mod id;
pub mod ledger;
pub mod list;
pub mod liveness;
pub mod machine;
pub mod outcome;
pub mod path;
pub mod phase;
pub mod price;
pub mod redact;
pub mod render;
pub mod stall;
pub mod text;
pub mod time;
pub mod trace;
pub mod trajectory;
pub mod wire;
