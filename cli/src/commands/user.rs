//! `user`: who may have tokens.

use specwright_control_api::client::Client;
use specwright_shared::id::UserId;
use specwright_shared::wire::access::{NewUser, UserName, UserView};

use super::{Context, closed};
use crate::args::access::UserCommand;
use crate::connect::{Connection, Sandboxes};
use crate::exit::{Exit, Failure};
use crate::output::cell;

/// Runs the command.
pub(super) async fn run(context: &mut Context, command: UserCommand) -> Result<Exit, Failure> {
    let connection = context.connect(Sandboxes::LeaveAlone).await?;
    let done = user(context, &connection, command).await;
    closed(connection, done).await
}

async fn user(
    context: &mut Context,
    connection: &Connection,
    command: UserCommand,
) -> Result<Exit, Failure> {
    let client = &connection.client;
    let work = async {
        Ok(match command {
            UserCommand::List => client.users().await?,
            UserCommand::Add { name } => vec![client.create_user(&NewUser { name }).await?],
            UserCommand::Disable { name } => {
                vec![client.disable_user(named(client, &name).await?, true).await?]
            }
            UserCommand::Enable { name } => {
                vec![client.disable_user(named(client, &name).await?, false).await?]
            }
        })
    };
    let users = context.interrupts.unless(work).await?;
    if context.global.json {
        context.out.json(&users);
    } else {
        users.iter().for_each(|user| context.out.line(line(user)));
    }
    Ok(Exit::Done)
}

/// The id of a user.
pub(super) async fn named(client: &Client, name: &UserName) -> Result<UserId, Failure> {
    let users = client.users().await?;
    let found = users.into_iter().find(|user| user.name == name.as_str());
    found.map(|user| user.id).ok_or_else(|| {
        let sentence =
            format!("there is no user `{}`; `specwright user list` shows all", name.as_str());
        Failure::new(Exit::Usage, sentence)
    })
}

fn line(user: &UserView) -> String {
    let since = user.disabled_at.map(|at| format!("  disabled since {at}")).unwrap_or_default();
    format!("{}  {}{since}", cell(&user.name, 20), user.id)
}
