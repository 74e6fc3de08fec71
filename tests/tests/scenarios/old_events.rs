//! `serve --keep-events`: what is old is packed, whatever happens to who packs it, and every list of
//! events reads as before.

use rustix::process::Signal;
use serde_json::Value;
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::{Running, System};
use specwright_tests::wait::{PATIENCE, wait_for};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::shape::text;

/// How many runs are packed: at least as many pieces.
const RUNS: usize = 3;

/// A server, and how it is asked.
struct Server {
    process: Running,
    url: String,
    token: String,
}

async fn serve(system: &System, more: &[&str]) -> Server {
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--json"];
    let mut process = system.start(system.root(), arguments.iter().chain(more).copied());
    let started = process.started().await;
    let token = std::fs::read_to_string(text(&started["token_file"])).unwrap();
    Server { process, url: text(&started["url"]), token: token.trim().to_owned() }
}

impl Server {
    /// All events of a list, in pages of 50.
    async fn all(&self, path: &str) -> Vec<Value> {
        // The second call finds it installed.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let (mut items, mut after) = (Vec::new(), String::new());
        loop {
            let url = format!("{}{path}?limit=50{after}", self.url);
            let answer = http.get(url).bearer_auth(&self.token).send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 200, "{path}");
            let page: Value = answer.json().await.unwrap();
            let some = page["items"].as_array().unwrap();
            if some.is_empty() {
                return items;
            }
            items.extend(some.iter().cloned());
            after = format!("&after={}", text(&page["next"]));
        }
    }
}

/// The database, as someone else sees it.
async fn database(system: &System, sql: &'static str) -> i64 {
    let options = SqliteConnectOptions::new().filename(system.data().join("specwright.db"));
    let mut connection: SqliteConnection = options.connect().await.unwrap();
    let found: Option<(i64,)> = sqlx::query_as(sql).fetch_optional(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    found.map_or(0, |(number,)| number)
}

#[tokio::test]
async fn a_server_that_is_killed_while_it_packs_old_events_loses_and_doubles_none() {
    let (mut system, repository) = (System::new(), Repository::with_files(sample::FILES));
    let server = serve(&system, &[]).await;
    system.set("SPECWRIGHT_URL", server.url.clone()).set("SPECWRIGHT_TOKEN", server.token.clone());
    let launch = ["launch", "--agent", "rehearsal", "--json", sample::IDEA];
    let mut paths = vec!["/api/v1/events".to_owned()];
    for _ in 0..RUNS {
        let summary = system.run(repository.path(), launch).await.expect_code(0).summary();
        paths.push(format!("/api/v1/specs/{}/events", text(&summary["spec_id"])));
    }
    let mut before = Vec::new();
    for path in &paths {
        before.push(server.all(path).await);
    }
    server.process.signal(Signal::TERM);
    server.process.finish().await.expect_code(0);
    system.unset("SPECWRIGHT_URL").unset("SPECWRIGHT_TOKEN");
    database(&system, "UPDATE events SET received_at = '2020-01-01T00:00:00+00:00'").await;

    let server = serve(&system, &["--keep-events", "1"]).await;
    wait_for("the first piece", PATIENCE, async || {
        let pieces = database(&system, "SELECT COUNT(*) FROM event_archives").await;
        (pieces > 0).then_some(())
    })
    .await;
    server.process.signal(Signal::KILL);
    assert!(!server.process.finish().await.status.success());

    let server = serve(&system, &["--keep-events", "1"]).await;
    wait_for("all to be packed", PATIENCE, async || {
        (database(&system, "SELECT COUNT(*) FROM events").await == 0).then_some(())
    })
    .await;
    let pieces = database(&system, "SELECT COUNT(*) FROM event_archives").await;
    assert!(pieces >= RUNS as i64, "{pieces}");
    for (path, before) in paths.iter().zip(before) {
        assert!(!before.is_empty() && server.all(path).await == before, "{path}");
    }
    server.process.signal(Signal::TERM);
    server.process.finish().await.expect_code(0);
    system.nothing_left().await;
}
