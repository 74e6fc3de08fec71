//! The end of what a process wrote to stderr, with bounded memory.
//!
//! What holds: known secrets are redacted before anything is cut off, wherever the pipe split them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use specwright_shared::redact::{Flow, Redactor};
use tokio::io::{AsyncRead, AsyncReadExt};

/// How much of stderr is kept. A stack trace's last frames and the message fit; it stands in events.
pub(crate) const STDERR_TAIL_BYTES: usize = 4 * 1024;

/// The last [`STDERR_TAIL_BYTES`] of a stream; clones share it.
#[derive(Clone)]
pub(crate) struct Tail(Arc<Mutex<Kept>>);

struct Kept {
    flow: Flow,
    /// What came out of it.
    clean: VecDeque<u8>,
}

impl Tail {
    pub(crate) fn new(redactor: Redactor) -> Self {
        let kept = Kept { flow: Flow::new(redactor), clean: VecDeque::new() };
        Self(Arc::new(Mutex::new(kept)))
    }

    /// Reads the stream to its end, however much comes: a full pipe would stop the process.
    pub(crate) async fn drain(self, mut stream: impl AsyncRead + Unpin) {
        let mut chunk = vec![0; 8 * 1024];
        // An error ends the stream like its end does: there is nothing more to read.
        while let Ok(read @ 1..) = stream.read(&mut chunk).await {
            self.push(&chunk[..read]);
        }
    }

    fn push(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept { flow, clean } = &mut *kept;
        clean.extend(flow.push(bytes).as_bytes());
        let surplus = clean.len().saturating_sub(STDERR_TAIL_BYTES);
        clean.drain(..surplus);
    }

    /// The text so far, from a whole character on.
    pub(crate) fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes: Vec<u8> = kept.clean.iter().copied().collect();
        bytes.extend_from_slice(kept.flow.rest().as_bytes());
        bytes.drain(..bytes.len().saturating_sub(STDERR_TAIL_BYTES));
        // The cut may have split a character: its continuation bytes are dropped.
        let start = bytes.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
        String::from_utf8_lossy(&bytes[start..]).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_end_is_kept_and_no_character_is_split() {
        let tail = Tail::new(Redactor::default());
        let noise = "é".repeat(STDERR_TAIL_BYTES) + "x the reason\n";
        tail.clone().drain(noise.as_bytes()).await;
        let text = tail.text();
        assert!(text.len() <= STDERR_TAIL_BYTES);
        assert!(text.starts_with('é') && text.ends_with("x the reason"), "{text}");
    }

    #[tokio::test]
    async fn a_secret_that_lies_across_the_cut_or_two_reads_leaves_no_part_of_itself() {
        const SECRET: &str = "sk-ant-a-real-key";
        // Of the whole, the last bytes of the secret would be kept; the pipe splits the second one.
        for behind in STDERR_TAIL_BYTES - 40..=STDERR_TAIL_BYTES {
            let tail = Tail::new(Redactor::new([SECRET.to_owned()]));
            let noise = format!("{SECRET}{}", ".".repeat(behind));
            for piece in noise.as_bytes().chunks(7) {
                tail.push(piece);
            }
            let text = tail.text();
            assert!(!text.contains("key") && !text.contains("sk-"), "{behind}: {}", &text[..40]);
        }
    }
}
