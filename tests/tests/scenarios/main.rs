//! Whole runs of the real programs: what a person sees, what is stored, and what is left behind.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "all of this crate is tests, also what is shared by several"
)]

mod access;
mod agents_that_fail;
mod another_user;
mod backup;
mod bare;
mod claude;
mod clock;
mod crash;
mod cut_stream;
mod deployed;
mod ends;
mod faulty;
mod git;
mod guardian;
mod hostile;
mod incidents;
mod killed;
mod mends;
mod model;
mod old_events;
mod outcomes;
mod own_keys;
mod readiness;
mod reading;
mod receipts;
mod rehearsal;
mod remedies;
mod replicas;
mod restarts;
mod salvage;
mod secrets;
mod shape;
mod steer;
mod stopping;
mod together;
mod tracing;
mod watching;
