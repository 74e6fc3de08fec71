//! Tokens, members, the audit log and the limits of a token, over a real socket.

use std::time::Duration;

use http::HeaderMap;
use serde_json::{Value, json};
use specwright_shared::time::Timestamp;

use super::access::{token, user};
use crate::auth::{Rate, Rates};
use crate::testing::{OWNER_TOKEN, Running, until};

async fn headers(api: &Running, path: &str, token: &str) -> (u16, HeaderMap) {
    let request = api.http.get(format!("{}{path}", api.base)).bearer_auth(token);
    let answer = request.header("x-request-id", "abc-1").send().await.unwrap();
    (answer.status().as_u16(), answer.headers().clone())
}

#[tokio::test]
async fn a_token_is_shown_once_and_opens_nothing_after_its_end() {
    let api = Running::with_waiting_worker().await;
    let ada = user(&api, "ada").await;
    let get = async |path: &str, token: &str| api.request("GET", path, token, None::<&()>).await;
    let (id, second) = token(&api, &ada, json!({ "name": "second", "kind": "readonly" })).await;
    assert!(second.starts_with("swt_") && second.len() > 40, "{second}");
    assert_eq!(get("/api/v1/specs", &second).await.0, 200);
    let (_, list) = get("/api/v1/tokens", &ada).await;
    assert!(!list.to_string().contains(&second) && !list.to_string().contains(&ada));
    let used = until("the use is noted", async || {
        let (_, list) = get("/api/v1/tokens", &ada).await;
        list["items"][1]["last_used_at"].as_str().map(str::to_owned)
    });
    used.await;
    // A token never makes one that can do more than itself.
    let wider = json!({ "name": "wider" });
    let ask = async |token: &str, body: &Value| {
        api.request("POST", "/api/v1/tokens", token, Some(body)).await.0
    };
    assert_eq!(ask(&second, &wider).await, 403);
    assert_eq!(ask(&ada, &json!({ "name": "x", "kind": "admin" })).await, 403);
    let past = Timestamp::from_micros(1_000_000);
    assert_eq!(ask(&ada, &json!({ "name": "x", "expires_at": past })).await, 422);
    let foreign = json!({ "name": "x", "project_id": uuid::Uuid::now_v7() });
    assert_eq!(ask(&ada, &foreign).await, 422);

    // Not so soon that it lies behind when it is asked for.
    let soon = Timestamp::from(std::time::SystemTime::now()).plus(Duration::from_secs(3));
    let (_, short) = token(&api, &ada, json!({ "name": "short", "expires_at": soon })).await;
    until("it has expired", async || (get("/api/v1/specs", &short).await.0 == 401).then_some(()))
        .await;

    let revoke = format!("/api/v1/tokens/{id}");
    let status = api.status("DELETE", &revoke, &ada, &Value::Null).await;
    assert_eq!(status, 204);
    assert_eq!(get("/api/v1/specs", &second).await.0, 401, "from the next request on");
    assert_eq!(get("/api/v1/specs", &ada).await.0, 200);

    let (_, users) = get("/api/v1/users", OWNER_TOKEN).await;
    let of_ada = users["items"].as_array().unwrap().iter().find(|user| user["name"] == "ada");
    let of_ada = of_ada.unwrap()["id"].as_str().unwrap();
    let (status, _) = api.post(&format!("/api/v1/users/{of_ada}/disable"), &json!({})).await;
    assert_eq!((status, get("/api/v1/specs", &ada).await.0), (200, 401));
    let (status, _) = api.post(&format!("/api/v1/users/{of_ada}/enable"), &json!({})).await;
    assert_eq!((status, get("/api/v1/specs", &ada).await.0), (200, 200));
    api.end().await;
}

