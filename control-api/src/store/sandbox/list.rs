//! Lists of sandboxes: those that someone sees, in pages, and those that are under way.

use chrono::{DateTime, Utc};
use serde_json::Value;
use specwright_shared::id::{SandboxId, SpecId};
use specwright_shared::time::Timestamp;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Row, Sandbox};
use crate::store::project::Sight;
use crate::store::{Session, StoreError};

const ALL: &str = "
    SELECT sandboxes.*
    FROM sandboxes
    JOIN specs ON specs.id = sandboxes.spec_id
    WHERE sandboxes.id < $1
      AND ($3 IS NULL OR specs.project_id IN (
              SELECT project_id FROM project_members WHERE user_id = $3
          ))
      AND ($4 IS NULL OR specs.project_id = $4)
    ORDER BY sandboxes.id DESC
    LIMIT $2";
const OF_SPEC: &str = "
    SELECT sandboxes.*
    FROM sandboxes
    JOIN specs ON specs.id = sandboxes.spec_id
    WHERE sandboxes.spec_id = $5
      AND sandboxes.id < $1
      AND ($3 IS NULL OR specs.project_id IN (
              SELECT project_id FROM project_members WHERE user_id = $3
          ))
      AND ($4 IS NULL OR specs.project_id = $4)
    ORDER BY sandboxes.id DESC
    LIMIT $2";

/// The sandboxes that someone sees, newest first; of one spec, or of all.
pub(crate) async fn page(
    session: &mut Session,
    sight: Sight,
    spec: Option<SpecId>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Sandbox>, StoreError> {
    let query = session
        .query(if spec.is_some() { OF_SPEC } else { ALL })
        .bind(after.unwrap_or(Uuid::max()))
        .bind(limit)
        .bind(sight.user.map(|id| id.0))
        .bind(sight.project.map(|id| id.0));
    let query = match spec {
        Some(id) => query.bind(id.0),
        None => query,
    };
    query.fetch_all::<Row>().await?.into_iter().map(Sandbox::try_from).collect()
}

/// Where a sandbox is, and until when it is believed to be there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placed {
    pub(crate) id: SandboxId,
    pub(crate) place: Option<Value>,
    pub(crate) lease_expires_at: Timestamp,
}

/// The places of all sandboxes that have not ended: asked for every few seconds, of thousands.
pub(crate) async fn places(session: &mut Session) -> Result<Vec<Placed>, StoreError> {
    let rows: Vec<(Uuid, Option<Json<Value>>, DateTime<Utc>)> = session
        .query("SELECT id, place, lease_expires_at FROM sandboxes WHERE state <> 'ended'")
        .fetch_all()
        .await?;
    let placed = |(id, place, lease): (_, Option<Json<Value>>, DateTime<Utc>)| Placed {
        id: SandboxId(id),
        place: place.map(|place| place.0),
        lease_expires_at: lease.into(),
    };
    Ok(rows.into_iter().map(placed).collect())
}
