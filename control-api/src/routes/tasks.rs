//! `/tasks`: what an agent executes.

pub(crate) mod list;
pub(crate) mod show;
