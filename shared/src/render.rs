//! A document as Markdown for people: front matter, headings, tables, Mermaid.
//!
//! Holds: file names are chosen here, never by a model; text from a model cannot end a fence of
//! ours, start raw HTML, leave its table cell or break the front matter; a rehearsal says so in the
//! front matter and in a visible line. The same document gives the same text.

mod design;
mod explore;
mod front_matter;
mod markdown;
mod mermaid;
mod requirements;
mod sync;
mod tasks;
#[cfg(test)]
mod tests;

use crate::documents::Document;
use crate::id::SpecId;
use crate::phase::Phase;
use crate::time::Timestamp;

/// The visible line in a document that no model had a hand in.
pub const REHEARSAL_LINE: &str = "> rehearsal: no model was used";

/// What a rendered document says about where it comes from.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The spec.
    pub spec_id: SpecId,
    /// Its title.
    pub title: &'a str,
    /// Whether the rehearsal agent made it.
    pub rehearsal: bool,
    /// When it was accepted.
    pub at: Timestamp,
}

/// A rendered document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// A safe file name, e.g. `requirements.md`.
    pub name: String,
    /// The text, ending with a line break.
    pub content: String,
}

/// Renders a document. One file each today; a list, so that a document may become several.
#[must_use]
pub fn render(document: &Document, about: &About<'_>) -> Vec<Rendered> {
    let phase = document.phase();
    let (heading, body) = match document {
        Document::Explore(explore) => ("Exploration", explore::body(explore)),
        Document::Requirements(requirements) => ("Requirements", requirements::body(requirements)),
        Document::Design(design) => ("Design", design::body(design)),
        Document::Tasks(tasks) => ("Tickets and tasks", tasks::body(tasks)),
        Document::Sync(sync) => ("Coverage and order", sync::body(sync)),
    };
    let mut content = front_matter::front_matter(document, about);
    content.push_str(&format!("\n# {heading}: {}\n\n", markdown::inline(about.title)));
    if about.rehearsal {
        content.push_str(REHEARSAL_LINE);
        content.push_str("\n\n");
    }
    content.push_str(body.trim_end());
    content.push('\n');
    vec![Rendered { name: file_name(phase).to_owned(), content }]
}

/// The file name of a phase's document.
const fn file_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Explore => "explore.md",
        Phase::Requirements => "requirements.md",
        Phase::Design => "design.md",
        Phase::Tasks => "tasks.md",
        // `complete` has no document; no `Document` can say it.
        Phase::Sync | Phase::Complete => "sync.md",
    }
}
