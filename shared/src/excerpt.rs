//! A large value cut to size, with an explicit mark and its full size.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most bytes of one value that travel in an event. A tool's result or a message beyond this is
/// cut; 16 KiB holds what a person reads and keeps a batch of 50 events under 1 MiB.
pub const EXCERPT_MAX_BYTES: usize = 16 * 1024;

/// Text that may have been cut.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Excerpt {
    /// The text, or its beginning.
    pub text: String,
    /// The full size in bytes.
    pub bytes: u64,
    /// Whether `text` is only the beginning.
    pub cut: bool,
}

impl Excerpt {
    /// Cuts to [`EXCERPT_MAX_BYTES`], never inside a character.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::within(text, EXCERPT_MAX_BYTES)
    }

    /// Cuts to `max` bytes, never inside a character.
    #[must_use]
    pub fn within(text: &str, max: usize) -> Self {
        let end = text.floor_char_boundary(max);
        Self { text: text[..end].to_owned(), bytes: text.len() as u64, cut: end < text.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_marked_and_never_splits_a_character() {
        let cut = Excerpt::within("aé日", 4);
        assert_eq!(cut, Excerpt { text: "aé".into(), bytes: 6, cut: true });
        assert_eq!(Excerpt::of("x"), Excerpt { text: "x".into(), bytes: 1, cut: false });
    }
}
