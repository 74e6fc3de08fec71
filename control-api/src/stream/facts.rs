//! Events as a page ([`page`]) and as a stream ([`stream`]): one way to find where to begin, one way
//! to be refused.

mod live;
mod paged;

use specwright_shared::wire::problem::ProblemType;
use uuid::Uuid;

pub(crate) use self::live::{StreamQuery, stream};
pub(crate) use self::paged::{PageQuery, page};
use super::cursor::{After, CursorError, cursor};
use crate::problem::{Refusal, impl_answer};
use crate::store::event::log::{self, Log, Read};
use crate::store::event::order::{self, Place};
use crate::store::{Session, StoreError};

/// How many events one read takes: no more than a log's tail keeps, so that what a chunk has no room
/// for is not read again.
const READ: u32 = 256;

/// Why events cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("there is no {0} {1}")]
    NotFound(&'static str, Uuid),
    #[error(transparent)]
    Cursor(CursorError),
    #[error(
        "the cursor is of another life of the database, which was restored or failed over since; go \
         on from `oldest`"
    )]
    AnotherLife { oldest: String },
    #[error("what stood behind the cursor is no longer there; go on from `oldest`")]
    Gone { oldest: String },
    #[error("the events could not be read")]
    Store(#[from] StoreError),
}

impl Refusal for ReadError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NotFound(..) => ProblemType::NotFound,
            Self::Cursor(_) => ProblemType::InvalidRequest,
            Self::AnotherLife { .. } | Self::Gone { .. } => ProblemType::CursorExpired,
            Self::Store(_) => ProblemType::Internal,
        }
    }

    fn oldest(&self) -> Option<String> {
        match self {
            Self::AnotherLife { oldest } | Self::Gone { oldest } => Some(oldest.clone()),
            _ => None,
        }
    }
}
impl_answer!(ReadError);

/// A log that is read on, from a place that is there.
struct Reader {
    log: Log,
    epoch: String,
    place: Place,
}

impl Reader {
    fn cursor(&self, place: Place) -> String {
        cursor(self.log, &self.epoch, place)
    }

    fn gone(&self, oldest: Place) -> ReadError {
        ReadError::Gone { oldest: self.cursor(oldest) }
    }

    /// Finds the place, and looks whether one can go on from there.
    async fn find(session: &mut Session, log: Log, after: &After) -> Result<Self, ReadError> {
        let reader = Self::begin(session, log, after).await?;
        match log::read(session, log, reader.place, 1).await? {
            Read::Facts { .. } => Ok(reader),
            Read::Gone { oldest } => Err(reader.gone(oldest)),
        }
    }

    /// Finds the place; the first read says whether one can go on from there. Whoever names none begins
    /// at the oldest event.
    async fn begin(session: &mut Session, log: Log, after: &After) -> Result<Self, ReadError> {
        let epoch = order::epoch(session).await?;
        let reader = Self { log, epoch, place: Place::default() };
        match after.place(log, &reader.epoch) {
            Ok(None) => Ok(Self { place: oldest(session, log).await?, ..reader }),
            Ok(Some(place)) => Ok(Self { place, ..reader }),
            Err(CursorError::AnotherLife) => Err(reader.another_life(session).await?),
            Err(error) => Err(ReadError::Cursor(error)),
        }
    }

    /// Looks whether the database is still in the life that the place is of.
    async fn is_of_this_life(&self, session: &mut Session) -> Result<(), ReadError> {
        let epoch = order::epoch(session).await?;
        if epoch == self.epoch {
            return Ok(());
        }
        let now = Self { log: self.log, epoch, place: Place::default() };
        Err(now.another_life(session).await?)
    }

    async fn another_life(&self, session: &mut Session) -> Result<ReadError, StoreError> {
        let oldest = oldest(session, self.log).await?;
        Ok(ReadError::AnotherLife { oldest: self.cursor(oldest) })
    }
}

/// The place before the oldest event that is there.
async fn oldest(session: &mut Session, log: Log) -> Result<Place, StoreError> {
    Ok(match log::read(session, log, Place::default(), 1).await? {
        Read::Facts { .. } => Place::default(),
        Read::Gone { oldest } => oldest,
    })
}
