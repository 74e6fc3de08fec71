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
use crate::store::event::log::{self, Fact, Line, Log, Read};
use crate::store::event::order::Place;
use crate::stream::cursor::After;
use crate::stream::filter::Filter;
use crate::wake::Find;

/// How many events a page looks at to find those that its filter wants; the next page goes on there.
const PAGE_LOOKS_AT: usize = 5_000;

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
    limit: Limit,
    /// How long to wait when there is nothing yet; cut to [`WAIT_MAX`].
    #[serde(default)]
    wait_ms: u64,
}

/// A page, and up to where it looked.
struct Looked {
    facts: Vec<Fact>,
    reached: Place,
}

impl Find for Looked {
    fn is_found(&self) -> bool {
        !self.facts.is_empty()
    }
}

/// Answers with a page of a log, and waits for one if asked to.
pub(crate) async fn page(
    app: &App,
    log: Log,
    query: PageQuery,
) -> Result<Json<Page<Line>>, ReadError> {
    let mut session = app.store.read().await?;
    let reader = Reader::find(&mut session, log, &query.after).await?;
    drop(session);
    let wait = Duration::from_millis(query.wait_ms).min(WAIT_MAX);
    // What a look passed over is not looked at again by the next one.
    let from = Mutex::new(reader.place);
    let look = async || {
        let place = *from.lock().unwrap_or_else(PoisonError::into_inner);
        let looked = look(app, &reader, place, &query.filter, query.limit).await?;
        *from.lock().unwrap_or_else(PoisonError::into_inner) = looked.reached;
        Ok::<_, ReadError>(looked)
    };
    let found = app.wakes.until_found(log.about(), wait, &app.shutdown, look).await?;
    let next = Some(reader.cursor(found.reached));
    Ok(Json(Page { items: found.facts.into_iter().map(|fact| fact.json).collect(), next }))
}

async fn look(
    app: &App,
    reader: &Reader,
    from: Place,
    filter: &Filter,
    limit: Limit,
) -> Result<Looked, ReadError> {
    let mut session = app.store.read().await?;
    let mut looked = Looked { facts: Vec::new(), reached: from };
    let mut looked_at = 0;
    loop {
        match log::read(&mut session, reader.log, looked.reached, READ).await? {
            Read::Gone { oldest } => return Err(reader.gone(oldest)),
            Read::Facts { facts, reached, .. } => {
                let whole = facts.len() < READ as usize;
                for fact in facts {
                    let place = fact.place;
                    if filter.wants(&fact.kind) {
                        looked.facts.push(fact);
                    }
                    looked.reached = place;
                    looked_at += 1;
                    if looked.facts.len() >= limit.items() {
                        return Ok(looked);
                    }
                }
                looked.reached = reached;
                if whole || looked_at >= PAGE_LOOKS_AT {
                    return Ok(looked);
                }
            }
        }
    }
}
