//! What a call is assumed to have used whose answer did not come to its end.
//!
//! What holds: the assumption is never below what the answer told. The service tells what it wrote at
//! the end only, and what it read when it begins; before that the bytes are all that is known. A token
//! of English is four bytes of text and one of code three; the smaller figure is taken, so that the
//! assumption is rather too high: it counts against a limit.

use crate::price::Tokens;

/// Bytes of text in a token, taken low.
const BYTES_PER_TOKEN: u64 = 3;

/// What is known of such a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unfinished {
    /// Bytes of the request's body; 0: not known.
    pub request_bytes: u64,
    /// The usage that the answer told until then.
    pub told: Option<Tokens>,
    /// Bytes of text, thought and tool input in the answer until then.
    pub text_bytes: u64,
}

impl Unfinished {
    /// What it is assumed to have used.
    #[must_use]
    pub fn assumed(&self) -> Tokens {
        let written = self.text_bytes.div_ceil(BYTES_PER_TOKEN);
        match self.told {
            Some(told) => Tokens { output: told.output.max(written), ..told },
            None => Tokens {
                input: self.request_bytes.div_ceil(BYTES_PER_TOKEN),
                output: written,
                ..Tokens::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_the_answer_begins_the_request_is_all_that_counts() {
        let sent = Unfinished { request_bytes: 3001, ..Unfinished::default() };
        assert_eq!(sent.assumed(), Tokens { input: 1001, ..Tokens::default() });
    }

    #[test]
    fn what_was_told_is_believed_and_what_was_written_since_is_added_to_it() {
        let told = Tokens { input: 100, output: 2, cache_read: 7, ..Tokens::default() };
        let cut = Unfinished { request_bytes: 9000, told: Some(told), text_bytes: 300 };
        assert_eq!(cut.assumed(), Tokens { output: 100, ..told });
        let cut = Unfinished { text_bytes: 3, ..cut };
        assert_eq!(cut.assumed(), told);
    }
}
