//! How a stream ends that its reader did not end: at shutdown, and when its token is revoked or its
//! reader may no longer read.

use serde_json::{Value, json};

use super::progress;
use super::subscriber::Subscriber;
use crate::store::postgres_server::PostgresServer;
use crate::testing::worker::Worker;
use crate::testing::{OWNER_TOKEN, Running, until};

#[tokio::test]
async fn at_shutdown_readers_are_told_where_to_go_on_and_another_replica_goes_on_there() {
    let api = Running::with_waiting_worker().await;
    let other = api.beside().await;
    let launched = api.launch(json!({})).await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    worker.send(&[progress(1)]).await;
    let (events, messages) = (
        format!("/api/v1/specs/{}/events/stream", launched.spec.id),
        format!("/api/v1/sandboxes/{}/messages/stream", launched.sandbox_id),
    );
    let mut reader = Subscriber::open(&other, &events, None).await;
    let mut of_all = Subscriber::open(&other, "/api/v1/events/stream", None).await;
    let mut of_worker = Subscriber::open_as(&other, &messages, &worker.token, None).await;
    let first = reader.next().await;
    assert_eq!(
        (first.json()["seq"].as_u64(), of_all.next().await.json()["seq"].as_u64()),
        (Some(1), Some(1))
    );

    other.shut_down();
    let mut resume = Vec::new();
    for stream in [&mut reader, &mut of_all, &mut of_worker] {
        let last = stream.next().await;
        assert_eq!(last.name.as_deref(), Some("goodbye"), "{:?}", last.json());
        resume.push(last.json()["resume"].as_str().unwrap().to_owned());
        assert!(stream.is_at_its_end().await);
    }
    assert_eq!((Some(&resume[0]), &*resume[2]), (first.id.as_ref(), "0"));
    other.end().await;

    worker.send(&[progress(2)]).await;
    for (path, resume) in [(&*events, &resume[0]), ("/api/v1/events/stream", &resume[1])] {
        let mut reader = Subscriber::open(&api, path, Some(resume)).await;
        assert_eq!(reader.next().await.json()["seq"], 2, "{path}");
    }
    api.end().await;
}

/// Where two replicas are: on PostgreSQL, and on SQLite where this machine has none.
async fn two_replicas() -> (Option<PostgresServer>, [Running; 2]) {
    let server = PostgresServer::start();
    let one = match &server {
        Some(server) => Running::on(server.address()).await,
        None => Running::with_waiting_worker().await,
    };
    let two = one.beside().await;
    (server, [one, two])
}

#[tokio::test]
async fn who_may_no_longer_read_is_cut_off_on_every_replica() {
    let (_server, [one, two]) = two_replicas().await;
    let request = async |method: &str, path: &str, token: &str, body: Value| {
        let method = method.parse().unwrap();
        let request = one.http.request(method, format!("{}{path}", one.base)).bearer_auth(token);
        let answer = request.json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json::<Value>().await.unwrap_or_default()
    };
    let user = async |name: &str| {
        let made = request("POST", "/api/v1/users", OWNER_TOKEN, json!({ "name": name })).await;
        let path = format!("/api/v1/users/{}/tokens", made["id"].as_str().unwrap());
        request("POST", &path, OWNER_TOKEN, json!({ "name": "t" })).await
    };
    let (ada, ben) = (user("ada").await, user("ben").await);
    let [ada, ben_token] = [&ada, &ben].map(|made| made["token"].as_str().unwrap());
    let project = request("POST", "/api/v1/projects", ada, json!({ "name": "p" })).await;
    let member = format!("/api/v1/projects/{}/members/ben", project["id"].as_str().unwrap());
    request("PUT", &member, ada, json!({ "role": "member" })).await;
    let new = json!({ "description": "x", "project_id": project["id"] });
    let spec = request("POST", "/api/v1/specs", ada, new).await;
    let reading = json!({ "name": "r", "kind": "readonly" });
    let reading = request("POST", "/api/v1/tokens", ben_token, reading).await;

    let path = format!("/api/v1/specs/{}/events/stream", spec["id"].as_str().unwrap());
    let mut of_token = Vec::new();
    let mut of_member = Vec::new();
    for api in [&one, &two] {
        let token = reading["token"].as_str().unwrap();
        of_token.push(Subscriber::open_as(api, &path, token, None).await);
        of_token.push(Subscriber::open_as(api, "/api/v1/events/stream", token, None).await);
        of_member.push(Subscriber::open_as(api, &path, ben_token, None).await);
    }
    let revoke = format!("/api/v1/tokens/{}", reading["id"].as_str().unwrap());
    request("DELETE", &revoke, ben_token, Value::Null).await;
    let shown = format!("/api/v1/specs/{}", spec["id"].as_str().unwrap());
    for api in [&one, &two] {
        let token = reading["token"].as_str().unwrap();
        assert_eq!(api.status("GET", &shown, token, &()).await, 401, "from the next request on");
    }
    all_end(of_token).await;
    // Who leaves a project keeps the token, and reads nothing more of it.
    request("DELETE", &member, ada, Value::Null).await;
    for api in [&one, &two] {
        assert_eq!(
            api.status("GET", &shown, ben_token, &()).await,
            404,
            "from the next request on"
        );
    }
    all_end(of_member).await;
    for api in [two, one] {
        api.end().await;
    }
}

