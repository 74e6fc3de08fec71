//! Text that is known to fit: one line, at most so many bytes as a JSON string.

use super::Step;

/// Stands for what was cut off.
const MORE: char = '…';
/// What a step has beside its text: names, punctuation, and a number of at most 20 digits.
const AROUND_STEP: usize = 40;

/// One line of a text: white space and control characters become single spaces; it is cut where its
/// form in JSON would have more than `max` bytes.
pub(super) fn fit(text: &str, max: usize) -> String {
    let mut line = String::new();
    let mut bytes = 0;
    let mut gap = false;
    for character in text.chars() {
        if character.is_whitespace() || character.is_control() {
            gap = !line.is_empty();
            continue;
        }
        let wide = escaped(character) + usize::from(gap);
        if bytes + wide + MORE.len_utf8() > max {
            line.push(MORE);
            return line;
        }
        if std::mem::take(&mut gap) {
            line.push(' ');
        }
        line.push(character);
        bytes += wide;
    }
    line
}

const fn escaped(character: char) -> usize {
    match character {
        '"' | '\\' => 2,
        _ => character.len_utf8(),
    }
}

/// The most bytes that a step has as JSON.
pub(super) fn cost(step: &Step) -> usize {
    step.text.chars().map(escaped).sum::<usize>() + AROUND_STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_one_line_and_fits_as_json() {
        assert_eq!(fit("  a \n\t b\u{7}c ", 99), "a b c");
        for text in ["\"\\\"\\\"\\\"\\\"\\\"\\", "日本語日本語日本語", "plain text, and more of it"]
        {
            for max in 3..40 {
                let json = serde_json::to_string(&fit(text, max)).unwrap();
                assert!(json.len() - 2 <= max, "{max}: {json}");
            }
        }
        assert_eq!(fit("abcdefgh", 7), "abcd…");
    }
}
