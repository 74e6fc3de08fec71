//! `watch`: what happened to a spec, then what happens, until its run ends. Looking on changes
//! nothing: Ctrl-C leaves the run alone.

use specwright_shared::phase::SpecStatus;

use super::{Context, closed};
use crate::args::SpecArg;
use crate::connect::{Connection, Sandboxes};
use crate::exit::{Exit, Failure};
use crate::find;
use crate::follow::{OnInterrupt, Run};
use crate::run;

/// Runs the command.
pub(super) async fn run(context: &mut Context, args: SpecArg) -> Result<Exit, Failure> {
    let connection = context.connect(Sandboxes::LeaveAlone).await?;
    let done = watch(context, &connection, &args.spec).await;
    closed(connection, done).await
}

async fn watch(
    context: &mut Context,
    connection: &Connection,
    prefix: &str,
) -> Result<Exit, Failure> {
    let client = &connection.client;
    let look = async { Ok(client.spec(find::spec(client, prefix).await?).await?) };
    let spec = context.interrupts.unless(look).await?;
    let sandbox = spec.sandbox_id.filter(|_| spec.status == SpecStatus::Executing);
    let run = Run { spec: spec.id, sandbox, after: None };
    run::show(context, connection, &spec, &[], run, OnInterrupt::Leave).await
}
