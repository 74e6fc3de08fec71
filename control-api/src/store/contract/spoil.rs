//! Rows as another version may leave them, for tests.

use specwright_shared::id::SpecId;

use crate::store::Write;

/// A phase of a spec is one that this version knows no word for.
pub(crate) async fn phase(write: &mut Write, spec: SpecId) {
    let changed = write
        .query(
            "UPDATE spec_phases
             SET phase = 'dreaming'
             WHERE spec_id = $1 AND phase = 'explore'",
        )
        .bind(spec.0)
        .execute()
        .await
        .unwrap();
    assert_eq!(changed, 1);
}

/// A spec is in a phase that this version does not know.
pub(crate) async fn spec(write: &mut Write, spec: SpecId) {
    let changed = write
        .query(
            "UPDATE specs
             SET current_phase = 'dreaming'
             WHERE id = $1",
        )
        .bind(spec.0)
        .execute()
        .await
        .unwrap();
    assert_eq!(changed, 1);
}
