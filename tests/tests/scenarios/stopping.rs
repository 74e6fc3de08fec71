//! The stop of a whole server while everything that can hold it up does so at once. That each part has
//! its bound is shown where the part is; here, that they are all there is.

use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, Response};
use rustix::process::Signal;
use specwright_tests::system::System;
use specwright_tests::wait::{PATIENCE, wait_for};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const OWNER: &str = "swo_of-the-owner-who-stops-the-server";
/// The guide for servers promises ten seconds, and so do the sum of all bounds (a test in
/// `control-api/src/serve/connections/tests.rs`) and a stop like this one on an idle machine. Half as much
/// again is for a machine that does much else: a part without a bound takes longer than that.
const STOPPED: Duration = Duration::from_secs(15);

/// Reads on until something was said, or to the end.
async fn heard(stream: &mut Response, what: &str) -> String {
    let mut text = String::new();
    let reading = async {
        while let Some(chunk) = stream.chunk().await.unwrap() {
            text.push_str(&String::from_utf8_lossy(&chunk));
            if text.contains(what) {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap();
    assert!(text.contains(what), "no {what} in {text}");
    text
}

#[tokio::test]
async fn a_stop_ends_in_time_though_requests_a_head_a_stream_and_a_collector_hang() {
    drop(rustls::crypto::ring::default_provider().install_default());
    // The system takes its connections, and nobody ever answers on them.
    let collector = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut system = System::new();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    system.set("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).set("SPECWRIGHT_OWNER_TOKEN", OWNER);
    let mut server = system.start(system.root(), ["serve", "--listen", "127.0.0.1:0", "--json"]);
    let url = server.url().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = |method: Method, path: &str| -> RequestBuilder {
        http.request(method, format!("{url}{path}")).bearer_auth(OWNER)
    };

    let mut stream = ask(Method::GET, "/api/v1/events/stream").send().await.unwrap();
    heard(&mut stream, ": here").await;
    let waiting = tokio::spawn(ask(Method::GET, "/api/v1/events?wait_ms=25000").send());
    let address = url.strip_prefix("http://").unwrap();
    let say = async |text: String| {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(text.as_bytes()).await.unwrap();
        connection
    };
    let _half_a_head = say("GET /api/v1/specs HTTP/1.1\r\nhost: x\r\nauthor".to_owned()).await;
    let _half_a_body = say(format!(
        "POST /api/v1/specs HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {OWNER}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{\"description\""
    ))
    .await;
    wait_for("both requests to be under way", PATIENCE, async || {
        let metrics = ask(Method::GET, "/metrics").send().await.ok()?.text().await.ok()?;
        let open = metrics.lines().find_map(|line| line.strip_prefix("specwright_requests_open "));
        // With the one that asks this.
        (open?.parse::<u32>().ok()? == 3).then_some(())
    })
    .await;

    let begun = Instant::now();
    server.signal(Signal::TERM);
    let goodbye = heard(&mut stream, "event: goodbye").await;
    assert!(goodbye.contains("resume"), "{goodbye}");
    let page = waiting.await.unwrap().unwrap();
    assert_eq!(page.status().as_u16(), 200, "who waited is answered with what there is");
    let stopped = server.finish().await.expect_code(0);
    let took = begun.elapsed();
    // Both bounds were reached: nothing of this was over before.
    let log = &stopped.stderr;
    let [cut, given_up] = ["they are cut off", "the last spans were not sent"]
        .map(|line| log.find(line).unwrap_or_else(|| panic!("no `{line}` in {log}")));
    assert!(cut < given_up, "{log}");
    assert!(took < STOPPED, "it took {took:?}: {log}");
    system.nothing_left().await;
}
