//! One's own tokens; an administrator revokes everyone's.
pub(crate) mod create;
pub(crate) mod list;
pub(crate) mod revoke;
