//! Bounded text: what comes from a person or a model and is stored, shown or sent on.
//!
//! The bound counts characters (Unicode scalar values), as JSON Schema's `maxLength` does, so that
//! the schema given to the model and the check made here cannot disagree.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Text of 1 to `MAX` characters: not blank, no control characters but tab, newline and return.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text<const MAX: usize>(String);

/// A title or a name: text without a line break, at most 200 characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Line(String);

/// The longest [`Line`], in characters: what fits a card's title and a commit's subject twice over.
pub const LINE_MAX: usize = 200;

/// Why a text was refused. The sentence says what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing but white space.
    #[error("is empty; write at least one word")]
    Blank,
    /// Too many characters.
    #[error("has {length} characters; at most {max} are allowed")]
    TooLong {
        /// How many it has.
        length: usize,
        /// How many it may have.
        max: usize,
    },
    /// A character that no terminal, database or document should be handed.
    #[error("has the control character U+{code:04X} at character {position}; remove it")]
    Control {
        /// The character's code point.
        code: u32,
        /// Where it stands, counted from 0.
        position: usize,
    },
    /// A line break where one line is wanted.
    #[error("has a line break at character {position}; write it on one line")]
    LineBreak {
        /// Where it stands, counted from 0.
        position: usize,
    },
}

fn check(text: &str, max: usize, one_line: bool) -> Result<(), TextError> {
    if text.trim().is_empty() {
        return Err(TextError::Blank);
    }
    let mut length = 0;
    for (position, character) in text.chars().enumerate() {
        length += 1;
        if one_line && matches!(character, '\n' | '\r') {
            return Err(TextError::LineBreak { position });
        }
        if character.is_control() && !matches!(character, '\n' | '\r' | '\t') {
            return Err(TextError::Control { code: u32::from(character), position });
        }
    }
    if length > max {
        return Err(TextError::TooLong { length, max });
    }
    Ok(())
}

impl<const MAX: usize> Text<MAX> {
    /// Checks and takes the text.
    ///
    /// # Errors
    /// [`TextError`], as a sentence about the text.
    pub fn new(text: impl Into<String>) -> Result<Self, TextError> {
        let text = text.into();
        check(&text, MAX, false)?;
        Ok(Self(text))
    }

    /// Takes what fits of any text: control characters become spaces, the end is cut with `…`.
    /// `None` when nothing but white space is left.
    #[must_use]
    pub fn fitted(text: &str) -> Option<Self> {
        let fit = fit(text, MAX, false);
        Self::new(fit).ok()
    }
}

impl Line {
    /// Checks and takes the text.
    ///
    /// # Errors
    /// [`TextError`], as a sentence about the text.
    pub fn new(text: impl Into<String>) -> Result<Self, TextError> {
        let text = text.into();
        check(&text, LINE_MAX, true)?;
        Ok(Self(text))
    }

    /// Takes what fits of any text: control characters and line breaks become spaces, the end is
    /// cut with `…`. `None` when nothing but white space is left.
    #[must_use]
    pub fn fitted(text: &str) -> Option<Self> {
        let fit = fit(text, LINE_MAX, true);
        Self::new(fit).ok()
    }
}

fn fit(text: &str, max: usize, one_line: bool) -> String {
    let clean = text.trim().chars().map(|character| match character {
        '\n' | '\r' | '\t' if !one_line => character,
        other if other.is_control() => ' ',
        other => other,
    });
    let mut fitted: String = clean.clone().take(max).collect();
    if clean.count() > max {
        fitted.pop();
        fitted.push('…');
    }
    fitted
}

macro_rules! text_like {
    ([$($generics:tt)*] $name:ty) => {
        impl<$($generics)*> TryFrom<String> for $name {
            type Error = TextError;
            fn try_from(text: String) -> Result<Self, TextError> {
                Self::new(text)
            }
        }
        impl<$($generics)*> From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }
        impl<$($generics)*> Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }
        impl<$($generics)*> fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl<$($generics)*> fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}
text_like!([const MAX: usize] Text<MAX>);
text_like!([] Line);

impl<const MAX: usize> JsonSchema for Text<MAX> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Text{MAX}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": MAX })
    }
}

impl JsonSchema for Line {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Line".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "minLength": 1, "maxLength": LINE_MAX, "pattern": "^[^\\r\\n]+$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_would_be_right() {
        assert_eq!(Text::<5>::new("   "), Err(TextError::Blank));
        assert_eq!(Text::<5>::new("abcdef"), Err(TextError::TooLong { length: 6, max: 5 }));
        assert_eq!(Text::<5>::new("a\0b"), Err(TextError::Control { code: 0, position: 1 }));
        assert_eq!(Line::new("a\nb"), Err(TextError::LineBreak { position: 1 }));
        assert_eq!(
            TextError::Control { code: 0, position: 1 }.to_string(),
            "has the control character U+0000 at character 1; remove it"
        );
    }

    #[test]
    fn the_bound_counts_characters_not_bytes() {
        assert!(Text::<3>::new("日本語").is_ok());
        assert!(Text::<3>::new("日本語だ").is_err());
    }

    #[test]
    fn anything_can_be_fitted() {
        assert_eq!(Line::fitted("a\nb\0c").as_deref(), Some("a b c"));
        assert_eq!(Text::<4>::fitted("abcdef").as_deref(), Some("abc…"));
        assert_eq!(Line::fitted(" \n "), None);
    }
}
