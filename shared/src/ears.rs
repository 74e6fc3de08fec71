//! EARS: the Easy Approach to Requirements Syntax (Mavin et al., 2009), read without a model.
//!
//! ```text
//! [Where <feature>,] [While <state>,] [When <trigger>,] [If <trigger>, then] the <system> shall <response>
//! ```
//! Holds: keywords count on word boundaries, in any case; clauses come in that order; there is
//! exactly one `shall`; no part is empty. A comma inside parentheses or code belongs to its clause.
//! A `then` after another clause than `If` does no harm and is taken. Deliberately absent: any
//! judgement of what the words mean.

#[cfg(test)]
mod tests;
pub(crate) mod words;

use std::fmt;

use words::{first_word, is_word, words};

/// A requirement, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ears {
    /// Which of the patterns it follows.
    pub pattern: Pattern,
    /// The clauses before the main one, in their order.
    pub preconditions: Vec<Clause>,
    /// Who shall do it, without the article.
    pub system: String,
    /// What it shall do, with a leading `not` if it shall not.
    pub response: String,
}

/// The patterns of EARS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Always: `The … shall …`
    Ubiquitous,
    /// `When …, the … shall …`
    EventDriven,
    /// `While …, the … shall …`
    StateDriven,
    /// `Where …, the … shall …`
    OptionalFeature,
    /// `If …, then the … shall …`
    Unwanted,
    /// More than one clause.
    Complex,
}

/// A clause before the main one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// What it begins with.
    pub keyword: Keyword,
    /// The rest of it.
    pub text: String,
}

/// What a clause begins with. The order is that of the clauses in a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Keyword {
    /// A feature that not every installation has.
    Where,
    /// A state that lasts.
    While,
    /// A trigger.
    When,
    /// An unwanted trigger.
    If,
}

impl Keyword {
    const ALL: [Self; 4] = [Self::Where, Self::While, Self::When, Self::If];

    /// The word at the beginning of a sentence.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Where => "Where",
            Self::While => "While",
            Self::When => "When",
            Self::If => "If",
        }
    }

    fn opening(segment: &str) -> Option<Self> {
        let first = first_word(segment)?;
        Self::ALL.into_iter().find(|keyword| is_word(first, keyword.as_str()))
    }

    const fn pattern(self) -> Pattern {
        match self {
            Self::Where => Pattern::OptionalFeature,
            Self::While => Pattern::StateDriven,
            Self::When => Pattern::EventDriven,
            Self::If => Pattern::Unwanted,
        }
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a sentence is not EARS. Each says what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EarsError {
    /// No `shall`.
    #[error("has no `shall`; write `… the <system> shall <response>.`")]
    NoShall,
    /// More than one `shall`.
    #[error("has {0} times `shall`; one requirement says one thing: split it into {0}")]
    ManyShall(usize),
    /// Nothing behind `shall`.
    #[error("ends behind `shall`; say what the system shall do")]
    NoResponse,
    /// Words before the first clause that belong to none.
    #[error("begins with `{0}`; begin with Where, While, When, If or The")]
    UnknownOpening(String),
    /// Words between the system and `shall`.
    #[error(
        "has a comma between the system and `shall`; put conditions first: `When …, the <system> shall …`"
    )]
    LateClause,
    /// The main clause names no system after `the`.
    #[error(
        "has `{0}` before `shall`; name the system there, after the last comma: `, the <system> shall`"
    )]
    NoSystem(String),
    /// A clause without its comma.
    #[error("has no comma behind the {0} clause; write `{0} …, the <system> shall …`")]
    NoComma(Keyword),
    /// A clause without words.
    #[error("has an empty {0} clause; say what it depends on")]
    EmptyClause(Keyword),
    /// Clauses in another order.
    #[error("has {later} before {earlier}; the order is Where, While, When, If … then")]
    WrongOrder {
        /// The keyword that came too early.
        later: Keyword,
        /// The keyword that came after it.
        earlier: Keyword,
    },
    /// Two triggers.
    #[error("has two {0} clauses; join them with `and`, or write two requirements")]
    Repeated(Keyword),
    /// `If` without `then`.
    #[error("has If without then; write `If …, then the <system> shall …`")]
    NoThen,
}

