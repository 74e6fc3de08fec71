//! `/tickets`: cards of the board.

pub(crate) mod list;
pub(crate) mod show;
