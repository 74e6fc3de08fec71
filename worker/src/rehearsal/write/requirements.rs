//! `requirements`: one EARS sentence for each sentence of the idea, and the general ones.

use std::collections::BTreeSet;

use specwright_shared::documents::requirements::Requirement;
use specwright_shared::documents::{Explore, Priority, Requirements};
use specwright_shared::id::RequirementId;
use specwright_shared::list::List;

use super::sentence::{Wish, ears_text, wish};
use super::{Idea, LABEL, WriteError, line, lines, text};
use crate::rehearsal::idea::cut;

/// Words of a requirement's title.
const TITLE_WORDS: usize = 6;
/// The part of a response that a criterion repeats, in characters.
const QUOTED_MAX: usize = 240;

/// Words that make a number a bound.
const BOUND_WORDS: [&str; 14] = [
    "limit", "limits", "most", "least", "maximum", "minimum", "max", "min", "within", "up", "than",
    "under", "over", "per",
];
/// Words with which a title cannot end.
const DANGLING: [&str; 16] = [
    "a", "an", "and", "at", "by", "for", "from", "in", "of", "on", "or", "per", "the", "that",
    "to", "with",
];

/// The requirements under way.
struct Draft {
    code: String,
    system: String,
    list: Vec<Requirement>,
    titles: BTreeSet<String>,
}

pub(super) fn write(idea: &Idea, explore: &Explore) -> Result<Requirements, WriteError> {
    let feature = &explore.feature_summary.name;
    let mut draft = Draft {
        code: code(feature.as_str()),
        system: format!("{feature} feature"),
        list: Vec::new(),
        titles: BTreeSet::new(),
    };
    for (index, sentence) in idea.sentences.iter().enumerate() {
        draft.wished(index + 1, sentence)?;
    }
    draft.general()?;
    let mut open = vec![format!(
        "Which of the sentences above matter most? ({LABEL}: their order is that of the idea.)"
    )];
    if idea.left_out > 0 {
        open.push(format!(
            "{} further sentences of the idea were not turned into requirements; which of them belong \
             to this feature?",
            idea.left_out
        ));
    }
    Ok(Requirements {
        feature_name: feature.clone(),
        requirements: List::new(draft.list)?,
        assumptions: List::new(lines([
            format!("The repository is a {}, as explored.", explore.project_type),
            "What the idea does not mention stays as it is.".to_owned(),
            format!("{LABEL}: sentences were rearranged, not understood."),
        ])?)?,
        out_of_scope: List::new(lines(["Changes to behaviour that the idea does not mention."])?)?,
        open_questions: List::new(lines(open)?)?,
    })
}

impl Draft {
    fn wished(&mut self, number: usize, sentence: &str) -> Result<(), WriteError> {
        let wish = wish(sentence);
        let response = cut(&wish.response, QUOTED_MAX);
        let given = match &wish.condition {
            Some(condition) => {
                format!("Given the situation \"{}\"", cut(condition, QUOTED_MAX / 2))
            }
            None => "Given a running system".to_owned(),
        };
        let mut criteria = vec![
            format!("{given}, an automated test observes that it does this: {response}"),
            format!(
                "The test for sentence {number} of the idea fails when the behaviour is taken out."
            ),
        ];
        let numbers: Vec<&str> = sentence
            .split(|c: char| !c.is_ascii_digit())
            .filter(|digits| !digits.is_empty())
            .take(4)
            .collect();
        if !numbers.is_empty() && holds_any(sentence, &BOUND_WORDS) {
            criteria.push(format!(
                "Tests cover the values just below, at and just above {}.",
                cut(&numbers.join(", "), QUOTED_MAX)
            ));
        }
        let sentence_text = ears_text(&self.system, &wish, number);
        let category = category(sentence);
        let title = title(&wish);
        let priority = if number == 1 { Priority::High } else { Priority::Medium };
        self.add(category, &title, priority, &sentence_text, &criteria, number > 1)
    }

