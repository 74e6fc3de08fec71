//! What is saved before a planned end: the work in progress, so that what an agent made is not lost
//! with its place, and its conversation, so that people can read it when the place is gone.
//!
//! What holds: both are bounded in size and time, and never change how a run ends; known secrets are in
//! neither. What became of the work is an event, also when there was none. Of a transcript that is too
//! long, the end is kept.
//!
//! Deliberately absent: what an agent that broke the rules of planning changed in an attempt before the
//! last. It is put back, and named with its diff in the timeline.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::time::{Duration, Instant};

use specwright_shared::redact::Redactor;
use specwright_shared::wire::event::{Event, WorkSaved};
use specwright_shared::wire::sandbox::TRANSCRIPT_MAX_BYTES;
use uuid::Uuid;

use super::attempt::with_causes;
use super::drive::Run;
use crate::agent::open_transcript;
use crate::spool::SpoolError;
use crate::workspace::rescue::{not_saved, nothing};

/// The most bytes of a transcript before compression: it shrinks to a tenth or so.
const RAW_MAX_BYTES: u64 = 32 * 1024 * 1024;
/// How long the upload may take.
const SAVE_MAX: Duration = Duration::from_secs(10);
/// The same after a signal: whoever sent it waits.
pub(super) const SAVE_AFTER_SIGNAL_MAX: Duration = Duration::from_secs(2);
/// How long saving work in progress may take: a large commit over a slow network.
const WORK_MAX: Duration = Duration::from_secs(60);
/// The same after a signal.
pub(super) const WORK_AFTER_SIGNAL_MAX: Duration = Duration::from_secs(2);

impl Run<'_> {
    /// Saves the work in progress, and says what became of it.
    pub(super) async fn save_work(&mut self) -> Result<(), SpoolError> {
        let signalled = self.wakes.asked.is_cancelled();
        let limit = if signalled { WORK_AFTER_SIGNAL_MAX } else { WORK_MAX };
        let deadline = Instant::now() + limit;
        let saved = self.saved_by(deadline).await;
        if saved.files > 0 {
            self.catch_up_with_files(deadline).await?;
        }
        self.record(Event::WorkSaved(saved)).await?;
        Ok(())
    }

    async fn saved_by(&self, deadline: Instant) -> WorkSaved {
        if self.compared {
            return nothing();
        }
        match tokio::time::timeout_at(deadline.into(), self.changes()).await {
            Ok(Ok(None)) => nothing(),
            Ok(Ok(Some(changed))) => self.workspace.save(self.config, &changed, deadline).await,
            Ok(Err(error)) => not_saved(with_causes(&error)),
            Err(_) => not_saved("looking for it took too long".to_owned()),
        }
    }

    /// Sends the newest conversation to the control API; it is nothing that a run would fail for.
    pub(super) async fn save_transcript(&self) {
        let Some(session_id) = self.conversation else { return };
        let Some(file) = open_transcript(&self.config.agent_dir(), session_id) else { return };
        let signalled = self.wakes.asked.is_cancelled();
        let limit = if signalled { SAVE_AFTER_SIGNAL_MAX } else { SAVE_MAX };
        match tokio::time::timeout(limit, self.send(session_id, file)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::warn!(why, "the agent's transcript was not saved"),
            Err(_) => tracing::warn!(?limit, "the agent's transcript was not saved in time"),
        }
    }

    async fn send(&self, session_id: Uuid, file: std::fs::File) -> Result<(), String> {
        let redactor = Redactor::new(self.config.secrets());
        let packed = tokio::task::spawn_blocking(move || pack(file, RAW_MAX_BYTES, &redactor));
        let packed = packed.await.map_err(|error| error.to_string())?;
        let packed = packed.map_err(|error| error.to_string())?;
        if packed.len() > TRANSCRIPT_MAX_BYTES {
            return Err(format!("{} bytes are more than may be sent", packed.len()));
        }
        let sent = self.api.transcript(self.generation, session_id, packed).await;
        sent.map(|saved| tracing::debug!(saved.bytes, "the agent's transcript was saved"))
            .map_err(|error| error.to_string())
    }
}

/// The last `most` bytes of a file, from the first whole line on, redacted and compressed.
fn pack(mut file: std::fs::File, most: u64, redactor: &Redactor) -> std::io::Result<Vec<u8>> {
    let skipped = file.metadata()?.len().saturating_sub(most);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let whole = match text.split_once('\n') {
        Some((_, rest)) if skipped > 0 => rest,
        _ => &*text,
    };
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(redactor.text(whole).as_bytes())?;
    packer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(packed: &[u8]) -> String {
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn the_end_of_a_long_transcript_is_kept_from_a_whole_line_on_and_without_secrets() {
        let place = tempfile::NamedTempFile::new().unwrap();
        let text = "{\"n\":1}\n{\"n\":2,\"key\":\"sk-a-long-secret\"}\n{\"n\":3}\n";
        std::fs::write(place.path(), text).unwrap();
        let redactor = Redactor::new(["sk-a-long-secret".to_owned()]);
        let open = || std::fs::File::open(place.path()).unwrap();
        let whole = unpacked(&pack(open(), 1000, &redactor).unwrap());
        assert_eq!(whole, text.replace("sk-a-long-secret", "[redacted]"));
        let end = unpacked(&pack(open(), 12, &redactor).unwrap());
        assert_eq!(end, "{\"n\":3}\n");
    }
}
