//! Every route, as everyone: what each may see and do follows from the table alone.

mod foreign_ids;
mod streams;

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};
use specwright_shared::documents::Document;
use specwright_shared::phase::Phase;
use specwright_shared::wire::access::{Deed, Role, TokenKind};

use super::super::{Route, table};
use crate::auth::{Access, SealKeys, Thing};
use crate::testing::worker::{Worker, token_of};
use crate::testing::{OWNER_TOKEN, Running, WAITING_WORKER, documents};

/// What stands in every text of the tenant whose routes are read.
const MARK: &str = "heron-secret-idea";
/// What is shown of the tenant's own key.
const LAST_FOUR: &str = "HeRn";
/// All methods that a route may have.
const METHODS: [Method; 5] =
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// What a caller is to the things that the paths name.
#[derive(Debug, Clone, Copy)]
enum Whom {
    Nobody,
    Person {
        kind: TokenKind,
        role: Option<Role>,
        /// The token is for another project only.
        elsewhere: bool,
        /// The token is for one project only.
        scoped: bool,
        /// Whether the token that paths name is this user's.
        own_token: bool,
    },
    Sandbox {
        own: bool,
    },
}

struct Caller {
    what: &'static str,
    token: String,
    whom: Whom,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Open,
    Unknown,
    Refused,
    Unseen,
}

/// What the table says about a caller.
fn expected(route: &Route, whom: Whom) -> Expected {
    use Expected::{Open, Refused, Unknown, Unseen};
    let deed = match (route.access, whom) {
        (Access::Public, _) => return Open,
        (_, Whom::Nobody) => return Unknown,
        (Access::OwnSandbox, Whom::Sandbox { own: true }) => return Open,
        (Access::OwnSandbox, _) | (_, Whom::Sandbox { .. }) => return Refused,
        (Access::Deed(deed), _) => deed,
    };
    let Whom::Person { kind, role, elsewhere, scoped, own_token } = whom else { return Unknown };
    if kind == TokenKind::Admin {
        return Open;
    }
    let thing = Thing::of(route.path);
    let seen = match thing {
        None => true,
        Some(Thing::User) => false,
        Some(Thing::Token) => own_token,
        Some(_) => role.is_some() && !elsewhere,
    };
    let may = deed.open_to(kind)
        && match thing {
            None => !(scoped && deed == Deed::Manage),
            Some(Thing::User | Thing::Token) => !scoped,
            Some(_) => role.is_some_and(|role| deed.entitled(role)),
        };
    match (seen, may) {
        (false, _) => Unseen,
        (true, false) => Refused,
        (true, true) => Open,
    }
}

struct Tenant {
    token: String,
    project: String,
    spec: String,
    sandbox: String,
    sandbox_token: String,
    ticket: String,
    task: String,
}

/// A user with a project in which a run has been through all phases, and runs again.
async fn tenant(api: &Running, name: &str, mark: &str) -> Tenant {
    let token = user(api, name).await;
    let as_user = async |method: &str, path: &str, body: &Value| {
        let (status, answer) = api.request(method, path, &token, Some(body)).await;
        assert!(status < 300, "{path}: {status} {answer}");
        answer
    };
    let project = as_user("POST", "/api/v1/projects", &json!({ "name": mark })).await;
    let launch = json!({ "spec": { "description": mark, "project_id": project["id"] } });
    let launched = as_user("POST", "/api/v1/specs/launch", &launch).await;
    let spec = launched["spec"]["id"].as_str().unwrap().to_owned();
    let first = launched["sandbox_id"].as_str().unwrap().parse().unwrap();
    let mut worker = Worker::hello(api, first).await;
    let mut events: Vec<_> = Phase::ALL
        .into_iter()
        .map(|phase| {
            let document: Option<Document> = documents::of(phase);
            worker.completed(phase, document.as_ref())
        })
        .collect();
    events.push(worker.event("spec.progress", None, json!({ "message": mark })));
    let end = json!({ "phases_completed": [], "cost_usd": 0.0, "duration_ms": 1 });
    events.push(worker.event("spec.execution_completed", None, end));
    worker.report(&events).await;
    let tickets = as_user("GET", &format!("/api/v1/tickets?spec_id={spec}"), &Value::Null).await;
    let again = json!({ "from": "complete" });
    let again = as_user("POST", &format!("/api/v1/specs/{spec}/execute"), &again).await;
    let sandbox = again["sandbox_id"].as_str().unwrap().to_owned();
    Tenant {
        project: project["id"].as_str().unwrap().to_owned(),
        sandbox_token: token_of(api, sandbox.parse().unwrap()).await,
        ticket: tickets["items"][0]["id"].as_str().unwrap().to_owned(),
        task: tickets["items"][0]["tasks"][0]["id"].as_str().unwrap().to_owned(),
        token,
        spec,
        sandbox,
    }
}

