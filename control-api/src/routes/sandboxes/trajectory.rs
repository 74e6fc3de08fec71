//! `GET /sandboxes/{id}/trajectory`: a run in bounded size, for a model that supervises it. The same
//! facts are the same bytes; who has them (`If-None-Match`) gets 304.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use specwright_shared::id::SandboxId;
use specwright_shared::phase::PhaseStatus;
use specwright_shared::trajectory::{Known, PlanItem, condense};
use specwright_shared::wire::problem::ProblemType;

use crate::app::App;
use crate::extract::{Params, PathId};
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError, usd};

/// How many of the newest events it rests on, rounded up to whole blocks: a few hundred steps, of
/// which the newest hundred fit.
const EVENTS: u64 = 768;
/// The first event that it rests on moves in such steps, so that its text can be cached.
const BLOCK: u64 = 256;

/// Why it cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrajectoryError {
    #[error("there is no sandbox {0}")]
    NotFound(SandboxId),
    #[error("`since` is not a cursor; give the `next` of an earlier trajectory")]
    Since,
    #[error("the trajectory could not be written as JSON")]
    Json(#[from] serde_json::Error),
    #[error("the sandbox could not be read")]
    Store(#[from] StoreError),
}

impl Refusal for TrajectoryError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NotFound(_) => ProblemType::NotFound,
            Self::Since => ProblemType::InvalidRequest,
            Self::Json(_) | Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(TrajectoryError);

/// The query.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    /// The `next` of an earlier trajectory: steps behind it only.
    #[serde(default)]
    since: Option<String>,
}

/// Shows it.
pub(crate) async fn handler(
    State(app): State<App>,
    PathId(id): PathId<SandboxId>,
    Params(query): Params<Query>,
    headers: HeaderMap,
) -> Result<Response, TrajectoryError> {
    let since = query.since.as_deref().map(str::parse::<u64>).transpose();
    let since = since.map_err(|_| TrajectoryError::Since)?.unwrap_or(0);
    let mut session = app.store.read().await?;
    let unknown = || TrajectoryError::NotFound(id);
    let sandbox = store::sandbox::find(&mut session, id).await?.ok_or_else(unknown)?;
    let spec = store::spec::find(&mut session, sandbox.spec_id).await?.ok_or_else(unknown)?;
    let phases = store::phase::list(&mut session, spec.id).await?;
    let begun = phases.into_iter().filter(|record| record.status != PhaseStatus::Pending);
    let plan = begun.map(|record| PlanItem {
        phase: record.phase,
        status: record.status,
        attempts: record.attempts,
        score: record.score,
    });
    let before = sandbox.acked_seq.saturating_sub(EVENTS) / BLOCK * BLOCK;
    let events = store::event::recent::behind(&mut session, id, before, None).await?;
    let beginning = store::event::recent::beginning(&mut session, id).await?;
    let interventions = store::intervention::list(&mut session, id).await?;
    let interventions: Vec<_> = interventions.into_iter().map(|one| one.view).collect();
    let known = Known {
        read_behind: before,
        sandbox_id: id,
        spec_id: spec.id,
        agent: &sandbox.agent,
        title: &spec.title,
        goal: &spec.description,
        state: sandbox.state,
        phase: spec.current_phase,
        plan: plan.collect(),
        outcome: sandbox.outcome,
        message: sandbox.message.as_deref(),
        cost_usd: usd(sandbox.cost_micro_usd),
        budget_usd: beginning.and_then(|body| body.get("max_budget_usd")?.as_f64()),
        verdict: store::liveness::history(&mut session, id, 1).await?.into_iter().next(),
        interventions: &interventions,
    };
    drop(session);
    let body = serde_json::to_vec(&condense(known, &events, since))?;
    let etag = format!("\"{}\"", hex::encode(&Sha256::digest(&body)[..16]));
    let known = headers.get(IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    let is_known = known.is_some_and(|known| {
        known.split(',').any(|one| one.trim().trim_start_matches("W/") == etag)
    });
    // What one may read, another may not: no cache in between.
    let described = [(ETAG, etag), (CACHE_CONTROL, "private, no-cache".to_owned())];
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, described).into_response());
    }
    Ok((described, [(CONTENT_TYPE, "application/json")], body).into_response())
}
