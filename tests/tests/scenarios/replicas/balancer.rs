//! A load balancer as plain as they come: each connection goes to the next one in turn that takes it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// A running balancer. Dropping it ends it.
pub(super) struct Balancer {
    address: SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

#[derive(Default)]
struct Shared {
    behind: Mutex<Vec<SocketAddr>>,
    turn: AtomicUsize,
}

impl Balancer {
    /// Starts one with nobody behind it.
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (shared, stop) = (Arc::new(Shared::default()), CancellationToken::new());
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept(listener, Arc::clone(&shared))));
        Ok(Self { address, shared, _stop: stop.drop_guard() })
    }

    /// Where it is reached.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts one more behind it.
    pub(super) fn add(&self, address: SocketAddr) {
        self.shared.behind.lock().unwrap_or_else(PoisonError::into_inner).push(address);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let connections = TaskTracker::new();
    while let Ok((mut client, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // Nobody takes it: the client's connection is closed.
            let Some(mut server) = shared.connect().await else { return };
            // Either side may end it, in any way.
            drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
        });
    }
}

impl Shared {
    async fn connect(&self) -> Option<TcpStream> {
        let behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for _ in &behind {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            if let Ok(server) = TcpStream::connect(behind[turn % behind.len()]).await {
                return Some(server);
            }
        }
        None
    }
}