/// A new user's token.
pub(super) async fn user(api: &Running, name: &str) -> String {
    let (status, user) = api.post("/api/v1/users", &json!({ "name": name })).await;
    assert_eq!(status, 201, "{user}");
    let path = format!("/api/v1/users/{}/tokens", user["id"].as_str().unwrap());
    let (status, made) = api.post(&path, &json!({ "name": "of the test" })).await;
    assert_eq!(status, 201, "{made}");
    made["token"].as_str().unwrap().to_owned()
}

/// Another token of whoever has this one.
pub(super) async fn token(api: &Running, of: &str, new: Value) -> (String, String) {
    let (status, made) = api.request("POST", "/api/v1/tokens", of, Some(&new)).await;
    assert_eq!(status, 201, "{made}");
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("id"), text("token"))
}

async fn join(api: &Running, tenant: &Tenant, name: &str, role: Role) -> String {
    let token = user(api, name).await;
    let path = format!("/api/v1/projects/{}/members/{name}", tenant.project);
    let put = json!({ "role": role });
    let (status, answer) = api.request("PUT", &path, &tenant.token, Some(&put)).await;
    assert_eq!(status, 200, "{answer}");
    token
}

/// The status and the body; a stream that opens has none here ([`streams`] listens to them).
async fn ask(api: &Running, method: &Method, path: &str, token: &str) -> (u16, String) {
    let url = format!("{}{path}", api.base);
    // The body fits no route, so that nothing happens where the token opens.
    let mut request = api.http.request(method.clone(), url).json(&json!(7));
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
    if kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
        return (status, String::new());
    }
    let body = answer.bytes().await.unwrap();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// Whether a route lists what its caller may see, whatever is in the path.
fn is_a_list(route: &Route) -> bool {
    let everyones = matches!(route.access, Access::Deed(deed) if deed != Deed::Administer);
    let is_stream = route.path.ends_with("/stream");
    route.method == Method::GET && everyones && Thing::of(route.path).is_none() && !is_stream
}

