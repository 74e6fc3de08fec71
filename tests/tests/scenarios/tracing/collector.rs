//! A collector of spans: OTLP over HTTP, protobuf.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

type Taken = Arc<Mutex<Vec<ExportTraceServiceRequest>>>;

/// One that keeps what it gets.
pub(super) struct Collector {
    pub(super) endpoint: String,
    taken: Taken,
    _server: AbortOnDropHandle<()>,
}

impl Collector {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let taken = Taken::default();
        let router = Router::new().route("/v1/traces", post(take)).with_state(taken.clone());
        let server = tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        Self { endpoint, taken, _server: AbortOnDropHandle::new(server) }
    }

    /// Every span that came, with the name of the service that sent it.
    pub(super) fn spans(&self) -> Vec<(String, Span)> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let resources = taken.iter().flat_map(|request| &request.resource_spans);
        resources
            .flat_map(|resource| {
                let attributes = resource.resource.iter().flat_map(|own| &own.attributes);
                let service = text(attributes, "service.name");
                let spans = resource.scope_spans.iter().flat_map(|scope| &scope.spans);
                spans.map(move |span| (service.clone(), span.clone()))
            })
            .collect()
    }
}

async fn take(State(taken): State<Taken>, body: Bytes) -> Vec<u8> {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    taken.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    // All of it was taken: the answer to that is an empty message.
    Vec::new()
}

/// An attribute as text; empty where there is none.
pub(super) fn text<'a>(attributes: impl IntoIterator<Item = &'a KeyValue>, name: &str) -> String {
    let found = attributes.into_iter().find(|one| one.key == name);
    match found.and_then(|one| one.value.clone()).and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => other.map(|value| format!("{value:?}")).unwrap_or_default(),
    }
}
