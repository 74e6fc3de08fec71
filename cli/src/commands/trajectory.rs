//! `trajectory`: what an agent has done so far, condensed.

use super::{Context, closed};
use crate::args::steering::TrajectoryArgs;
use crate::connect::{Connection, Sandboxes};
use crate::exit::{Exit, Failure};
use crate::find;
use crate::wording;

/// Runs the command.
pub(super) async fn run(context: &mut Context, args: TrajectoryArgs) -> Result<Exit, Failure> {
    let connection = context.connect(Sandboxes::LeaveAlone).await?;
    let done = show(context, &connection, &args).await;
    closed(connection, done).await
}

async fn show(
    context: &mut Context,
    connection: &Connection,
    args: &TrajectoryArgs,
) -> Result<Exit, Failure> {
    let client = &connection.client;
    let work = async {
        let id = find::sandbox(client, &args.of).await?;
        Ok(client.trajectory(id, args.since.as_deref()).await?)
    };
    let trajectory = context.interrupts.unless(work).await?;
    if context.global.json {
        context.out.json(&trajectory);
        return Ok(Exit::Done);
    }
    if let Some(seq) = trajectory.left_out_to {
        context.out.line(format!("(what was done up to event {seq} is left out)"));
    }
    for step in &trajectory.steps {
        context.out.line(&step.text);
    }
    for call in &trajectory.open {
        context.out.line(format!("at work: {call}"));
    }
    for done in &trajectory.interventions {
        let outcome = done.outcome.map_or("not judged yet", |outcome| outcome.as_str());
        context.out.line(format!("{} by {}: {}: {outcome}", done.kind, done.by, done.reason));
    }
    context.out.line(format!(
        "{} so far; for what comes now: specwright trajectory {} --since {}",
        wording::cost(trajectory.spend.cost_usd),
        args.of,
        trajectory.next
    ));
    Ok(Exit::Done)
}
