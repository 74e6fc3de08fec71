//! Text to stdout and stderr.
//!
//! Holds: a reader who went away (`| head`) is not an error and never a panic; text of a person or a
//! model cannot move the cursor, colour the screen or turn the line around.

use std::io::{self, ErrorKind, Write as _};

use console::{measure_text_width, truncate_str};
use serde::Serialize;

/// Where a command's answer goes.
#[derive(Debug, Default)]
pub(crate) struct Out {
    /// The first write that failed; nothing is written after it.
    fault: Option<io::Error>,
}

impl Out {
    /// Writes a line.
    pub(crate) fn line(&mut self, line: impl AsRef<str>) {
        if self.fault.is_some() {
            return;
        }
        let mut stdout = io::stdout().lock();
        let written = stdout
            .write_all(line.as_ref().as_bytes())
            .and_then(|()| stdout.write_all(b"\n"))
            .and_then(|()| stdout.flush());
        self.fault = written.err();
    }

    /// Writes a value as one line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(line) => self.line(line),
            Err(error) => self.fault = Some(error.into()),
        }
    }

    /// Whether nobody reads any more.
    pub(crate) const fn is_closed(&self) -> bool {
        self.fault.is_some()
    }

    /// What went wrong, unless the reader just went away.
    pub(crate) fn into_fault(self) -> Option<io::Error> {
        self.fault.filter(|fault| fault.kind() != ErrorKind::BrokenPipe)
    }
}

/// Writes lines to stderr. There is nobody left to tell when that fails.
pub(crate) fn tell(lines: impl AsRef<str>) {
    drop(writeln!(io::stderr().lock(), "{}", harmless(lines.as_ref())));
}

/// The same lines without what could steer the terminal; a refusal may quote anything.
fn harmless(lines: &str) -> String {
    let shown = lines.chars().filter(|c| !turns_or_hides(*c));
    shown.map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

/// One line of any text: controls and line breaks become spaces, what turns or hides text is left
/// out.
pub(crate) fn clean(text: &str) -> String {
    let shown = text.trim().chars().filter(|c| !turns_or_hides(*c));
    let spaced: String = shown.map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Marks that reorder the rest of a line, and characters without a width of their own that are no
/// part of a word.
const fn turns_or_hides(c: char) -> bool {
    matches!(c,
        '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        | '\u{feff}')
}

/// A clean line of at most `width` columns.
pub(crate) fn fit(text: &str, width: usize) -> String {
    truncate_str(&clean(text), width, "…").into_owned()
}

/// A clean line of exactly `width` columns.
pub(crate) fn cell(text: &str, width: usize) -> String {
    let mut fitted = fit(text, width);
    fitted.extend(std::iter::repeat_n(' ', width.saturating_sub(measure_text_width(&fitted))));
    fitted
}

/// A clean text over several lines of at most `width` columns, broken between words.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in clean(text).split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if measure_text_width(line) + 1 + measure_text_width(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// How wide the answer may be: the terminal, within reason, or a page for a pipe.
pub(crate) fn width() -> usize {
    /// Below this a table is no table; above it a line is no line.
    const NARROWEST: usize = 60;
    const WIDEST: usize = 120;
    /// What a pipe gets.
    const PAGE: usize = 100;
    let terminal = console::Term::stdout();
    terminal
        .size_checked()
        .map_or(PAGE, |(_, columns)| usize::from(columns).clamp(NARROWEST, WIDEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_steer_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\r\nc\u{202e}d\0"), "a [2Jb cd");
        assert_eq!(clean("  \n\t "), "");
        assert_eq!(harmless("a\x1b[2J\n  b\u{202e}"), "a [2J\n  b");
    }

    #[test]
    fn a_cell_has_its_width_whatever_is_in_it() {
        for text in ["", "abc", "日本語日本語日本語", "a very long text indeed"] {
            assert_eq!(measure_text_width(&cell(text, 10)), 10, "{text}");
        }
        assert_eq!(fit("a very long text", 6), "a ver…");
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("", 7), Vec::<String>::new());
    }
}
