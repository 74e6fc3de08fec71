//! The end of what a process wrote to stderr, with bounded memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};

/// How much of stderr is kept. A stack trace's last frames and the message fit; it stands in events.
pub(crate) const STDERR_TAIL_BYTES: usize = 4 * 1024;

/// The last [`STDERR_TAIL_BYTES`] of a stream; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Tail(Arc<Mutex<VecDeque<u8>>>);

impl Tail {
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
        let newest = &bytes[bytes.len().saturating_sub(STDERR_TAIL_BYTES)..];
        kept.extend(newest);
        let surplus = kept.len().saturating_sub(STDERR_TAIL_BYTES);
        kept.drain(..surplus);
    }

    /// The text so far, from a whole character on.
    pub(crate) fn text(&self) -> String {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = kept.make_contiguous();
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
        let tail = Tail::default();
        let noise = "é".repeat(STDERR_TAIL_BYTES) + "x the reason\n";
        tail.clone().drain(noise.as_bytes()).await;
        let text = tail.text();
        assert!(text.len() <= STDERR_TAIL_BYTES);
        assert!(text.starts_with('é') && text.ends_with("x the reason"), "{text}");
    }
}
