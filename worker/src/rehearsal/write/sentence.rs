//! From a sentence of the idea to what a feature shall do.
//!
//! The outcome is a verb phrase that reads well behind "shall". A sentence that follows no known
//! pattern is quoted: "support the following: …".

use specwright_shared::ears;

/// What a sentence asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    /// A clause such as `When a client asks`, without its comma.
    pub condition: Option<String>,
    /// What stands behind "shall".
    pub response: String,
}

/// Verbs that ideas begin with.
const VERBS: [&str; 112] = [
    "accept",
    "add",
    "allow",
    "answer",
    "apply",
    "archive",
    "assign",
    "attach",
    "block",
    "build",
    "cache",
    "calculate",
    "cancel",
    "change",
    "check",
    "clean",
    "clear",
    "close",
    "collect",
    "compress",
    "compute",
    "configure",
    "connect",
    "convert",
    "copy",
    "count",
    "create",
    "cut",
    "define",
    "delete",
    "deliver",
    "detect",
    "disable",
    "display",
    "divide",
    "document",
    "download",
    "drop",
    "edit",
    "emit",
    "enable",
    "encrypt",
    "end",
    "enforce",
    "ensure",
    "expire",
    "expose",
    "export",
    "extend",
    "extract",
    "fetch",
    "filter",
    "find",
    "fix",
    "format",
    "generate",
    "give",
    "group",
    "handle",
    "hide",
    "highlight",
    "implement",
    "import",
    "improve",
    "include",
    "index",
    "integrate",
    "introduce",
    "invite",
    "keep",
    "let",
    "limit",
    "link",
    "list",
    "load",
    "lock",
    "log",
    "make",
    "mark",
    "measure",
    "merge",
    "migrate",
    "monitor",
    "move",
    "notify",
    "offer",
    "open",
    "parse",
    "paginate",
    "prevent",
    "print",
    "provide",
    "publish",
    "read",
    "record",
    "reduce",
    "refuse",
    "reject",
    "remove",
    "rename",
    "render",
    "replace",
    "report",
    "restrict",
    "return",
    "save",
    "search",
    "send",
    "show",
    "sort",
    "store",
    "support",
];

/// More of them, from `sync` on.
const MORE_VERBS: [&str; 18] = [
    "sync",
    "tag",
    "test",
    "throttle",
    "track",
    "translate",
    "trim",
    "turn",
    "update",
    "upgrade",
    "upload",
    "use",
    "validate",
    "verify",
    "warn",
    "watch",
    "work",
    "write",
];

/// Words before the wish that carry nothing.
const PREFIXES: [&str; 16] = [
    "please",
    "i want to",
    "we want to",
    "i would like to",
    "we would like to",
    "i need to",
    "we need to",
    "we should",
    "we must",
    "it should",
    "it must",
    "the system should",
    "the system must",
    "the system shall",
    "the app should",
    "it shall",
];

/// Words with which a sentence names a condition.
const CONDITIONS: [&str; 4] = ["when", "while", "where", "if"];

/// Understands a sentence as far as its words show it.
pub(super) fn wish(sentence: &str) -> Wish {
    let (condition, rest) = condition(sentence);
    let rest = without_prefix(rest);
    let first = rest.split_whitespace().next().unwrap_or_default().to_lowercase();
    let lowered = lower_first(rest);
    let response = if is_verb(&first) {
        lowered
    } else if let Some((who, what)) = rest.split_once(" can ").filter(|(who, _)| is_short(who)) {
        format!("let {} {what}", lower_first(who))
    } else if [" should ", " must ", " will ", " shall ", " may "].iter().any(|m| rest.contains(m))
    {
        format!("ensure that {lowered}")
    } else {
        format!("support the following: {rest}")
    };
    Wish { condition, response: without_shall(&response) }
}

