//! Rendered documents: the newest text of each name.

use specwright_shared::id::SpecId;
use specwright_shared::phase::Phase;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::event::ArtifactCreated;
use specwright_shared::wire::spec::DocumentView;

use super::{Session, StoreError, Write, count, stored, word};

const TABLE: &str = "documents";

#[derive(sqlx::FromRow)]
struct Row {
    name: String,
    phase: String,
    path: String,
    sha256: String,
    bytes: i64,
    content: Option<String>,
}

impl TryFrom<Row> for DocumentView {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            name: row.name,
            phase: word(TABLE, &row.phase)?,
            path: row.path,
            sha256: row.sha256,
            bytes: count(TABLE, row.bytes)?,
            content: row.content,
        })
    }
}

/// Stores a document, or its newer text.
pub(crate) async fn save(
    write: &mut Write,
    spec: SpecId,
    phase: Phase,
    artifact: &ArtifactCreated,
    now: Timestamp,
) -> Result<(), StoreError> {
    write
        .query(
            "INSERT INTO documents (
                 spec_id, name, phase, media_type, path, sha256, bytes, content, updated_at
             )
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (spec_id, name) DO UPDATE
             SET phase = excluded.phase, media_type = excluded.media_type, path = excluded.path,
                 sha256 = excluded.sha256, bytes = excluded.bytes, content = excluded.content,
                 updated_at = excluded.updated_at",
        )
        .bind(spec.0)
        .bind(artifact.name.clone())
        .bind(phase.as_str())
        .bind(artifact.media_type.clone())
        .bind(artifact.path.clone())
        .bind(artifact.sha256.clone())
        .bind(stored(artifact.bytes))
        .bind(artifact.content.clone())
        .bind(now.as_utc())
        .execute()
        .await?;
    Ok(())
}

/// A spec's documents in the order of their phases, without their content.
pub(crate) async fn list(
    session: &mut Session,
    spec: SpecId,
) -> Result<Vec<DocumentView>, StoreError> {
    let rows: Vec<Row> = session
        .query(
            "SELECT name, phase, path, sha256, bytes, NULL AS content
             FROM documents
             WHERE spec_id = $1
             ORDER BY name",
        )
        .bind(spec.0)
        .fetch_all()
        .await?;
    let mut documents =
        rows.into_iter().map(DocumentView::try_from).collect::<Result<Vec<_>, _>>()?;
    documents.sort_by_key(|document| document.phase);
    Ok(documents)
}

/// One document with its content.
pub(crate) async fn find(
    session: &mut Session,
    spec: SpecId,
    name: &str,
) -> Result<Option<DocumentView>, StoreError> {
    let row: Option<Row> = session
        .query(
            "SELECT name, phase, path, sha256, bytes, content
             FROM documents
             WHERE spec_id = $1 AND name = $2",
        )
        .bind(spec.0)
        .bind(name.to_owned())
        .fetch_optional()
        .await?;
    row.map(DocumentView::try_from).transpose()
}

/// Forgets the documents of one phase: its output was set aside.
pub(crate) async fn forget(
    write: &mut Write,
    spec: SpecId,
    phase: Phase,
) -> Result<(), StoreError> {
    write
        .query("DELETE FROM documents WHERE spec_id = $1 AND phase = $2")
        .bind(spec.0)
        .bind(phase.as_str())
        .execute()
        .await?;
    Ok(())
}
