//! A real git server on loopback: git's own `http-backend` behind a bridge of a few lines that asks
//! for a token, as GitHub does.
//!
//! Deliberately absent: GitHub's rules for branches. A token may do all, may only read, or is refused.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command as PlainCommand, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::response::IntoResponse as _;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::repository::Repository;

/// The largest pack that a test pushes is far below this.
const BODY_MAX_BYTES: usize = 64 * 1024 * 1024;

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Read and push.
    Push,
    /// Read only: a push is answered with 403.
    Read,
    /// Nothing: everything is answered with 401, as after it was revoked.
    None,
}

#[derive(Clone)]
struct Shared {
    root: PathBuf,
    token: String,
    rights: Arc<Mutex<Rights>>,
}

/// The running server; it ends with the value.
pub struct GitServer {
    address: SocketAddr,
    root: TempDir,
    rights: Arc<Mutex<Rights>>,
    stop: CancellationToken,
}

impl GitServer {
    /// Serves nothing yet, to whoever has the token.
    ///
    /// # Errors
    /// No port or no directory.
    pub async fn start(token: &str) -> std::io::Result<Self> {
        let root = tempfile::Builder::new().prefix("specwright-git-server-").tempdir()?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let rights = Arc::new(Mutex::new(Rights::Push));
        let shared = Shared {
            root: root.path().to_path_buf(),
            token: token.to_owned(),
            rights: Arc::clone(&rights),
        };
        let router = Router::new()
            .fallback(serve)
            .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
            .with_state(shared);
        let stop = CancellationToken::new();
        let until = stop.clone();
        TaskTracker::new().spawn(async move {
            tokio::select! {
                ended = axum::serve(listener, router).into_future() => ended,
                () = until.cancelled() => Ok(()),
            }
        });
        Ok(Self { address, root, rights, stop })
    }

    /// Serves what is committed in a repository, under a name like `owner/name`.
    pub fn add(&self, name: &str, original: &Repository) {
        let place = self.root.path().join(name).display().to_string();
        original.git(&["clone", "--quiet", "--bare", ".", &place]);
    }

    /// Its address, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the token may do from now on.
    pub fn allow(&self, rights: Rights) {
        *self.rights.lock().unwrap_or_else(PoisonError::into_inner) = rights;
    }

    /// Runs git in a repository that it serves; its output.
    ///
    /// # Panics
    /// When git fails; the message holds what it said.
    #[must_use]
    pub fn git(&self, name: &str, arguments: &[&str]) -> String {
        let output = PlainCommand::new("git")
            .args(arguments)
            .current_dir(self.root.path().join(name))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap_or_else(|error| panic!("git cannot be started: {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?} failed: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve(State(shared): State<Shared>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let path = parts.uri.path().to_owned();
    let rights = *shared.rights.lock().unwrap_or_else(PoisonError::into_inner);
    if rights == Rights::None || !knows(&parts.headers, &shared.token) {
        let ask = [(header::WWW_AUTHENTICATE, "Basic realm=\"git\"")];
        return (StatusCode::UNAUTHORIZED, ask, "who are you?").into_response();
    }
    let pushes = query.contains("git-receive-pack") || path.ends_with("git-receive-pack");
    if pushes && rights == Rights::Read {
        return (StatusCode::FORBIDDEN, "this token may not push").into_response();
    }
    let Ok(body) = axum::body::to_bytes(body, BODY_MAX_BYTES).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let text = |name: &str| {
        let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let variables = [
        ("REQUEST_METHOD", parts.method.to_string()),
        ("PATH_INFO", path),
        ("QUERY_STRING", query),
        ("CONTENT_TYPE", text("content-type")),
        ("CONTENT_LENGTH", body.len().to_string()),
        ("HTTP_CONTENT_ENCODING", text("content-encoding")),
        ("GIT_PROTOCOL", text("git-protocol")),
    ];
    match answer(&shared.root, &variables, &body).await {
        Ok(answer) => answer,
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Whether a request carries the token, as git sends it.
fn knows(headers: &HeaderMap, token: &str) -> bool {
    use base64::Engine as _;
    let expected = format!("x-access-token:{token}");
    let expected = base64::engine::general_purpose::STANDARD.encode(expected);
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    given.and_then(|given| given.strip_prefix("Basic ")) == Some(&*expected)
}

/// Runs `git http-backend` as a CGI program.
async fn answer(
    root: &Path,
    variables: &[(&str, String)],
    body: &[u8],
) -> std::io::Result<Response<Body>> {
    let mut child = Command::new("git")
        .arg("http-backend")
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        // Who is known may push.
        .env("REMOTE_USER", "x-access-token")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // It reads all of a request before it answers.
        stdin.write_all(body).await?;
    }
    let output = child.wait_with_output().await?.stdout;
    let end = output.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.ok_or_else(|| std::io::Error::other("an answer without a head"))?;
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        response = if name.eq_ignore_ascii_case("status") {
            response.status(value.split(' ').next().unwrap_or("500"))
        } else {
            response.header(name, value)
        };
    }
    let rest = Bytes::copy_from_slice(&output[end + 4..]);
    response.body(Body::from(rest)).map_err(std::io::Error::other)
}
