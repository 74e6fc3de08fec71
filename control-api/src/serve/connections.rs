//! Who is connected: taken in, bounded, and let go in order.
//!
//! What holds: who says nothing, or half a head, is cut off, also where no proxy stands before us; there
//! are never more connections than leave files for the database and for workers, and who comes then
//! waits to be taken in. After [`Connections::finish`] nobody is taken in, who is idle is let go, and
//! what is under way is answered; after [`Connections::cut`] that is broken off.
//!
//! Deliberately absent: a limit per address (behind a proxy all have one); one for bodies (a route has its
//! time for them); and a time for who reads an answer slowly, which a proxy has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::serve::{Listener as _, ListenerExt as _};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, getrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a new connection may take to say its first request's head: a moment, on the worst of lines.
const FIRST_HEAD: Duration = Duration::from_secs(20);
/// How long until the next head is there: longer than clients and proxies keep a connection that nobody
/// uses (nginx 60 s, reqwest 90 s, Caddy 2 minutes), so that it is never we who hang up on a request that
/// is under way.
const NEXT_HEAD: Duration = Duration::from_secs(130);
/// How many connections there may be: far above what a replica bears (5,000 workers have two each), and
/// at 60 KB each within its memory.
const CONNECTIONS_MAX: usize = 20_000;
/// Of the files that this process may have open, one in so many is not for connections: the database,
/// workers and their logs need some.
const FILES_KEPT_OF: usize = 8;

/// What holds for connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    first_head: Duration,
    next_head: Duration,
    most: usize,
}

impl Bounds {
    /// The usual ones, as far as this process's files go.
    pub(super) fn usual() -> Self {
        let files = getrlimit(Resource::Nofile).current;
        let files = files.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
        let most = CONNECTIONS_MAX.min(files - files / FILES_KEPT_OF).max(1);
        Self { first_head: FIRST_HEAD, next_head: NEXT_HEAD, most }
    }
}

/// The connections to one listener.
#[derive(Debug)]
pub(super) struct Connections {
    finish: CancellationToken,
    cut: CancellationToken,
    tasks: TaskTracker,
}

impl Connections {
    /// Takes connections in from here on.
    pub(super) fn take(listener: TcpListener, router: Router, bounds: Bounds) -> Self {
        let (finish, cut) = (CancellationToken::new(), CancellationToken::new());
        let tasks = TaskTracker::new();
        let each = Each {
            // Once: a bare router would be copied, with its table, for every connection.
            service: TowerToHyperService::new(router.with_state(())),
            bounds,
            finish: finish.clone(),
            cut: cut.clone(),
        };
        tasks.spawn(take_in(listener, each, tasks.clone()));
        Self { finish, cut, tasks }
    }

    /// Takes nobody in any more, and comes back when all that is under way was answered.
    pub(super) async fn finish(&self) {
        self.finish.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Breaks off what is still under way.
    pub(super) fn cut(&self) {
        self.finish.cancel();
        self.cut.cancel();
        self.tasks.close();
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        // Nobody is left who would see to its end.
        self.cut();
    }
}

/// What each connection is given.
#[derive(Debug, Clone)]
struct Each {
    service: TowerToHyperService<Router>,
    bounds: Bounds,
    finish: CancellationToken,
    cut: CancellationToken,
}

async fn take_in(listener: TcpListener, each: Each, tasks: TaskTracker) {
    // A push goes out at once: the system would hold a second small one back for 40 ms.
    let mut listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection may be slow");
        }
    });
    let places = Arc::new(Semaphore::new(each.bounds.most));
    let mut next = async || {
        let place = Arc::clone(&places).acquire_owned().await.ok()?;
        // Errors are retried there, after a second where files are used up.
        Some((listener.accept().await.0, place))
    };
    while let Some(Some((connection, place))) = each.finish.run_until_cancelled(next()).await {
        let each = each.clone();
        tasks.spawn(async move {
            each.attend(connection).await;
            drop(place);
        });
    }
}

impl Each {
    /// Answers the requests of one connection, one after the other.
    async fn attend(self, connection: TcpStream) {
        let Self { service, bounds, finish, cut } = self;
        let spoken = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&spoken);
        let service = service_fn(move |request| {
            heard.store(true, Ordering::Relaxed);
            service.call(request)
        });
        let mut answering = std::pin::pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(bounds.next_head)
                .serve_connection(TokioIo::new(connection), service)
        );
        let mut first = std::pin::pin!(tokio::time::sleep(bounds.first_head));
        let (mut looked, mut finishing) = (false, false);
        loop {
            tokio::select! {
                ended = answering.as_mut() => {
                    if let Err(error) = ended {
                        tracing::trace!(%error, "a connection broke");
                    }
                    return;
                }
                () = first.as_mut(), if !looked => {
                    looked = true;
                    if !spoken.load(Ordering::Relaxed) {
                        tracing::debug!("who connected has not said what it wants; it is cut off");
                        return;
                    }
                }
                () = finish.cancelled(), if !finishing => {
                    finishing = true;
                    answering.as_mut().graceful_shutdown();
                }
                () = cut.cancelled() => return,
            }
        }
    }
}

#[cfg(test)]
mod tests;
