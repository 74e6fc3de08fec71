//! Who belongs to a project.
pub(crate) mod change;
pub(crate) mod list;
