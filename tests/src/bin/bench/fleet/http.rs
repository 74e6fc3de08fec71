//! One HTTP connection, as cheap as it can be had: thousands of them share the machine with what is
//! measured.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use axum::body::{Body, Bytes, to_bytes};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

/// No answer that is taken whole is larger.
const ANSWER_MAX_BYTES: usize = 1024 * 1024;

/// A connection, kept open; one request at a time.
pub(crate) struct Connection {
    requests: SendRequest<Body>,
    host: String,
    authorization: String,
    _driver: AbortOnDropHandle<()>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr, token: &str) -> Result<Self> {
        let socket = TcpStream::connect(address).await.context("no connection")?;
        socket.set_nodelay(true)?;
        let (requests, connection) = handshake(TokioIo::new(socket)).await?;
        let driver = tokio::spawn(async {
            // What breaks is seen by who sends or reads.
            drop(connection.await);
        });
        Ok(Self {
            requests,
            host: address.to_string(),
            authorization: format!("Bearer {token}"),
            _driver: AbortOnDropHandle::new(driver),
        })
    }

    async fn send(&mut self, method: Method, path: &str, body: Body) -> Result<Response<Body>> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.host)
            .header(AUTHORIZATION, &self.authorization)
            .header(CONTENT_TYPE, "application/json")
            .body(body)?;
        self.requests.ready().await?;
        Ok(self.requests.send_request(request).await?.map(Body::new))
    }

    /// Posts JSON; the status, and the whole answer.
    pub(crate) async fn post(&mut self, path: &str, json: String) -> Result<(StatusCode, Bytes)> {
        let answer = self.send(Method::POST, path, Body::from(json)).await?;
        let status = answer.status();
        Ok((status, to_bytes(answer.into_body(), ANSWER_MAX_BYTES).await?))
    }

    /// Opens a stream. It ends when the connection is dropped.
    pub(crate) async fn stream(&mut self, path: &str) -> Result<Body> {
        let answer = self.send(Method::GET, path, Body::empty()).await?;
        ensure!(answer.status() == StatusCode::OK, "{path} was answered {}", answer.status());
        Ok(answer.into_body())
    }
}
