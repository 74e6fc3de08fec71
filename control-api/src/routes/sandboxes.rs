//! `/sandboxes`: for people, and for the workers in them.

pub(crate) mod events;
pub(crate) mod heartbeat;
pub(crate) mod hello;
pub(crate) mod list;
pub(crate) mod messages;
pub(crate) mod poll;
pub(crate) mod say;
pub(crate) mod show;
pub(crate) mod stream;
pub(crate) mod transcript;
