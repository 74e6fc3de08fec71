//! `list`: the specs, newest first.

use std::collections::HashMap;

use specwright_control_api::client::SpecFilter;
use specwright_shared::liveness::VerdictKind;
use specwright_shared::wire::spec::SpecView;

use super::{Context, closed};
use crate::connect::{Connection, Sandboxes};
use crate::exit::{Exit, Failure};
use crate::find::{SHORT_ID, short};
use crate::output::{cell, fit, width};
use crate::summary::is_rehearsal;

/// Runs the command.
pub(super) async fn run(context: &mut Context) -> Result<Exit, Failure> {
    let connection = context.connect(Sandboxes::LeaveAlone).await?;
    let done = list(context, &connection).await;
    closed(connection, done).await
}

async fn list(context: &mut Context, connection: &Connection) -> Result<Exit, Failure> {
    let fetch = async {
        let specs = connection.client.specs(SpecFilter::default()).await?;
        let mut at = HashMap::new();
        // What each run is at; a list of nothing but drafts needs no more questions.
        for id in specs.iter().filter_map(|spec| spec.sandbox_id).take(VERDICTS_MAX) {
            let verdict = connection.client.sandbox(id).await?.verdict;
            at.extend(verdict.map(|verdict| (id, verdict.kind)));
        }
        Ok((specs, at))
    };
    let (mut specs, at) = context.interrupts.unless(fetch).await?;
    specs.sort_by_key(|spec| std::cmp::Reverse((spec.created_at, spec.id)));
    if context.global.json {
        context.out.json(&specs);
    } else if specs.is_empty() {
        context.out.line("No specs yet; `specwright launch \"IDEA\"` makes one.");
    } else {
        let columns = width();
        context.out.line(row(["SPEC", "STATUS", "PHASE", "CREATED (UTC)", "TITLE"], columns));
        for spec in &specs {
            let verdict = spec.sandbox_id.and_then(|id| at.get(&id).copied());
            context.out.line(spec_row(spec, verdict, columns));
        }
    }
    Ok(Exit::Done)
}

fn spec_row(spec: &SpecView, verdict: Option<VerdictKind>, columns: usize) -> String {
    // `2026-11-18T11:06:40.000001Z`: date and minute are what a person looks for.
    let created = spec.created_at.to_string().replacen('T', " ", 1);
    let label = if is_rehearsal(spec) { "[rehearsal] " } else { "" };
    // That a run gets on goes without saying.
    let at = verdict.filter(|kind| *kind != VerdictKind::Working);
    let at = at.map(|kind| format!("[{kind}] ")).unwrap_or_default();
    let cells = [
        &short(spec.id),
        spec.status.as_str(),
        spec.current_phase.as_str(),
        created.get(..16).unwrap_or_default(),
        &format!("{at}{label}{}", spec.title),
    ];
    row(cells, columns)
}

/// For so many runs it is asked what they are at: more are not looked through by eye.
const VERDICTS_MAX: usize = 100;

fn row([id, status, phase, created, title]: [&str; 5], columns: usize) -> String {
    let widths = [SHORT_ID, 9, 12, 16];
    let fixed: String = [id, status, phase, created]
        .into_iter()
        .zip(widths)
        .map(|(text, width)| cell(text, width) + "  ")
        .collect();
    let rest = columns.saturating_sub(fixed.len());
    format!("{fixed}{}", fit(title, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::sample;

    #[test]
    fn a_row_stands_below_its_heads_and_fits_the_terminal() {
        let mut spec = sample().spec;
        spec.title = "a title that is far too long for a row in a terminal".into();
        let head = row(["SPEC", "STATUS", "PHASE", "CREATED (UTC)", "TITLE"], 80);
        let shown = spec_row(&spec, None, 80);
        assert_eq!(head, "SPEC           STATUS     PHASE         CREATED (UTC)     TITLE");
        assert_eq!(
            shown,
            "00000000-0000  completed  complete      2026-11-18 11:06  [rehearsal] a title t…"
        );
    }

    #[test]
    fn a_run_that_does_not_get_on_says_what_it_is_at() {
        let spec = sample().spec;
        let at = |kind| spec_row(&spec, Some(kind), 120).contains("[stuck] ");
        assert!(at(VerdictKind::Stuck) && !at(VerdictKind::Working));
    }
}
