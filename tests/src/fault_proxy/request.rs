//! One HTTP/1.1 request as bytes, read as a whole.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The most bytes of a request: the largest batch and its head.
const REQUEST_MAX_BYTES: usize = 8 * 1024 * 1024;

/// A request, made fit to be the only one of its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// All of it, head and body.
    pub(super) bytes: Vec<u8>,
    /// The last segment of its path.
    pub(super) route: String,
}

impl Request {
    /// Reads one. `None`: the other side closed before one was whole.
    pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        loop {
            if let Some(request) = Self::parse(&bytes)? {
                return Ok(Some(request));
            }
            if bytes.len() > REQUEST_MAX_BYTES {
                return Err(io::Error::other("a request is larger than any that a worker sends"));
            }
            if from.read_buf(&mut bytes).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// The request that these bytes are, once they are all there.
    fn parse(bytes: &[u8]) -> io::Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = std::str::from_utf8(&bytes[..end])
            .map_err(|_| io::Error::other("the head of a request is no text"))?;
        let header = |line: &str, name: &str| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        };
        if head.lines().any(|line| header(line, "transfer-encoding").is_some()) {
            return Err(io::Error::other("a request comes in chunks; this proxy takes none"));
        }
        let length = head.lines().find_map(|line| header(line, "content-length"));
        let length: usize = length.and_then(|value| value.parse().ok()).unwrap_or(0);
        let body = &bytes[end + 4..];
        if body.len() < length {
            return Ok(None);
        }
        let mut lines = head.lines();
        let first = lines.next().unwrap_or_default();
        let path = first.split(' ').nth(1).unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let route = path.rsplit('/').next().unwrap_or_default().to_owned();
        let mut alone = format!("{first}\r\nconnection: close\r\n");
        for line in lines.filter(|line| header(line, "connection").is_none()) {
            alone.push_str(line);
            alone.push_str("\r\n");
        }
        alone.push_str("\r\n");
        let mut bytes = alone.into_bytes();
        bytes.extend_from_slice(&body[..length]);
        Ok(Some(Self { bytes, route }))
    }
}
