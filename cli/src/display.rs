//! How a run is shown while it goes on: live on a terminal, as plain lines elsewhere, or as JSON.
//!
//! Holds: plain lines and JSON have no colour, no bars and no cursor movements.

mod keys;
mod live;
mod row;

use console::style;
use serde_json::Value;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::event::EventView;

use crate::output::{Out, clean, fit, tell, width};
use crate::timeline::{Timeline, Told};
use crate::wording::duration;
use live::Live;

/// How much of one sentence a plain line shows; a log's reader wants lines, not pages.
const PLAIN_TEXT_WIDTH: usize = 160;

/// Where the run is shown.
pub(crate) enum Display {
    /// One JSON object per event.
    Json,
    /// One line per event.
    Plain,
    /// A line per phase, redrawn.
    Live(Box<Live>),
}

impl Display {
    /// The display that fits: JSON if asked for, live on a terminal that can move its cursor.
    pub(crate) fn choose(json: bool, smart_terminal: bool, title: &str) -> Self {
        if json {
            Self::Json
        } else if smart_terminal && console::Term::stdout().is_term() {
            Self::Live(Box::new(Live::start(title)))
        } else {
            Self::Plain
        }
    }

    /// Shows an event that the timeline has just taken in.
    pub(crate) fn event(
        &mut self,
        view: &EventView,
        told: Option<&Told>,
        timeline: &Timeline,
        out: &mut Out,
    ) {
        match self {
            Self::Json => out.json(&without_content(view)),
            Self::Plain => {
                for line in told.map(plain_lines).unwrap_or_default() {
                    out.line(line);
                }
            }
            Self::Live(live) => {
                for line in told
                    .filter(|told| told.wording.notable)
                    .map(terminal_lines)
                    .into_iter()
                    .flatten()
                {
                    live.print_above(&line);
                }
                live.show(timeline, view.event.at);
            }
        }
    }

    /// Shows that time goes on.
    pub(crate) fn tick(&mut self, timeline: &Timeline, now: Timestamp) {
        if let Self::Live(live) = self {
            live.show(timeline, now);
        }
    }

    /// Tells the person who is watching something that is no event.
    pub(crate) fn note(&mut self, text: &str) {
        match self {
            // The answer on stdout is for programs, or at least only about the run.
            Self::Json | Self::Plain => tell(format!("specwright: {text}")),
            Self::Live(live) => live.print_above(&style(text).bold().to_string()),
        }
    }

    /// Leaves the last state on the screen and gives the terminal back.
    pub(crate) fn end(&mut self, timeline: &Timeline, now: Timestamp) {
        if let Self::Live(live) = self {
            live.end(timeline, now);
        }
    }
}

/// The event as JSON; a document's text is left out, its path and digest say where it is.
fn without_content(view: &EventView) -> Value {
    // An event has string keys and finite numbers only: it cannot fail to encode.
    let mut value = serde_json::to_value(view).unwrap_or_default();
    if view.event.kind == "spec.artifact_created"
        && let Some(data) = value.get_mut("data").and_then(Value::as_object_mut)
    {
        data.remove("content");
    }
    value
}

fn plain_lines(told: &Told) -> Vec<String> {
    let phase = told.phase.map_or("run", |phase| phase.as_str());
    let text = fit(&told.wording.text, PLAIN_TEXT_WIDTH);
    let mut lines = vec![format!("{:>7}  {phase:<12}  {text}", duration(told.after_ms))];
    lines.extend(told.wording.details.iter().map(|detail| format!("{:23}- {}", "", clean(detail))));
    lines.extend(told.wording.command.iter().map(|one| format!("{:23}{}", "", clean(one))));
    lines
}

fn terminal_lines(told: &Told) -> Vec<String> {
    let phase = told.phase.map_or("run", |phase| phase.as_str());
    let columns = width();
    let first = fit(&format!("{phase}: {}", told.wording.text), columns);
    let details =
        told.wording.details.iter().map(|detail| fit(&format!("- {detail}"), columns - 2));
    std::iter::once(style(first).yellow().to_string())
        .chain(details.map(|detail| format!("  {}", style(detail).dim())))
        .chain(told.wording.command.iter().map(|one| format!("  {}", clean(one))))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use specwright_shared::phase::Phase;

    use super::*;
    use crate::wording::Wording;

    #[test]
    fn a_document_travels_in_json_without_its_text() {
        let view: EventView = serde_json::from_value(json!({
            "position": 1, "seq": 1, "id": uuid::Uuid::nil(), "type": "spec.artifact_created",
            "at": "2026-11-18T11:06:40.000001Z",
            "data": { "name": "design.md", "path": "/d/design.md", "content": "long" },
        }))
        .unwrap();
        let shown = without_content(&view);
        assert_eq!(shown["data"], json!({ "name": "design.md", "path": "/d/design.md" }));
        assert_eq!(shown["position"], 1);
    }

    #[test]
    fn a_plain_line_has_time_phase_and_words_and_nothing_else() {
        let wording = Wording {
            text: "said\n\x1b[31mred".into(),
            details: vec!["tasks[0]: bad".into()],
            command: Some("copy me".into()),
            notable: true,
        };
        let told = Told { after_ms: 12_000, phase: Some(Phase::Design), wording };
        assert_eq!(
            plain_lines(&told),
            [
                "    12s  design        said [31mred",
                "                       - tasks[0]: bad",
                "                       copy me"
            ]
        );
    }
}
