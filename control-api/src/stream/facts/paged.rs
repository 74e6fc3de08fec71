//! A page of events, which waits for new ones when asked to.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use schemars::JsonSchema;
use serde::Deserialize;
use specwright_shared::wire::Page;

use super::{READ, ReadError, Reader};
use crate::app::App;
use crate::extract::Limit;
use crate::routes::WAIT_MAX;
use crate::store::Session;
use crate::store::event::log::{self, Fact, Line, Log, Read};
use crate::store::event::order::Place;
use crate::stream::cursor::After;
use crate::stream::filter::Filter;
use crate::wake::Find;

/// How many events a page looks at to find those that its filter wants; the next page goes on there.
const PAGE_LOOKS_AT: usize = 5_000;

/// The most events of a page: they are small, and a long log is read by them.
const PAGE_MAX: u32 = 1_000;
/// A page that has so many bytes is full, whatever it was to hold; the next one goes on there.
const PAGE_BYTES: usize = 1024 * 1024;

/// The query of a page.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    /// A cursor: what `next` of an earlier page said, or the number of an event.
    #[serde(default)]
    after: After,
    /// Types and families.
    #[serde(default, rename = "type")]
    filter: Filter,
    #[serde(default)]
    limit: Limit<PAGE_MAX>,
    /// How long to wait when there is nothing yet; cut to [`WAIT_MAX`].
    #[serde(default)]
    wait_ms: u64,
}

/// A page, and up to where it looked.
struct Looked {
    facts: Vec<Fact>,
    reached: Place,
    /// It stopped before the end of what is there.
    more: bool,
}

impl Find for Looked {
    fn is_found(&self) -> bool {
        // Who waits goes on at once where nothing was found yet of much that is there.
        self.more || !self.facts.is_empty()
    }
}

/// Answers with a page of a log, and waits for one if asked to.
pub(crate) async fn page(
    app: &App,
    log: Log,
    query: PageQuery,
) -> Result<Json<Page<Line>>, ReadError> {
    let wait = Duration::from_millis(query.wait_ms).min(WAIT_MAX);
    let mut session = app.store.read().await?;
    let reader = Reader::begin(&mut session, log, &query.after).await?;
    if wait.is_zero() {
        let found = look(&mut session, &reader, reader.place, &query).await?;
        return Ok(answer(&reader, found));
    }
    drop(session);
    // What a look passed over is not looked at again by the next one.
    let from = Mutex::new(reader.place);
    let look = async || {
        let place = *from.lock().unwrap_or_else(PoisonError::into_inner);
        let mut session = app.store.read().await?;
        let looked = look(&mut session, &reader, place, &query).await?;
        *from.lock().unwrap_or_else(PoisonError::into_inner) = looked.reached;
        Ok::<_, ReadError>(looked)
    };
    let found = app.wakes.until_found(log.about(), wait, &app.shutdown, look).await?;
    Ok(answer(&reader, found))
}

fn answer(reader: &Reader, found: Looked) -> Json<Page<Line>> {
    let next = Some(reader.cursor(found.reached));
    Json(Page { items: found.facts.into_iter().map(|fact| fact.json).collect(), next })
}

async fn look(
    session: &mut Session,
    reader: &Reader,
    from: Place,
    PageQuery { filter, limit, .. }: &PageQuery,
) -> Result<Looked, ReadError> {
    // Where all are wanted, no more are read than the page holds.
    let at_once = if filter.wants_all() { READ.min(limit.items() as u32) } else { READ };
    let mut looked = Looked { facts: Vec::new(), reached: from, more: false };
    let (mut looked_at, mut bytes) = (0, 0);
    loop {
        match log::read(session, reader.log, looked.reached, at_once).await? {
            Read::Gone { oldest } => return Err(reader.gone(oldest)),
            Read::Facts { facts, reached, .. } => {
                let whole = facts.len() < at_once as usize;
                for fact in facts {
                    let place = fact.place;
                    if filter.wants(&fact.kind) {
                        bytes += fact.json.get().len();
                        looked.facts.push(fact);
                    }
                    looked.reached = place;
                    looked_at += 1;
                    if looked.facts.len() >= limit.items() || bytes >= PAGE_BYTES {
                        return Ok(looked);
                    }
                }
                looked.reached = reached;
                looked.more = !whole && looked_at >= PAGE_LOOKS_AT;
                if whole || looked.more {
                    return Ok(looked);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_stopped_at_its_bound_is_not_waited_behind() {
        let looked = |more| Looked { facts: Vec::new(), reached: Place::behind(5_000), more };
        assert!(looked(true).is_found());
        assert!(!looked(false).is_found());
    }
}
