//! The circuit breaker of a spec: how many sandboxes may be asked for in a while, and what all its
//! runs may cost. What was used counts from the last reset (`POST /specs/{id}/breaker/reset`).
//!
//! What holds: an open breaker refuses every start, by whomever, with a sentence that names the
//! figure, its limit and the remedy.

use std::time::Duration;

use specwright_shared::liveness::Settings;
use specwright_shared::time::Timestamp;

use crate::store::spec::Spec;
use crate::store::{self, Session, StoreError, micro_usd, usd};

/// Why no sandbox may be asked for now; `None`: one may.
pub(crate) async fn open(
    session: &mut Session,
    spec: &Spec,
    settings: &Settings,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    let window = before(now, Duration::from_secs(settings.starts_window_s));
    let counted = store::start::counted(session, spec.id, window).await?;
    if counted.starts >= u64::from(settings.starts_max) {
        return Ok(Some(format!(
            "{} sandboxes were asked for in the last {} s (at most {} are); find out why they end, \
             then `specwright reset-breaker {}`",
            counted.starts, settings.starts_window_s, settings.starts_max, spec.id
        )));
    }
    Ok(spent(counted.cost_micro_usd, spec, settings))
}

/// Why a run under way is to end; `None`: it may go on.
pub(crate) async fn overspent(
    session: &mut Session,
    spec: &Spec,
    settings: &Settings,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    let counted = store::start::counted(session, spec.id, now).await?;
    Ok(spent(counted.cost_micro_usd, spec, settings))
}

/// Whether so much is more than settings allow.
pub(crate) fn is_overspent(cost_micro_usd: i64, settings: &Settings) -> bool {
    settings.spend_max_usd.is_some_and(|most| cost_micro_usd >= micro_usd(most))
}

fn spent(cost_micro_usd: i64, spec: &Spec, settings: &Settings) -> Option<String> {
    let most = settings.spend_max_usd?;
    is_overspent(cost_micro_usd, settings).then(|| {
        format!(
            "the spec's runs have cost {:.2} US dollars (at most {most:.2} are); \
             `specwright reset-breaker {}` counts anew, `spend_max_usd` of the project's or the server's \
             liveness settings is the limit",
            usd(cost_micro_usd),
            spec.id
        )
    })
}

fn before(now: Timestamp, while_: Duration) -> Timestamp {
    let micros = i64::try_from(while_.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(now.as_micros().saturating_sub(micros))
}
