//! `/specs`: ideas under way.

pub(crate) mod cancel;
pub(crate) mod coverage;
pub(crate) mod create;
pub(crate) mod documents;
pub(crate) mod events;
pub(crate) mod execute;
pub(crate) mod launch;
pub(crate) mod list;
pub(crate) mod pause;
pub(crate) mod phases;
pub(crate) mod reset_breaker;
pub(crate) mod show;
