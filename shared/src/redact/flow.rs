//! Known secrets out of text that comes in pieces.
//!
//! What holds: nothing is given out before it is certain that no secret begins in it, so that a secret
//! is found whichever pieces it comes in; a character that is split between two pieces is put together.
//!
//! Deliberately absent: secrets that text of others interrupts.

use super::{REDACTED, Redactor};

/// The most bytes that are held back. Keys are far shorter; only text that is made of nothing but
/// overlapping secrets reaches it, and is given up as a whole.
const HELD_MAX_BYTES: usize = 256 * 1024;

/// So many bytes of a secret's beginning are held to be one at the end of the text.
const BEGINNING_MIN_BYTES: usize = 4;

/// A stream of text on its way through a [`Redactor`].
#[derive(Debug)]
pub struct Flow {
    redactor: Redactor,
    longest: usize,
    held: Vec<u8>,
}

impl Flow {
    /// A stream of which nothing has come.
    #[must_use]
    pub fn new(redactor: Redactor) -> Self {
        let longest = redactor.longest();
        Self { redactor, longest, held: Vec::new() }
    }

    /// A piece comes; what is certain by now goes on.
    pub fn push(&mut self, piece: &[u8]) -> String {
        self.held.extend_from_slice(piece);
        let split_char = self.held.split_off(whole_chars(&self.held));
        let text = String::from_utf8_lossy(&self.held).into_owned();
        let spans = self.redactor.spans(&text);
        // Whatever begins before this is here as a whole, the longest form too.
        let known = text.len().saturating_sub(self.longest.saturating_sub(1));
        let known = text.floor_char_boundary(known);
        let across = spans.iter().find(|(from, to)| *from < known && known < *to);
        let certain = across.map_or(known, |(from, _)| *from);
        let mut clean = self.redactor.text(&text[..certain]).into_owned();
        self.held.clear();
        if text.len() - certain > HELD_MAX_BYTES {
            clean.push_str(REDACTED);
        } else {
            self.held.extend_from_slice(&text.as_bytes()[certain..]);
        }
        self.held.extend_from_slice(&split_char);
        clean
    }

    /// What is held back, as far as it may be seen if nothing more comes: without what looks like the
    /// beginning of a secret.
    #[must_use]
    pub fn rest(&self) -> String {
        let text = String::from_utf8_lossy(&self.held);
        let mut clean = self.redactor.text(&text).into_owned();
        let begins = (0..clean.len().saturating_sub(BEGINNING_MIN_BYTES - 1)).find(|start| {
            let end = &clean.as_bytes()[*start..];
            let forms = self.redactor.forms.get(usize::from(end[0]));
            forms.into_iter().flatten().any(|form| form.as_bytes().starts_with(end))
        });
        if let Some(start) = begins {
            clean.truncate(start);
            clean.push_str(REDACTED);
        }
        clean
    }
}

/// The bytes up to a character that is not there as a whole.
fn whole_chars(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let at = bytes.len() - back;
        let needed = match bytes[at] {
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            0x80..=0xbf => continue,
            _ => 1,
        };
        return if needed > back { at } else { bytes.len() };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "sk-ant-a-real-key";

    fn flow(secrets: &[&str]) -> Flow {
        Flow::new(Redactor::new(secrets.iter().map(|secret| (*secret).to_owned())))
    }

    fn passed(flow: &mut Flow, pieces: &[&[u8]]) -> String {
        let mut text: String = pieces.iter().map(|piece| flow.push(piece)).collect();
        text.push_str(&flow.rest());
        text
    }

    #[test]
    fn a_secret_is_found_wherever_it_is_split_and_however_it_is_encoded() {
        for lead in ["", "a", "ab"] {
            let plain = format!("{lead}{SECRET}");
            let texts = [plain.clone(), STANDARD.encode(&plain), URL_SAFE_NO_PAD.encode(&plain)];
            for text in texts {
                let text = format!("key={text}; fine");
                for at in 0..=text.len() {
                    let (one, other) = text.as_bytes().split_at(at);
                    let clean = passed(&mut flow(&[SECRET]), &[one, other]);
                    assert!(clean.contains(REDACTED), "{text} split at {at}: {clean}");
                    assert!(clean.len() <= text.len() + REDACTED.len() - SECRET.len(), "{clean}");
                    assert!(clean.starts_with("key=") && clean.ends_with("; fine"), "{clean}");
                }
            }
        }
    }

    #[test]
    fn the_longer_of_two_that_begin_alike_is_hidden_whole_also_when_it_comes_later() {
        let mut flow = flow(&["token-123", "token-123-and-more"]);
        assert_eq!(passed(&mut flow, &[b"x token-123", b"-and-more y"]), "x [redacted] y");
    }

    #[test]
    fn the_beginning_of_a_secret_at_the_end_is_not_shown() {
        assert_eq!(passed(&mut flow(&[SECRET]), &[b"key sk-ant-a-re"]), "key [redacted]");
        assert_eq!(passed(&mut flow(&[SECRET]), &[b"tasks"]), "tasks");
    }

    #[test]
    fn text_of_nothing_but_overlapping_secrets_is_not_held_for_ever() {
        let mut flow = flow(&["aaaaaaaa"]);
        let mut clean = String::new();
        for _ in 0..100 {
            clean += &flow.push(&[b'a'; 8192]);
            assert!(flow.held.len() <= HELD_MAX_BYTES);
        }
        assert!(!clean.contains("aaaa"), "{clean}");
    }

    proptest! {
        #[test]
        fn text_without_secrets_passes_unchanged_in_any_pieces(
            text in "[a-mß日\\n ]{0,80}", size in 1_usize..9,
        ) {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            prop_assert_eq!(passed(&mut flow(&["nopqrstu-nopq"]), &pieces), text);
        }
    }
}