#[tokio::test]
async fn a_token_makes_none_that_outlives_it() {
    let api = Running::with_waiting_worker().await;
    let ada = user(&api, "ada").await;
    let now = Timestamp::from(std::time::SystemTime::now());
    // Far enough away that no run of this test sees one of them pass.
    let [sooner, end, later] = [1, 2, 3].map(|hours| now.plus(Duration::from_secs(hours * 3600)));
    let (_, short) = token(&api, &ada, json!({ "name": "short", "expires_at": end })).await;
    for wanted in [json!({ "name": "x" }), json!({ "name": "x", "expires_at": later })] {
        let (status, problem) = api.request("POST", "/api/v1/tokens", &short, Some(&wanted)).await;
        assert_eq!((status, &problem["type"]), (422, &json!("invalid-request")), "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("ends no later") && detail.contains(&end.to_string()), "{detail}");
    }
    for ends in [sooner, end] {
        token(&api, &short, json!({ "name": "y", "expires_at": ends })).await;
    }
    let (_, list) = api.request("GET", "/api/v1/tokens", &ada, None::<&()>).await;
    let names: Vec<_> = list["items"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["of the test", "short", "y", "y"]);
    // Who has no end makes such as have none.
    token(&api, &ada, json!({ "name": "z" })).await;
    api.end().await;
}

#[tokio::test]
async fn a_user_has_so_many_tokens_and_one_that_is_revoked_makes_room() {
    let api = Running::with_waiting_worker().await;
    let ada = user(&api, "ada").await;
    let mut last = String::new();
    // With the one that makes them.
    for _ in 1..200 {
        (last, _) = token(&api, &ada, json!({ "name": "one more" })).await;
    }
    let ask = async || {
        let new = json!({ "name": "too many" });
        api.request("POST", "/api/v1/tokens", &ada, Some(&new)).await
    };
    let (status, problem) = ask().await;
    assert_eq!((status, &problem["type"]), (409, &json!("illegal-transition")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("200 tokens"), "{problem}");
    user(&api, "ben").await;
    let revoke = format!("/api/v1/tokens/{last}");
    assert_eq!(api.status("DELETE", &revoke, &ada, &Value::Null).await, 204);
    // Of two at once one is the last.
    let (one, two) = tokio::join!(ask(), ask());
    let mut statuses = [one.0, two.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    api.end().await;
}

#[tokio::test]
async fn a_project_keeps_an_owner_and_who_leaves_it_sees_nothing_of_it() {
    let api = Running::with_waiting_worker().await;
    let (ada, ben) = (user(&api, "ada").await, user(&api, "ben").await);
    let as_ada = async |method: &str, path: &str, body: Value| {
        let request = api.http.request(method.parse().unwrap(), format!("{}{path}", api.base));
        let answer = request.bearer_auth(&ada).json(&body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json::<Value>().await.unwrap_or(Value::Null))
    };
    let (_, project) = as_ada("POST", "/api/v1/projects", json!({ "name": "p" })).await;
    let id = project["id"].as_str().unwrap();
    let members = format!("/api/v1/projects/{id}/members");
    let one = |name: &str| format!("{members}/{name}");
    let (status, problem) = as_ada("PUT", &one("ada"), json!({ "role": "member" })).await;
    assert_eq!((status, &problem["type"]), (409, &json!("illegal-transition")));
    assert_eq!(as_ada("DELETE", &one("ada"), Value::Null).await.0, 409);
    assert_eq!(as_ada("PUT", &one("nobody"), json!({ "role": "member" })).await.0, 404);
    let (status, member) = as_ada("PUT", &one("ben"), json!({ "role": "member" })).await;
    assert_eq!((status, &member["role"]), (200, &json!("member")));

    let spec = json!({ "description": "an idea", "project_id": id });
    let (status, spec) = api.request("POST", "/api/v1/specs", &ben, Some(&spec)).await;
    assert_eq!((status, &spec["owner"]), (201, &json!("ben")));
    let (_, specs) = as_ada("GET", "/api/v1/specs", Value::Null).await;
    assert_eq!(specs["items"][0]["id"], spec["id"], "members see each other's specs");
    assert_eq!(as_ada("DELETE", &one("ben"), Value::Null).await.0, 204);
    let path = format!("/api/v1/specs/{}", spec["id"].as_str().unwrap());
    let get = async |path: &str| api.request("GET", path, &ben, None::<&()>).await;
    assert_eq!(get(&path).await.0, 404);
    assert_eq!(get("/api/v1/specs").await.1["items"], json!([]));
    let again = json!({ "description": "another", "project_id": id });
    assert_eq!(api.request("POST", "/api/v1/specs", &ben, Some(&again)).await.0, 422);
    api.end().await;
}

#[tokio::test]
async fn the_audit_log_says_who_did_what_to_what_and_what_came_of_it() {
    let api = Running::with_waiting_worker().await;
    let ada = user(&api, "ada").await;
    let (status, spec) =
        api.request("POST", "/api/v1/specs", &ada, Some(&json!({ "description": "x" }))).await;
    assert_eq!(status, 201);
    let (id, project) = (spec["id"].clone(), spec["project_id"].as_str().unwrap());
    let (reading_id, reading) = token(&api, &ada, json!({ "name": "r", "kind": "readonly" })).await;
    let cancel = format!("/api/v1/specs/{}/cancel", id.as_str().unwrap());
    let url = format!("{}{cancel}", api.base);
    let request = api.http.post(url).bearer_auth(&reading).json(&json!({}));
    let answer = request.header("x-request-id", "from-outside").send().await.unwrap();
    assert_eq!(answer.headers()["x-request-id"], "from-outside");
    assert_eq!(answer.status(), 403);

    let path = format!("/api/v1/projects/{project}/audit");
    let (_, log) = api.request("GET", &path, &ada, None::<&()>).await;
    assert_eq!(log["items"].as_array().unwrap().len(), 1, "{log}");
    let made = &log["items"][0];
    assert_eq!((&made["user"], &made["thing_id"]), (&json!("ada"), &id));
    assert_eq!((&made["route"], &made["status"]), (&json!("POST /api/v1/specs"), &json!(201)));
    let (_, all) = api.get("/api/v1/audit").await;
    let refused = &all["items"][0];
    assert_eq!(refused["route"], "POST /api/v1/specs/{id}/cancel");
    assert_eq!((&refused["status"], &refused["thing_id"]), (&json!(403), &id));
    assert_eq!(
        (&refused["token_id"], &refused["request_id"]),
        (&json!(reading_id), &json!("from-outside"))
    );
    let routes: Vec<_> = all["items"].as_array().unwrap().iter().map(|e| &e["route"]).collect();
    assert!(routes.contains(&&json!("POST /api/v1/users")), "{routes:?}");
    assert!(!routes.iter().any(|route| route.as_str().unwrap().starts_with("GET")));
    api.end().await;
}

#[tokio::test]
async fn a_token_that_sends_too_much_is_told_when_to_come_again() {
    // None comes back, however long a slow machine takes for this.
    let few = Rate { per_second: 0, burst: 5 };
    let rates = Rates { person: few, ..Rates::default() };
    let api = Running::with_settings("exec sleep 600", |config| config.rates = rates).await;
    let (mut open, mut refused) = (0, None);
    for _ in 0..20 {
        let (status, headers) = headers(&api, "/api/v1/specs", OWNER_TOKEN).await;
        assert_eq!(headers["x-request-id"], "abc-1");
        match status {
            200 => {
                open += 1;
                assert_eq!(headers["ratelimit-policy"], "\"person\";q=5;w=5");
                assert!(headers["ratelimit"].to_str().unwrap().starts_with("\"person\";r="));
            }
            429 => refused = Some(headers),
            other => panic!("{other}"),
        }
    }
    assert_eq!(open, 5, "so many were taken");
    let refused = refused.unwrap();
    assert_eq!(refused["retry-after"], "1");
    // Where they matter most.
    assert_eq!(refused["ratelimit-policy"], "\"person\";q=5;w=5");
    assert_eq!(refused["ratelimit"], "\"person\";r=0;t=5");
    assert_eq!(refused["content-type"], "application/problem+json");
    assert_eq!(headers(&api, "/healthz", "").await.0, 200, "who asks whether we live is let in");
    api.end().await;
}

#[tokio::test]
async fn every_answer_has_its_id_and_tells_browsers_to_keep_off() {
    let api = Running::with_waiting_worker().await;
    let strange = api.http.get(format!("{}/healthz", api.base));
    let strange = strange.header("x-request-id", "a b").send().await.unwrap();
    assert!(strange.headers()["x-request-id"].to_str().unwrap().len() == 36, "a new one");
    for path in ["/healthz", "/api/v1/specs", "/nowhere"] {
        let (_, headers) = headers(&api, path, "").await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("x-request-id", "abc-1"),
        ] {
            assert_eq!(headers[name], value, "{path}: {name}");
        }
    }
    // No page of another origin is let read anything, whatever it asks and whoever it says it is.
    for path in
        ["/healthz", "/docs", "/openapi.json", "/api/v1/specs", "/api/v1/tokens", "/nowhere"]
    {
        for (method, status) in [("GET", None), ("HEAD", None), ("OPTIONS", Some(405))] {
            let request = api.http.request(method.parse().unwrap(), format!("{}{path}", api.base));
            let answer = request
                .bearer_auth(OWNER_TOKEN)
                .header("origin", "https://elsewhere.example")
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "authorization")
                .send()
                .await
                .unwrap();
            let status = if path == "/nowhere" { Some(404) } else { status };
            let found = answer.status().as_u16();
            assert_eq!(found, status.unwrap_or(200), "{method} {path}");
            let names = answer.headers().keys().map(http::HeaderName::as_str);
            let shares: Vec<_> = names.filter(|name| name.starts_with("access-control-")).collect();
            assert!(shares.is_empty(), "{method} {path}: {shares:?}");
        }
    }
    api.end().await;
}

#[tokio::test]
async fn a_users_token_has_not_the_run_of_the_machine() {
    let api = Running::with_waiting_worker().await;
    let ada = user(&api, "ada").await;
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join(".git")).unwrap();
    let path = directory.path().to_str().unwrap();
    for repository in [path.to_owned(), format!("file://{path}")] {
        let spec = json!({ "description": "x", "repository": repository });
        let (status, problem) = api.request("POST", "/api/v1/specs", &ada, Some(&spec)).await;
        assert_eq!((status, &problem["type"]), (403, &json!("forbidden")), "{problem}");
        let launch = json!({ "spec": spec });
        let status = api.request("POST", "/api/v1/specs/launch", &ada, Some(&launch)).await.0;
        assert_eq!(status, 403);
        assert_eq!(api.post("/api/v1/specs", &spec).await.0, 201, "an administrator may");
    }
    // Nor of the network that it is in.
    for repository in ["http://127.0.0.1:5432/x", "https://10.0.0.1/x", "ssh://git@postgres/x"] {
        let spec = json!({ "description": "x", "repository": repository });
        let (status, problem) = api.request("POST", "/api/v1/specs", &ada, Some(&spec)).await;
        assert_eq!((status, &problem["type"]), (403, &json!("forbidden")), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("own network"), "{problem}");
        let launch = json!({ "spec": spec });
        let status = api.request("POST", "/api/v1/specs/launch", &ada, Some(&launch)).await.0;
        assert_eq!(status, 403);
        assert_eq!(api.post("/api/v1/specs", &spec).await.0, 201, "an administrator may");
    }
    let spec = json!({ "description": "x", "repository": "https://host.example/owner/name" });
    assert_eq!(api.request("POST", "/api/v1/specs", &ada, Some(&spec)).await.0, 201);
    let (_, spec) =
        api.request("POST", "/api/v1/specs", &ada, Some(&json!({ "description": "x" }))).await;
    let execute = format!("/api/v1/specs/{}/execute", spec["id"].as_str().unwrap());
    let program = json!({ "agent": "/bin/sh" });
    let (status, problem) = api.request("POST", &execute, &ada, Some(&program)).await;
    assert_eq!((status, &problem["type"]), (403, &json!("forbidden")), "{problem}");
    let launch = json!({ "spec": { "description": "x" }, "run": program });
    assert_eq!(api.request("POST", "/api/v1/specs/launch", &ada, Some(&launch)).await.0, 403);
    api.end().await;
}
