//! Specs in pages, newest first (ids of version 7 sort by time).
//!
//! What holds: a page costs what it holds, however many specs there are. A member's is put together
//! from one stretch per project, each no longer than the page and read in the order of an index.

use std::sync::LazyLock;

use specwright_shared::id::ProjectId;
use specwright_shared::phase::SpecStatus;
use uuid::Uuid;

use super::{Row, Spec};
use crate::store::project::{Reach, Sight};
use crate::store::{Session, StoreError};

/// Which specs to list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) project_id: Option<ProjectId>,
    pub(crate) status: Option<SpecStatus>,
    /// Only those that are older than this one.
    pub(crate) after: Option<Uuid>,
}

/// The texts without and with a status, which is the last argument then.
struct Texts([String; 2]);

impl Texts {
    fn new(text: impl Fn(&str) -> String, last: u8) -> Self {
        Self([text(""), text(&format!("AND status = ${last}"))])
    }
}

/// Rows with the sandbox at work on them.
fn rows(which: &str) -> String {
    format!(
        "SELECT page.*, sandboxes.id AS sandbox_id
         FROM (SELECT * FROM specs WHERE {which}) AS page
         LEFT JOIN sandboxes ON sandboxes.spec_id = page.id AND sandboxes.state <> 'ended'
         ORDER BY page.id DESC"
    )
}

static ALL: LazyLock<Texts> = LazyLock::new(|| {
    Texts::new(|status| rows(&format!("id < $1 {status} ORDER BY id DESC LIMIT $2")), 3)
});

static OF_PROJECT: LazyLock<Texts> = LazyLock::new(|| {
    let text = |status: &str| {
        rows(&format!("project_id = $3 AND id < $1 {status} ORDER BY id DESC LIMIT $2"))
    };
    Texts::new(text, 4)
});

static OF_MEMBER: LazyLock<Texts> = LazyLock::new(|| {
    let text = |status: &str| {
        rows(&format!(
            "id IN (
                 SELECT stretch.id
                 -- Not `JOIN`: SQLite keeps this order, and so goes by project.
                 FROM project_members
                 CROSS JOIN (SELECT id, project_id FROM specs WHERE id < $1 {status}) AS stretch
                 WHERE project_members.user_id = $3
                   AND stretch.project_id = project_members.project_id
                   AND stretch.id >= (
                           -- The oldest that this project can have on the page.
                           SELECT id
                           FROM (
                               SELECT id
                               FROM specs
                               WHERE project_id = project_members.project_id AND id < $1 {status}
                               ORDER BY id DESC
                               LIMIT $2
                           ) AS newest
                           ORDER BY id
                           LIMIT 1
                       )
                 ORDER BY stretch.id DESC
                 LIMIT $2
             )"
        ))
    };
    Texts::new(text, 4)
});

/// The specs that someone sees.
pub(crate) async fn page(
    session: &mut Session,
    sight: Sight,
    filter: &Filter,
    limit: i64,
) -> Result<Vec<Spec>, StoreError> {
    let (texts, whose) = match sight.reach(session, filter.project_id).await? {
        Reach::Nothing => return Ok(Vec::new()),
        Reach::All => (&ALL, None),
        Reach::Project(id) => (&OF_PROJECT, Some(id.0)),
        Reach::Member(id) => (&OF_MEMBER, Some(id.0)),
    };
    let [any, of_status] = &texts.0;
    let sql = if filter.status.is_some() { of_status } else { any };
    let mut query = session.query(sql).bind(filter.after.unwrap_or(Uuid::max())).bind(limit);
    if let Some(id) = whose {
        query = query.bind(id);
    }
    if let Some(status) = filter.status {
        query = query.bind(status.as_str());
    }
    query.fetch_all::<Row>().await?.into_iter().map(Spec::try_from).collect()
}
