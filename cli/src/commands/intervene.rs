//! `intervene`: does something to a run as a guardian, within the ceilings that hold for guardians.

use specwright_shared::text::Line;
use specwright_shared::wire::intervention::{EvidenceText, NewIntervention};
use specwright_shared::wire::message::MessageText;
use uuid::Uuid;

use super::{Context, closed};
use crate::args::steering::InterveneArgs;
use crate::connect::{Connection, Sandboxes};
use crate::exit::{Exit, Failure};
use crate::find;

/// Runs the command.
pub(super) async fn run(context: &mut Context, args: InterveneArgs) -> Result<Exit, Failure> {
    let wrong = |what: &str, error| Failure::new(Exit::Usage, format!("{what} {error}"));
    let new = NewIntervention {
        kind: args.kind,
        reason: Line::new(args.because).map_err(|error| wrong("--because", error))?,
        evidence: EvidenceText::new(args.evidence).map_err(|error| wrong("--evidence", error))?,
        message: args
            .message
            .map(|text| MessageText::new(text).map_err(|error| wrong("--message", error)))
            .transpose()?,
    };
    let connection = context.connect(Sandboxes::LeaveAlone).await?;
    let done = intervene(context, &connection, &args.to, &new).await;
    closed(connection, done).await
}

async fn intervene(
    context: &mut Context,
    connection: &Connection,
    to: &str,
    new: &NewIntervention,
) -> Result<Exit, Failure> {
    let client = &connection.client;
    let work = async {
        let id = find::sandbox(client, to).await?;
        Ok(client.intervene(id, &Uuid::now_v7().to_string(), new).await?)
    };
    let done = context.interrupts.unless(work).await?;
    if context.global.json {
        context.out.json(&done);
    } else {
        context.out.line(format!(
            "{} stored as {}; what came of it will be judged by {}",
            done.kind, done.id, done.judged_by
        ));
    }
    Ok(Exit::Done)
}
