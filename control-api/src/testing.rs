//! What tests need: a real control API on a real socket with a real SQLite file, a worker's side of
//! the wire, and small documents that pass their gates.

pub(crate) mod documents;
pub(crate) mod worker;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use specwright_shared::wire::spec::Launched;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::auth::OwnerToken;
use crate::config::{Config, WorkerProgram};
use crate::serve::{ServeError, open, serve};

/// How long a test waits for a condition before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Keeps its token where the test finds it, and waits.
pub(crate) const WAITING_WORKER: &str = "env >\"$STATE_DIR/env\"; exec sleep 600";

/// The owner's token in tests.
pub(crate) const OWNER_TOKEN: &str = "swo_the-owner-of-the-tests";

/// A running control API.
pub(crate) struct Running {
    pub(crate) base: String,
    pub(crate) config: Config,
    pub(crate) http: reqwest::Client,
    shutdown: CancellationToken,
    server: JoinHandle<Result<(), ServeError>>,
    directory: Arc<TempDir>,
}

impl Running {
    /// A control API whose local sandboxes run this shell script. What a test wants to know of a
    /// worker, the script writes into its own directories.
    pub(crate) async fn with_worker(script: &str) -> Self {
        Self::with_settings(script, |_| ()).await
    }

    /// The same with settings changed. A run that loses its sandbox ends with it, if nothing else is
    /// said.
    pub(crate) async fn with_settings(script: &str, change: impl FnOnce(&mut Config)) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let worker = WorkerProgram {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
        };
        let token = OwnerToken::new(OWNER_TOKEN).unwrap();
        let mut config = Config::new(directory.path().join("data"), token, worker);
        config.environment =
            vec![("PATH".into(), std::env::var_os("PATH").unwrap()), ("SECRET".into(), "x".into())];
        config.end_sandboxes_on_shutdown = true;
        config.liveness.restarts = 0;
        change(&mut config);
        Self::start(config, directory).await
    }

    /// A control API whose sandboxes wait, and keep their token where the test finds it.
    pub(crate) async fn with_waiting_worker() -> Self {
        Self::with_worker(WAITING_WORKER).await
    }

    /// The same on another database.
    pub(crate) async fn on(database_url: String) -> Self {
        Self::with_settings(WAITING_WORKER, |config| config.database_url = database_url).await
    }

    /// Another replica on the same database.
    pub(crate) async fn beside(&self) -> Self {
        Self::start(self.config.clone(), Arc::clone(&self.directory)).await
    }

    /// The same with other settings.
    pub(crate) async fn beside_with(&self, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = self.config.clone();
        change(&mut config);
        Self::start(config, Arc::clone(&self.directory)).await
    }

    async fn start(config: Config, directory: Arc<TempDir>) -> Self {
        rustls_provider();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(serve(config.clone(), listener, shutdown.clone()));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { base, config, http, shutdown, server, directory }
    }

    /// Ends it in order, and starts another one on the same data.
    pub(crate) async fn restart(self) -> Self {
        self.restart_after(async || ()).await
    }

    /// The same, with something that happens between the two.
    pub(crate) async fn restart_after(self, between: impl AsyncFnOnce()) -> Self {
        let (config, directory) = (self.config.clone(), Arc::clone(&self.directory));
        self.end().await;
        between().await;
        Self::start(config, directory).await
    }

    /// Ends it in order, and starts another one with other settings on the same data.
    pub(crate) async fn restart_with(self, change: impl FnOnce(&mut Config)) -> Self {
        let (mut config, directory) = (self.config.clone(), Arc::clone(&self.directory));
        self.end().await;
        change(&mut config);
        Self::start(config, directory).await
    }

    /// Ends it in order; what is done on its data from then on, the test does.
    pub(crate) async fn by_hand(self, change: impl FnOnce(&mut Config)) -> ByHand {
        let (mut config, directory) = (self.config.clone(), Arc::clone(&self.directory));
        self.end().await;
        change(&mut config);
        ByHand::open(config, directory).await
    }

    /// Asks it to end, without waiting.
    pub(crate) fn shut_down(&self) {
        self.shutdown.cancel();
    }

    /// Ends it in order.
    pub(crate) async fn end(self) {
        self.shutdown.cancel();
        self.server.await.unwrap().unwrap();
    }

    /// Where a sandbox has its directories.
    pub(crate) fn sandbox_dir(&self, id: impl std::fmt::Display) -> std::path::PathBuf {
        self.config.data_dir.join("sandboxes").join(id.to_string())
    }

    /// The status of a request alone: an answer may be a stream without an end.
    pub(crate) async fn status(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: &(impl Serialize + ?Sized),
    ) -> u16 {
        let method = method.parse().unwrap();
        let request = self.http.request(method, format!("{}{path}", self.base)).json(body);
        let request = if token.is_empty() { request } else { request.bearer_auth(token) };
        request.send().await.unwrap().status().as_u16()
    }

    /// A request with a token (empty: none); the status and the JSON of the answer.
    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<&(impl Serialize + ?Sized)>,
    ) -> (u16, Value) {
        let method = method.parse().unwrap();
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        let json = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{path}: {status} {text:?}: {error}"));
        (status, json)
    }

    /// The owner reads.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.request("GET", path, OWNER_TOKEN, None::<&()>).await
    }

    /// The owner changes something.
    pub(crate) async fn post(&self, path: &str, body: &(impl Serialize + ?Sized)) -> (u16, Value) {
        self.request("POST", path, OWNER_TOKEN, Some(body)).await
    }

    /// A number of `/metrics`, by its name and labels; 0 where there is none.
    pub(crate) async fn number(&self, name: &str) -> f64 {
        let request = self.http.get(format!("{}/metrics", self.base)).bearer_auth(OWNER_TOKEN);
        let text = request.send().await.unwrap().text().await.unwrap();
        let mut numbers = text.lines().filter_map(|line| line.rsplit_once(' '));
        let found = numbers.find(|(found, _)| *found == name);
        found.map_or(0.0, |(_, number)| number.parse().unwrap())
    }

    /// Launches an idea.
    pub(crate) async fn launch(&self, run: Value) -> Launched {
        let launch = serde_json::json!({
            "spec": { "description": "Limit each client to 100 requests a minute" }, "run": run,
        });
        let (status, body) = self.post("/api/v1/specs/launch", &launch).await;
        assert_eq!(status, 202, "{body}");
        serde_json::from_value(body).unwrap()
    }

    /// Waits until a spec is in a state.
    pub(crate) async fn until_spec(&self, id: impl std::fmt::Display, status: &str) -> Value {
        let path = format!("/api/v1/specs/{id}");
        until(&format!("the spec is {status}"), async || {
            let (_, spec) = self.get(&path).await;
            (spec["status"] == status).then_some(spec)
        })
        .await
    }
}

/// A control API without routes and without duties of its own.
pub(crate) struct ByHand {
    pub(crate) app: App,
    config: Config,
    directory: Arc<TempDir>,
}

impl ByHand {
    async fn open(config: Config, directory: Arc<TempDir>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let app = open(config.clone(), &listener).await.unwrap();
        Self { app, config, directory }
    }

    /// Another one with other settings on the same data.
    pub(crate) async fn again(self, change: impl FnOnce(&mut Config)) -> Self {
        let (mut config, directory) = (self.config.clone(), Arc::clone(&self.directory));
        self.end().await;
        change(&mut config);
        Self::open(config, directory).await
    }

    /// Ends what it began, and waits for it.
    pub(crate) async fn end(self) {
        self.app.shutdown.cancel();
        self.app.tasks.close();
        self.app.tasks.wait().await;
        self.app.store.close().await;
    }
}

/// Waits for a named condition, bounded.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until a file has text.
pub(crate) async fn until_file(path: &Path) -> String {
    until(&format!("{} has text", path.display()), async || {
        std::fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'))
    })
    .await
}

fn rustls_provider() {
    // The second test of a process finds it installed.
    drop(rustls::crypto::ring::default_provider().install_default());
}
