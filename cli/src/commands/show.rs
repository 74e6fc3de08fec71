//! `show`: a spec with its phases, documents, tickets and coverage.

use super::{Context, closed};
use crate::args::SpecArg;
use crate::connect::{Connection, Sandboxes};
use crate::exit::{Exit, Failure};
use crate::find;
use crate::output::width;
use crate::report;
use crate::summary::SpecState;

/// Runs the command.
pub(super) async fn run(context: &mut Context, args: SpecArg) -> Result<Exit, Failure> {
    let connection = context.connect(Sandboxes::LeaveAlone).await?;
    let done = show(context, &connection, &args.spec).await;
    closed(connection, done).await
}

async fn show(
    context: &mut Context,
    connection: &Connection,
    prefix: &str,
) -> Result<Exit, Failure> {
    let client = &connection.client;
    let fetch = async { Ok(SpecState::fetch(client, find::spec(client, prefix).await?).await?) };
    let state = context.interrupts.unless(fetch).await?;
    if context.global.json {
        context.out.json(&state);
    } else {
        report::whole(&state, width()).iter().for_each(|line| context.out.line(line));
    }
    Ok(Exit::Done)
}
