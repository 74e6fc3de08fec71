//! `resume`: goes on with a spec, from the first phase that was not accepted or from a given one.

use specwright_shared::wire::spec::{Launched, RunOptions};

use super::launch::{agent_name, here, line};
use super::{Context, closed};
use crate::args::ResumeArgs;
use crate::check::agent::Agent;
use crate::connect::{Connection, Sandboxes};
use crate::exit::{Exit, Failure};
use crate::find;
use crate::follow::{OnInterrupt, Run};
use crate::run;

/// Runs the command.
pub(super) async fn run(context: &mut Context, args: ResumeArgs) -> Result<Exit, Failure> {
    if context.global.server.is_none() {
        context.config.check_limits(args.model.as_deref())?;
    }
    let connection = context.connect(Sandboxes::EndWithUs).await?;
    let done = resume(context, &connection, args).await;
    closed(connection, done).await
}

async fn resume(
    context: &mut Context,
    connection: &Connection,
    args: ResumeArgs,
) -> Result<Exit, Failure> {
    let client = &connection.client;
    let embedded = context.global.server.is_none();
    let (config, interrupts) = (&context.config, &mut context.interrupts);
    let prepare = async {
        let before = client.spec(find::spec(client, &args.spec).await?).await?;
        let phases = client.phases(before.id).await?;
        // The same agent as last time, unless another is asked for.
        let word = args.agent.as_deref().or(before.agent.as_deref()).unwrap_or("claude");
        let agent = Agent::named(word, &here()?);
        if embedded {
            agent.ready(config).await?;
        }
        Ok((before, phases, agent))
    };
    let (before, phases, agent) = interrupts.unless(prepare).await?;
    let options = RunOptions {
        agent: Some(agent_name(&agent)?),
        model: args.model.map(|model| line("--model", model)).transpose()?,
        from: args.from,
        until: args.until,
        restarts: args.restarts,
        guardian: args.guardian.then_some(true),
    };
    // Not to be broken off, as in `launch`.
    let Launched { spec, sandbox_id } = client.execute(before.id, &options).await?;
    // What happened before is known; an event's position is the cursor behind it.
    let after = (before.events > 0).then(|| before.events.to_string());
    let run = Run { spec: spec.id, sandbox: Some(sandbox_id), after };
    run::show(context, connection, &spec, &phases, run, OnInterrupt::Stop).await
}
