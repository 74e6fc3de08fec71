//! Chaos: whole runs of the real programs, broken at every step in every way we know, and checked.
//!
//! A cycle is a world of its own: a control API, a worker beside it behind a fault proxy, the
//! rehearsal agent or the faulty one, one spec. A [`plan::Plan`] says what breaks and when; it follows from the seed
//! and the cycle's number alone, so the same seed makes the same decisions. What the machine makes
//! of them (which instruction a kill meets) is its own: a plan is replayed, not a schedule.
//!
//! What is checked after each cycle is in [`verdict`].

pub mod campaign;
mod cycle;
mod disk;
pub mod plan;
pub mod spool;
mod verdict;
mod victims;
mod world;

pub use cycle::play;
pub use verdict::Verdict;
