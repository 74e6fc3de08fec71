//! `reset-breaker`: what a spec has used so far no longer counts against its caps.

use super::{Context, closed};
use crate::args::SpecArg;
use crate::connect::Sandboxes;
use crate::exit::{Exit, Failure};
use crate::find;

/// Runs the command.
pub(super) async fn run(context: &mut Context, args: SpecArg) -> Result<Exit, Failure> {
    let connection = context.connect(Sandboxes::LeaveAlone).await?;
    let client = &connection.client;
    let work = async {
        let id = find::spec(client, &args.spec).await?;
        Ok(client.reset_breaker(id).await?)
    };
    let done = context.interrupts.unless(work).await.map(|spec| {
        if context.global.json {
            context.out.json(&spec);
        } else {
            let id = spec.id;
            context
                .out
                .line(format!("starts and spend count anew; to go on: specwright resume {id}"));
        }
        Exit::Done
    });
    closed(connection, done).await
}
