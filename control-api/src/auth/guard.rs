//! The one door: every request passes here before its handler, and what people change is noted here
//! after it.
//!
//! What holds: what a person or guardian does other than read is done to its end and noted in the
//! audit log, also when the client hangs up, and also when it is refused; a stream ends soon after
//! its token was revoked, or its reader lost the right to read.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::{FutureExt as _, StreamExt as _};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use specwright_shared::id::{SandboxId, TokenId};
use specwright_shared::time::Timestamp;
use specwright_shared::wire::access::{AuditEntry, Deed};
use uuid::Uuid;

use super::admit::{bearer, identify, judge};
use super::{About, Access, Actor, AuthError, Class, Person, Thing};
use crate::app::App;
use crate::problem::{Answer, chain};
use crate::request_id::RequestId;
use crate::store::{self, StoreError};

/// How often an open stream is judged again: a revocation takes effect within 5 seconds everywhere.
const JUDGE_AGAIN: Duration = Duration::from_secs(3);

/// How long a person waits for what a crash left to be settled; what takes longer is told as it stands.
const LOOKED_MAX: Duration = Duration::from_secs(10);

/// What the guard knows of one route.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    pub(crate) app: App,
    pub(crate) access: Access,
    pub(crate) path: &'static str,
}

/// What a request's path names.
#[derive(Debug, Clone, Default)]
struct Named {
    id: Option<String>,
    name: Option<String>,
}

/// Lets a request through when its token opens the route, and notes who it is.
pub(crate) async fn guard(
    State(gate): State<Gate>,
    parameters: RawPathParams,
    mut request: Request,
    next: Next,
) -> Response {
    if gate.access == Access::Public {
        return next.run(request).await;
    }
    if matches!(gate.access, Access::Deed(_)) {
        // What a crash left is settled first, so that the first answer is true. Workers do not wait:
        // they are who settles it.
        drop(tokio::time::timeout(LOOKED_MAX, gate.app.looked.cancelled()).await);
    }
    let named = |wanted: &str| {
        parameters.iter().find(|(name, _)| *name == wanted).map(|(_, text)| text.to_owned())
    };
    let named = Named { id: named("id"), name: named("name") };
    let now = gate.app.now();
    let hash = match bearer(request.headers()) {
        Ok(hash) => hash,
        Err(error) => return Answer(error).into_response(),
    };
    let actor = match gate.actor(&hash, now).await {
        Ok(actor) => actor,
        Err(error) => return Answer(error).into_response(),
    };
    let (class, key) = match &actor {
        // The owner's token has no id; no other has this one.
        Actor::Person(person) => (Class::Person, person.token.map_or(Uuid::nil(), |id| id.0)),
        Actor::Sandbox(id) => (Class::Sandbox, id.0),
    };
    let left = match gate.app.limiter.take(class, key, 1, Instant::now()) {
        Ok(left) => left,
        Err(too_fast) => return Answer(too_fast).into_response(),
    };
    let judged = gate.judge(&actor, named.id.as_deref()).await;
    request.extensions_mut().insert(actor.clone());
    let mut response = match actor {
        Actor::Person(person) if !request.method().is_safe() => {
            gate.done_and_noted(person, named, judged, request, next).await
        }
        Actor::Person(_) => match judged {
            Ok(_) => gate.while_allowed(next.run(request).await, hash, named.id),
            Err(error) => Answer(error).into_response(),
        },
        Actor::Sandbox(_) => match judged {
            Ok(_) => next.run(request).await,
            Err(error) => Answer(error).into_response(),
        },
    };
    left.tell(response.headers_mut());
    response
}

impl Gate {
    async fn actor(&self, hash: &[u8; 32], now: Timestamp) -> Result<Actor, AuthError> {
        let mut session = self.app.store.read().await?;
        let (actor, worth_noting) = identify(&self.app, &mut session, hash, now).await?;
        drop(session);
        if let Some(token) = worth_noting {
            let app = self.app.clone();
            self.app.tasks.spawn(async move {
                if let Err(error) = note_use(&app, token, now).await {
                    tracing::warn!(%token, error = chain(&error), "a token's use was not noted");
                }
            });
        }
        Ok(actor)
    }

