//! The routes: one table, from which the router is built and which the tests walk.

pub(crate) mod audit;
pub(crate) mod board;
pub(crate) mod credentials;
pub(crate) mod docs;
pub(crate) mod duties;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod members;
pub(crate) mod metrics;
pub(crate) mod openapi;
pub(crate) mod projects;
pub(crate) mod sandboxes;
pub(crate) mod specs;
pub(crate) mod tasks;
pub(crate) mod tickets;
pub(crate) mod tokens;
pub(crate) mod users;

#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use http::Method;
use schemars::generate::SchemaGenerator;
use specwright_shared::wire::access::Deed;
use specwright_shared::wire::sandbox::{BATCH_MAX_BYTES, TRANSCRIPT_MAX_BYTES};

use crate::app::App;
use crate::auth::Access;
use crate::openapi::describe::{Described, Shape};

/// The most bytes of an ordinary body: far above what any of them holds.
const BODY: usize = 64 * 1024;
/// An idea has up to 262,144 characters, each up to 6 bytes when escaped in JSON.
const IDEA_BODY: usize = 2 * 1024 * 1024;
/// A message has up to 32,768 characters, each up to 6 bytes when escaped in JSON.
const MESSAGE_BODY: usize = 256 * 1024;
/// A batch is as large as the wire says.
const BATCH_BODY: usize = BATCH_MAX_BYTES;

/// How long an ordinary request may take.
const TIME: Duration = Duration::from_secs(15);
/// How long a start may take: a place has to be made.
const START_TIME: Duration = Duration::from_secs(45);
/// How long a forced end may take: a worker is asked before it is killed.
const END_TIME: Duration = Duration::from_secs(20);
/// How long a reader may wait for something new: under the 30 seconds at which proxies hang up.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(25);
/// How long a waiting request may take.
const WAIT_TIME: Duration = Duration::from_secs(35);

/// A route.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    pub(crate) body_max: usize,
    pub(crate) time_max: Duration,
    pub(crate) handler: MethodRouter<App>,
    /// What the handler's signature says about its parameters, body and answer.
    pub(crate) describe: fn(&mut SchemaGenerator, &mut Shape),
}

