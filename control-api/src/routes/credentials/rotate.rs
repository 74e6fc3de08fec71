//! `POST /credentials/rotate`: seals everything with the newest key. One transaction per credential's
//! page, so it can be broken off and asked for again; who sets a credential meanwhile has it sealed
//! with the newest key anyway. What cannot be opened is left as it is and named, all of it, when the
//! rest is done.

use std::fmt;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use specwright_shared::wire::credential::{CredentialKind, Rotated};
use specwright_shared::wire::problem::ProblemType;

use crate::app::App;
use crate::auth::{SealError, Sealed};
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError};

/// How many are sealed in one transaction: short enough that nobody waits for it.
const PAGE: i64 = 100;

/// Why not everything was sealed anew.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RotateError {
    #[error("this control API has no key to seal credentials with; set SPECWRIGHT_SEAL_KEY_FILE")]
    NoKey,
    #[error(
        "{} of the credentials cannot be sealed anew (the others are): {}; give those keys too, behind the new one, or set these credentials again",
        .0.len(),
        named(.0)
    )]
    Left(Vec<Left>),
    #[error("the credentials could not be stored")]
    Store(#[from] StoreError),
}

/// A credential that stays as it is.
#[derive(Debug)]
pub(crate) struct Left {
    kind: CredentialKind,
    last_four: String,
    set_by: String,
    why: SealError,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, last_four, set_by, why } = self;
        write!(f, "{kind}, ends in {last_four}, set by {set_by} ({why})")
    }
}

fn named(left: &[Left]) -> String {
    left.iter().map(Left::to_string).collect::<Vec<_>>().join("; ")
}

impl Refusal for RotateError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NoKey | Self::Left(_) => ProblemType::NoSealKey,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(RotateError);

/// Rotates.
pub(crate) async fn handler(State(app): State<App>) -> Result<Json<Rotated>, RotateError> {
    let keys = Arc::clone(app.seal_keys.as_ref().ok_or(RotateError::NoKey)?);
    let mut rotated = Rotated { key_id: keys.newest_id().to_owned(), resealed: 0, unchanged: 0 };
    let (mut after, mut left) = (None, Vec::new());
    loop {
        let mut write = app.store.write().await?;
        let page = store::credential::all(&mut write, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for old in page {
            if old.key_id == rotated.key_id {
                rotated.unchanged += 1;
                continue;
            }
            let sealed = Sealed { key_id: old.key_id, bytes: old.sealed };
            let sealed = keys
                .open(old.id, old.kind, &sealed)
                .and_then(|value| keys.seal(old.id, old.kind, &value));
            match sealed {
                Ok(sealed) => {
                    let Sealed { key_id, bytes } = sealed;
                    store::credential::reseal(&mut write, old.id, bytes, &key_id).await?;
                    rotated.resealed += 1;
                }
                Err(why) => left.push(Left {
                    kind: old.kind,
                    last_four: old.last_four,
                    set_by: old.set_by,
                    why,
                }),
            }
        }
        write.commit().await?;
    }
    if left.is_empty() { Ok(Json(rotated)) } else { Err(RotateError::Left(left)) }
}
