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
