//! `/projects`

pub(crate) mod create;
pub(crate) mod guardian;
pub(crate) mod list;
pub(crate) mod liveness;
