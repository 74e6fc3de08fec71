use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> Ears {
    parse(text).unwrap_or_else(|error| panic!("{text:?} {error}"))
}

#[test]
fn each_pattern_is_recognised() {
    for (text, pattern) in [
        ("The limiter shall count requests.", Pattern::Ubiquitous),
        ("When a request arrives, the limiter shall count it.", Pattern::EventDriven),
        ("WHILE the store is down, the limiter shall admit requests", Pattern::StateDriven),
        ("where metrics are on, the limiter shall export a counter.", Pattern::OptionalFeature),
        ("If the key is unknown, then the limiter shall refuse it.", Pattern::Unwanted),
        ("If the key is unknown then, then the limiter shall refuse it.", Pattern::Unwanted),
        (
            "Where TLS is on, while idle, when a client asks, if it has no key, then the server shall refuse it.",
            Pattern::Complex,
        ),
        ("While starting,\nwhile degraded, the server shall answer 503.", Pattern::Complex),
    ] {
        assert_eq!(parsed(text).pattern, pattern, "{text}");
    }
}

#[test]
fn the_parts_are_those_of_the_sentence() {
    assert_eq!(
        parsed(
            "While open (a, b), when a client, or a proxy, asks `x, when y`, the API server shall not answer, ever."
        ),
        Ears {
            pattern: Pattern::Complex,
            preconditions: vec![
                Clause { keyword: Keyword::While, text: "open (a, b)".into() },
                Clause {
                    keyword: Keyword::When,
                    text: "a client, or a proxy, asks `x, when y`".into()
                },
            ],
            system: "API server".into(),
            response: "not answer, ever".into(),
        }
    );
}

#[test]
fn other_scripts_are_read_without_harm() {
    assert_eq!(parsed("When 要求が来る, the 制限器 shall 数える。").system, "制限器");
    assert_eq!(parsed("The ßerver shall grüßen.").response, "grüßen");
}

#[test]
fn a_word_that_contains_a_keyword_is_not_one() {
    assert_eq!(parsed("The marshall-box shall ring.").system, "marshall-box");
    assert_eq!(parse("Whenever it rings, the box shall stop.").unwrap_err(), {
        EarsError::UnknownOpening("Whenever it rings".into())
    });
}

#[test]
fn what_is_not_ears_is_told_what_would_be() {
    use EarsError as E;
    for (text, error) in [
        ("", E::NoShall),
        ("The limiter must count.", E::NoShall),
        ("The a shall b and the c shall d.", E::ManyShall(2)),
        ("The limiter shall", E::NoResponse),
        ("The limiter shall not.", E::NoResponse),
        ("shall count", E::NoSystem(String::new())),
        ("The shall count", E::NoSystem("The".into())),
        ("When x, it shall count", E::NoSystem("it".into())),
        ("Users shall count", E::UnknownOpening("Users".into())),
        ("After x, the limiter shall count", E::UnknownOpening("After x".into())),
        ("The limiter, when x, shall count", E::LateClause),
        ("When x the limiter shall count", E::NoComma(Keyword::When)),
        ("When , the limiter shall count", E::EmptyClause(Keyword::When)),
        (
            "When x, while y, the limiter shall count",
            E::WrongOrder { later: Keyword::When, earlier: Keyword::While },
        ),
        ("When x, when y, the limiter shall count", E::Repeated(Keyword::When)),
        ("If x, the limiter shall count", E::NoThen),
    ] {
        assert_eq!(parse(text), Err(error), "{text}");
    }
    assert_eq!(
        E::NoComma(Keyword::When).to_string(),
        "has no comma behind the When clause; write `When …, the <system> shall …`"
    );
}

/// Words that are no keyword and hold no comma, in several scripts.
const PHRASE: &str = "[b-e日ü]{1,8}( [b-e日ü]{1,8}){0,4}";

proptest! {
    #[test]
    fn any_text_is_answered_without_a_panic(text in "\\PC{0,300}") {
        if let Ok(ears) = parse(&text) {
            prop_assert!(!ears.system.trim().is_empty() && !ears.response.trim().is_empty());
        }
    }

    #[test]
    fn keywords_in_any_soup_are_answered_without_a_panic(
        soup in prop::collection::vec(
            prop::sample::select(vec!["When", "while", "IF", "then", "the", "shall", ",", "(", "`", "日", "where", "not", "."]),
            0..15,
        ),
    ) {
        if let Ok(ears) = parse(&soup.join(" ")) {
            prop_assert!(!ears.preconditions.iter().any(|clause| clause.text.is_empty()));
        }
    }

    #[test]
    fn a_sentence_that_was_put_together_comes_apart_again(
        state in prop::option::of(PHRASE), trigger in prop::option::of(PHRASE),
        unwanted in prop::option::of(PHRASE), system in PHRASE, response in PHRASE,
    ) {
        let mut text = String::new();
        let mut expected = Vec::new();
        for (keyword, part) in
            [(Keyword::While, &state), (Keyword::When, &trigger), (Keyword::If, &unwanted)]
        {
            if let Some(part) = part {
                text.push_str(&format!("{keyword} {part}, "));
                expected.push(Clause { keyword, text: part.clone() });
            }
        }
        let then = if unwanted.is_some() { "then " } else { "" };
        text.push_str(&format!("{then}the {system} shall {response}."));
        let ears = parsed(&text);
        prop_assert_eq!(ears.preconditions, expected);
        prop_assert_eq!((ears.system, ears.response), (system, response));
    }
}
