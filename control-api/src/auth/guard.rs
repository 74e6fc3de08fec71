//! The one door: every request passes here before its handler, and what people change is noted here,
//! before it is done and after.
//!
//! What holds: what a person or guardian does other than read is done to its end and noted in the
//! audit log, also when the client hangs up, and also when it is refused. It is noted before it is done,
//! and what came of it after: who is killed in between leaves a line that says so. A stream ends soon after
//! its token was revoked, or its reader lost the right to read; a page that waits is refused then.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{RawPathParams, Request};
use axum::response::{IntoResponse, Response};
use futures_util::{FutureExt as _, StreamExt as _};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use specwright_shared::id::{SandboxId, TokenId};
use specwright_shared::time::Timestamp;
use specwright_shared::wire::access::{AuditEntry, Deed};
use tracing::Instrument as _;
use uuid::Uuid;

use super::admit::{bearer, identify, judge};
use super::vigil::{JUDGE_AGAIN, Reading};
use super::waiting::{waits, while_judged};
use super::{About, Access, Actor, AuthError, Brought, Class, KnownSandboxes, Person, Thing};
use crate::app::App;
use crate::problem::{Answer, chain};
use crate::request_id::RequestId;
use crate::store::{self, StoreError, Write};

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
pub(crate) async fn guard<H, F>(
    gate: Gate,
    parameters: RawPathParams,
    mut request: Request,
    handler: H,
) -> Response
where
    H: FnOnce(Request) -> F + Send + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    if gate.access == Access::Public {
        return handler(request).await;
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
    request.extensions_mut().insert(Brought(hash));
    let mut response = match actor {
        Actor::Person(person) if !request.method().is_safe() => {
            gate.done_and_noted(person, named, judged, request, handler).await
        }
        Actor::Person(_) => match judged {
            Ok(about) => {
                let waits = waits(request.uri());
                let judge = || gate.judge_again(&hash, named.id.as_deref());
                match while_judged(handler(request), waits, JUDGE_AGAIN, judge).await {
                    Ok(response) => gate.while_allowed(gate.counted(response, hash), hash, about),
                    Err(error) => Answer(error).into_response(),
                }
            }
            Err(error) => Answer(error).into_response(),
        },
        Actor::Sandbox(_) => match judged {
            Ok(_) => gate.counted(handler(request).await, hash),
            Err(error) => Answer(error).into_response(),
        },
    };
    left.tell(response.headers_mut());
    response
}

/// Who brings a token with this hash; its use is noted.
pub(super) async fn who(
    app: &App,
    hash: &[u8; 32],
    access: Access,
    now: Timestamp,
) -> Result<Actor, AuthError> {
    let mut session = app.store.ask().await?;
    let (actor, worth_noting) = identify(app, &mut session, hash, access, now).await?;
    drop(session);
    if let Some(token) = worth_noting {
        let noted = app.clone();
        app.tasks.spawn(async move {
            if let Err(error) = note_use(&noted, token, now).await {
                tracing::warn!(%token, error = chain(&error), "a token's use was not noted");
            }
        });
    }
    Ok(actor)
}

