//! `launch`: an idea through all phases.
//!
//! Holds: the repository and the agent are checked before anything is started or stored.

use std::path::PathBuf;

use specwright_shared::text::{Line, Text, TextError};
use specwright_shared::wire::spec::{Idea, Launch, Launched, NewSpec, RunOptions};

use super::{Context, closed};
use crate::args::LaunchArgs;
use crate::check::agent::Agent;
use crate::check::repository;
use crate::connect::{Connection, Sandboxes, same_machine};
use crate::exit::{Exit, Failure};
use crate::find;
use crate::follow::{OnInterrupt, Run};
use crate::run;

/// Runs the command.
pub(super) async fn run(context: &mut Context, args: LaunchArgs) -> Result<Exit, Failure> {
    let project = args.project.clone();
    let mut launch = prepare(context, args).await?;
    let connection = context.connect(Sandboxes::EndWithUs).await?;
    let done = async {
        launch.spec.project_id =
            find::project_given(&connection.client, project.as_deref()).await?;
        launch_and_show(context, &connection, &launch).await
    }
    .await;
    closed(connection, done).await
}

async fn prepare(context: &mut Context, args: LaunchArgs) -> Result<Launch, Failure> {
    let here = here()?;
    let server = context.global.server.as_deref();
    let same_machine = same_machine(server)?;
    let (config, interrupts) = (&context.config, &mut context.interrupts);
    let find = async {
        Ok(repository::resolve(args.repo.as_deref(), &here, same_machine, &config.path).await?)
    };
    let repository = interrupts.unless(find).await?;
    let agent = Agent::named(&args.agent.agent, &here);
    if server.is_none() {
        // Elsewhere the agent works where the control API says, with the key that is there.
        config.check_limits(args.model.as_deref())?;
        interrupts.unless(async { Ok(agent.ready(config).await?) }).await?;
    }
    let spec = NewSpec {
        project_id: None,
        title: args.title.map(|title| line("--title", title)).transpose()?,
        description: Idea::new(args.idea).map_err(|error| refused("the idea", &error))?,
        repository: Some(Text::new(repository).map_err(|error| refused("--repo", &error))?),
    };
    let run = RunOptions {
        agent: Some(agent_name(&agent)?),
        model: args.model.map(|model| line("--model", model)).transpose()?,
        from: None,
        until: args.until,
        restarts: args.restarts,
        guardian: args.guardian.then_some(true),
    };
    Ok(Launch { spec, run })
}

async fn launch_and_show(
    context: &mut Context,
    connection: &Connection,
    launch: &Launch,
) -> Result<Exit, Failure> {
    // Not to be broken off: a run that was started has to be known, to be stopped. A Ctrl-C until
    // then is seen as soon as it is.
    let Launched { spec, sandbox_id } = connection.client.launch(launch).await?;
    let run = Run { spec: spec.id, sandbox: Some(sandbox_id), after: None };
    run::show(context, connection, &spec, &[], run, OnInterrupt::Stop).await
}

/// The current directory.
pub(super) fn here() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(|error| {
        let sentence = format!("the current directory cannot be read ({error}); go into another");
        Failure::new(Exit::Usage, sentence)
    })
}

/// The agent as the control API takes it.
pub(super) fn agent_name(agent: &Agent) -> Result<Text<4096>, Failure> {
    Text::new(agent.wire_name()).map_err(|error| refused("--agent", &error))
}

/// An option that is one line of text.
pub(super) fn line(option: &str, text: String) -> Result<Line, Failure> {
    Line::new(text).map_err(|error| refused(option, &error))
}

fn refused(what: &str, error: &TextError) -> Failure {
    Failure::new(Exit::Usage, format!("{what} {error}"))
}
