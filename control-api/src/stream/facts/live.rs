//! A log of events as a stream's source.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use http::HeaderMap;
use schemars::JsonSchema;
use serde::Deserialize;
use specwright_shared::wire::problem::Problem;
use uuid::Uuid;

use super::{READ, ReadError, Reader};
use crate::app::App;
use crate::problem::{Refusal as _, chain};
use crate::store::event::log::{self, Fact, Log, Read};
use crate::store::event::order::Place;
use crate::stream::cursor::{After, CursorError};
use crate::stream::filter::Filter;
use crate::stream::tail::{Found, Tail};
use crate::stream::{self, Chunk, Source};

/// What someone sees of all is read by each reader alone: bursts are taken together.
const PACE: Duration = Duration::from_millis(10);

/// The query of a stream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamQuery {
    /// A cursor; `Last-Event-ID` goes before it.
    #[serde(default)]
    after: After,
    /// Types and families.
    #[serde(default, rename = "type")]
    filter: Filter,
}

/// Answers with a stream of a log.
pub(crate) async fn stream(
    app: &App,
    log: Log,
    query: StreamQuery,
    headers: &HeaderMap,
) -> Result<Response, ReadError> {
    let after = match headers.get("last-event-id") {
        Some(id) => {
            let id = id.to_str().map_err(|_| ReadError::Cursor(CursorError::NoCursor))?;
            id.parse().map_err(ReadError::Cursor)?
        }
        None => query.after,
    };
    // Before the look: what is found out after it is looked at again.
    let settled = app.wakes.times_settled();
    let mut session = app.store.read().await?;
    let reader = Reader::find(&mut session, log, &after).await?;
    drop(session);
    let tail = (!matches!(log, Log::Seen(_))).then(|| app.tails.of(log));
    Ok(stream::open(app, Facts { reader, filter: query.filter, tail, settled }))
}

/// The events of a log, as a stream's source.
struct Facts {
    reader: Reader,
    filter: Filter,
    tail: Option<Arc<Tail>>,
    /// As of when the reader's place is known to be of this life of the database.
    settled: u64,
}

impl Source for Facts {
    fn about(&self) -> Uuid {
        self.reader.log.about()
    }

    fn resume(&self) -> String {
        self.reader.cursor(self.reader.place)
    }

    fn pace(&self) -> Duration {
        if self.tail.is_some() { Duration::ZERO } else { PACE }
    }

    async fn read(&mut self, app: &App) -> Chunk {
        match self.read_on(app).await {
            Ok(chunk) => chunk,
            Err(error @ (ReadError::Gone { .. } | ReadError::AnotherLife { .. })) => {
                let problem = Problem {
                    oldest: error.oldest(),
                    ..Problem::new(error.kind(), error.to_string())
                };
                let mut chunk = Chunk::end();
                let problem = serde_json::to_string(&problem).unwrap_or_default();
                chunk.frame(None, Some("expired"), &problem);
                chunk
            }
            Err(error) => {
                // The reader comes again, and is told with a status if the store is away.
                let about = self.about();
                tracing::error!(error = chain(&error), %about, "a stream of events broke");
                Chunk::end()
            }
        }
    }
}

impl Facts {
    async fn read_on(&mut self, app: &App) -> Result<Chunk, ReadError> {
        let settled = app.wakes.times_settled();
        if self.settled != settled {
            let mut session = app.store.read().await?;
            self.reader.is_of_this_life(&mut session).await?;
            self.settled = settled;
        }
        let mut chunk = Chunk::default();
        // Not one event that the filter wants may be there: then the next stretch is read at once.
        while !chunk.is_full() {
            let (facts, reached) = self.stretch(app, &mut chunk).await?;
            for fact in &facts {
                if chunk.is_full() {
                    return Ok(chunk);
                }
                if self.filter.wants(&fact.kind) {
                    let id = self.reader.cursor(fact.place);
                    chunk.frame(Some(&id), None, fact.json.get());
                }
                self.reader.place = fact.place;
            }
            self.reader.place = reached;
            // What is found is sent before more is looked for; with nothing found, only an empty
            // stretch says that nothing is there.
            if facts.is_empty() || (!chunk.is_empty() && facts.len() < READ as usize) {
                break;
            }
        }
        Ok(chunk)
    }

    /// The next events, and up to where there is nothing more behind them.
    async fn stretch(
        &self,
        app: &App,
        chunk: &mut Chunk,
    ) -> Result<(Vec<Arc<Fact>>, Place), ReadError> {
        let (log, place) = (self.reader.log, self.reader.place);
        if let Some(tail) = &self.tail {
            return match tail.read(&app.store, place, READ).await? {
                Found::Facts(facts) => {
                    let reached = facts.last().map_or(place, |fact| fact.place);
                    Ok((facts, reached))
                }
                Found::Gone(oldest) => Err(self.reader.gone(oldest)),
            };
        }
        let mut session = app.store.read().await?;
        match log::read(&mut session, log, place, READ).await? {
            Read::Facts { facts, reached, held_back } => {
                chunk.held_back = held_back;
                Ok((facts.into_iter().map(Arc::new).collect(), reached))
            }
            Read::Gone { oldest } => Err(self.reader.gone(oldest)),
        }
    }
}
