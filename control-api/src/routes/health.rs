//! `/healthz` and `/readyz`: whether this control API is there, and whether it can work.

pub(crate) mod live;
pub(crate) mod ready;
