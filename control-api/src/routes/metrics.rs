//! `GET /metrics`: what happens here, for Prometheus. With an administrator's token, because it names
//! what all projects run and spend.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use specwright_shared::wire::problem::ProblemType;

use crate::app::App;
use crate::metrics::exposition::{self, ExpositionError, MEDIA_TYPE};
use crate::problem::{Refusal, impl_answer};

impl Refusal for ExpositionError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::Store(_) | Self::Write(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(ExpositionError);

/// Gives them.
pub(crate) async fn handler(State(app): State<App>) -> Result<Response, ExpositionError> {
    let text = exposition::write(&app).await?;
    Ok(([(CONTENT_TYPE, MEDIA_TYPE)], text).into_response())
}
