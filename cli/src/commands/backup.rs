//! `backup`: a copy of the SQLite database, of one moment, also while a control API writes to it.

use serde::Serialize;
use specwright_control_api::{BackupError, backup, database_in};

use super::Context;
use crate::args::server::BackupArgs;
use crate::exit::{Exit, Failure};

/// What `backup --json` says.
#[derive(Serialize)]
struct Copied {
    file: String,
    bytes: u64,
}

/// The database that is meant: that of this machine, whatever server the environment names.
pub(super) fn database(context: &Context, given: Option<&str>) -> String {
    let config = &context.config;
    let given = given.or(config.database.as_deref()).map(str::to_owned);
    given.unwrap_or_else(|| database_in(&config.data_dir))
}

/// Runs the command.
pub(super) async fn run(context: &mut Context, args: &BackupArgs) -> Result<Exit, Failure> {
    let database = database(context, args.database.as_deref());
    let copy = async { backup(&database, &args.file).await.map_err(failure) };
    let bytes = context.interrupts.unless(copy).await?;
    let file = args.file.display().to_string();
    if context.global.json {
        context.out.json(&Copied { file, bytes });
    } else {
        context.out.line(format!("{file} is a whole and checked copy ({bytes} bytes)"));
    }
    Ok(Exit::Done)
}

fn failure(error: BackupError) -> Failure {
    let exit = match &error {
        BackupError::NotSqlite | BackupError::NoDatabase(_) | BackupError::Taken(_) => Exit::Usage,
        BackupError::Write { .. } | BackupError::Copy { .. } => Exit::NotReady,
        BackupError::Damaged { .. } => Exit::Failed,
    };
    Failure::of(exit, error)
}