/// Takes a requirement apart.
///
/// # Errors
/// [`EarsError`]: the first thing that is not as EARS has it.
pub fn parse(text: &str) -> Result<Ears, EarsError> {
    let mut shalls = words(text).filter(|(_, word)| is_word(word, "shall"));
    let (start, shall) = shalls.next().ok_or(EarsError::NoShall)?;
    let more = shalls.count();
    if more > 0 {
        return Err(EarsError::ManyShall(more + 1));
    }
    let response = response(&text[start + shall.len()..])?;
    let (preconditions, main) = clauses(&text[..start])?;
    check_order(&preconditions)?;
    let (had_then, main) = match first_word(main) {
        Some(word) if is_word(word, "then") => (true, after(main, word)),
        _ => (false, main),
    };
    let system = system(main, &preconditions)?;
    let ends_with_if =
        preconditions.last().is_some_and(|clause: &Clause| clause.keyword == Keyword::If);
    if ends_with_if && !had_then {
        return Err(EarsError::NoThen);
    }
    let pattern = match preconditions.as_slice() {
        [] => Pattern::Ubiquitous,
        [one] => one.keyword.pattern(),
        _ => Pattern::Complex,
    };
    Ok(Ears { pattern, preconditions, system, response })
}

fn response(text: &str) -> Result<String, EarsError> {
    let trimmed = text.trim().trim_end_matches('.').trim_end();
    let mut found = words(trimmed).map(|(_, word)| word);
    match (found.next(), found.next()) {
        (None, _) => Err(EarsError::NoResponse),
        (Some(only), None) if is_word(only, "not") => Err(EarsError::NoResponse),
        _ => Ok(trimmed.to_owned()),
    }
}

/// The clauses of what stands before `shall`, and the main clause's part of it.
fn clauses(head: &str) -> Result<(Vec<Clause>, &str), EarsError> {
    let segments = segments(head);
    // There is always one; an empty head gives an empty one.
    let Some((main, before)) = segments.split_last() else {
        return Err(EarsError::NoSystem(String::new()));
    };
    let mut clauses: Vec<Clause> = Vec::new();
    for segment in before {
        match (Keyword::opening(segment), clauses.last_mut()) {
            (Some(keyword), _) => {
                let word = first_word(segment).unwrap_or_default();
                let text = after(segment, word).trim().to_owned();
                if words(&text).next().is_none() {
                    return Err(EarsError::EmptyClause(keyword));
                }
                clauses.push(Clause { keyword, text });
            }
            // A comma inside a clause: `When a client, or a proxy, asks, …`
            (None, Some(clause)) => {
                clause.text.push_str(", ");
                clause.text.push_str(segment.trim());
            }
            (None, None) if first_word(segment).is_some_and(|word| is_word(word, "the")) => {
                return Err(EarsError::LateClause);
            }
            (None, None) => return Err(EarsError::UnknownOpening(beginning(segment))),
        }
    }
    match Keyword::opening(main) {
        Some(keyword) => Err(EarsError::NoComma(keyword)),
        None => Ok((clauses, main)),
    }
}

fn check_order(clauses: &[Clause]) -> Result<(), EarsError> {
    for pair in clauses.windows(2) {
        let (first, second) = (pair[0].keyword, pair[1].keyword);
        if first > second {
            return Err(EarsError::WrongOrder { later: first, earlier: second });
        }
        // Two features or two states may hold at once; two triggers make two requirements.
        if first == second && first >= Keyword::When {
            return Err(EarsError::Repeated(first));
        }
    }
    Ok(())
}

fn system(main: &str, preconditions: &[Clause]) -> Result<String, EarsError> {
    let article = first_word(main).filter(|word| is_word(word, "the"));
    let Some(article) = article else {
        return Err(if preconditions.is_empty() && words(main).next().is_some() {
            EarsError::UnknownOpening(beginning(main))
        } else {
            EarsError::NoSystem(beginning(main))
        });
    };
    let system = after(main, article).trim();
    if !main.trim_start().starts_with(article) || words(system).next().is_none() {
        return Err(EarsError::NoSystem(beginning(main)));
    }
    Ok(system.to_owned())
}

/// Splits at commas, but not at those inside parentheses or between backticks.
fn segments(head: &str) -> Vec<&str> {
    let (mut segments, mut start, mut depth, mut code) = (Vec::new(), 0, 0_usize, false);
    for (at, character) in head.char_indices() {
        match character {
            '`' => code = !code,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 && !code => {
                segments.push(&head[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    segments.push(&head[start..]);
    segments
}

/// What stands behind the first word of a text.
fn after<'t>(text: &'t str, first: &str) -> &'t str {
    words(text).next().map_or("", |(at, _)| &text[at + first.len()..])
}

/// Enough of a text to recognise it.
fn beginning(text: &str) -> String {
    const SHOWN_CHARS: usize = 40;
    text.trim().chars().take(SHOWN_CHARS).collect()
}
