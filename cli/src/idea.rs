//! The idea, from the argument or from stdin.

use std::io::{self, Read};

use specwright_shared::text::TextError;
use specwright_shared::wire::spec::Idea;

use crate::exit::{Exit, Failure};

/// The argument that means stdin.
const STDIN: &str = "-";

/// The most bytes that are read: more than the longest idea that is taken, so that a longer one is
/// refused for its length and not cut silently.
const READ_MAX_BYTES: u64 = 4 * 262_144 + 4096;

/// Why there is no idea.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdeaError {
    /// Stdin cannot be read.
    #[error("the idea cannot be read from stdin; it is UTF-8 text")]
    Stdin(#[source] io::Error),
    /// It is not a text that is taken.
    #[error("the idea {0}")]
    Text(TextError),
}

impl From<IdeaError> for Failure {
    fn from(error: IdeaError) -> Self {
        Self::of(Exit::Usage, error)
    }
}

/// Takes the argument, or with `-` what `stdin` has.
pub(crate) fn read(argument: &str, stdin: impl Read) -> Result<Idea, IdeaError> {
    let mut text = String::new();
    if argument == STDIN {
        stdin.take(READ_MAX_BYTES).read_to_string(&mut text).map_err(IdeaError::Stdin)?;
    } else {
        text.push_str(argument);
    }
    Idea::new(text.trim()).map_err(IdeaError::Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dash_means_stdin() {
        assert_eq!(&*read("-", &b"  from stdin\n"[..]).unwrap(), "from stdin");
        assert_eq!(&*read("an idea", &b"from stdin"[..]).unwrap(), "an idea");
    }

    #[test]
    fn what_is_no_idea_is_refused_with_what_would_be_right() {
        let refusal = |argument: &str, stdin: &[u8]| read(argument, stdin).unwrap_err().to_string();
        assert_eq!(refusal(" ", b""), "the idea is empty; write at least one word");
        assert!(refusal("-", &[b'x'; 300_000]).contains("300000 characters"));
        assert!(refusal("-", b"a\0b").contains("U+0000"));
        assert!(refusal("-", b"\xff").contains("UTF-8"));
    }
}
