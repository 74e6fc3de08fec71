//! A batch as it goes over the wire: made once, sent as often as it takes.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use specwright_shared::wire::sandbox::Batch;

/// Smaller bodies fit a packet or two as they are; compressing them saves nothing.
const GZIP_MIN_BYTES: usize = 1024;

/// As many are encoded sooner than another thread is woken to do it: some tens of microseconds.
const AT_ONCE_MAX_BYTES: usize = 16 * 1024;

/// An encoded batch.
#[derive(Debug, Clone)]
pub(crate) struct Parcel {
    /// The body.
    pub(crate) body: Bytes,
    /// Whether it is compressed.
    pub(crate) gzip: bool,
}

impl Parcel {
    /// Encodes a batch of about so many bytes, and gives it back with it; a large one away from the
    /// tasks that must answer at once.
    pub(super) async fn wrap(batch: Batch, bytes: usize) -> std::io::Result<(Batch, Self)> {
        if bytes <= AT_ONCE_MAX_BYTES {
            let parcel = Self::of(&batch)?;
            return Ok((batch, parcel));
        }
        let encode = move || Self::of(&batch).map(|parcel| (batch, parcel));
        tokio::task::spawn_blocking(encode).await.map_err(std::io::Error::other)?
    }

    /// Encodes a batch. Compression is the fastest there is: JSON shrinks to a quarter with it, and
    /// the run shares its cores with the agent.
    fn of(batch: &Batch) -> std::io::Result<Self> {
        let json = serde_json::to_vec(batch)?;
        if json.len() < GZIP_MIN_BYTES {
            return Ok(Self { body: json.into(), gzip: false });
        }
        let mut encoder = GzEncoder::new(Vec::with_capacity(json.len() / 4), Compression::fast());
        encoder.write_all(&json)?;
        Ok(Self { body: encoder.finish()?.into(), gzip: true })
    }
}
