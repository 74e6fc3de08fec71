//! YAML front matter. Every value is written as a double-quoted scalar, so that no title, whatever
//! it holds, can end the block or become another key.

use std::fmt::Write as _;

use super::About;
use crate::documents::Document;

/// The block from `---` to `---`, each with its line break.
pub(super) fn front_matter(document: &Document, about: &About<'_>) -> String {
    let mut block = format!(
        "---\ntitle: {}\nspec_id: {}\nphase: {}\nat: {}\ndocument_sha256: {}\n",
        quoted(about.title),
        quoted(&about.spec_id.to_string()),
        quoted(document.phase().as_str()),
        quoted(&about.at.to_string()),
        quoted(&document.digest()),
    );
    if about.rehearsal {
        block.push_str("rehearsal: true\n");
    }
    block.push_str("---\n");
    block
}

/// A YAML double-quoted scalar on one line, printable characters only.
fn quoted(text: &str) -> String {
    let mut scalar = String::with_capacity(text.len() + 2);
    scalar.push('"');
    for character in text.chars() {
        match character {
            '"' => scalar.push_str("\\\""),
            '\\' => scalar.push_str("\\\\"),
            '\n' => scalar.push_str("\\n"),
            // Controls, YAML 1.1's own line breaks, direction marks and the byte order mark are
            // either not allowed or not visible: written as escapes, they are both.
            hidden
                if hidden.is_control()
                    || matches!(hidden, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
                    || matches!(hidden, '\u{2066}'..='\u{2069}' | '\u{61c}' | '\u{feff}') =>
            {
                // Writing to a `String` cannot fail.
                write!(scalar, "\\u{:04X}", u32::from(hidden)).unwrap_or_default();
            }
            plain => scalar.push(plain),
        }
    }
    scalar.push('"');
    scalar
}
