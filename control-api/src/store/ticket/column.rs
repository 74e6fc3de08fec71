//! A column of the board, in pages: newest spec first, each spec's tickets in the order of its plan.
//!
//! What holds: a page costs what it holds, however many tickets there are. A member's is put together
//! from one stretch per project, each no longer than the page and read in the order of an index.

use std::sync::LazyLock;

use specwright_shared::phase::TicketPhase;
use specwright_shared::wire::ticket::TicketView;
use uuid::Uuid;

use super::{Row, views};
use crate::store::project::Reach;
use crate::store::{Session, StoreError};

/// A place in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) spec: Uuid,
    pub(crate) position: i64,
}

impl Place {
    /// Before the first ticket.
    pub(crate) const TOP: Self = Self { spec: Uuid::max(), position: i64::MAX };
}

/// In this phase, and behind the place. The first half of the place is what an index goes by.
const HERE: &str = "phase = $1 AND spec_id <= $2 AND (spec_id < $2 OR position > $3)";
const ORDER: &str = "spec_id DESC, position";

static ALL: LazyLock<String> =
    LazyLock::new(|| format!("SELECT * FROM tickets WHERE {HERE} ORDER BY {ORDER} LIMIT $4"));

static OF_PROJECT: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT * FROM tickets WHERE project_id = $5 AND {HERE} ORDER BY {ORDER} LIMIT $4")
});

static OF_MEMBER: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT *
         FROM tickets
         WHERE id IN (
             SELECT stretch.id
             -- Not `JOIN`: SQLite keeps this order, and so goes by project.
             FROM project_members
             CROSS JOIN (
                 SELECT id, project_id, spec_id, position FROM tickets WHERE {HERE}
             ) AS stretch
             WHERE project_members.user_id = $5
               AND stretch.project_id = project_members.project_id
               AND stretch.spec_id >= (
                       -- The oldest spec that this project can have on the page.
                       SELECT spec_id
                       FROM (
                           SELECT spec_id
                           FROM tickets
                           WHERE project_id = project_members.project_id AND {HERE}
                           ORDER BY {ORDER}
                           LIMIT $4
                       ) AS newest
                       ORDER BY spec_id
                       LIMIT 1
                   )
             ORDER BY stretch.spec_id DESC, stretch.position
             LIMIT $4
         )
         ORDER BY {ORDER}"
    )
});

/// A page of one column.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) phase: TicketPhase,
    pub(crate) tickets: Vec<TicketView>,
    /// Where to go on, if there are more.
    pub(crate) next: Option<Place>,
}

/// So many of the tickets of each of these columns behind a place. What hangs on tickets is read of all
/// columns at once.
pub(crate) async fn pages(
    session: &mut Session,
    reach: Reach,
    phases: &[TicketPhase],
    after: Place,
    items: usize,
) -> Result<Vec<Page>, StoreError> {
    let (mut pages, mut all) = (Vec::new(), Vec::new());
    for phase in phases {
        let (rows, next) = rows(session, reach, *phase, after, items).await?;
        pages.push((*phase, rows.len(), next));
        all.extend(rows);
    }
    let mut tickets = views(session, all).await?.into_iter();
    let page = |(phase, count, next)| Page {
        phase,
        tickets: tickets.by_ref().take(count).collect(),
        next,
    };
    Ok(pages.into_iter().map(page).collect())
}

async fn rows(
    session: &mut Session,
    reach: Reach,
    phase: TicketPhase,
    after: Place,
    items: usize,
) -> Result<(Vec<Row>, Option<Place>), StoreError> {
    let (sql, whose) = match reach {
        Reach::Nothing => return Ok((Vec::new(), None)),
        Reach::All => (&ALL, None),
        Reach::Project(id) => (&OF_PROJECT, Some(id.0)),
        Reach::Member(id) => (&OF_MEMBER, Some(id.0)),
    };
    let query = session
        .query(sql)
        .bind(phase.as_str())
        .bind(after.spec)
        .bind(after.position)
        // One more, to see whether there is another page.
        .bind(i64::try_from(items).unwrap_or(i64::MAX).saturating_add(1));
    let query = match whose {
        Some(id) => query.bind(id),
        None => query,
    };
    let mut rows: Vec<Row> = query.fetch_all().await?;
    let more = rows.len() > items;
    rows.truncate(items);
    let next = rows.last().filter(|_| more);
    let next = next.map(|row| Place { spec: row.spec_id, position: row.position });
    Ok((rows, next))
}
