//! A run from its launch to its end, as `launch`, `resume` and `watch` show it.

use std::path::PathBuf;

use specwright_control_api::client::Client;
use specwright_shared::id::SpecId;
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::SpecStatus;
use specwright_shared::wire::sandbox::SandboxView;
use specwright_shared::wire::spec::{PhaseView, SpecView};

use crate::commands::Context;
use crate::connect::Connection;
use crate::display::Display;
use crate::exit::{Exit, Failure};
use crate::follow::{self, Followed, OnInterrupt, Run, follow};
use crate::output::{clean, tell, width};
use crate::report;
use crate::summary::{SpecState, Summary};
use crate::timeline::Timeline;

/// Shows a run to its end and says what has come of it.
pub(crate) async fn show(
    context: &mut Context,
    connection: &Connection,
    spec: &SpecView,
    stored: &[PhaseView],
    run: Run,
    on_interrupt: OnInterrupt,
) -> Result<Exit, Failure> {
    let json = context.global.json;
    if !json {
        context.out.line(format!("Spec {}", spec.id));
    }
    let mut timeline = Timeline::new(stored);
    let mut display = Display::choose(json, context.config.smart_terminal, &spec.title);
    let followed = follow(
        &connection.client,
        run,
        &mut timeline,
        &mut display,
        &mut context.out,
        &mut context.interrupts,
        on_interrupt,
    )
    .await;
    display.end(&timeline, follow::now());
    let followed = followed.inspect_err(|_| {
        tell(format!("specwright: the run of spec {} is no longer followed", spec.id));
    });
    let (sandbox, interrupted) = match followed? {
        Followed::Ended(sandbox) => (sandbox, false),
        Followed::Stopped(sandbox) => (sandbox, true),
        // A reader who goes away has seen enough; nothing went wrong.
        Followed::Left if context.out.is_closed() => return Ok(Exit::Done),
        Followed::Left => {
            tell(left(spec.id, on_interrupt));
            return Ok(Exit::Interrupted);
        }
    };
    let state = conclude(context, &connection.client, spec.id).await?;
    if let Some(failed) = sandbox.filter(|sandbox| sandbox.outcome != Some(Outcome::Succeeded)) {
        let log = connection.worker_log(failed.id);
        let text = failure(&state.spec, &failed, log);
        if json {
            tell(text.join("\n"))
        } else {
            text.iter().for_each(|line| context.out.line(line))
        }
        return Ok(if interrupted { Exit::Interrupted } else { Exit::Failed });
    }
    Ok(if state.spec.status == SpecStatus::Failed { Exit::Failed } else { Exit::Done })
}

async fn conclude(
    context: &mut Context,
    client: &Client,
    spec: SpecId,
) -> Result<SpecState, Failure> {
    let state = SpecState::fetch(client, spec).await?;
    if context.global.json {
        context.out.json(&Summary::from(&state));
    } else {
        report::end_of_run(&state, width()).iter().for_each(|line| context.out.line(line));
    }
    Ok(state)
}

/// Why it failed, where to read more, and how to go on.
fn failure(spec: &SpecView, sandbox: &SandboxView, log: Option<PathBuf>) -> Vec<String> {
    let outcome = sandbox.outcome.map_or("unknown", Outcome::as_str);
    let cause = sandbox.message.as_deref().or(spec.message.as_deref());
    let cause = cause.map_or_else(|| "no reason was given".to_owned(), clean);
    let mut lines = vec![
        String::new(),
        format!("The run ended at {} ({outcome}): {cause}", spec.current_phase),
    ];
    lines.extend(log.map(|log| format!("  the worker's log: {}", log.display())));
    lines.push(format!("  to go on: specwright resume {}", spec.id));
    lines
}

fn left(spec: SpecId, on_interrupt: OnInterrupt) -> String {
    match on_interrupt {
        OnInterrupt::Stop => format!("to go on: specwright resume {spec}"),
        OnInterrupt::Leave => format!("the run goes on; to stop it: specwright stop {spec}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::summary::tests::sample;

    #[test]
    fn a_failed_run_says_why_where_to_read_more_and_how_to_go_on() {
        let spec = sample().spec;
        let sandbox: SandboxView = serde_json::from_value(json!({
            "id": uuid::Uuid::nil(), "spec_id": spec.id, "state": "ended", "provider": "local",
            "generation": 1, "agent": "claude", "acked": 3, "outcome": "lost",
            "message": "the worker ended by signal 9", "created_at": "2026-11-18T11:06:40.000001Z",
        }))
        .unwrap();
        let lines = failure(&spec, &sandbox, Some("/d/worker.log".into()));
        assert!(lines[1].ends_with("(lost): the worker ended by signal 9"), "{}", lines[1]);
        assert_eq!(lines[2], "  the worker's log: /d/worker.log");
        assert_eq!(lines[3], format!("  to go on: specwright resume {}", spec.id));
    }
}
