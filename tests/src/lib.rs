//! What the whole-system scenarios are made of: the fake Messages API, the programs under test, the
//! repositories that they run on, and the checkers of the
//! architecture and of the table of incidents.
//!
//! The model is the only actor on a script. Everything else in a scenario is real: processes,
//! sockets, SQLite, git, and the Claude CLI.

pub mod architecture;
pub mod chaos;
pub mod fault_proxy;
pub mod git_server;
#[cfg(test)]
mod image;
pub mod incidents;
pub mod messages_api;
pub mod repository;
pub mod sample;
pub mod system;
pub mod wait;
