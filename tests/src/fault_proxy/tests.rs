use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use reqwest::Client;
use tokio::task::JoinHandle;

use super::*;

/// A backend that counts what arrives, behind a proxy with one fault for the first `events`.
struct Scene {
    proxy: FaultProxy,
    arrived: Arc<AtomicU32>,
    client: Client,
    backend: JoinHandle<()>,
}

impl Scene {
    async fn with(fault: Fault) -> Self {
        let arrived = Arc::new(AtomicU32::new(0));
        let counting = Arc::clone(&arrived);
        let count = move |body: String| async move {
            counting.fetch_add(1, Ordering::SeqCst);
            format!("{} bytes", body.len())
        };
        let routes = Router::new().route("/api/v1/sandboxes/1/events", post(count));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let toxic = Toxic { route: "events".into(), nth: 0, fault };
        let proxy = FaultProxy::start(vec![toxic]).await.unwrap();
        proxy.lead_to(listener.local_addr().unwrap());
        let backend = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder().no_proxy().build().unwrap();
        Self { proxy, arrived, client, backend }
    }

    async fn post(&self) -> Result<String, reqwest::Error> {
        let url = format!("{}/api/v1/sandboxes/1/events?x=1", self.proxy.url());
        self.client.post(url).body("abc").send().await?.text().await
    }

    async fn arrived(&self, count: u32) {
        crate::wait::wait_for("requests to arrive", crate::wait::PATIENCE, async || {
            (self.arrived.load(Ordering::SeqCst) == count).then_some(())
        })
        .await;
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.backend.abort();
    }
}

#[tokio::test]
async fn each_fault_hits_its_request_and_the_next_one_passes() {
    let of_the_first = [
        (Fault::ResetBefore, 0, false),
        (Fault::ResetAfter, 1, false),
        (Fault::BlackHole { ms: 20 }, 0, false),
        (Fault::Slow { ms: 20 }, 1, true),
        (Fault::Duplicate, 2, true),
        (Fault::Truncate { bytes: 30 }, 1, false),
    ];
    for (fault, arrives, answered) in of_the_first {
        let scene = Scene::with(fault).await;
        let first = scene.post().await;
        assert_eq!(first.is_ok(), answered, "{fault:?}: {first:?}");
        scene.arrived(arrives).await;
        assert_eq!(scene.post().await.unwrap(), "3 bytes", "{fault:?}");
        scene.arrived(arrives + 1).await;
        assert_eq!(scene.proxy.applied().len(), 1);
    }
}

#[tokio::test]
async fn a_reordered_request_arrives_behind_its_repetition() {
    let scene = Scene::with(Fault::Reorder { ms: 300 }).await;
    scene.post().await.unwrap_err();
    scene.post().await.unwrap();
    scene.arrived(1).await;
    scene.arrived(2).await;
}

#[tokio::test]
async fn nothing_passes_while_the_network_is_cut() {
    let scene = Scene::with(Fault::Slow { ms: 0 }).await;
    scene.proxy.cut(Some(Cut::Reset));
    scene.post().await.unwrap_err();
    scene.proxy.cut(Some(Cut::BlackHole));
    tokio::time::timeout(Duration::from_millis(100), scene.post()).await.unwrap_err();
    scene.proxy.cut(None);
    assert_eq!(scene.post().await.unwrap(), "3 bytes");
    scene.arrived(1).await;
}
