use proptest::prelude::*;
use serde_json::json;

use super::*;

fn redactor(secrets: &[&str]) -> Redactor {
    Redactor::new(secrets.iter().map(|secret| (*secret).to_owned()))
}

#[test]
fn a_secret_is_replaced_wherever_it_stands() {
    let redactor = redactor(&["sk-ant-secret"]);
    assert_eq!(redactor.text("a sk-ant-secret b sk-ant-secret"), "a [redacted] b [redacted]");
    assert!(matches!(redactor.text("nothing here"), Cow::Borrowed(_)));
}

#[test]
fn the_longer_of_two_secrets_that_begin_alike_is_hidden_whole() {
    let redactor = redactor(&["token-123", "token-123-and-more"]);
    assert_eq!(redactor.text("x token-123-and-more y"), "x [redacted] y");
}

#[test]
fn overlapping_secrets_leave_no_tail() {
    let redactor = redactor(&["abcdefgh1234", "1234zzzzzzzz"]);
    assert_eq!(redactor.text("<abcdefgh1234zzzzzzzz>"), "<[redacted]>");
}

#[test]
fn short_values_are_left_alone() {
    assert_eq!(redactor(&["main", "", "   ", "1234567"]).text("main 1234567"), "main 1234567");
}

#[test]
fn a_line_break_behind_the_value_does_not_hide_the_secret_from_us() {
    assert_eq!(redactor(&["secret-value\n"]).text("secret-value."), "[redacted].");
}

#[test]
fn json_is_redacted_in_values_keys_and_numbers() {
    let mut value = json!({
        "a": ["x secret-value"], "secret-value": { "b": "secret-value" }, "n": 1234567890123_u64,
    });
    redactor(&["secret-value", "1234567890123"]).value(&mut value);
    assert_eq!(
        value,
        json!({ "a": ["x [redacted]"], "[redacted]": { "b": "[redacted]" }, "n": "[redacted]" })
    );
}

#[test]
fn debug_shows_no_secret() {
    assert!(!format!("{:?}", redactor(&["secret-value"])).contains("secret"));
}

proptest! {
    #[test]
    fn no_form_of_a_secret_survives(
        secret in "[ -Z^-~äß日]{8,40}", before in "\\PC{0,20}", after in "\\PC{0,20}",
    ) {
        let secret = secret.trim();
        prop_assume!(secret.chars().count() >= SECRET_MIN_CHARS);
        let redactor = redactor(&[secret]);
        let plain = format!("{before}{secret}{after}");
        let json = serde_json::to_string(&plain).unwrap();
        let nested = serde_json::to_string(&json).unwrap();
        for text in [&plain, &json, &nested] {
            let clean = redactor.text(text);
            prop_assert!(clean.contains(REDACTED));
            prop_assert!(!clean.contains(secret));
            prop_assert!(!clean.contains(&json_escaped(secret)));
        }
        for text in [STANDARD_NO_PAD.encode(&plain), URL_SAFE_NO_PAD.encode(&plain)] {
            let clean = redactor.text(&text);
            prop_assert!(clean.contains(REDACTED), "{text} kept {secret}");
            // What is left around the mark decodes to less than the secret.
            prop_assert!(clean.len() < text.len() + REDACTED.len() - secret.len());
        }
    }

    #[test]
    fn text_without_secrets_is_untouched(text in "[a-m ]{0,200}") {
        prop_assert_eq!(redactor(&["nopqrstu-nopq"]).text(&text), text.as_str());
    }
}

#[test]
fn one_that_knows_more_still_knows_what_it_knew() {
    let both = Redactor::new(["first-secret".to_owned()]).knowing(["second-secret".to_owned()]);
    assert_eq!(both.text("a first-secret, a second-secret"), "a [redacted], a [redacted]");
    let none = Redactor::default().knowing(["first-secret".to_owned()]);
    assert_eq!(none.text("first-secret"), "[redacted]");
}
