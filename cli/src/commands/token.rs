//! `token`: what opens the control API, and to whom. A new one is shown once, alone on stdout, so that
//! it can be put into a file.

use std::time::{Duration, SystemTime};

use specwright_shared::id::TokenId;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::access::{NewToken, TokenView};

use super::launch::line;
use super::{Context, closed, user};
use crate::args::access::TokenCommand;
use crate::connect::{Connection, Sandboxes};
use crate::exit::{Exit, Failure};
use crate::find;
use crate::output::{cell, tell};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs the command.
pub(super) async fn run(context: &mut Context, command: TokenCommand) -> Result<Exit, Failure> {
    let connection = context.connect(Sandboxes::LeaveAlone).await?;
    let done = token(context, &connection, command).await;
    closed(connection, done).await
}

async fn token(
    context: &mut Context,
    connection: &Connection,
    command: TokenCommand,
) -> Result<Exit, Failure> {
    match command {
        TokenCommand::List { user: name } => {
            let client = &connection.client;
            let work = async {
                let of = match &name {
                    Some(name) => Some(user::named(client, name).await?),
                    None => None,
                };
                Ok(client.tokens(of).await?)
            };
            let tokens = context.interrupts.unless(work).await?;
            if context.global.json {
                context.out.json(&tokens);
            } else {
                tokens.iter().for_each(|token| context.out.line(row(token)));
            }
            Ok(Exit::Done)
        }
        TokenCommand::Revoke { id } => {
            connection.client.revoke_token(TokenId(id)).await?;
            if !context.global.json {
                context.out.line(format!("{id} opens nothing any more"));
            }
            Ok(Exit::Done)
        }
        create @ TokenCommand::Create { .. } => make(context, connection, create).await,
    }
}

async fn make(
    context: &mut Context,
    connection: &Connection,
    command: TokenCommand,
) -> Result<Exit, Failure> {
    let TokenCommand::Create { name, user: of, kind, project, days } = command else {
        return Ok(Exit::Done);
    };
    let client = &connection.client;
    let of = match &of {
        Some(name) => Some(user::named(client, name).await?),
        None => None,
    };
    let now = Timestamp::from(SystemTime::now());
    let days = days.map(|days| u32::try_from(days).unwrap_or(u32::MAX));
    let new = NewToken {
        name: line("the name", name)?,
        kind,
        project_id: find::project_given(client, project.as_deref()).await?,
        expires_at: days.map(|days| now.plus(DAY * days)),
    };
    // Not to be broken off: a token that nobody saw would stay.
    let made = client.create_token(of, &new).await?;
    if context.global.json {
        context.out.json(&made);
    } else {
        context.out.line(&made.token);
        tell(format!("specwright: the token `{}` is shown this once", made.view.name));
    }
    Ok(Exit::Done)
}

fn row(token: &TokenView) -> String {
    let state = match (token.revoked_at, token.expires_at) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(at)) => format!("until {at}"),
        (None, None) => "until revoked".to_owned(),
    };
    let used =
        token.last_used_at.map_or_else(|| "never used".to_owned(), |at| format!("used {at}"));
    let kind = cell(token.kind.as_str(), 8);
    format!("{}  {kind}  {}  {state}, {used}", token.id, cell(&token.name, 20))
}