impl Gate {
    /// Who brings a token with this hash; where that is enough, as it was looked up a moment ago.
    async fn actor(&self, hash: &[u8; 32], now: Timestamp) -> Result<Actor, AuthError> {
        if !KnownSandboxes::are_enough_for(self.access, self.path) {
            return who(&self.app, hash, self.access, now).await;
        }
        let (known, at) = (&self.app.known_sandboxes, Instant::now());
        if let Some(sandbox) = known.find(hash, at) {
            return Ok(Actor::Sandbox(sandbox));
        }
        let actor = who(&self.app, hash, self.access, now).await?;
        if let Actor::Sandbox(sandbox) = actor {
            known.keep(*hash, sandbox, at);
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
                let (deed, thing) = self.asked(deed, id);
                let mut session = self.app.store.ask().await?;
                let project = judge(&mut session, person, deed, thing).await?;
                Ok(About { thing: id, project })
            }
        }
    }

    /// The same from the beginning, as the token or the right to read may have gone meanwhile.
    async fn judge_again(&self, hash: &[u8; 32], id: Option<&str>) -> Result<(), AuthError> {
        let actor = who(&self.app, hash, self.access, self.app.now()).await?;
        self.judge(&actor, id).await.map(drop)
    }

    /// What is asked for: what is to be done, to what.
    fn asked(&self, deed: Deed, id: Option<Uuid>) -> (Deed, Option<(Thing, Uuid)>) {
        match (Thing::of(self.path), id) {
            // An id that nobody can judge is for administrators alone.
            (None, Some(_)) => (Deed::Administer, None),
            (thing, id) => (deed, thing.zip(id)),
        }
    }

    /// Runs a handler that changes something, in a task of its own, and notes what came of it.
    async fn done_and_noted<H, F>(
        self,
        person: Person,
        named: Named,
        judged: Result<About, AuthError>,
        request: Request,
        handler: H,
    ) -> Response
    where
        H: FnOnce(Request) -> F + Send + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        let route = format!("{} {}", request.method(), self.path);
        let request_id = RequestId::of(request.extensions());
        let tasks = self.app.tasks.clone();
        let done = async move {
            let thing = named.id.and_then(|id| Uuid::parse_str(&id).ok());
            let (about, allowed) = match judged {
                Ok(about) => (about, Ok(())),
                Err(error) => (About { thing, project: None }, Err(error)),
            };
            let mut entry = AuditEntry {
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
                status: None,
                request_id: request_id.to_string(),
            };
            if let Err(error) = allowed {
                let refused = Answer(error).into_response();
                entry.status = Some(refused.status().as_u16());
                note(&self.app, &entry, store::audit::insert).await;
                return Ok(refused);
            }
            // Before it is done: what nobody could know of is not done.
            if let Err(error) = begin(&self.app, &entry).await {
                return Ok(Answer(AuthError::Store(error)).into_response());
            }
            let answered = AssertUnwindSafe(handler(request)).catch_unwind().await;
            let made = answered.as_ref().ok().and_then(|answer| answer.extensions().get().copied());
            let about: About = made.unwrap_or(about);
            (entry.thing_id, entry.project_id) = (about.thing, about.project);
            let status =
                answered.as_ref().map_or(StatusCode::INTERNAL_SERVER_ERROR, Response::status);
            entry.status = Some(status.as_u16());
            note(&self.app, &entry, store::audit::finish).await;
            answered
        };
        match tasks.spawn(done.in_current_span()).await {
            Ok(Ok(response)) => response,
            // For the layer that answers panics.
            Ok(Err(panic)) => resume_unwind(panic),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            },
        }
    }

    /// A stream, which counts among those of its token as long as it is open, or is refused; any other
    /// answer as it is.
    fn counted(&self, response: Response, token: [u8; 32]) -> Response {
        if !is_stream(&response) {
            return response;
        }
        match self.app.open_streams.one_more(token) {
            Ok(counted) => response.map(|body| {
                Body::from_stream(body.into_data_stream().inspect(move |_| {
                    // Goes with the body.
                    let _kept = &counted;
                }))
            }),
            Err(too_many) => Answer(too_many).into_response(),
        }
    }

    /// A stream, which ends when its reader may no longer read; any other answer as it is.
    fn while_allowed(&self, response: Response, token: [u8; 32], about: About) -> Response {
        let (true, Access::Deed(deed)) = (is_stream(&response), self.access) else {
            return response;
        };
        let (deed, thing) = self.asked(deed, about.thing);
        let thing = about.project.map(|project| (Thing::Project, project.0)).or(thing);
        let vigil = self.app.vigils.over(&self.app, Reading { token, deed, thing });
        // Kept for as long as there is somebody who reads.
        let refused = async move { vigil.refused().await };
        response
            .map(|body| Body::from_stream(body.into_data_stream().take_until(Box::pin(refused))))
    }
}

fn is_stream(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
}

async fn begin(app: &App, entry: &AuditEntry) -> Result<(), StoreError> {
    let mut write = app.store.write().await?;
    store::audit::insert(&mut write, entry).await?;
    write.commit().await
}

/// Notes what came of a deed.
async fn note(
    app: &App,
    entry: &AuditEntry,
    line: impl AsyncFnOnce(&mut Write, &AuditEntry) -> Result<(), StoreError>,
) {
    let noted = async {
        let mut write = app.store.write().await?;
        line(&mut write, entry).await?;
        write.commit().await
    };
    if let Err(error) = noted.await {
        tracing::error!(
            user = entry.user,
            route = entry.route,
            status = entry.status,
            error = chain(&error),
            "what came of a deed is not in the audit log"
        );
    }
}

async fn note_use(app: &App, token: TokenId, now: Timestamp) -> Result<(), StoreError> {
    let mut write = app.store.write().await?;
    store::token::note_use(&mut write, token, now).await?;
    write.commit().await
}
