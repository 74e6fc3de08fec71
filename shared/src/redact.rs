//! Known secrets out of any text, before it is written, logged or sent.
//!
//! Holds: after [`Redactor::text`] no known secret is left in the text, neither as it is, nor
//! JSON-escaped (once or twice: a tool's result is JSON inside JSON), nor inside base64 at any of
//! its three alignments. In text that comes in pieces, or of which only a piece is there, [`Flow`] finds
//! what lies across a border. Deliberately absent: guessing what looks like a secret.

mod flow;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;

pub use flow::Flow;

/// What stands in a secret's place.
pub const REDACTED: &str = "[redacted]";

/// Values shorter than this, in characters, are not redacted: they would be found in ordinary words.
pub const SECRET_MIN_CHARS: usize = 8;

/// Replaces known secret values.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Every form of every secret, by first byte.
    forms: Vec<Vec<String>>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The values are what must not be shown.
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

impl Redactor {
    /// Knows these values from now on; short ones and blank ones are passed over.
    #[must_use]
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut forms = BTreeSet::new();
        for secret in secrets {
            // A value from a file or the environment often brings its line break along.
            let secret = secret.trim();
            if secret.chars().count() >= SECRET_MIN_CHARS {
                add_forms(secret, &mut forms);
            }
        }
        if forms.is_empty() {
            return Self::default();
        }
        let mut by_first_byte = vec![Vec::new(); 256];
        for form in forms {
            by_first_byte[usize::from(form.as_bytes()[0])].push(form);
        }
        for forms in &mut by_first_byte {
            forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        }
        Self { forms: by_first_byte }
    }

    /// One that knows these values, too.
    #[must_use]
    pub fn knowing(&self, more: impl IntoIterator<Item = String>) -> Self {
        let mut both = Self::new(more);
        if both.forms.is_empty() {
            return self.clone();
        }
        for (forms, known) in both.forms.iter_mut().zip(&self.forms) {
            forms.extend(known.iter().cloned());
            forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        }
        both
    }

    /// The text without the secrets; borrowed when there were none.
    #[must_use]
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.forms.is_empty() {
            return Cow::Borrowed(text);
        }
        let spans = self.spans(text);
        if spans.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut clean = String::new();
        let mut copied = 0;
        for (from, to) in spans {
            clean.push_str(&text[copied..from]);
            clean.push_str(REDACTED);
            copied = to;
        }
        clean.push_str(&text[copied..]);
        Cow::Owned(clean)
    }

    /// What is to be hidden, in order. Overlapping finds are joined, so that hiding one secret cannot
    /// leave the tail of another in sight.
    fn spans(&self, text: &str) -> Vec<(usize, usize)> {
        let mut spans: Vec<(usize, usize)> = Vec::new();
        for (start, byte) in text.bytes().enumerate() {
            let Some(forms) = self.forms.get(usize::from(byte)) else { break };
            let rest = &text.as_bytes()[start..];
            // Longest first, so the first that fits reaches farthest.
            let Some(form) = forms.iter().find(|form| rest.starts_with(form.as_bytes())) else {
                continue;
            };
            let end = start + form.len();
            match spans.last_mut() {
                Some((_, to)) if start < *to => *to = end.max(*to),
                _ => spans.push((start, end)),
            }
        }
        spans
    }

    /// Bytes of the longest form of a secret.
    fn longest(&self) -> usize {
        self.forms.iter().flatten().map(String::len).max().unwrap_or_default()
    }

    /// The same for every string of a JSON value, keys and numbers included.
    pub fn value(&self, value: &mut Value) {
        if self.forms.is_empty() {
            return;
        }
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => {
                if let Cow::Owned(clean) = self.text(&number.to_string()) {
                    *value = Value::String(clean);
                }
            }
            Value::String(text) => {
                if let Cow::Owned(clean) = self.text(text) {
                    *text = clean;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(fields) => {
                fields.values_mut().for_each(|field| self.value(field));
                if fields.keys().any(|key| matches!(self.text(key), Cow::Owned(_))) {
                    *fields = std::mem::take(fields)
                        .into_iter()
                        .map(|(key, field)| (self.text(&key).into_owned(), field))
                        .collect();
                }
            }
        }
    }
}

fn add_forms(secret: &str, forms: &mut BTreeSet<String>) {
    let once = json_escaped(secret);
    for plain in [secret.to_owned(), json_escaped(&once), once] {
        forms.insert(plain);
    }
    for lead in 0..3 {
        let mut bytes = vec![0; lead];
        bytes.extend_from_slice(secret.as_bytes());
        // A base64 digit holds 6 bits. Digits that share bits with what stands before or after the
        // secret vary with it; those between belong to the secret alone.
        let first = (lead * 8).div_ceil(6);
        let last = bytes.len() * 8 / 6;
        for text in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            forms.insert(text[first..last].to_owned());
        }
    }
}

fn json_escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}
