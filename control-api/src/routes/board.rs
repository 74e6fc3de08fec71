//! `/board`: the tickets in their columns.

pub(crate) mod show;
