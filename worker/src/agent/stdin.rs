//! The one writer of the agent's stdin.
//!
//! What holds: lines are written whole and one after the other, also when the caller of
//! [`Stdin::write`] goes away meanwhile. One torn or mixed line would end the CLI.

use std::io;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Lines that wait while one is written. Senders wait beyond that; the CLI always reads.
const LINES_WAITING: usize = 16;

/// A handle to the writer.
#[derive(Clone)]
pub(crate) struct Stdin(mpsc::Sender<Pending>);

struct Pending {
    line: Vec<u8>,
    written: oneshot::Sender<io::Result<()>>,
}

/// The stream is closed, or broke.
#[derive(Debug, thiserror::Error)]
#[error("the agent's stdin is closed")]
pub(crate) struct Closed(#[source] pub(crate) Option<io::Error>);

impl Stdin {
    /// The handle, and the task that writes: until `closing`, or at once when the process `ended`.
    pub(crate) fn of(
        pipe: ChildStdin,
        closing: CancellationToken,
        ended: CancellationToken,
    ) -> (Self, impl Future<Output = ()>) {
        let (send, lines) = mpsc::channel(LINES_WAITING);
        (Self(send), write_all(pipe, lines, closing, ended))
    }

    /// Writes one value as one line; returns when the pipe took it.
    pub(crate) async fn write(&self, value: &Value) -> Result<(), Closed> {
        let (written, outcome) = oneshot::channel();
        self.0.send(Pending { line: line_of(value), written }).await.map_err(|_| Closed(None))?;
        outcome.await.map_err(|_| Closed(None))?.map_err(|source| Closed(Some(source)))
    }

    /// Has one value written some time, without waiting; says whether there was place for it.
    pub(crate) fn offer(&self, value: &Value) -> bool {
        let (written, _) = oneshot::channel();
        self.0.try_send(Pending { line: line_of(value), written }).is_ok()
    }
}

fn line_of(value: &Value) -> Vec<u8> {
    let mut line = value.to_string().into_bytes();
    line.push(b'\n');
    line
}

async fn write_all(
    mut pipe: ChildStdin,
    mut lines: mpsc::Receiver<Pending>,
    closing: CancellationToken,
    ended: CancellationToken,
) {
    loop {
        // Lines come first: what was accepted before the close is written.
        let Pending { line, written } = tokio::select! {
            biased;
            next = lines.recv() => match next {
                Some(next) => next,
                None => return,
            },
            () = closing.cancelled() => return,
        };
        let outcome = tokio::select! {
            outcome = pipe.write_all(&line) => outcome,
            () = ended.cancelled() => return,
        };
        let broke = outcome.is_err();
        written.send(outcome).ok(); // The caller went away; the line is written all the same.
        if broke {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;
    use std::time::Duration;

    use serde_json::json;
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    use tokio::process::Command;

    use super::*;

    /// Larger than a pipe holds, so that every line is written in several pieces.
    const LINE_BYTES: usize = 1_000_000;
    /// For one line. Long, since the machine may be loaded.
    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn lines_of_many_writers_are_never_mixed_or_torn_also_when_a_writer_goes_away() {
        let mut cat = Command::new("cat");
        cat.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut cat = cat.spawn().unwrap();
        let (closing, ended) = (CancellationToken::new(), CancellationToken::new());
        let pipe = cat.stdin.take().unwrap();
        let (stdin, writing) = Stdin::of(pipe, closing.clone(), ended);
        let writing = tokio::spawn(writing);

        // Nobody reads yet, so this line stays in its middle; and its writer goes away.
        let line = json!({ "n": 0, "text": "a".repeat(LINE_BYTES) });
        tokio::select! {
            biased;
            _ = stdin.write(&line) => panic!("the pipe took more than it holds"),
            () = std::future::ready(()) => {}
        }
        assert!(stdin.offer(&json!({ "n": "offered" })));

        let writers: Vec<_> = (1..=8)
            .map(|n| {
                let stdin = stdin.clone();
                tokio::spawn(async move {
                    let line = json!({ "n": n, "text": "b".repeat(LINE_BYTES) });
                    stdin.write(&line).await
                })
            })
            .collect();
        let mut lines = BufReader::new(cat.stdout.take().unwrap()).lines();
        let mut read = Vec::new();
        for _ in 0..10 {
            let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
            let line = line.expect("no line came").unwrap().unwrap();
            read.push(serde_json::from_str::<Value>(&line).unwrap());
        }
        for writer in writers {
            writer.await.unwrap().unwrap();
        }
        assert_eq!(read[0], line, "the line of who went away is whole");
        let mut numbers: Vec<_> = read.iter().filter_map(|line| line["n"].as_u64()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..=8).collect::<Vec<_>>());
        closing.cancel();
        writing.await.unwrap();
        assert_eq!(lines.next_line().await.unwrap(), None);
    }
}
