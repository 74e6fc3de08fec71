//! Words of a text: runs of letters, digits, `_`, and of `-` and `'` between them.

/// The words of a text with their places in bytes.
pub(crate) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split(|character: char| !belongs_to_word(character)).filter_map(move |run| {
        // `split` gives parts of `text` itself, so the distance is the place.
        let at = run.as_ptr().addr() - text.as_ptr().addr();
        let front = run.trim_start_matches(['-', '\'']);
        let word = front.trim_end_matches(['-', '\'']);
        (!word.is_empty()).then(|| (at + (run.len() - front.len()), word))
    })
}

/// The first word of a text.
pub(crate) fn first_word(text: &str) -> Option<&str> {
    words(text).next().map(|(_, word)| word)
}

/// Whether two words are the same but for the case of ASCII letters.
pub(crate) fn is_word(word: &str, other: &str) -> bool {
    word.eq_ignore_ascii_case(other)
}

fn belongs_to_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-' | '\'')
}
