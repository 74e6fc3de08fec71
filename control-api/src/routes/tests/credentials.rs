//! Credentials: kept sealed, given to the worker at its hello, shown to nobody.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::access::user;
use crate::auth::SealKeys;
use crate::credentials::CredentialServices;
use crate::store::Store;
use crate::store::postgres_server::PostgresServer;
use crate::testing::worker::{Worker, token_of};
use crate::testing::{OWNER_TOKEN, Running, WAITING_WORKER};

const KEY_ONE: &str = "0000000000000000000000000000000000000000000000000000000000000001";
const KEY_TWO: &str = "0000000000000000000000000000000000000000000000000000000000000002";
const GITHUB: &str = "ghp_githubsecret0123456789";
const MODEL: &str = "sk-ant-api03-modelsecret0123456789";

async fn with_keys(keys: &str) -> Running {
    let keys = Arc::new(SealKeys::parse(keys).unwrap());
    Running::with_settings(WAITING_WORKER, |config| config.seal_keys = Some(keys)).await
}

async fn put(api: &Running, path: &str, token: &str, value: &str) -> (u16, Value) {
    api.request("PUT", path, token, Some(&json!({ "value": value }))).await
}

#[tokio::test]
async fn a_worker_gets_its_projects_keys_before_its_owners_and_nobody_else_gets_any() {
    let api = with_keys(KEY_ONE).await;
    keys_go_to_their_worker_alone(&api).await;
    let file = api.config.data_dir.join("specwright.db");
    for name in [file.clone(), file.with_extension("db-wal")] {
        let bytes = std::fs::read(&name).unwrap_or_default();
        for secret in ["githubsecret", "modelsecret"] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in {}", name.display());
        }
    }
    api.end().await;
}

#[tokio::test]
async fn no_row_of_a_server_holds_a_key_either() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let keys = Arc::new(SealKeys::parse(KEY_ONE).unwrap());
    let api = Running::with_settings(WAITING_WORKER, |config| {
        config.seal_keys = Some(keys);
        config.database_url = server.address();
    })
    .await;
    keys_go_to_their_worker_alone(&api).await;
    let rows = all_rows(&api.config.database_url).await;
    assert!(rows.contains("the keys are [redacted] and [redacted]"), "all rows were read");
    assert!(rows.contains("6789"), "the credentials' too");
    for secret in ["githubsecret", "modelsecret"] {
        // As it stands in text, and in bytes.
        for form in [secret.to_owned(), hex::encode(secret)] {
            let around = rows.find(&form).map(|at| &rows[at.saturating_sub(99)..at]);
            assert_eq!(around, None, "{secret} is in a row");
        }
    }
    api.end().await;
}

/// Every row of every table, as PostgreSQL writes it.
async fn all_rows(address: &str) -> String {
    let store = Store::open(address).await.unwrap();
    let mut session = store.read().await.unwrap();
    let tables = "SELECT tablename::TEXT FROM pg_tables WHERE schemaname = 'public'";
    let tables: Vec<(String,)> = session.query(tables).fetch_all().await.unwrap();
    assert!(tables.len() > 20, "{tables:?}");
    let mut rows = String::new();
    for (table,) in tables {
        let sql = format!("SELECT COALESCE(string_agg(t::TEXT, ' '), '') FROM {table} AS t");
        let (text,): (String,) = session.query(sql.leak()).fetch_one().await.unwrap();
        rows.push_str(&text);
    }
    drop(session);
    store.close().await;
    rows
}

async fn keys_go_to_their_worker_alone(api: &Running) {
    let ada = user(api, "ada").await;
    let idea = json!({ "spec": { "description": "an idea" } });
    let (_, launched) = api.request("POST", "/api/v1/specs/launch", &ada, Some(&idea)).await;
    let project = launched["spec"]["project_id"].as_str().unwrap();
    let of_project = format!("/api/v1/projects/{project}/credentials");
    let (status, set) = put(api, &format!("{of_project}/github_token"), &ada, GITHUB).await;
    assert_eq!((status, &set["last_four"]), (200, &json!("6789")), "{set}");
    assert_eq!(set["set_by"], "ada");
    let own = put(api, "/api/v1/credentials/github_token", &ada, "ghp_of-ada-0123456789").await;
    assert_eq!(own.0, 200);
    assert_eq!(put(api, "/api/v1/credentials/model_api_key", &ada, MODEL).await.0, 200);
    let (status, wrong) = put(api, "/api/v1/credentials/github_token", &ada, MODEL).await;
    assert_eq!(status, 422);
    assert!(!wrong.to_string().contains("modelsecret"), "{wrong}");

    let sandbox = launched["sandbox_id"].as_str().unwrap().parse().unwrap();
    let mut worker = Worker::hello(api, sandbox).await;
    let given = &worker.welcome.credentials;
    let revealed = |secret: &Option<specwright_shared::wire::credential::SecretText>| {
        secret.as_ref().map(|secret| secret.reveal().to_owned())
    };
    assert_eq!(revealed(&given.github_token).as_deref(), Some(GITHUB), "the project's comes first");
    assert_eq!(revealed(&given.model_api_key).as_deref(), Some(MODEL));
    assert_eq!(given.model_oauth_token, None);
    let environment = std::fs::read_to_string(api.sandbox_dir(sandbox).join("state/env")).unwrap();
    assert!(!environment.contains("githubsecret") && !environment.contains("modelsecret"));

    // What a worker repeats of them by mistake is not stored.
    let said = format!("the keys are {GITHUB} and {MODEL}");
    let line = worker.event("spec.progress", None, json!({ "message": said }));
    worker.report(&[line]).await;
    let spec = launched["spec"]["id"].as_str().unwrap();
    let mut shown = String::new();
    for path in [
        of_project.as_str(),
        "/api/v1/credentials",
        &format!("/api/v1/specs/{spec}/events"),
        &format!("/api/v1/sandboxes/{sandbox}"),
        &format!("/api/v1/projects/{project}/audit"),
    ] {
        let (status, answer) = api.request("GET", path, &ada, None::<&()>).await;
        assert_eq!(status, 200, "{path}");
        shown.push_str(&answer.to_string());
    }
    assert!(shown.contains("the keys are [redacted] and [redacted]"), "{shown}");
    assert!(!shown.contains("githubsecret") && !shown.contains("modelsecret"), "{shown}");
    // Another project's run gets none of them.
    let other = api.launch(json!({})).await;
    assert!(Worker::hello(api, other.sandbox_id).await.welcome.credentials.is_empty());
}