fn route<H, T, D>(method: Method, path: &'static str, handler: H) -> Route
where
    H: Handler<T, App> + Described<D>,
    T: 'static,
{
    let filter = match method {
        Method::GET => MethodFilter::GET,
        Method::PUT => MethodFilter::PUT,
        Method::PATCH => MethodFilter::PATCH,
        Method::DELETE => MethodFilter::DELETE,
        _ => MethodFilter::POST,
    };
    let deed = if method == Method::GET { Deed::Read } else { Deed::Steer };
    Route {
        method,
        path,
        access: Access::Deed(deed),
        body_max: BODY,
        time_max: TIME,
        handler: on(filter, handler),
        describe: <H as Described<D>>::describe,
    }
}

fn get<H, T, D>(path: &'static str, handler: H) -> Route
where
    H: Handler<T, App> + Described<D>,
    T: 'static,
{
    route(Method::GET, path, handler)
}

fn post<H, T, D>(path: &'static str, handler: H) -> Route
where
    H: Handler<T, App> + Described<D>,
    T: 'static,
{
    route(Method::POST, path, handler)
}

fn put<H, T, D>(path: &'static str, handler: H) -> Route
where
    H: Handler<T, App> + Described<D>,
    T: 'static,
{
    route(Method::PUT, path, handler)
}

fn delete<H, T, D>(path: &'static str, handler: H) -> Route
where
    H: Handler<T, App> + Described<D>,
    T: 'static,
{
    route(Method::DELETE, path, handler)
}

impl Route {
    /// What it takes to use it.
    fn wants(self, deed: Deed) -> Self {
        self.of(Access::Deed(deed))
    }
    fn of(self, access: Access) -> Self {
        Self { access, ..self }
    }
    fn takes(self, body_max: usize) -> Self {
        Self { body_max, ..self }
    }
    fn within(self, time_max: Duration) -> Self {
        Self { time_max, ..self }
    }
}

/// All routes. What does not say otherwise takes the right to read (`GET`) or to steer (all others).
pub(crate) fn table() -> Vec<Route> {
    use Access::{OwnSandbox, Public};
    use Deed::{Administer, Guard, Manage};
    vec![
        get("/healthz", health::live::handler).of(Public),
        get("/readyz", health::ready::handler).of(Public),
        get("/metrics", metrics::handler).wants(Administer),
        get("/openapi.json", openapi::handler).of(Public),
        get("/docs", docs::handler).of(Public),
        get("/api/v1/projects", projects::list::handler),
        post("/api/v1/projects", projects::create::handler).wants(Manage),
        get("/api/v1/projects/{id}/members", members::list::handler),
        put("/api/v1/projects/{id}/members/{name}", members::change::put_handler).wants(Manage),
        delete("/api/v1/projects/{id}/members/{name}", members::change::remove_handler)
            .wants(Manage),
        get("/api/v1/projects/{id}/audit", audit::list::project_handler).wants(Manage),
        get("/api/v1/projects/{id}/liveness", projects::liveness::get_handler),
        put("/api/v1/projects/{id}/liveness", projects::liveness::put_handler).wants(Manage),
        get("/api/v1/projects/{id}/guardian", projects::guardian::get_handler),
        put("/api/v1/projects/{id}/guardian", projects::guardian::put_handler).wants(Manage),
        get("/api/v1/projects/{id}/credentials", credentials::list::project_handler).wants(Manage),
        put("/api/v1/projects/{id}/credentials/{name}", credentials::put::project_handler)
            .wants(Manage),
        delete("/api/v1/projects/{id}/credentials/{name}", credentials::remove::project_handler)
            .wants(Manage),
        get("/api/v1/specs", specs::list::handler),
        post("/api/v1/specs", specs::create::handler).takes(IDEA_BODY),
        post("/api/v1/specs/launch", specs::launch::handler).takes(IDEA_BODY).within(START_TIME),
        get("/api/v1/specs/{id}", specs::show::handler),
        post("/api/v1/specs/{id}/execute", specs::execute::handler).within(START_TIME),
        post("/api/v1/specs/{id}/cancel", specs::cancel::handler).within(END_TIME),
        post("/api/v1/specs/{id}/pause", specs::pause::handler),
        post("/api/v1/specs/{id}/breaker/reset", specs::reset_breaker::handler).wants(Manage),
        get("/api/v1/specs/{id}/phases", specs::phases::list_handler),
        get("/api/v1/specs/{id}/phases/{name}", specs::phases::show_handler),
        get("/api/v1/events", events::page_handler).within(WAIT_TIME),
        get("/api/v1/events/stream", events::stream_handler),
        get("/api/v1/specs/{id}/events", specs::events::page_handler).within(WAIT_TIME),
        get("/api/v1/specs/{id}/events/stream", specs::events::stream_handler),
        get("/api/v1/sandboxes/{id}/events", sandboxes::reported::page_handler).within(WAIT_TIME),
        get("/api/v1/sandboxes/{id}/events/stream", sandboxes::reported::stream_handler),
        get("/api/v1/specs/{id}/documents", specs::documents::list_handler),
        get("/api/v1/specs/{id}/documents/{name}", specs::documents::show_handler),
        get("/api/v1/specs/{id}/coverage", specs::coverage::handler),
        get("/api/v1/sandboxes", sandboxes::list::handler),
        get("/api/v1/sandboxes/{id}", sandboxes::show::handler),
        post("/api/v1/sandboxes/{id}/hold", sandboxes::hold::handler),
        post("/api/v1/sandboxes/{id}/release", sandboxes::release::handler),
        get("/api/v1/sandboxes/{id}/trajectory", sandboxes::trajectory::handler),
        get("/api/v1/sandboxes/{id}/interventions", sandboxes::interventions::list_handler),
        post("/api/v1/sandboxes/{id}/interventions", sandboxes::interventions::handler)
            .wants(Guard)
            .takes(MESSAGE_BODY),
        get("/api/v1/sandboxes/{id}/messages", sandboxes::messages::handler),
        post("/api/v1/sandboxes/{id}/messages", sandboxes::say::handler).takes(MESSAGE_BODY),
        post("/api/v1/sandboxes/{id}/hello", sandboxes::hello::handler).of(OwnSandbox),
        post("/api/v1/sandboxes/{id}/events", sandboxes::events::handler)
            .of(OwnSandbox)
            .takes(BATCH_BODY),
        post("/api/v1/sandboxes/{id}/heartbeat", sandboxes::heartbeat::handler).of(OwnSandbox),
        get("/api/v1/sandboxes/{id}/messages/poll", sandboxes::poll::handler)
            .of(OwnSandbox)
            .within(WAIT_TIME),
        get("/api/v1/sandboxes/{id}/messages/stream", sandboxes::stream::handler).of(OwnSandbox),
        put("/api/v1/sandboxes/{id}/transcript", sandboxes::transcript::put_handler)
            .of(OwnSandbox)
            .takes(TRANSCRIPT_MAX_BYTES),
        get("/api/v1/sandboxes/{id}/transcript", sandboxes::transcript::get_handler),
        get("/api/v1/duties", duties::list::handler).wants(Administer),
        get("/api/v1/board", board::show::handler),
        get("/api/v1/tickets", tickets::list::handler),
        get("/api/v1/tickets/{id}", tickets::show::handler),
        get("/api/v1/tasks", tasks::list::handler),
        get("/api/v1/tasks/{id}", tasks::show::handler),
        get("/api/v1/tokens", tokens::list::handler).wants(Manage),
        post("/api/v1/tokens", tokens::create::handler).wants(Manage),
        delete("/api/v1/tokens/{id}", tokens::revoke::handler).wants(Manage),
        get("/api/v1/credentials", credentials::list::handler).wants(Manage),
        put("/api/v1/credentials/{name}", credentials::put::handler).wants(Manage),
        delete("/api/v1/credentials/{name}", credentials::remove::handler).wants(Manage),
        post("/api/v1/credentials/rotate", credentials::rotate::handler)
            .wants(Administer)
            .within(END_TIME),
        get("/api/v1/users", users::list::handler).wants(Administer),
        post("/api/v1/users", users::create::handler).wants(Administer),
        post("/api/v1/users/{id}/disable", users::disable::handler).wants(Administer),
        post("/api/v1/users/{id}/enable", users::disable::enable_handler).wants(Administer),
        get("/api/v1/users/{id}/tokens", users::tokens::list_handler).wants(Administer),
        post("/api/v1/users/{id}/tokens", users::tokens::create_handler).wants(Administer),
        get("/api/v1/audit", audit::list::handler).wants(Administer),
    ]
}
