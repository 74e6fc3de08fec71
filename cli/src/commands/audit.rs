//! `audit`: who did what, newest first.

use specwright_shared::wire::access::AuditEntry;

use super::{Context, closed};
use crate::args::access::AuditArgs;
use crate::connect::{Connection, Sandboxes};
use crate::exit::{Exit, Failure};
use crate::find;
use crate::output::cell;

/// Runs the command.
pub(super) async fn run(context: &mut Context, args: AuditArgs) -> Result<Exit, Failure> {
    let connection = context.connect(Sandboxes::LeaveAlone).await?;
    let done = audit(context, &connection, &args).await;
    closed(connection, done).await
}

async fn audit(
    context: &mut Context,
    connection: &Connection,
    args: &AuditArgs,
) -> Result<Exit, Failure> {
    let client = &connection.client;
    let work = async {
        let project = find::project_given(client, args.project.as_deref()).await?;
        Ok(client.audit(project).await?)
    };
    let entries = context.interrupts.unless(work).await?;
    if context.global.json {
        context.out.json(&entries);
    } else {
        entries.iter().for_each(|entry| context.out.line(row(entry)));
    }
    Ok(Exit::Done)
}

fn row(entry: &AuditEntry) -> String {
    let thing = entry.thing_id.map(|id| format!("  {id}")).unwrap_or_default();
    let name = entry.thing_name.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
    let user = cell(&entry.user, 12);
    // Begun, and what came of it is not known.
    let status = entry.status.map_or_else(|| "...".to_owned(), |status| status.to_string());
    format!("{}  {user}  {status}  {}{thing}{name}", entry.at, entry.route)
}