#[tokio::test]
async fn keys_are_rotated_while_everything_stays_readable() {
    let api = with_keys(KEY_ONE).await;
    let rotate = "/api/v1/credentials/rotate";
    assert_eq!(put(&api, "/api/v1/credentials/github_token", OWNER_TOKEN, GITHUB).await.0, 200);
    let (_, nothing) = api.post(rotate, &json!({})).await;
    assert_eq!((&nothing["resealed"], &nothing["unchanged"]), (&json!(0), &json!(1)));

    let api = api.restart_with(|config| config.seal_keys = keys(&[KEY_TWO])).await;
    let (status, problem) = api.post(rotate, &json!({})).await;
    assert_eq!((status, &problem["type"]), (409, &json!("no-seal-key")));
    assert!(problem["detail"].as_str().unwrap().contains("ends in 6789"), "{problem}");
    // All that cannot be opened is named, and what can be is sealed anew all the same.
    let ada = user(&api, "ada").await;
    let own = put(&api, "/api/v1/credentials/model_api_key", &ada, MODEL).await;
    assert_eq!(own.0, 200);
    let key_three = KEY_TWO.replace('2', "3");
    let api = api.restart_with(|config| config.seal_keys = keys(&[&key_three])).await;
    let ben = user(&api, "ben").await;
    let other =
        put(&api, "/api/v1/credentials/github_token", &ben, "ghp_of-ben-0123456-bens").await;
    assert_eq!(other.0, 200);
    let (status, problem) = api.post(rotate, &json!({})).await;
    assert_eq!(status, 409, "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("2 of the credentials"), "{problem}");
    for named in
        ["github_token, ends in 6789, set by owner", "model_api_key, ends in 6789, set by ada"]
    {
        assert!(detail.contains(named), "{named}: {problem}");
    }
    assert!(!detail.contains("bens"), "{problem}");
    let api = api.restart_with(|config| config.seal_keys = keys(&[KEY_TWO, &key_three])).await;
    let (status, problem) = api.post(rotate, &json!({})).await;
    assert_eq!(status, 409, "{problem}");
    assert!(problem["detail"].as_str().unwrap().starts_with("1 of the credentials"), "{problem}");
    let api = api.restart_with(|config| config.seal_keys = keys(&[KEY_TWO])).await;
    // A run that cannot have its keys is told so, and does not start without them.
    let launched = api.launch(json!({})).await;
    let hello = json!({ "protocol": 1, "worker_version": "t", "boot_id": uuid::Uuid::now_v7() });
    let path = format!("/api/v1/sandboxes/{}/hello", launched.sandbox_id);
    let token = token_of(&api, launched.sandbox_id).await;
    let (status, problem) = api.request("POST", &path, &token, Some(&hello)).await;
    assert_eq!((status, &problem["type"]), (409, &json!("no-seal-key")), "{problem}");
    let failed = api.until_spec(launched.spec.id, "failed").await;
    assert_eq!(failed["reason"], "worker_error");
    let message = failed["message"].as_str().unwrap();
    assert!(message.contains("a credential (github_token) cannot be opened"), "{message}");

    let api = api.restart_with(|config| config.seal_keys = keys(&[KEY_TWO, KEY_ONE])).await;
    let (_, rotated) = api.post(rotate, &json!({})).await;
    assert_eq!((&rotated["resealed"], &rotated["unchanged"]), (&json!(1), &json!(2)));
    let api = api.restart_with(|config| config.seal_keys = keys(&[KEY_TWO])).await;
    let launched = api.launch(json!({})).await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    let given = worker.welcome.credentials.github_token.as_ref();
    assert_eq!(given.map(|secret| secret.reveal()), Some(GITHUB));
    api.end().await;
}

fn keys(keys: &[&str]) -> Option<Arc<SealKeys>> {
    Some(Arc::new(SealKeys::parse(&keys.join(",")).unwrap()))
}

#[tokio::test]
async fn without_a_key_to_seal_with_none_is_taken() {
    let api = Running::with_waiting_worker().await;
    let path = "/api/v1/credentials/github_token";
    let (status, problem) = put(&api, path, OWNER_TOKEN, GITHUB).await;
    assert_eq!((status, &problem["type"]), (409, &json!("no-seal-key")));
    assert!(problem["detail"].as_str().unwrap().contains("SPECWRIGHT_SEAL_KEY_FILE"));
    api.end().await;
}

/// A service that knows some keys; what it was asked, without its host.
async fn service() -> (String, Arc<Mutex<Vec<String>>>) {
    use axum::http::{HeaderMap, StatusCode, Uri, header};
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let answer = async move |uri: Uri, headers: HeaderMap| {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let key = text("authorization").or_else(|| text("x-api-key")).unwrap_or_default();
        seen.lock().unwrap().push(format!("{} {key}", uri.path()));
        let status = match key {
            key if key.contains("revoked") => StatusCode::UNAUTHORIZED,
            key if key.contains("limited") => StatusCode::FORBIDDEN,
            key if key.contains("broken") => StatusCode::INTERNAL_SERVER_ERROR,
            key if key.contains("elsewhere") => StatusCode::TEMPORARY_REDIRECT,
            _ => StatusCode::OK,
        };
        (status, [(header::LOCATION, "/elsewhere")], "{}")
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, asked)
}

#[tokio::test]
async fn a_key_that_its_service_does_not_know_is_refused_and_what_cannot_be_asked_is_kept_as_such()
{
    let (address, asked) = service().await;
    let services = |github: &str, model: &str| CredentialServices {
        github: Some(github.parse().unwrap()),
        model: model.parse().unwrap(),
    };
    let seal_keys = Some(Arc::new(SealKeys::parse(KEY_ONE).unwrap()));
    let api = Running::with_settings(WAITING_WORKER, |config| {
        config.seal_keys = seal_keys;
        config.credential_services =
            Some(services(&format!("{address}/api/v3"), &format!("{address}/")));
    })
    .await;
    let (github, model) = ("/api/v1/credentials/github_token", "/api/v1/credentials/model_api_key");
    let (status, kept) = put(&api, github, OWNER_TOKEN, GITHUB).await;
    assert_eq!((status, kept["confirmed_at"].is_string()), (200, true), "{kept}");
    let (status, kept) = put(&api, model, OWNER_TOKEN, MODEL).await;
    assert_eq!((status, kept["confirmed_at"].is_string()), (200, true), "{kept}");
    let expected = [format!("/api/v3/rate_limit Bearer {GITHUB}"), format!("/v1/models {MODEL}")];
    assert_eq!(*asked.lock().unwrap(), expected);

    for (path, value) in
        [(github, "ghp_revoked0123456789"), (model, "sk-ant-api03-revoked0123456789")]
    {
        let (status, refused) = put(&api, path, OWNER_TOKEN, value).await;
        assert_eq!((status, &refused["type"]), (422, &json!("invalid-request")), "{refused}");
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains("not known to 127.0.0.1") && !detail.contains(value), "{detail}");
    }
    let (_, listed) = api.get("/api/v1/credentials").await;
    let listed = listed["items"].as_array().unwrap();
    assert_eq!(listed.len(), 2, "those before are still there");
    for one in listed {
        assert!(one["confirmed_at"].is_string() && one["last_four"] == "6789", "{one}");
    }

    // Neither yes nor no, and nowhere else.
    for word in ["limited", "broken", "elsewhere"] {
        let (status, kept) =
            put(&api, github, OWNER_TOKEN, &format!("ghp_{word}0123456789abcd")).await;
        assert_eq!((status, &kept["confirmed_at"]), (200, &Value::Null), "{word}: {kept}");
    }
    assert!(asked.lock().unwrap().iter().all(|one| !one.starts_with("/elsewhere")));
    // Nor is a token asked about that only a conversation could try out.
    let before = asked.lock().unwrap().len();
    let oauth = "sk-ant-oat01-0123456789abcdef";
    let (status, kept) =
        put(&api, "/api/v1/credentials/model_oauth_token", OWNER_TOKEN, oauth).await;
    assert_eq!((status, &kept["confirmed_at"]), (200, &Value::Null), "{kept}");
    assert_eq!(asked.lock().unwrap().len(), before);

    let gone = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
    let gone = format!("http://{gone}");
    let api =
        api.restart_with(|config| config.credential_services = Some(services(&gone, &gone))).await;
    let (status, kept) = put(&api, github, OWNER_TOKEN, GITHUB).await;
    assert_eq!((status, &kept["confirmed_at"]), (200, &Value::Null), "unreachable: {kept}");
    api.end().await;
}
