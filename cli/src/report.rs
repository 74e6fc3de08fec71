//! A spec as text: the end of a run, and `show`. Pure; every line fits the width it is given.

mod liveness;

use std::path::Path;

use console::style;
use specwright_shared::id::TaskId;
use specwright_shared::phase::{PhaseStatus, SpecStatus};
use specwright_shared::wire::spec::{PhaseView, SpecView};
use specwright_shared::wire::ticket::{TaskView, TicketView};

use crate::output::{cell, clean, fit, wrapped};
use crate::summary::SpecState;
use crate::wording::{cost, count, duration};

/// What stands wherever the rehearsal agent did the work.
pub(crate) const REHEARSAL: &str = "rehearsal: no model was used";

/// How many lines of an idea are shown.
const IDEA_LINES: usize = 6;

/// The end of a run.
pub(crate) fn end_of_run(state: &SpecState, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    lines.extend(documents(state));
    lines.extend(tickets(state, width));
    lines.extend(totals(state));
    lines
}

/// Everything about a spec.
pub(crate) fn whole(state: &SpecState, width: usize) -> Vec<String> {
    let spec = &state.spec;
    let mut lines = vec![style(fit(&spec.title, width)).bold().to_string()];
    let idea = wrapped(&spec.description, width - 2);
    lines.extend(idea.iter().take(IDEA_LINES).map(|line| format!("  {line}")));
    if idea.len() > IDEA_LINES {
        lines.push("  …".to_owned());
    }
    lines.push(String::new());
    lines.push(format!("Status      {}", standing(spec)));
    if let Some(message) = spec.message.as_deref() {
        lines.extend(wrapped(message, width - 12).iter().map(|line| format!("{:12}{line}", "")));
    }
    if let Some(repository) = &spec.repository {
        lines.push(format!("Repository  {}", clean(repository)));
    }
    if let Some(sandbox) = spec.sandbox_id {
        lines.push(format!("Sandbox     {sandbox}"));
    }
    lines.extend(state.sandbox.iter().flat_map(|sandbox| liveness::lines(sandbox, width)));
    lines.push(String::new());
    lines.push(heading("Phases"));
    lines.extend(state.phases.iter().flat_map(|view| phase(view, width)));
    lines.push(String::new());
    lines.extend(documents(state));
    lines.extend(tickets(state, width));
    lines.extend(totals(state));
    lines
}

/// The status in words, with the phase where that says more.
pub(crate) fn standing(spec: &SpecView) -> String {
    match (spec.status, spec.reason) {
        (SpecStatus::Completed, _) => style("completed").green().to_string(),
        (SpecStatus::Executing, _) => format!("executing, at {}", spec.current_phase),
        (SpecStatus::Draft, None) => "draft".to_owned(),
        (SpecStatus::Draft, Some(_)) => format!("draft, next is {}", spec.current_phase),
        (SpecStatus::Failed, None) => style("failed").red().to_string(),
        (SpecStatus::Failed, Some(why)) => {
            format!("{} ({why}), at {}", style("failed").red(), spec.current_phase)
        }
    }
}

fn heading(text: &str) -> String {
    style(text).bold().to_string()
}

fn phase(view: &PhaseView, width: usize) -> Vec<String> {
    let mark = match view.status {
        PhaseStatus::Accepted => style("✓").green().to_string(),
        PhaseStatus::Failed => style("✗").red().to_string(),
        PhaseStatus::Running => style("…").cyan().to_string(),
        PhaseStatus::Pending => " ".to_owned(),
    };
    let mut facts = vec![view.status.as_str().to_owned()];
    if view.attempts > 0 {
        facts.push(count(usize::from(view.attempts), "attempt"));
        facts.extend(view.score.map(|score| format!("score {score:.2}")));
        facts.push(cost(view.cost_usd));
        facts.push(duration(view.duration_ms));
    }
    let mut lines = vec![format!("{mark} {} {}", cell(view.phase.as_str(), 12), facts.join(", "))];
    if view.status == PhaseStatus::Failed {
        let findings = view.findings.iter();
        lines.extend(
            findings
                .map(|f| fit(&format!("{}: {}", f.at, f.message), width - 4))
                .map(|finding| format!("    {finding}")),
        );
    }
    lines
}

fn documents(state: &SpecState) -> Vec<String> {
    if state.documents.is_empty() {
        return vec![];
    }
    // They are in one directory; a path in full on every line would not fit the terminal. Paths are
    // never cut: they are there to be copied.
    let mut lines = vec![];
    let mut directory = None;
    for document in state.documents.iter().filter(|document| !document.path.is_empty()) {
        let path = Path::new(&document.path);
        let above = path.parent();
        if directory != Some(above) {
            let place = above.map(|above| clean(&above.display().to_string()));
            lines.push(heading("Documents"));
            lines.push(format!("  {}/", place.unwrap_or_default()));
            directory = Some(above);
        }
        let name = path.file_name().unwrap_or(path.as_os_str());
        lines.push(format!("    {}", clean(&name.display().to_string())));
    }
    let in_no_file = state.documents.iter().filter(|document| document.path.is_empty());
    let names: Vec<_> = in_no_file.map(|document| clean(&document.name)).collect();
    if !names.is_empty() {
        lines.push(heading("Documents that could not be written to a file"));
        lines.extend(names.iter().map(|name| format!("    {name}")));
    }
    lines.push(String::new());
    lines
}

