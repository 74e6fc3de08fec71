//! `stop`: asks a run to stop, and waits until its agent is gone.

use std::time::Duration;

use specwright_control_api::client::Client;
use specwright_shared::id::SpecId;
use specwright_shared::phase::SpecStatus;
use specwright_shared::text::Line;
use specwright_shared::wire::spec::{Cancel, SpecView};
use tokio::time::Instant;

use super::{Context, closed};
use crate::args::steering::StopArgs;
use crate::connect::{Connection, Sandboxes};
use crate::exit::{Exit, Failure};
use crate::find;

/// How long a run may take to stop: the worker ends its agent and reports within ten seconds.
const STOP_WAIT: Duration = Duration::from_secs(30);

/// How long one request waits for events.
const WAIT: Duration = Duration::from_secs(2);

/// Runs the command.
pub(super) async fn run(context: &mut Context, args: StopArgs) -> Result<Exit, Failure> {
    let connection = context.connect(Sandboxes::LeaveAlone).await?;
    let done = stop(context, &connection, &args).await;
    closed(connection, done).await
}

async fn stop(
    context: &mut Context,
    connection: &Connection,
    args: &StopArgs,
) -> Result<Exit, Failure> {
    let client = &connection.client;
    let work = async {
        let id = find::spec(client, &args.spec).await?;
        let reason = Line::fitted("stopped by `specwright stop`");
        let spec = client.cancel(id, &Cancel { reason, force: args.force }).await?;
        wait(client, id, spec).await
    };
    let spec = context.interrupts.unless(work).await?;
    if context.global.json {
        context.out.json(&spec);
    } else {
        context.out.line(format!("stopped; to go on: specwright resume {}", spec.id));
    }
    Ok(Exit::Done)
}

/// Waits until nothing is at work on the spec.
async fn wait(client: &Client, id: SpecId, mut spec: SpecView) -> Result<SpecView, Failure> {
    let patience = Instant::now() + STOP_WAIT;
    let mut after = (spec.events > 0).then(|| spec.events.to_string());
    while spec.status == SpecStatus::Executing {
        if Instant::now() >= patience {
            let sentence = format!(
                "the run of spec {id} was asked to stop and is still at work after {} s; its \
                 worker may report to a control API that is gone. `specwright stop --force {id}` \
                 ends it at once",
                STOP_WAIT.as_secs()
            );
            return Err(Failure::new(Exit::Failed, sentence));
        }
        let page = client.events(id, after.as_deref(), WAIT).await?;
        after = page.next.or(after);
        spec = client.spec(id).await?;
    }
    Ok(spec)
}
