//! `board`: the tickets with their tasks, by where they stand.

use console::style;
use specwright_shared::phase::TicketPhase;
use specwright_shared::wire::ticket::{Board, Column, TaskView, TicketView};

use super::{Context, closed};
use crate::connect::{Connection, Sandboxes};
use crate::exit::{Exit, Failure};
use crate::find::short;
use crate::output::width;
use crate::report::{REHEARSAL, ticket_lines};
use crate::wording::count;

/// Runs the command.
pub(super) async fn run(context: &mut Context) -> Result<Exit, Failure> {
    let connection = context.connect(Sandboxes::LeaveAlone).await?;
    let done = board(context, &connection).await;
    closed(connection, done).await
}

async fn board(context: &mut Context, connection: &Connection) -> Result<Exit, Failure> {
    let fetch = async { Ok(connection.client.board(None).await?) };
    let board = context.interrupts.unless(fetch).await?;
    if context.global.json {
        context.out.json(&board);
    } else {
        lines(&board, width()).iter().for_each(|line| context.out.line(line));
    }
    Ok(Exit::Done)
}

/// The columns one below the other: four side by side leave no room for a title in a terminal.
fn lines(board: &Board, width: usize) -> Vec<String> {
    let all: Vec<TicketView> =
        board.columns.iter().flat_map(|column| &column.tickets).cloned().collect();
    board.columns.iter().flat_map(|column| column_lines(column, &all, width)).collect()
}

fn column_lines(column: &Column, all: &[TicketView], width: usize) -> Vec<String> {
    let more = if column.next.is_some() { " and more" } else { "" };
    let tickets = count(column.tickets.len(), "ticket") + more;
    let mut lines = vec![format!("{}  {tickets}", style(name(column.phase)).bold())];
    let mut spec = None;
    for ticket in &column.tickets {
        if spec.replace(ticket.spec_id) != Some(ticket.spec_id) {
            let label = if ticket.rehearsal { format!(" ({REHEARSAL})") } else { String::new() };
            lines.push(format!("  spec {}{label}", style(short(ticket.spec_id)).dim()));
        }
        // Keys are unique within a spec only.
        let of_spec: Vec<TicketView> =
            all.iter().filter(|other| other.spec_id == ticket.spec_id).cloned().collect();
        let tasks: Vec<&TaskView> = of_spec.iter().flat_map(|ticket| &ticket.tasks).collect();
        lines.extend(ticket_lines(ticket, &of_spec, &tasks, width));
    }
    if column.next.is_some() {
        let more = "  older tickets are not shown; `specwright show SPEC` shows those of a spec";
        lines.push(style(more).dim().to_string());
    }
    lines.push(String::new());
    lines
}

const fn name(phase: TicketPhase) -> &'static str {
    match phase {
        TicketPhase::PhaseInitial => "WAITING",
        TicketPhase::PhaseImplementation => "IMPLEMENTATION",
        TicketPhase::PhaseIntegration => "INTEGRATION",
        TicketPhase::PhaseRefactoring => "REFACTORING",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::sample;

    #[test]
    fn the_board_shows_every_column_with_tickets_tasks_and_label() {
        let columns = TicketPhase::ALL.map(|phase| {
            let mine = sample().tickets.into_iter().filter(|ticket| ticket.phase == phase);
            let next = (phase == TicketPhase::PhaseInitial).then(|| "a-place".to_owned());
            Column { phase, tickets: mine.collect(), next }
        });
        let board = Board { columns: columns.into() };
        let page = lines(&board, 80).join("\n");
        insta::assert_snapshot!(console::strip_ansi_codes(&page));
    }
}