/// The sentence as EARS, with the feature as its system. Where the words defeat the grammar, the
/// requirement refers to the sentence by its number.
pub(super) fn ears_text(system: &str, wish: &Wish, number: usize) -> String {
    let main = format!("the {system} shall {}.", wish.response);
    let candidates = [
        wish.condition.as_ref().map(|condition| {
            let then = if condition.starts_with("If ") { "then " } else { "" };
            format!("{condition}, {then}{main}")
        }),
        Some(format!("The{}", &main[3..])),
    ];
    candidates.into_iter().flatten().find(|text| ears::parse(text).is_ok()).unwrap_or_else(|| {
        format!("The {system} shall do what sentence {number} of the idea says.")
    })
}

/// A leading `When …,` and what follows its comma.
fn condition(sentence: &str) -> (Option<String>, &str) {
    let first = sentence.split_whitespace().next().unwrap_or_default().to_lowercase();
    let Some(keyword) = CONDITIONS.iter().find(|keyword| **keyword == first) else {
        return (None, sentence);
    };
    let Some((head, rest)) = sentence.split_once(',') else { return (None, sentence) };
    let clause = head[first.len().min(head.len())..].trim();
    let rest = rest.trim().strip_prefix("then ").unwrap_or(rest.trim());
    if clause.is_empty() || rest.is_empty() {
        return (None, sentence);
    }
    let keyword = format!("{}{}", keyword[..1].to_uppercase(), &keyword[1..]);
    (Some(without_shall(&format!("{keyword} {clause}"))), rest)
}

fn without_prefix(sentence: &str) -> &str {
    for prefix in PREFIXES {
        let Some(start) = sentence.get(..prefix.len()) else { continue };
        let rest = sentence[prefix.len()..].trim_start();
        if start.eq_ignore_ascii_case(prefix)
            && sentence[prefix.len()..].starts_with(' ')
            && rest.chars().any(char::is_alphanumeric)
        {
            return without_prefix(rest);
        }
    }
    sentence
}

fn is_verb(word: &str) -> bool {
    VERBS.contains(&word) || MORE_VERBS.contains(&word)
}

fn is_short(who: &str) -> bool {
    who.split_whitespace().count() <= 4
}

/// The first letter lower, unless the word is an abbreviation.
fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    match (characters.next(), characters.clone().next()) {
        (Some(first), second) if !second.is_some_and(char::is_uppercase) => {
            first.to_lowercase().chain(characters).collect()
        }
        _ => text.to_owned(),
    }
}

/// A requirement has one `shall`, and it is not in the response.
fn without_shall(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        if bare.eq_ignore_ascii_case("shall") {
            word.replace(bare, "will")
        } else {
            word.to_owned()
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(sentence: &str) -> String {
        ears_text("x feature", &wish(sentence), 1)
    }

    #[test]
    fn sentences_become_requirements_that_read_well() {
        for (sentence, expected) in [
            (
                "Limit each API client to 100 requests a minute",
                "The x feature shall limit each API client to 100 requests a minute.",
            ),
            ("We want to export CSV files", "The x feature shall export CSV files."),
            ("Users can log in with a link", "The x feature shall let users log in with a link."),
            (
                "Every answer must name its source",
                "The x feature shall ensure that every answer must name its source.",
            ),
            ("A dark mode", "The x feature shall support the following: A dark mode."),
            (
                "When a client sends too much, reject the request",
                "When a client sends too much, the x feature shall reject the request.",
            ),
            (
                "If the disk is full, then the service shall stop",
                "If the disk is full, then the x feature shall ensure that the service will stop.",
            ),
            ("API keys should expire", "The x feature shall ensure that API keys should expire."),
        ] {
            assert_eq!(text(sentence), expected);
        }
    }

    #[test]
    fn words_that_defeat_the_grammar_are_referred_to() {
        for sentence in ["shall", "Shall, shall", "when, if", "if ,", "I want to ...", "`(", "İ x"]
        {
            assert!(ears::parse(&text(sentence)).is_ok(), "{sentence}: {}", text(sentence));
        }
    }
}