    /// Whether this route is for this actor.
    async fn judge(&self, actor: &Actor, id: Option<&str>) -> Result<About, AuthError> {
        let id = id
            .map(|text| {
                Uuid::parse_str(text).map_err(|_| {
                    AuthError::NoId(text.chars().filter(|c| !c.is_control()).take(80).collect())
                })
            })
            .transpose();
        match (self.access, actor) {
            (Access::Public, _) => Ok(About::default()),
            (Access::OwnSandbox, Actor::Sandbox(own)) => match id? {
                Some(id) if SandboxId(id) == *own => Ok(About::default()),
                _ => Err(AuthError::NotYours),
            },
            (Access::OwnSandbox, Actor::Person(_)) | (Access::Deed(_), Actor::Sandbox(_)) => {
                Err(AuthError::NotYours)
            }
            (Access::Deed(deed), Actor::Person(person)) => {
                let id = id?;
                // An id that nobody can judge is for administrators alone.
                let deed = match (id, Thing::of(self.path)) {
                    (Some(_), None) => Deed::Administer,
                    _ => deed,
                };
                let mut session = self.app.store.read().await?;
                let thing = Thing::of(self.path).zip(id);
                let project = judge(&mut session, person, deed, thing).await?;
                Ok(About { thing: id, project })
            }
        }
    }

    /// Runs a handler that changes something, in a task of its own, and notes what came of it.
    async fn done_and_noted(
        self,
        person: Person,
        named: Named,
        judged: Result<About, AuthError>,
        request: Request,
        next: Next,
    ) -> Response {
        let route = format!("{} {}", request.method(), self.path);
        let request_id = RequestId::of(request.extensions());
        let tasks = self.app.tasks.clone();
        let done = tasks.spawn(async move {
            let thing = named.id.and_then(|id| Uuid::parse_str(&id).ok());
            let (about, answered) = match judged {
                Ok(about) => (about, AssertUnwindSafe(next.run(request)).catch_unwind().await),
                Err(error) => (About { thing, project: None }, Ok(Answer(error).into_response())),
            };
            let status =
                answered.as_ref().map_or(StatusCode::INTERNAL_SERVER_ERROR, Response::status);
            let made = answered.as_ref().ok().and_then(|answer| answer.extensions().get().copied());
            let about: About = made.unwrap_or(about);
            let entry = AuditEntry {
                id: Uuid::now_v7(),
                at: self.app.now(),
                user: person.name,
                token_id: person.token,
                route,
                thing_id: about.thing,
                thing_name: named
                    .name
                    .map(|name| name.chars().filter(|c| !c.is_control()).take(80).collect()),
                project_id: about.project,
                status: status.as_u16(),
                request_id: request_id.to_string(),
            };
            if let Err(error) = note(&self.app, &entry).await {
                tracing::error!(
                    user = entry.user,
                    route = entry.route,
                    status = entry.status,
                    error = chain(&error),
                    "what was done is not in the audit log"
                );
            }
            answered
        });
        match done.await {
            Ok(Ok(response)) => response,
            // For the layer that answers panics.
            Ok(Err(panic)) => resume_unwind(panic),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            },
        }
    }

    /// A stream, which ends when its reader may no longer read; any other answer as it is.
    fn while_allowed(self, response: Response, hash: [u8; 32], id: Option<String>) -> Response {
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
            return response;
        }
        let refused = async move {
            loop {
                tokio::time::sleep(JUDGE_AGAIN).await;
                let now = self.app.now();
                let judged = match self.actor(&hash, now).await {
                    Ok(actor) => self.judge(&actor, id.as_deref()).await,
                    Err(error) => Err(error),
                };
                match judged {
                    // A database that is away for a moment takes nobody's rights.
                    Ok(_) | Err(AuthError::Store(_)) => {}
                    Err(_) => return,
                }
            }
        };
        response
            .map(|body| Body::from_stream(body.into_data_stream().take_until(Box::pin(refused))))
    }
}

async fn note(app: &App, entry: &AuditEntry) -> Result<(), StoreError> {
    let mut write = app.store.write().await?;
    store::audit::insert(&mut write, entry).await?;
    write.commit().await
}

async fn note_use(app: &App, token: TokenId, now: Timestamp) -> Result<(), StoreError> {
    let mut write = app.store.write().await?;
    store::token::note_use(&mut write, token, now).await?;
    write.commit().await
}
