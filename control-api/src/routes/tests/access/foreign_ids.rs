//! Ids of another tenant in bodies and queries, where the door does not look: what would be right in
//! one's own project is answered like an id of nothing, and moves nothing.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{MARK, Tenant, tenant, token};
use crate::testing::Running;

/// What is asked: method, path and body, with `{project}` and `{spec}` for the ids.
const ASKED: [(&str, &str, &str); 9] = [
    ("POST", "/api/v1/specs", r#"{"description":"x","project_id":"{project}"}"#),
    ("POST", "/api/v1/specs/launch", r#"{"spec":{"description":"x","project_id":"{project}"}}"#),
    ("POST", "/api/v1/tokens", r#"{"name":"x","project_id":"{project}"}"#),
    ("GET", "/api/v1/specs?project_id={project}", ""),
    ("GET", "/api/v1/board?project_id={project}", ""),
    ("GET", "/api/v1/board?project_id={project}&phase=PHASE_INITIAL", ""),
    ("GET", "/api/v1/sandboxes?spec_id={spec}", ""),
    ("GET", "/api/v1/tickets?spec_id={spec}", ""),
    ("GET", "/api/v1/tasks?spec_id={spec}", ""),
];

/// The answer to one of them, without the ids.
async fn answer(
    api: &Running,
    (method, path, body): (&str, &str, &str),
    token: &str,
    [project, spec]: [&str; 2],
) -> (u16, String) {
    let named = |text: &str| text.replace("{project}", project).replace("{spec}", spec);
    let body: Option<Value> =
        (!body.is_empty()).then(|| serde_json::from_str(&named(body)).unwrap());
    let (status, answer) = api.request(method, &named(path), token, body.as_ref()).await;
    (status, answer.to_string().replace(project, "PROJECT").replace(spec, "SPEC"))
}

/// What the tenant has, as the tenant sees it.
async fn holdings(api: &Running, tenant: &Tenant) -> Vec<Value> {
    let mut all = Vec::new();
    for path in [
        "/api/v1/specs".to_owned(),
        "/api/v1/sandboxes".to_owned(),
        format!("/api/v1/projects/{}/members", tenant.project),
        format!("/api/v1/sandboxes/{}/messages", tenant.sandbox),
    ] {
        let (status, mut held) = api.request("GET", &path, &tenant.token, None::<&()>).await;
        assert_eq!(status, 200, "{path}: {held}");
        // What changes by itself: when it was heard of, and what a duty thinks of it.
        for item in held["items"].as_array_mut().into_iter().flatten() {
            item.as_object_mut().unwrap().retain(|name, _| {
                ["id", "status", "spec_id", "project_id", "name", "role", "text"]
                    .contains(&name.as_str())
            });
        }
        all.push(held);
    }
    all
}

#[tokio::test]
async fn what_a_body_or_a_query_names_of_another_tenant_is_answered_like_nothing() {
    let api = Running::with_waiting_worker().await;
    let heron = tenant(&api, "heron", MARK).await;
    let stork = tenant(&api, "stork", "stork-idea").await;
    let (_, other) = api
        .request("POST", "/api/v1/projects", &heron.token, Some(&json!({ "name": "other" })))
        .await;
    let elsewhere = json!({ "name": "t", "kind": "readonly", "project_id": other["id"] });
    let elsewhere = token(&api, &heron.token, elsewhere).await.1;
    let said = json!({ "id": Uuid::now_v7(), "kind": "user_message", "text": MARK });
    let messages = |of: &Tenant| format!("/api/v1/sandboxes/{}/messages", of.sandbox);
    assert_eq!(api.request("POST", &messages(&heron), &heron.token, Some(&said)).await.0, 201);
    let before = holdings(&api, &heron).await;

    let foreign = [heron.project.as_str(), heron.spec.as_str()];
    let nothing = [Uuid::now_v7().to_string(), Uuid::now_v7().to_string()];
    let nothing = [nothing[0].as_str(), nothing[1].as_str()];
    for asked in ASKED {
        let callers = [("another tenant", &stork.token), ("a token for another", &elsewhere)];
        for (who, token) in callers {
            let found = answer(&api, asked, token, foreign).await;
            let absent = answer(&api, asked, token, nothing).await;
            assert_eq!(found, absent, "{asked:?} by {who}");
            assert!(!found.1.contains(MARK), "{asked:?} by {who}: {found:?}");
            let refused = if asked.0 == "GET" { 200 } else { 422 };
            let refused = if asked.0 == "POST" && who != "another tenant" { 403 } else { refused };
            assert_eq!(found.0, refused, "{asked:?} by {who}: {found:?}");
        }
    }
    // The id of a message, too, is its tenant's; one of one's own is not made of it.
    let (status, problem) = api.request("POST", &messages(&stork), &stork.token, Some(&said)).await;
    assert_eq!(status, 422, "{problem}");
    assert!(!problem.to_string().contains(MARK), "{problem}");
    let (_, own) = api.request("GET", &messages(&stork), &stork.token, None::<&()>).await;
    assert_eq!(own["items"], json!([]));
    assert_eq!(holdings(&api, &heron).await, before, "nothing was moved");

    // The same is right in one's own project.
    for asked in ASKED {
        let (status, found) = answer(&api, asked, &heron.token, foreign).await;
        assert!((200..300).contains(&status), "{asked:?}: {status} {found}");
        if asked.0 == "GET" && !asked.1.contains("phase=") {
            let own = [MARK, &heron.sandbox, &heron.ticket, &heron.task];
            assert!(own.iter().any(|id| found.contains(*id)), "{asked:?}: {found}");
        }
    }
    api.end().await;
}
