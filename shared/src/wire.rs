//! What is said over HTTP, version 1: between worker and control API, and between the control API
//! and everyone else. All routes are under `/api/v1`; all bodies are JSON; errors are
//! `application/problem+json` ([`problem`]).

pub mod access;
pub mod credential;
pub mod duty;
pub mod event;
pub mod intervention;
pub mod message;
pub mod problem;
pub mod sandbox;
pub mod spec;
pub mod ticket;
pub mod watch;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the protocol between worker and control API. A worker says its own at `hello`.
pub const PROTOCOL: u32 = 1;

/// One page of a list; `next` goes into `?after=` to get the one behind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// An opaque cursor; absent on the last page (on an event page it is always there, so that a
    /// reader can wait behind it).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
