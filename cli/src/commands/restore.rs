//! `restore`: a copy that `backup` made, in the place of the SQLite database.
//!
//! Holds: nothing is asked, because nothing is lost: the database that was there is kept beside it,
//! and the answer says where. Of those that earlier restores kept, the newest one stays.

use std::time::SystemTime;

use serde::Serialize;
use specwright_control_api::{RestoreError, restore};

use super::Context;
use super::backup::database;
use crate::args::server::RestoreArgs;
use crate::exit::{Exit, Failure};

/// What `restore --json` says.
#[derive(Serialize)]
struct Done {
    database: String,
    /// Where the database that was there before is now.
    aside: Option<String>,
    /// Those of earlier restores that are no longer kept.
    removed: Vec<String>,
}

/// Runs the command. It is not broken off half-way: Ctrl-C waits for its end.
pub(super) async fn run(context: &mut Context, args: &RestoreArgs) -> Result<Exit, Failure> {
    let database = database(context, args.database.as_deref());
    let restored = restore(&database, &args.file, SystemTime::now().into()).await;
    let restored = restored.map_err(failure)?;
    let aside = restored.aside.map(|path| path.display().to_string());
    let removed: Vec<String> =
        restored.removed.iter().map(|path| path.display().to_string()).collect();
    if context.global.json {
        context.out.json(&Done { database, aside, removed });
    } else {
        context.out.line(format!("{} is restored to {database}", args.file.display()));
        if let Some(aside) = aside {
            context.out.line(format!("the database that was there before is kept as {aside}"));
        }
        for removed in removed {
            context.out.line(format!("{removed}, of an earlier restore, is gone: two are kept"));
        }
    }
    Ok(Exit::Done)
}

fn failure(error: RestoreError) -> Failure {
    let exit = match &error {
        RestoreError::NotSqlite
        | RestoreError::Read { .. }
        | RestoreError::NotACopy { .. }
        | RestoreError::Damaged { .. } => Exit::Usage,
        RestoreError::Open(_) | RestoreError::Replace { .. } => Exit::NotReady,
        RestoreError::Store(_) => Exit::Failed,
    };
    Failure::of(exit, error)
}
