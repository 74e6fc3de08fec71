use std::time::Duration;

use specwright_shared::id::SpecId;

use crate::client::Client;

/// A control API that gives two events over a stream, which then breaks, and the rest in pages.
async fn half_a_stream(
    headers: axum::http::HeaderMap,
) -> axum::response::Result<([(&'static str, &'static str); 1], String)> {
    if headers.contains_key("last-event-id") {
        return Err(axum::http::StatusCode::NOT_FOUND.into());
    }
    let frames = [1, 2].map(|n| format!("id: c{n}\ndata: {}\n\n", event(n))).concat();
    Ok(([("content-type", "text/event-stream")], format!(": here\n\n{frames}")))
}

fn event(position: u64) -> serde_json::Value {
    serde_json::json!({
        "position": position, "seq": position, "id": uuid::Uuid::nil(), "type": "x.y",
        "at": "2026-11-18T11:06:40.000000Z", "data": {},
    })
}

async fn the_rest(
    axum::extract::RawQuery(query): axum::extract::RawQuery,
) -> axum::Json<serde_json::Value> {
    let items =
        if query.unwrap_or_default().contains("after=c2") { vec![event(3)] } else { vec![] };
    axum::Json(serde_json::json!({ "items": items, "next": "c3" }))
}

#[tokio::test]
async fn a_feed_gives_each_event_once_when_its_stream_breaks_and_no_other_comes_through() {
    let path = "/api/v1/specs/{id}/events";
    let router = axum::Router::new()
        .route(path, axum::routing::get(the_rest))
        .route(&format!("{path}/stream"), axum::routing::get(half_a_stream));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(&format!("http://{}", listener.local_addr().unwrap()), "t").unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let mut feed = client.feed(SpecId(uuid::Uuid::nil()), None);
    let mut positions = Vec::new();
    while positions.len() < 3 {
        let some = feed.next(Duration::from_secs(20)).await.unwrap();
        positions.extend(some.iter().map(|event| event.position));
    }
    assert_eq!(positions, [1, 2, 3]);
    assert!(feed.next(Duration::ZERO).await.unwrap().is_empty());
    server.abort();
}