#[tokio::test]
async fn every_route_opens_to_whom_the_table_says_and_shows_nobody_elses_data() {
    let seal_keys = Arc::new(SealKeys::parse(&"0a".repeat(32)).unwrap());
    let change = |config: &mut crate::Config| config.seal_keys = Some(seal_keys);
    let api = Running::with_settings(WAITING_WORKER, change).await;
    let heron = tenant(&api, "heron", MARK).await;
    let key = json!({ "value": format!("ghp_0123456789abcdef{LAST_FOUR}") });
    let own_key = "/api/v1/credentials/github_token";
    assert_eq!(api.request("PUT", own_key, &heron.token, Some(&key)).await.0, 200);
    let stork = tenant(&api, "stork", "stork-idea").await;
    let member = join(&api, &heron, "member", Role::Member).await;
    let viewer = join(&api, &heron, "viewer", Role::Viewer).await;
    let (victim, _) = token(&api, &heron.token, json!({ "name": "to be revoked" })).await;
    let (_, other_project) = api
        .request("POST", "/api/v1/projects", &heron.token, Some(&json!({ "name": "other" })))
        .await;
    let (_, throwaway) = api.post("/api/v1/users", &json!({ "name": "throwaway" })).await;
    let of = async |token_of: &str, kind: &str, project: Option<&str>| {
        let new = json!({ "name": "t", "kind": kind, "project_id": project });
        token(&api, token_of, new).await.1
    };
    let person = |kind, role, own_token| Whom::Person {
        kind,
        role,
        elsewhere: false,
        scoped: false,
        own_token,
    };
    let scoped = |kind, elsewhere| Whom::Person {
        kind,
        role: Some(Role::Owner),
        elsewhere,
        scoped: true,
        own_token: true,
    };
    let (owner, member_of) = (Some(Role::Owner), Some(Role::Member));
    let other_id = other_project["id"].as_str().unwrap();
    let callers = [
        ("nobody", String::new(), Whom::Nobody),
        ("a stranger", "swt_no-such-token".into(), Whom::Nobody),
        ("the owner of the machine", OWNER_TOKEN.into(), person(TokenKind::Admin, None, false)),
        ("an owner", heron.token.clone(), person(TokenKind::User, owner, true)),
        ("a member", member.clone(), person(TokenKind::User, member_of, false)),
        ("a viewer", viewer, person(TokenKind::User, Some(Role::Viewer), false)),
        ("another tenant", stork.token.clone(), person(TokenKind::User, None, false)),
        (
            "an owner's guardian",
            of(&heron.token, "guardian", None).await,
            person(TokenKind::Guardian, owner, true),
        ),
        (
            "a member's guardian",
            of(&member, "guardian", None).await,
            person(TokenKind::Guardian, member_of, false),
        ),
        (
            "another tenant's guardian",
            of(&stork.token, "guardian", None).await,
            person(TokenKind::Guardian, None, false),
        ),
        (
            "an owner who reads",
            of(&heron.token, "readonly", None).await,
            person(TokenKind::Readonly, owner, true),
        ),
        (
            "another tenant who reads",
            of(&stork.token, "readonly", None).await,
            person(TokenKind::Readonly, None, false),
        ),
        (
            "an administrator by a token of the store",
            of(OWNER_TOKEN, "admin", None).await,
            person(TokenKind::Admin, None, false),
        ),
        (
            "a token for it",
            of(&heron.token, "user", Some(&heron.project)).await,
            scoped(TokenKind::User, false),
        ),
        (
            "a guardian for it",
            of(&heron.token, "guardian", Some(&heron.project)).await,
            scoped(TokenKind::Guardian, false),
        ),
        (
            "a reader for it",
            of(&heron.token, "readonly", Some(&heron.project)).await,
            scoped(TokenKind::Readonly, false),
        ),
        (
            "a token for another",
            of(&heron.token, "user", Some(other_id)).await,
            scoped(TokenKind::User, true),
        ),
        (
            "a guardian for another",
            of(&heron.token, "guardian", Some(other_id)).await,
            scoped(TokenKind::Guardian, true),
        ),
        (
            "a reader for another",
            of(&heron.token, "readonly", Some(other_id)).await,
            scoped(TokenKind::Readonly, true),
        ),
        ("its sandbox", heron.sandbox_token.clone(), Whom::Sandbox { own: true }),
        ("another sandbox", stork.sandbox_token.clone(), Whom::Sandbox { own: false }),
    ]
    .map(|(what, token, whom)| Caller { what, token, whom });

    let secrets = [MARK, LAST_FOUR, &heron.project, &heron.spec, &heron.sandbox, &heron.ticket];
    let (mut asked, mut public, mut lists) = (0, Vec::new(), Vec::new());
    for route in table() {
        let id = match Thing::of(route.path) {
            Some(Thing::Project) => heron.project.clone(),
            Some(Thing::Spec) => heron.spec.clone(),
            Some(Thing::Sandbox) => heron.sandbox.clone(),
            Some(Thing::Ticket) => heron.ticket.clone(),
            Some(Thing::Task) => heron.task.clone(),
            Some(Thing::User) => throwaway["id"].as_str().unwrap().to_owned(),
            Some(Thing::Token) => victim.clone(),
            None => {
                assert!(!route.path.contains("{id}"), "{}: nobody can judge its id", route.path);
                String::new()
            }
        };
        if route.access == Access::Public {
            public.push(route.path);
        }
        let mut path = route.path.replace("{id}", &id).replace("{name}", "explore");
        if route.path == "/api/v1/tickets" || route.path == "/api/v1/tasks" {
            path = format!("{path}?spec_id={}", heron.spec);
        }
        methods_that_the_table_does_not_name_open_nothing(&api, &route, &path, &stork.token).await;
        // Refusals first: who may do it could change what the others find.
        let mut callers: Vec<&Caller> = callers.iter().collect();
        callers.sort_by_key(|caller| expected(&route, caller.whom) == Expected::Open);
        for caller in callers {
            let expected = expected(&route, caller.whom);
            let mut heads = None;
            if route.method == Method::GET {
                let (head, nothing) = ask(&api, &Method::HEAD, &path, &caller.token).await;
                heads = Some((head, nothing));
            }
            let (status, body) = ask(&api, &route.method, &path, &caller.token).await;
            let head = heads.unwrap_or((status, String::new()));
            assert_eq!(head, (status, String::new()), "HEAD {path} by {}", caller.what);
            asked += 1;
            let what = format!("{} {path} by {}: {status} {body}", route.method, caller.what);
            match expected {
                Expected::Unknown => assert_eq!(status, 401, "{what}"),
                Expected::Refused => assert_eq!(status, 403, "{what}"),
                Expected::Unseen => assert_eq!(status, 404, "{what}"),
                Expected::Open => {
                    let unseen =
                        format!("there is no {}", Thing::of(route.path).map_or("", Thing::word));
                    assert!(status != 401 && status != 403 && status < 500, "{what}");
                    assert!(
                        !(status == 404 && body.contains(&unseen) && body.contains(&id)),
                        "{what}"
                    );
                }
            }
            let outside = match caller.whom {
                Whom::Nobody | Whom::Sandbox { own: false } => true,
                Whom::Person { kind, role, elsewhere, .. } => {
                    elsewhere || (role.is_none() && kind != TokenKind::Admin)
                }
                Whom::Sandbox { own: true } => false,
            };
            // An id that someone asks for is repeated to them; nothing else is told.
            let told = body.replace(&id, "").replace(&format!("spec_id={}", heron.spec), "");
            let found = secrets.iter().find(|secret| told.contains(**secret));
            assert!(!outside || found.is_none(), "{found:?}: {what}");
            // And it is there to be told.
            if is_a_list(&route) && caller.what == "an owner" {
                assert!(found.is_some(), "{what}");
                lists.push(route.path);
            }
        }
    }
    assert_eq!(
        lists,
        [
            "/api/v1/projects",
            "/api/v1/specs",
            "/api/v1/events",
            "/api/v1/sandboxes",
            "/api/v1/board",
            "/api/v1/tickets",
            "/api/v1/tasks",
            "/api/v1/tokens",
            "/api/v1/credentials",
        ]
    );
    assert_eq!(
        public,
        ["/healthz", "/readyz", "/openapi.json", "/docs"],
        "everything else is private"
    );
    eprintln!("{asked} requests, each as its caller may");
    api.end().await;
}

/// Whatever a path has no route for, and what browsers ask before they ask, is answered alike to all.
async fn methods_that_the_table_does_not_name_open_nothing(
    api: &Running,
    route: &Route,
    path: &str,
    token: &str,
) {
    let named: Vec<Method> = table()
        .into_iter()
        .filter(|other| other.path == route.path)
        .map(|other| other.method)
        .collect();
    let head = (!named.contains(&Method::GET)).then_some(Method::HEAD);
    let others = METHODS.into_iter().filter(|method| !named.contains(method));
    for method in others.chain([Method::OPTIONS]).chain(head) {
        let (status, _) = ask(api, &method, path, token).await;
        assert_eq!(status, 405, "{method} {path}");
    }
}