    /// What every feature needs, whatever it is.
    fn general(&mut self) -> Result<(), WriteError> {
        let system = self.system.clone();
        self.add(
            "REL",
            "Refuse what is not valid",
            Priority::High,
            &format!(
                "If an input of the {system} is missing, malformed or beyond its bounds, then the \
                 {system} shall refuse it with a message that names the input and says what would be \
                 right."
            ),
            &[
                "A test sends a missing, a malformed and a too large input and gets a refusal for each."
                    .to_owned(),
                "After a refusal, the stored state is the same as before.".to_owned(),
            ],
            true,
        )?;
        self.add(
            "CON",
            "Configure the feature",
            Priority::Medium,
            &format!(
                "Where the {system} is switched off in the configuration, the {system} shall leave the \
                 existing behaviour unchanged."
            ),
            &[
                "With the feature switched off, all existing tests pass unchanged.".to_owned(),
                "A setting with a wrong value stops the start with a message that names it.".to_owned(),
            ],
            true,
        )?;
        self.add(
            "USE",
            "Document the feature",
            Priority::Low,
            &format!(
                "The {system} shall be described in the project's documentation with its settings, its \
                 messages and one example."
            ),
            &[
                "The documentation names every setting of the feature and its default.".to_owned(),
                "The example in the documentation runs as it is written.".to_owned(),
            ],
            true,
        )
    }

    fn add(
        &mut self,
        category: &str,
        title: &str,
        priority: Priority,
        sentence: &str,
        criteria: &[String],
        builds_on_first: bool,
    ) -> Result<(), WriteError> {
        let same = |one: &&Requirement| one.id.as_str().split('-').nth(2) == Some(category);
        let count = self.list.iter().filter(same).count();
        let id = RequirementId::new(format!("REQ-{}-{category}-{:03}", self.code, count + 1))?;
        let mut unique = title.to_owned();
        let mut number = 1;
        while !self.titles.insert(unique.to_lowercase()) {
            number += 1;
            unique = format!("{title} ({number})");
        }
        let first = self.list.first().filter(|_| builds_on_first);
        let dependencies = List::fitted(first.map(|first| first.id.clone()));
        let criteria: Result<_, _> = criteria.iter().map(text).collect();
        self.list.push(Requirement {
            id,
            title: line(unique)?,
            priority,
            text: text(sentence)?,
            acceptance_criteria: List::new(criteria?)?,
            dependencies,
            notes: Some(text(LABEL)?),
        });
        Ok(())
    }
}

/// The first words of what is wished.
fn title(wish: &Wish) -> String {
    let mut words: Vec<&str> = wish
        .response
        .trim_start_matches("support the following: ")
        .split_whitespace()
        .take(TITLE_WORDS)
        .collect();
    while words.len() > 1 && words.last().is_some_and(|last| DANGLING.contains(last)) {
        words.pop();
    }
    let title = cut(&words.join(" "), 80);
    let mut characters = title.chars();
    characters
        .next()
        .map_or(title.clone(), |first| first.to_uppercase().chain(characters).collect())
}

/// What a sentence is about, as far as single words tell.
fn category(sentence: &str) -> &'static str {
    if holds_any(sentence, &["latency", "throughput", "milliseconds", "ms", "performance"]) {
        "PERF"
    } else if holds_any(
        sentence,
        &["password", "encrypt", "permission", "permissions", "secret", "secrets"],
    ) {
        "SEC"
    } else {
        "FUNC"
    }
}

/// Whether one of the words stands in a sentence, in any case.
fn holds_any(sentence: &str, words: &[&str]) -> bool {
    let lower = sentence.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).any(|word| words.contains(&word))
}

/// The feature's part of a requirement id: 2 to 12 capitals or digits, a capital first.
fn code(feature: &str) -> String {
    let mut code = String::new();
    for word in feature.split('-') {
        if code.len() >= 4 || (code.len() >= 2 && code.len() + word.len() > 12) {
            break;
        }
        code.push_str(&word.to_ascii_uppercase());
    }
    let code: String = code.chars().skip_while(char::is_ascii_digit).take(12).collect();
    if code.len() >= 2 { code } else { "FEATURE".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_shape_of_requirement_ids() {
        for (feature, expected) in [
            ("limit-api-client", "LIMIT"),
            ("api-rate-limit", "APIRATE"),
            ("x", "FEATURE"),
            ("2fa-login", "FALOGIN"),
            ("123", "FEATURE"),
            ("internationalisation", "INTERNATIONA"),
        ] {
            let code = code(feature);
            assert_eq!(code, expected);
            assert!(RequirementId::new(format!("REQ-{code}-FUNC-001")).is_ok(), "{code}");
        }
    }
}
