//! A proxy between workers and the control API that breaks what passes, as networks do.
//!
//! What holds: a request is read as a whole before anything is decided about it; each connection
//! carries one request and is closed behind its answer, so that a fault hits exactly the request it
//! was meant for; an answer streams through as it comes. The proxy itself adds no fault.
//!
//! Deliberately absent: request bodies in chunks, which no worker sends.

mod exchange;
mod request;

#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The connection is reset; the request arrives nowhere.
    ResetBefore,
    /// The request is carried out; the connection is reset instead of an answer.
    ResetAfter,
    /// The request is swallowed, and the connection stays open for so long.
    BlackHole {
        /// Milliseconds.
        ms: u64,
    },
    /// The request arrives late.
    Slow {
        /// Milliseconds.
        ms: u64,
    },
    /// The request is carried out twice; the second answer is given.
    Duplicate,
    /// The connection is closed without an answer, and the request arrives later, behind its own
    /// repetition.
    Reorder {
        /// Milliseconds.
        ms: u64,
    },
    /// The request is carried out; only so much of the answer comes back.
    Truncate {
        /// Bytes.
        bytes: usize,
    },
}

/// A fault that is waiting for its request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toxic {
    /// The last segment of the requests' path, e.g. `events`.
    pub route: String,
    /// Which of them, from 0.
    pub nth: u32,
    /// What happens to it.
    pub fault: Fault,
}

/// What happens to all connections while the network is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// They are reset.
    Reset,
    /// Nothing passes, and nobody is told.
    BlackHole,
}

/// A running proxy. Dropping it ends it.
pub struct FaultProxy {
    address: SocketAddr,
    line: Arc<Line>,
    _stop: DropGuard,
}

/// What all connections share.
struct Line {
    backend: watch::Sender<Option<SocketAddr>>,
    cut: watch::Sender<Option<Cut>>,
    toxics: Vec<(Toxic, AtomicU32)>,
    applied: Mutex<Vec<String>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl FaultProxy {
    /// A proxy on a free port of loopback that has no backend yet.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start(toxics: Vec<Toxic>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let line = Arc::new(Line {
            backend: watch::Sender::new(None),
            cut: watch::Sender::new(None),
            toxics: toxics.into_iter().map(|toxic| (toxic, AtomicU32::new(0))).collect(),
            applied: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: stop.clone(),
        });
        let accepting = Arc::clone(&line);
        line.tasks.spawn(async move {
            let stop = accepting.stop.clone();
            while let Some(Ok((client, _))) = stop.run_until_cancelled(listener.accept()).await {
                let line = Arc::clone(&accepting);
                accepting.tasks.spawn(async move {
                    let stop = line.stop.clone();
                    stop.run_until_cancelled(exchange::carry(&line, client)).await
                });
            }
        });
        Ok(Self { address, line, _stop: stop.drop_guard() })
    }

    /// Where workers reach it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where requests go from now on.
    pub fn lead_to(&self, backend: SocketAddr) {
        self.line.backend.send_replace(Some(backend));
    }

    /// Cuts the network, or mends it.
    pub fn cut(&self, cut: Option<Cut>) {
        self.line.cut.send_replace(cut);
    }

    /// The faults that met their request, in order.
    #[must_use]
    pub fn applied(&self) -> Vec<String> {
        self.line.applied.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Line {
    /// The fault that waits for this request, if one does. Counts the request.
    fn fault_for(&self, route: &str) -> Option<Fault> {
        let mut found = None;
        for (toxic, count) in self.toxics.iter().filter(|(toxic, _)| toxic.route == route) {
            if count.fetch_add(1, Ordering::Relaxed) == toxic.nth && found.is_none() {
                found = Some(toxic.fault);
            }
        }
        if let Some(fault) = found {
            let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
            applied.push(format!("{route}: {fault:?}"));
        }
        found
    }
}
