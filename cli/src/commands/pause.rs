//! `pause`: asks a run to end after the phase at work; what is at work is not disturbed.

use super::{Context, closed};
use crate::args::SpecArg;
use crate::connect::{Connection, Sandboxes};
use crate::exit::{Exit, Failure};
use crate::find;

/// Runs the command.
pub(super) async fn run(context: &mut Context, args: SpecArg) -> Result<Exit, Failure> {
    let connection = context.connect(Sandboxes::LeaveAlone).await?;
    let done = pause(context, &connection, &args).await;
    closed(connection, done).await
}

async fn pause(
    context: &mut Context,
    connection: &Connection,
    args: &SpecArg,
) -> Result<Exit, Failure> {
    let client = &connection.client;
    let work = async {
        let id = find::spec(client, &args.spec).await?;
        Ok(client.pause(id).await?)
    };
    let spec = context.interrupts.unless(work).await?;
    if context.global.json {
        context.out.json(&spec);
    } else {
        context.out.line(format!(
            "the run will pause after {}; to go on then: specwright resume {}",
            spec.current_phase, spec.id
        ));
    }
    Ok(Exit::Done)
}
