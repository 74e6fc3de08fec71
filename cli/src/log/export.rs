//! Spans to an OpenTelemetry collector, over OTLP/HTTP with protobuf. Set up by the standard variables;
//! without an endpoint there is none of it.
//!
//! What holds: no request waits for the collector. Spans wait in a queue of bounded length
//! (`OTEL_BSP_MAX_QUEUE_SIZE`), what does not fit is given up, and a collector that is away is a line
//! in the log. What is left at the end is sent within [`FLUSH_MAX`], or not at all.
//!
//! Deliberately absent: events of the log. They may hold text that the log's redactor takes out; spans
//! hold a route, a status and ids.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError, ResponseBodyTooLarge};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Layer as _;

use super::Lines;

/// Whose spans are sent.
const OURS: &str = "specwright_control_api";
/// What the service is called, if no variable says it.
const NAME: &str = "specwright";
/// What the collector's library calls a service without a name; it adds the program's.
const NAMELESS: &str = "unknown_service";
/// How long the last spans may take at the end: a graceful stop is over in ten seconds, of which the
/// control API takes up to 7.5 (`control-api/src/serve.rs`).
const FLUSH_MAX: Duration = Duration::from_secs(2);
/// The most bytes of a collector's answer, which is a few counts.
const ANSWER_MAX_BYTES: usize = 64 * 1024;

/// Spans cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    /// The variables do not fit together.
    #[error("the OTEL_… variables name no collector that spans can be sent to")]
    Exporter(#[from] ExporterBuildError),
    /// No TLS, or no resolver.
    #[error("no HTTP client can be made for the collector")]
    Client(#[from] reqwest::Error),
}

/// Spans on their way to a collector.
#[derive(Debug)]
pub(crate) struct Export {
    provider: SdkTracerProvider,
}

impl Export {
    /// Begins to gather and send. `timeout` is for one request.
    pub(crate) fn begin(timeout: Duration) -> Result<Self, ExportError> {
        // Whoever installs a provider first wins; they are all the same one here.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder().timeout(timeout).build()?;
        let sender = Sender { http, runtime: Handle::current() };
        let exporter = SpanExporter::builder().with_http().with_http_client(sender).build()?;
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_batch_exporter(exporter)
            .build();
        Ok(Self { provider })
    }

    /// The layer that makes spans of ours theirs.
    pub(super) fn layer(&self) -> Lines {
        let spans = tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(NAME))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false);
        let ours = |of: &tracing::Metadata<'_>| of.is_span() && of.target().starts_with(OURS);
        spans.with_filter(filter_fn(ours)).boxed()
    }

    /// Sends what is left.
    pub(crate) async fn end(self) {
        let last = move || self.provider.shutdown_with_timeout(FLUSH_MAX);
        match tokio::task::spawn_blocking(last).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last spans were not sent"),
            Err(error) => tracing::error!(%error, "sending the last spans did not end"),
        }
    }
}

/// Who we are: as the variables say, or by our own name.
fn resource() -> Resource {
    let said = Resource::builder().build();
    let name = said.get(&"service.name".into()).map(|name| name.to_string());
    if name.is_some_and(|name| !name.starts_with(NAMELESS)) {
        return said;
    }
    Resource::builder().with_service_name(NAME).build()
}

/// Our HTTP client. The library asks from a thread of its own, which no runtime drives.
#[derive(Debug)]
struct Sender {
    http: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let sent = self.runtime.spawn(async move {
            let mut answer = http.execute(request.try_into()?).await?;
            let mut response = Response::builder().status(answer.status());
            if let Some(headers) = response.headers_mut() {
                *headers = answer.headers().clone();
            }
            let mut body = Vec::new();
            while let Some(piece) = answer.chunk().await? {
                if body.len() + piece.len() > ANSWER_MAX_BYTES {
                    return Err(HttpError::from(ResponseBodyTooLarge::new()));
                }
                body.extend_from_slice(&piece);
            }
            Ok(response.body(body.into())?)
        });
        sent.await?
    }
}