#[tokio::test]
async fn a_page_that_waits_is_not_given_to_who_may_no_longer_read_on_any_replica() {
    let (_server, [one, two]) = two_replicas().await;
    let launched = one.launch(json!({})).await;
    let worker = Worker::hello(&one, launched.sandbox_id).await;
    let project = launched.spec.project_id;
    let (status, ben) = one.post("/api/v1/users", &json!({ "name": "ben" })).await;
    assert_eq!(status, 201, "{ben}");
    let member = format!("/api/v1/projects/{project}/members/ben");
    let (status, _) =
        one.request("PUT", &member, OWNER_TOKEN, Some(&json!({ "role": "viewer" }))).await;
    assert_eq!(status, 200);
    let tokens = format!("/api/v1/users/{}/tokens", ben["id"].as_str().unwrap());
    let page = format!("/api/v1/specs/{}/events", launched.spec.id);

    let (mut asked, mut made) = (Vec::new(), Vec::new());
    for (number, (api, query)) in
        [(&one, "wait_ms=25000"), (&two, "wait_ms=25000"), (&two, "wait%5Fms=25000")]
            .into_iter()
            .flat_map(|way| [way, way])
            .enumerate()
    {
        let (status, token) = one.post(&tokens, &json!({ "name": number.to_string() })).await;
        assert_eq!(status, 201, "{token}");
        let request = api.http.get(format!("{}{page}?{query}", api.base));
        let request = request.bearer_auth(token["token"].as_str().unwrap());
        asked.push(tokio::spawn(async move { request.send().await.unwrap().status().as_u16() }));
        made.push(token["id"].as_str().unwrap().to_owned());
    }
    // A use is noted when the token was found good.
    until("all were let in", async || {
        let (_, list) = one.get(&tokens).await;
        let items = list["items"].as_array().unwrap();
        items.iter().all(|token| token["last_used_at"].is_string()).then_some(())
    })
    .await;
    // Half of them by their tokens, the other half by who they are.
    for id in made.iter().step_by(2) {
        let revoke = format!("/api/v1/tokens/{id}");
        assert_eq!(one.status("DELETE", &revoke, OWNER_TOKEN, &()).await, 204);
    }
    assert_eq!(one.status("DELETE", &member, OWNER_TOKEN, &()).await, 204);
    assert_eq!(worker.send(&[progress(1)]).await.0, 200);
    let mut statuses = Vec::new();
    for answer in asked {
        statuses.push(answer.await.unwrap());
    }
    for (at, status) in statuses.into_iter().enumerate() {
        // One whose token was revoked may have been known before, and asked what it sees after.
        assert!(status == 404 || (status == 401 && at % 2 == 0), "{at}: {status}");
    }
    for api in [two, one] {
        api.end().await;
    }
}

async fn all_end(streams: Vec<Subscriber>) {
    let ends = streams.into_iter().map(|mut one| async move { one.is_at_its_end().await });
    assert!(futures_util::future::join_all(ends).await.into_iter().all(|ended| ended));
}