fn tickets(state: &SpecState, width: usize) -> Vec<String> {
    if state.tickets.is_empty() {
        return vec![];
    }
    let all: Vec<&TaskView> = state.tickets.iter().flat_map(|ticket| &ticket.tasks).collect();
    let mut lines = vec![heading("Tickets")];
    for ticket in &state.tickets {
        lines.extend(ticket_lines(ticket, &state.tickets, &all, width));
    }
    lines.push(String::new());
    lines
}

/// A ticket and its tasks, each with what must be done before it.
pub(crate) fn ticket_lines(
    ticket: &TicketView,
    tickets: &[TicketView],
    tasks: &[&TaskView],
    width: usize,
) -> Vec<String> {
    let before: Vec<&str> = ticket
        .depends_on
        .iter()
        .filter_map(|id| tickets.iter().find(|other| other.id == *id))
        .map(|other| other.local_id.as_str())
        .collect();
    let key = clean(&ticket.local_id);
    let facts =
        format!("{} {}{}", ticket.priority.as_str(), clean(&ticket.estimate), after(&before));
    let mut lines =
        entry("  ", &style(&key).cyan().to_string(), &key, &ticket.title, &facts, width);
    for task in &ticket.tasks {
        let before: Vec<&str> =
            task.depends_on.iter().filter_map(|id| key_of(*id, tasks)).collect();
        let key = clean(&task.local_id);
        lines.extend(entry("    ", &key, &key, &task.title, after(&before).trim_start(), width));
    }
    lines
}

fn key_of<'a>(id: TaskId, tasks: &[&'a TaskView]) -> Option<&'a str> {
    tasks.iter().find(|task| task.id == id).map(|task| task.local_id.as_str())
}

fn after(keys: &[&str]) -> String {
    if keys.is_empty() { String::new() } else { format!(" after {}", keys.join(", ")) }
}

/// A key, its title over as many lines as it needs, and facts behind it, in brackets.
fn entry(
    indent: &str,
    shown_key: &str,
    key: &str,
    title: &str,
    facts: &str,
    width: usize,
) -> Vec<String> {
    let hang = indent.len() + console::measure_text_width(key) + 2;
    let facts = if facts.is_empty() { String::new() } else { format!(" [{facts}]") };
    let text = format!("{}{facts}", clean(title));
    let mut lines = wrapped(&text, width.saturating_sub(hang)).into_iter();
    let first = format!("{indent}{shown_key}  {}", lines.next().unwrap_or_default());
    std::iter::once(first).chain(lines.map(|line| format!("{:hang$}{line}", ""))).collect()
}

fn totals(state: &SpecState) -> Vec<String> {
    let spec = &state.spec;
    let mut lines = vec![];
    if let Some(coverage) = spec.coverage {
        lines.push(format!(
            "Coverage    {} of {} met by tasks",
            coverage.covered,
            count(coverage.requirements, "requirement")
        ));
    }
    let label = if state.is_rehearsal() { format!(" ({REHEARSAL})") } else { String::new() };
    lines.push(format!("Cost        {}{label}", cost(spec.cost_usd)));
    lines.push(format!("Spec        {} {}", spec.id, style(spec.status).bold()));
    lines
}

#[cfg(test)]
mod tests {
    use console::measure_text_width;

    use super::*;
    use crate::summary::tests::sample;

    /// A page of text as a pipe would get it.
    fn plain(lines: &[String]) -> String {
        console::strip_ansi_codes(&lines.join("\n")).into_owned()
    }

    #[test]
    fn the_end_of_a_run_has_documents_tickets_coverage_cost_and_label() {
        insta::assert_snapshot!(plain(&end_of_run(&sample(), 80)));
    }

    #[test]
    fn a_spec_is_shown_whole() {
        insta::assert_snapshot!(plain(&whole(&sample(), 80)));
    }

    #[test]
    fn a_document_that_is_in_no_file_is_named_as_such() {
        let mut state = sample();
        state.documents[0].path.clear();
        let page = plain(&end_of_run(&state, 80));
        let (_, named) = page.split_once("could not be written to a file").unwrap();
        assert!(named.trim_start().starts_with(&state.documents[0].name), "{page}");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut state = sample();
        state.spec.title = "a title that goes on and on ".repeat(7);
        state.spec.description = "an idea that goes on and on ".repeat(70);
        state.spec.message = Some("a reason that goes on and on ".repeat(7));
        state.tickets[0].title = "a ticket that goes on and on ".repeat(7);
        state.tickets[0].tasks[1].title = "日本語の題名 that goes on and on ".repeat(5);
        for line in whole(&state, 80) {
            assert!(measure_text_width(&line) <= 80, "{line}");
        }
    }
}
