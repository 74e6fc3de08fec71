//! Messages for the agent: fetched in a task of its own ([`fetch`]), written to disk before anything
//! is done about them.
//!
//! What holds: a message is on disk before the run hears of it; the position asked for goes on over
//! a restart; which messages an agent saw is known from the spool, so none is sent twice after that.

mod fetch;
mod stream;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use specwright_shared::wire::message::{Message, Stop};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::api::Api;

/// Something that came from the control API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Messages, on disk by now.
    Messages(Vec<Message>),
    /// The run is to stop.
    Stop(Stop),
    /// The run is to end after the phase at work; may be told again.
    Pause,
    /// A newer generation took over.
    Fenced,
    /// The control API has ended this sandbox.
    Ended,
    /// The inbox cannot be written.
    Broken(String),
}

/// Messages on disk.
#[derive(Debug)]
pub(crate) struct Inbox {
    directory: PathBuf,
    after: u64,
}

impl Inbox {
    /// Opens the inbox in a directory; gives what is in it, in order.
    pub(crate) fn open(directory: &Path) -> std::io::Result<(Self, Vec<Message>)> {
        std::fs::create_dir_all(directory)?;
        let mut messages: Vec<Message> = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let bytes = std::fs::read(entry?.path())?;
            // Files are renamed into place whole; what cannot be read is a left-over of the rename.
            messages.extend(serde_json::from_slice::<Message>(&bytes).ok());
        }
        messages.sort_by_key(|message| message.position);
        let after = messages.last().map_or(0, |message| message.position);
        Ok((Self { directory: directory.to_path_buf(), after }, messages))
    }

    /// Writes a message so that it survives a crash.
    fn keep(&mut self, message: &Message) -> std::io::Result<()> {
        let name = format!("{:010}-{}.json", message.position, message.id);
        let mut aside = tempfile::Builder::new().prefix(".").tempfile_in(&self.directory)?;
        serde_json::to_writer(&mut aside, message)?;
        aside.flush()?;
        aside.as_file().sync_data()?;
        aside.persist(self.directory.join(name)).map_err(|error| error.error)?;
        self.after = self.after.max(message.position);
        Ok(())
    }

    /// Fetches until it is stopped, told to stop the run, or fenced.
    pub(crate) async fn run(
        mut self,
        api: Api,
        arrivals: mpsc::Sender<Arrival>,
        stop: CancellationToken,
    ) {
        // A stream or poll that is cut short consumes nothing.
        let _stopped = stop.run_until_cancelled(self.fetch(&api, &arrivals)).await;
    }
}

#[cfg(test)]
mod tests {
    use specwright_shared::id::MessageId;
    use specwright_shared::time::Timestamp;

    use super::*;

    fn message(position: u64) -> Message {
        let new = serde_json::from_value(serde_json::json!({
            "kind": "user_message", "text": format!("message {position}"),
        }))
        .unwrap();
        let id = MessageId(uuid::Uuid::now_v7());
        Message::queued(id, position, &new, None, Timestamp::from_micros(1))
    }

    #[test]
    fn what_was_kept_is_there_in_order_after_a_restart() {
        let place = tempfile::tempdir().unwrap();
        let (mut inbox, none) = Inbox::open(place.path()).unwrap();
        assert!(none.is_empty());
        for position in [1, 2, 10] {
            inbox.keep(&message(position)).unwrap();
        }
        std::fs::write(place.path().join(".tmp-left-over"), "{\"id\":").unwrap();
        let (inbox, kept) = Inbox::open(place.path()).unwrap();
        assert_eq!(kept.iter().map(|message| message.position).collect::<Vec<_>>(), [1, 2, 10]);
        assert_eq!(inbox.after, 10);
    }
}
