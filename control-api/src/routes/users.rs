//! Users, for administrators.
pub(crate) mod create;
pub(crate) mod disable;
pub(crate) mod list;
pub(crate) mod tokens;
