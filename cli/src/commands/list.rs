//! `list`: the specs, newest first.

use specwright_control_api::client::SpecFilter;
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
    let fetch = async { Ok(connection.client.specs(SpecFilter::default()).await?) };
    let mut specs = context.interrupts.unless(fetch).await?;
    specs.sort_by_key(|spec| std::cmp::Reverse((spec.created_at, spec.id)));
    if context.global.json {
        context.out.json(&specs);
    } else if specs.is_empty() {
        context.out.line("No specs yet; `specwright launch \"IDEA\"` makes one.");
    } else {
        let columns = width();
        context.out.line(row(["SPEC", "STATUS", "PHASE", "CREATED (UTC)", "TITLE"], columns));
        for spec in &specs {
            context.out.line(spec_row(spec, columns));
        }
    }
    Ok(Exit::Done)
}

fn spec_row(spec: &SpecView, columns: usize) -> String {
    // `2026-11-18T11:06:40.000001Z`: date and minute are what a person looks for.
    let created = spec.created_at.to_string().replacen('T', " ", 1);
    let label = if is_rehearsal(spec) { "[rehearsal] " } else { "" };
    let cells = [
        &short(spec.id),
        spec.status.as_str(),
        spec.current_phase.as_str(),
        created.get(..16).unwrap_or_default(),
        &format!("{label}{}", spec.title),
    ];
    row(cells, columns)
}

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
        let shown = spec_row(&spec, 80);
        assert_eq!(head, "SPEC           STATUS     PHASE         CREATED (UTC)     TITLE");
        assert_eq!(
            shown,
            "00000000-0000  completed  complete      2026-11-18 11:06  [rehearsal] a title t…"
        );
    }
}
