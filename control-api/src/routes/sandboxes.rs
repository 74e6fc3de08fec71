//! `/sandboxes`: for people, and for the workers in them.

pub(crate) mod events;
pub(crate) mod heartbeat;
pub(crate) mod hello;
pub(crate) mod hold;
pub(crate) mod interventions;
pub(crate) mod list;
pub(crate) mod messages;
pub(crate) mod poll;
pub(crate) mod release;
pub(crate) mod reported;
pub(crate) mod say;
pub(crate) mod show;
pub(crate) mod stream;
pub(crate) mod trajectory;
pub(crate) mod transcript;
mod view;
