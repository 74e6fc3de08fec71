//! The gate of `requirements`: EARS sentences, checkable, that build on one another without a circle.

use super::findings::{
    Findings, acyclic, distinct_criteria, distinct_titles, needed, reference, unique_ids,
};
use crate::documents::{Accepted, Requirements};
use crate::ears;
use crate::ears::words::{is_word, words};
use crate::phase::Phase;

/// Words and phrases that nobody can test.
const WEAK_WORDS: [&str; 17] = [
    "and so on",
    "appropriate",
    "as needed",
    "easily",
    "easy to use",
    "etc",
    "fast",
    "if possible",
    "intuitive",
    "properly",
    "quickly",
    "reasonable",
    "robust",
    "seamless",
    "seamlessly",
    "tbd",
    "user-friendly",
];

pub(super) fn check(document: &Requirements, earlier: &Accepted, findings: &mut Findings) {
    if let Some(explore) = needed(earlier.explore.as_deref(), Phase::Explore, findings) {
        let named = &explore.feature_summary.name;
        if document.feature_name != *named {
            // Exploration may have given a working title; from here on the name is fixed.
            findings.warning(
                "feature_name_differs",
                "feature_name",
                format!(
                    "The feature is `{}` here and `{named}` in `explore`.",
                    document.feature_name
                ),
                format!("Write `{named}`, unless another name is really better."),
            );
        }
    }
    references(document, findings);
    let list = &document.requirements;
    distinct_titles("requirements", list.iter().map(|one| &*one.title), findings);
    for (index, requirement) in list.iter().enumerate() {
        let at = format!("requirements[{index}]");
        if let Err(error) = ears::parse(&requirement.text) {
            findings.error(
                "not_ears",
                format!("{at}.text"),
                format!("The sentence {error}."),
                "Write one EARS sentence: `[Where …,] [While …,] [When …,] [If …, then] the \
                 <system> shall <response>.`",
            );
        }
        for weak in WEAK_WORDS.into_iter().filter(|weak| has_phrase(&requirement.text, weak)) {
            findings.warning(
                "weak_word",
                format!("{at}.text"),
                format!("Nobody can test `{weak}`."),
                "Give a number, a list or a condition instead.",
            );
        }
        let criteria = requirement.acceptance_criteria.iter().map(|criterion| &**criterion);
        distinct_criteria(&at, criteria, findings);
    }
}

/// Ids and what is built on what.
pub(super) fn references(document: &Requirements, findings: &mut Findings) {
    let list = &document.requirements;
    let ids: Vec<&str> = list.iter().map(|one| one.id.as_str()).collect();
    let known = unique_ids("requirements", ids.iter().copied(), findings);
    let mut edges = Vec::new();
    for (index, requirement) in list.iter().enumerate() {
        let own = requirement.id.as_str();
        for (place, dependency) in requirement.dependencies.iter().enumerate() {
            let at = format!("requirements[{index}].dependencies[{place}]");
            let target = dependency.as_str();
            reference(at, target, Some(own), &known, "requirement", findings);
            edges.push((own, target));
        }
    }
    acyclic("requirements", &ids, &edges, findings);
}

/// Whether a text has a phrase, as whole words.
fn has_phrase(text: &str, phrase: &str) -> bool {
    let text: Vec<&str> = words(text).map(|(_, word)| word).collect();
    let phrase: Vec<&str> = words(phrase).map(|(_, word)| word).collect();
    text.windows(phrase.len())
        .any(|window| window.iter().zip(&phrase).all(|(word, other)| is_word(word, other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_found_as_whole_words_only() {
        assert!(has_phrase("Be FAST, please", "fast"));
        assert!(has_phrase("a, b, and so on.", "and so on"));
        assert!(has_phrase("A user-friendly page", "user-friendly"));
        assert!(!has_phrase("breakfast is fail-fast", "fast"));
        assert!(!has_phrase("and so", "and so on"));
    }
}
