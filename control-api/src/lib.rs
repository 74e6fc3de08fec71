//! The control API: takes in what workers report, keeps it, and starts and stops sandboxes.
//!
//! Start at [`serve()`] and [`Config`]; inside, at the table in `routes`. What a person or program
//! calls from outside is [`client`].
//!
//! What holds: SQL is in `store` only, processes are started in `sandboxes::local` only, the
//! environment is read in `config` only; whatever is spawned is tracked and ended at shutdown.

pub mod client;

mod app;
mod auth;
mod breaker;
mod config;
mod credentials;
mod execution;
mod extract;
mod ingest;
mod intervene;
mod metrics;
mod openapi;
mod private;
mod problem;
mod reconcile;
mod request_id;
mod router;
mod routes;
mod run;
mod said;
mod sandboxes;
mod serve;
mod spec_intake;
mod store;
mod stream;
mod trace;
mod wake;

#[cfg(test)]
mod testing;

pub use auth::{
    ListenRefused, OwnerToken, OwnerTokenError, Rate, Rates, SealFileError, SealKeyError, SealKeys,
    check_listen, owner_token,
};
pub use config::{
    Config, DATABASE_PATIENCE, HANDED_ON, HEARTBEAT, LEASE, Pace, WorkerProgram, database_in,
    environment_to_hand_on,
};
pub use credentials::CredentialServices;
pub use private::private_directory;
pub use serve::{ServeError, reachable, serve};
pub use store::StoreError;
pub use store::backup::{BackupError, backup};
pub use store::restore::{RestoreError, Restored, restore};
