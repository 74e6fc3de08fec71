//! Credentials of projects and of users: set and removed, never read back.
pub(crate) mod list;
pub(crate) mod put;
pub(crate) mod remove;
pub(crate) mod rotate;
