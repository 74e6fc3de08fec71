//! Background duties.

pub(crate) mod list;
