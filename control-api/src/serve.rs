//! The life of one control API: open the store, serve, end in order.

mod connections;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use specwright_shared::redact::Redactor;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::connections::{Bounds, Connections};
use crate::app::{Api, App};
use crate::auth::Limiter;
use crate::config::Config;
use crate::credentials::Redactors;
use crate::ingest::Intake;
use crate::private::private_directory;
use crate::problem::chain;
use crate::reconcile::Nudges;
use crate::reconcile::presence::{Presence, gap};
use crate::sandboxes::Provider;
use crate::sandboxes::local::Local;
use crate::sandboxes::salvage::Salvages;
use crate::store::{self, Store, StoreError};
use crate::{auth, reconcile, router};

/// How long open requests may take to finish at shutdown. With all that comes behind, here and in the
/// program around (the last spans go to their collector), a stop takes less than 10 seconds, after which
/// some supervisors kill.
const FINISH: Duration = Duration::from_secs(6);
/// How long the tasks that they leave may take then: what was cut off ends at once, or it hangs.
const BEHIND: Duration = Duration::from_secs(1);
/// How long the database may take to be closed: nothing is lost when it is not.
const CLOSE: Duration = Duration::from_millis(500);
/// How long ended sandboxes may take to be noted at shutdown: a worker's time to report and leave
/// after SIGTERM, and a little.
const SANDBOXES_END: Duration = Duration::from_secs(12);
/// How often it is looked whether they are.
const LOOK: Duration = Duration::from_millis(20);

/// Why the control API does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data directory could not be made.
    #[error("the data directory {} could not be made", path.display())]
    DataDir {
        /// The directory.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The store could not be opened; its own sentence says why.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The listener is broken.
    #[error("the listening socket does not work")]
    Listen(#[source] io::Error),
}

/// Runs a control API on a listener until `shutdown`. Comes back when requests have finished, all tasks
/// have ended and the store is closed, within 10 seconds; where its sandboxes are ended with it, their
/// time comes before.
///
/// # Errors
/// [`ServeError`], when it cannot start.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let ends_sandboxes = config.end_sandboxes_on_shutdown;
    let app = open(config, &listener).await?;
    crate::wake::between::start(&app);
    app.tasks.spawn(auth::keep_known(app.clone()));
    reconcile::start(&app).await;

    let router = router::build(app.clone());
    let connections = Connections::take(listener, router, Bounds::usual());
    shutdown.cancelled().await;
    // What ends from here on is not to begin again.
    app.makes_places.store(false, Ordering::Relaxed);
    // While requests are still taken: the workers' last reports come as requests.
    if ends_sandboxes {
        end_own_sandboxes(&app).await;
    }
    app.shutdown.cancel();
    end(&connections, &app.tasks, Instant::now() + FINISH).await;
    let close = async {
        crate::wake::between::end(&app.store).await;
        app.store.close().await;
    };
    if tokio::time::timeout(CLOSE, close).await.is_err() {
        tracing::warn!("the database was in use until the end");
    }
    Ok(())
}

/// Lets requests finish until then, and what runs beside them a little longer.
async fn end(connections: &Connections, tasks: &TaskTracker, by: Instant) {
    if timeout_at(by, connections.finish()).await.is_err() {
        tracing::warn!("requests did not finish at shutdown; they are cut off");
        connections.cut();
    }
    tasks.close();
    if timeout_at(by + BEHIND, tasks.wait()).await.is_err() {
        tracing::warn!(left = tasks.len(), "tasks did not end at shutdown");
    }
}

/// The shared parts, before anything is done with them.
pub(crate) async fn open(config: Config, listener: &TcpListener) -> Result<App, ServeError> {
    let address = listener.local_addr().map_err(ServeError::Listen)?;
    // Workers stand in directories of their own, where a relative path would mean another place.
    let data_dir = std::path::absolute(&config.data_dir)
        .and_then(|path| {
            private_directory(&path)?;
            Ok(path)
        })
        .map_err(|source| ServeError::DataDir { path: config.data_dir.clone(), source })?;
    let store = Store::open_within(&config.database_url, config.database_patience).await?;
    store.wakes.look_as_often_as(config.looks);
    store::event::order::settle(&store).await?;
    let deployment = deployment(&store).await?;
    let local = Local::new(
        config.worker,
        config.environment,
        config.die_with_parent,
        config.public_url.unwrap_or_else(|| format!("http://{}", reachable(address))),
        deployment,
    );
    let tasks = TaskTracker::new();
    let api = Api {
        redactors: Redactors::default(),
        seal_keys: config.seal_keys,
        credential_services: config.credential_services,
        local_repositories: config.local_repositories,
        limiter: Limiter::new(config.rates),
        known_sandboxes: auth::KnownSandboxes::default(),
        vigils: auth::Vigils::default(),
        open_streams: auth::OpenStreams::default(),
        wakes: Arc::clone(&store.wakes),
        intake: Intake::new(store.clone(), tasks.clone()),
        store,
        owner_hash: auth::hash(config.owner_token.secret()),
        redactor: Redactor::new([config.owner_token.secret().to_owned()]),
        tails: crate::stream::Tails::default(),
        metrics: crate::metrics::Metrics::default(),
        provider: Provider::Local(local),
        data_dir,
        lease: config.lease,
        heartbeat: config.heartbeat,
        replica: Uuid::now_v7(),
        presence: Presence::new(gap(config.lease)),
        pace: config.pace,
        duties: Nudges::default(),
        liveness: config.liveness,
        guardian: config.guardian,
        events_kept: config.events_kept,
        makes_places: AtomicBool::new(config.makes_places),
        looked: CancellationToken::new(),
        salvages: Salvages::default(),
        tasks,
        shutdown: CancellationToken::new(),
    };
    Ok(Arc::new(api))
}

/// What this deployment calls itself: the label of its places.
async fn deployment(store: &Store) -> Result<Uuid, StoreError> {
    let mut write = store.write().await?;
    let deployment = store::presence::deployment(&mut write, SystemTime::now().into()).await?;
    write.commit().await?;
    Ok(deployment)
}

/// Where a listener is reached from this machine: one on all addresses, too, is on loopback.
#[must_use]
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Ends the sandboxes that this process started, and waits until that is noted.
async fn end_own_sandboxes(app: &App) {
    let Provider::Local(local) = &app.provider;
    let own = local.observed_ids();
    let ends = own.into_iter().map(|sandbox| {
        let app = app.clone();
        app.tasks.clone().spawn(async move {
            let found = async {
                let mut session = app.store.read().await?;
                store::sandbox::find(&mut session, sandbox).await
            };
            match found.await {
                Ok(found) => {
                    let place = found.and_then(|found| found.place);
                    app.provider.end(&app, sandbox, place.as_ref()).await;
                }
                Err(error) => {
                    tracing::error!(%sandbox, error = chain(&error), "a sandbox was not ended");
                }
            }
        })
    });
    let ends: Vec<_> = ends.collect();
    let noted = async {
        for end in ends {
            if let Err(error) = end.await {
                tracing::error!(%error, "ending a sandbox did not come to its end");
            }
        }
        // Their observers note how they ended.
        while !local.observed_ids().is_empty() {
            tokio::time::sleep(LOOK).await;
        }
    };
    if tokio::time::timeout(SANDBOXES_END, noted).await.is_err() {
        tracing::warn!("sandboxes did not end at shutdown");
    }
}
