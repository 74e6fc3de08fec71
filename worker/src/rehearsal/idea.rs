//! The idea as text: its sentences, its telling words, a short name for it.
//!
//! Any text is taken: what is no word in any script still gives one sentence and a name.

use std::collections::BTreeSet;

use specwright_shared::id::Slug;

/// Sentences that become requirements. More are counted and named as an open question; with the
/// general requirements they stay below the 100 that one list of requirement ids may hold.
pub(super) const SENTENCES_MAX: usize = 80;
/// Longest sentence, in characters: it must fit a criterion with words around it.
const SENTENCE_MAX: usize = 280;
/// Words that are looked for in the repository.
const WORDS_MAX: usize = 8;
/// Words in the name.
const NAME_WORDS_MAX: usize = 4;
/// Longest name, in characters; a [`Slug`] may have 60.
const NAME_MAX: usize = 48;
/// The name of an idea that holds no Latin word.
const NO_NAME: &str = "feature";

/// Words that say little about what an idea is. The keywords of EARS are among them, so that a name
/// can stand inside a requirement.
const STOP_WORDS: [&str; 76] = [
    "a", "about", "after", "all", "also", "an", "and", "any", "are", "as", "at", "be", "been",
    "before", "beyond", "but", "by", "can", "could", "do", "does", "each", "every", "for", "from",
    "goes", "has", "have", "i", "if", "in", "into", "is", "it", "its", "let", "like", "make",
    "may", "must", "need", "needs", "new", "no", "not", "of", "on", "one", "or", "our", "per",
    "please", "shall", "should", "so", "some", "such", "that", "the", "their", "them", "then",
    "there", "these", "they", "this", "to", "up", "us", "want", "we", "when", "where", "while",
    "will", "with",
];

/// An idea, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Idea {
    /// A name for files and documents.
    pub name: Slug,
    /// The idea on one line.
    pub one_line: String,
    /// Its sentences, each on one line, without an end mark, no two the same.
    pub sentences: Vec<String>,
    /// Sentences beyond [`SENTENCES_MAX`].
    pub left_out: usize,
    /// Lower-case words to look for.
    pub words: Vec<String>,
}

impl Idea {
    /// Takes an idea apart. The description is the idea; the title stands in for an empty one.
    pub(super) fn of(title: &str, description: &str) -> Self {
        let text = if description.chars().any(char::is_alphanumeric) { description } else { title };
        let mut seen = BTreeSet::new();
        let mut sentences: Vec<String> =
            sentences(text).filter(|sentence| seen.insert(sentence.to_lowercase())).collect();
        let left_out = sentences.len().saturating_sub(SENTENCES_MAX);
        sentences.truncate(SENTENCES_MAX);
        if sentences.is_empty() {
            sentences.push("support what its title says".to_owned());
        }
        let telling = telling_words(&format!("{title} {}", sentences.join(" ")));
        let named =
            telling_words(if title.chars().any(char::is_alphanumeric) { title } else { text });
        let one_line = if title.chars().any(char::is_alphanumeric) {
            one_line(title)
        } else {
            sentences[0].clone()
        };
        Self {
            name: name(&named),
            one_line,
            sentences,
            left_out,
            words: telling.into_iter().take(WORDS_MAX).collect(),
        }
    }
}

/// Text without line breaks, control characters and runs of white space.
pub(super) fn one_line(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Cut to a number of characters, with `…` where something was cut.
pub(super) fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(max - 1).collect();
    cut.push('…');
    cut
}

fn sentences(text: &str) -> impl Iterator<Item = String> {
    let mut sentences = Vec::new();
    let mut current = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let before_gap = characters.peek().is_none_or(|next| next.is_whitespace());
        let ends =
            matches!(character, '\n' | '\r' | ';' | '。' | '！' | '？' | '؟' | '।' | '\u{2029}')
                || (matches!(character, '.' | '!' | '?') && before_gap);
        if ends {
            sentences.push(std::mem::take(&mut current));
        } else {
            current.push(character);
        }
    }
    sentences.push(current);
    sentences.into_iter().filter_map(|sentence| {
        let line = one_line(&sentence);
        let line = line.trim_start_matches(|c: char| "-*•#>·–— \t".contains(c));
        let line = line.trim_end_matches(['.', ',', ':', ' ']);
        line.chars().any(char::is_alphanumeric).then(|| cut(line, SENTENCE_MAX))
    })
}

/// Lower-case words that are not stop words, in their order, each once.
fn telling_words(text: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    text.to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().count() > 2 && word.len() <= 40)
        .filter(|word| !STOP_WORDS.contains(word) && word.chars().any(char::is_alphabetic))
        .filter(|word| seen.insert((*word).to_owned()))
        .map(str::to_owned)
        .collect()
}

fn name(words: &[String]) -> Slug {
    let mut name = String::new();
    let latin = words.iter().filter(|word| word.bytes().all(|b| b.is_ascii_alphanumeric()));
    for word in latin.take(NAME_WORDS_MAX) {
        if name.len() + word.len() >= NAME_MAX {
            break;
        }
        if !name.is_empty() {
            name.push('-');
        }
        name.push_str(word);
    }
    Slug::new(name).unwrap_or_else(|_| no_name())
}

#[expect(clippy::expect_used, reason = "a constant that has the right shape; a test names it")]
fn no_name() -> Slug {
    Slug::new(NO_NAME).expect("the stand-in is a slug")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_idea_is_named_by_its_telling_words() {
        let idea = Idea::of("", "Limit each API client to 100 requests a minute");
        assert_eq!(idea.name.as_str(), "limit-api-client-requests");
        assert_eq!(idea.sentences, ["Limit each API client to 100 requests a minute"]);
        assert_eq!(idea.words, ["limit", "api", "client", "requests", "minute"]);
    }

    #[test]
    fn sentences_end_where_people_end_them() {
        let text = "Use v1.2 of it. Why?\n- one; two\n* three!  \n\n日本語。終わり。... —";
        let idea = Idea::of("T", text);
        assert_eq!(
            idea.sentences,
            ["Use v1.2 of it", "Why", "one", "two", "three", "日本語", "終わり"]
        );
    }

    #[test]
    fn any_text_has_a_name_and_a_sentence() {
        for text in [
            "",
            "…!?",
            "🦀🦀",
            "日本語",
            "مرحبا",
            "$(rm -rf /)",
            "{{}}",
            "\0\u{202e}",
            "When if shall",
        ] {
            let idea = Idea::of(text, text);
            assert!(!idea.sentences.is_empty() && !idea.name.as_str().is_empty(), "{text:?}");
        }
        assert_eq!(no_name().as_str(), NO_NAME);
    }

    #[test]
    fn a_long_idea_is_bounded_and_counted() {
        let text: String = (0..200).map(|n| format!("Do thing number {n}. ")).collect();
        let idea = Idea::of("", &text);
        assert_eq!((idea.sentences.len(), idea.left_out), (SENTENCES_MAX, 200 - SENTENCES_MAX));
        assert!(Idea::of("", &"x".repeat(200_000)).sentences[0].chars().count() <= SENTENCE_MAX);
    }
}
