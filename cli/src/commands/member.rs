//! `member`: who belongs to a project, and as what.

use specwright_shared::wire::access::{MemberView, PutMember};

use super::{Context, closed};
use crate::args::access::MemberCommand;
use crate::connect::{Connection, Sandboxes};
use crate::exit::{Exit, Failure};
use crate::find;
use crate::output::cell;

/// Runs the command.
pub(super) async fn run(context: &mut Context, command: MemberCommand) -> Result<Exit, Failure> {
    let connection = context.connect(Sandboxes::LeaveAlone).await?;
    let done = member(context, &connection, command).await;
    closed(connection, done).await
}

async fn member(
    context: &mut Context,
    connection: &Connection,
    command: MemberCommand,
) -> Result<Exit, Failure> {
    let client = &connection.client;
    let work = async {
        let project = match &command {
            MemberCommand::List { project }
            | MemberCommand::Set { project, .. }
            | MemberCommand::Remove { project, .. } => find::project(client, project).await?,
        };
        match &command {
            MemberCommand::List { .. } => {}
            MemberCommand::Set { user, role, .. } => {
                client.put_member(project, user.as_str(), PutMember { role: *role }).await?;
            }
            MemberCommand::Remove { user, .. } => {
                client.remove_member(project, user.as_str()).await?;
            }
        }
        Ok(client.members(project).await?)
    };
    // What was asked for, and then who belongs to it now.
    let members = context.interrupts.unless(work).await?;
    if context.global.json {
        context.out.json(&members);
    } else {
        members.iter().for_each(|member| context.out.line(row(member)));
    }
    Ok(Exit::Done)
}

fn row(member: &MemberView) -> String {
    format!("{}  {}", cell(&member.name, 20), member.role)
}
