use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

use super::*;

/// How long a test waits before something counts as hung.
const PATIENCE: Duration = Duration::from_secs(60);
/// A bound that no test waits for.
const NEVER: Duration = Duration::from_secs(3600);
const USUAL: Bounds = Bounds { first_head: NEVER, next_head: NEVER, most: 100 };
const WHOLE: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
const HALF: &str = "GET / HTTP/1.1\r\nhost: x\r\nx-more: ";

struct Scene {
    connections: Connections,
    address: std::net::SocketAddr,
    /// Told when `/slow` was asked for.
    asked: Arc<Notify>,
    /// Lets `/slow` be answered.
    go_on: Arc<Notify>,
}

impl Scene {
    async fn new(bounds: Bounds) -> Self {
        let (asked, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (tell, wait) = (Arc::clone(&asked), Arc::clone(&go_on));
        let slow = get(async move || {
            tell.notify_one();
            wait.notified().await;
            "late"
        });
        let router = Router::new().route("/", get(async || "here")).route("/slow", slow);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Connections::take(listener, router, bounds);
        Self { connections, address, asked, go_on }
    }

    async fn connect(&self, first: &str) -> TcpStream {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        connection.write_all(first.as_bytes()).await.unwrap();
        connection
    }

    /// A connection whose request is under way. One that a slow machine had cut off before it said what it
    /// wants is not that.
    async fn ask_slowly(&self) -> TcpStream {
        loop {
            let mut connection = self.connect("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
            tokio::select! {
                () = in_time("the request", self.asked.notified()) => return connection,
                () = end(&mut connection) => {}
            }
        }
    }

    /// A connection on which a request was answered; the same holds.
    async fn used(&self) -> TcpStream {
        loop {
            let mut connection = self.connect(WHOLE).await;
            if is_answered(&mut connection, "here").await {
                return connection;
            }
        }
    }
}

/// Reads until an answer with this body has come, or the end.
async fn is_answered(connection: &mut TcpStream, body: &str) -> bool {
    let mut text = Vec::new();
    in_time("an answer", async {
        while !text.ends_with(body.as_bytes()) {
            if connection.read_buf(&mut text).await.unwrap_or(0) == 0 {
                return false;
            }
        }
        true
    })
    .await
}

async fn answer(connection: &mut TcpStream, body: &str) {
    assert!(is_answered(connection, body).await, "it was cut off");
}

/// Reads until the other side has hung up.
async fn end(connection: &mut TcpStream) {
    let mut rest = Vec::new();
    // A reset is an end, too.
    in_time("the end of a connection", async {
        drop(connection.read_to_end(&mut rest).await);
    })
    .await;
}

async fn in_time<T>(what: &str, wait: impl Future<Output = T>) -> T {
    let Ok(come) = tokio::time::timeout(PATIENCE, wait).await else {
        panic!("waited in vain for {what}");
    };
    come
}

#[tokio::test]
async fn half_a_head_and_silence_are_cut_off_and_others_are_answered() {
    let soon = Duration::from_millis(50);
    let scene = Scene::new(Bounds { first_head: soon, ..USUAL }).await;
    for first in [HALF, ""] {
        end(&mut scene.connect(first).await).await;
    }
    // Who has said what it wants may take its time, and ask again.
    let mut slow = scene.ask_slowly().await;
    tokio::time::timeout(soon * 4, std::future::pending::<()>()).await.unwrap_err();
    scene.go_on.notify_one();
    answer(&mut slow, "late").await;
    slow.write_all(WHOLE.as_bytes()).await.unwrap();
    answer(&mut slow, "here").await;
    drop(slow);
    in_time("the end of all", scene.connections.finish()).await;
}

#[tokio::test]
async fn a_connection_that_nobody_uses_any_more_is_let_go() {
    let scene = Scene::new(Bounds { next_head: Duration::from_millis(300), ..USUAL }).await;
    end(&mut scene.used().await).await;
    let mut half = scene.used().await;
    drop(half.write_all(HALF.as_bytes()).await);
    end(&mut half).await;
    in_time("the end of all", scene.connections.finish()).await;
}

#[tokio::test]
async fn who_comes_when_all_places_are_taken_waits_for_one() {
    let scene = Scene::new(Bounds { most: 2, ..USUAL }).await;
    let mut held = [scene.connect(WHOLE).await, scene.connect(WHOLE).await];
    for connection in &mut held {
        answer(connection, "here").await;
    }
    let mut third = scene.connect(WHOLE).await;
    // It is connected, as far as the system goes, and not answered.
    let mut none = [0];
    let early = tokio::time::timeout(Duration::from_millis(100), third.read(&mut none)).await;
    assert!(early.is_err(), "there were three");
    drop(held);
    answer(&mut third, "here").await;
    drop(third);
    in_time("the end of all", scene.connections.finish()).await;
}

#[tokio::test]
async fn at_the_end_the_idle_are_let_go_and_what_is_under_way_is_answered() {
    let scene = Scene::new(USUAL).await;
    let mut idle = scene.used().await;
    let mut slow = scene.ask_slowly().await;
    let finish = scene.connections.finish();
    let rest = async {
        end(&mut idle).await;
        in_time("nobody to be taken in", async {
            while TcpStream::connect(scene.address).await.is_ok() {}
        })
        .await;
        scene.go_on.notify_one();
        answer(&mut slow, "late").await;
        end(&mut slow).await;
    };
    in_time("the end of all", async { tokio::join!(finish, rest) }).await;
}

#[tokio::test]
async fn a_request_and_a_task_that_never_end_do_not_hold_up_a_stop() {
    let scene = Scene::new(USUAL).await;
    let mut slow = scene.ask_slowly().await;
    let mut half = scene.connect(HALF).await;
    // And a task that nothing ends.
    let tasks = TaskTracker::new();
    let stuck = tasks.spawn(std::future::pending::<()>());
    let soon = tokio::time::Instant::now() + Duration::from_millis(50);
    in_time("the end of all", super::super::end(&scene.connections, &tasks, soon)).await;
    stuck.abort();
    in_time("the connections", scene.connections.finish()).await;
    end(&mut slow).await;
    end(&mut half).await;
}

#[test]
fn a_stop_takes_less_than_ten_seconds_whatever_hangs() {
    // What the program around may take then: `FLUSH_MAX` in `cli/src/log/export.rs`.
    const AROUND: Duration = Duration::from_secs(2);
    let all = super::super::FINISH + super::super::BEHIND + super::super::CLOSE + AROUND;
    assert!(all < Duration::from_secs(10), "{all:?}");
}

#[test]
fn some_files_are_left_for_what_is_no_connection() {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let most = Bounds::usual().most as u64;
    assert!(most <= 20_000 && most < files, "{most} of {files}");
}
