//! Lines of any length from a pipe, with bounded memory.
//!
//! What holds: a line up to the bound is given whole; of a longer one only the beginning is kept, its
//! rest is read and counted, and the stream goes on behind it. [`Lines::next`] may be dropped at any
//! await and called again without losing a byte.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// The longest line that is kept. Lines of 5 MB were measured from the real CLI; sixty-four is far
/// above what it writes and far below what would end the worker.
pub(crate) const LINE_MAX_BYTES: usize = 64 * 1024 * 1024;

/// How much is read from the pipe at once: a pipe's default capacity.
const READ_BYTES: usize = 64 * 1024;

/// A line buffer larger than this is given back after use, so that one large line does not stay.
const KEPT_CAPACITY_BYTES: usize = 1024 * 1024;

/// A reader of lines.
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    size: u64,
    max: usize,
    given: bool,
}

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// The line, or its beginning.
    pub(crate) bytes: &'a [u8],
    /// Its full size; larger than `bytes` if it was cut.
    pub(crate) size: u64,
    /// Whether the stream ended in it.
    pub(crate) torn: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Lines up to `max` bytes.
    pub(crate) fn new(reader: R, max: usize) -> Self {
        let reader = BufReader::with_capacity(READ_BYTES, reader);
        Self { reader, line: Vec::new(), size: 0, max, given: false }
    }

    /// The next line; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> std::io::Result<Option<Line<'_>>> {
        if std::mem::take(&mut self.given) {
            self.line.clear();
            self.line.shrink_to(KEPT_CAPACITY_BYTES);
            self.size = 0;
        }
        loop {
            // The only await: nothing was taken from the buffer before it.
            let chunk = self.reader.fill_buf().await?;
            let ended = chunk.is_empty();
            if ended && self.size == 0 {
                return Ok(None);
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            let room = self.max - self.line.len();
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            self.size += part.len() as u64;
            let taken = part.len() + usize::from(end.is_some());
            self.reader.consume(taken);
            if ended || end.is_some() {
                self.given = true;
                return Ok(Some(Line { bytes: &self.line, size: self.size, torn: ended }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines_of(input: &[u8], max: usize) -> Vec<(Vec<u8>, u64, bool)> {
        let mut lines = Lines::new(input, max);
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push((line.bytes.to_vec(), line.size, line.torn));
        }
        all
    }

    #[tokio::test]
    async fn lines_are_given_whole_and_the_last_may_be_torn() {
        assert_eq!(
            lines_of(b"one\n\ntwo", 100).await,
            [(b"one".to_vec(), 3, false), (vec![], 0, false), (b"two".to_vec(), 3, true)]
        );
        assert_eq!(lines_of(b"", 100).await, []);
    }

    #[tokio::test]
    async fn a_line_over_the_bound_is_cut_and_counted_and_the_next_one_is_whole() {
        let mut input = vec![b'x'; 3 * READ_BYTES];
        input.extend(b"\nnext\n");
        assert_eq!(
            lines_of(&input, 10).await,
            [(vec![b'x'; 10], 3 * READ_BYTES as u64, false), (b"next".to_vec(), 4, false)]
        );
    }
}
