//! `hold`: keeps a sandbox from being ended for a verdict, so that a person can look into it.
//! `release`: lets it go again.

use std::time::{Duration, SystemTime};

use specwright_shared::text::Line;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::sandbox::SandboxView;
use specwright_shared::wire::watch::NewHold;

use super::{Context, closed};
use crate::args::RunArg;
use crate::args::steering::HoldArgs;
use crate::connect::Sandboxes;
use crate::exit::{Exit, Failure};
use crate::find;

/// Runs `hold`.
pub(super) async fn run(context: &mut Context, args: HoldArgs) -> Result<Exit, Failure> {
    let reason = Line::new(args.because)
        .map_err(|error| Failure::new(Exit::Usage, format!("--because {error}")))?;
    let time = Duration::from_secs(args.minutes * 60);
    let new = NewHold { until: Timestamp::from(SystemTime::now()).plus(time), reason };
    set(context, &args.of, Some(&new)).await
}

/// Runs `release`.
pub(super) async fn release(context: &mut Context, args: RunArg) -> Result<Exit, Failure> {
    set(context, &args.of, None).await
}

async fn set(context: &mut Context, of: &str, hold: Option<&NewHold>) -> Result<Exit, Failure> {
    let connection = context.connect(Sandboxes::LeaveAlone).await?;
    let client = &connection.client;
    let work = async {
        let id = find::sandbox(client, of).await?;
        let sandbox = match hold {
            Some(hold) => client.hold(id, hold).await?,
            None => client.release(id).await?,
        };
        Ok(sandbox)
    };
    let done = context.interrupts.unless(work).await.map(|sandbox| {
        if context.global.json {
            context.out.json(&sandbox);
        } else {
            context.out.line(in_words(&sandbox));
        }
        Exit::Done
    });
    closed(connection, done).await
}

fn in_words(sandbox: &SandboxView) -> String {
    let id = sandbox.id;
    match &sandbox.hold {
        Some(hold) => {
            format!("held until {}; to let it go earlier: specwright release {id}", hold.until)
        }
        None => "nobody holds it; what its verdict asks for is done".to_owned(),
    }
}
