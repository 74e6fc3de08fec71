//! A batch in a transaction of its own: rows, what they mean, the acknowledgement.

use specwright_shared::phase::SandboxState;
use specwright_shared::wire::event::Decoded;
use specwright_shared::wire::sandbox::Ack;

use super::arrived::{Arrived, Checked};
use super::{IngestError, Refusal, Taken, effects};
use crate::app::App;
use crate::run::Run;
use crate::store::{self, Store, Write};

/// Takes in a batch. It waits for whoever has its run locked. With a control API, a run that ends may go
/// on in another sandbox.
pub(super) async fn take(
    app: Option<&App>,
    store: &Store,
    arrived: &Arrived,
) -> Result<Taken, IngestError> {
    let (sandbox, now) = (arrived.sandbox, arrived.now);
    let mut write = store.write().await?;
    let mut run =
        Run::lock(&mut write, sandbox, now).await?.ok_or(IngestError::UnknownSandbox(sandbox))?;
    let spec = run.spec.id;
    let acked = run.sandbox.acked_seq;
    let fresh = match arrived.fresh(run.sandbox.generation, acked) {
        Ok(fresh) => fresh,
        Err(refused) => {
            // It is told out of what may still be under way to the disk, in this very transaction.
            write.commit().await?;
            return Err(refused);
        }
    };
    let Some(last) = fresh.last() else {
        let ended = run.sandbox.state == SandboxState::Ended;
        // What it was taken in with may still be under way to the disk, in this very transaction.
        write.commit().await?;
        return Ok(Taken { ack: Ack { acked, ended }, spec, token: None, next: None });
    };
    let acked = last.event.seq;
    for checked in fresh {
        let taken = take_one(app, &mut write, &mut run, checked).await;
        taken.map_err(|refusal| refusal.at(checked.event.seq))?;
    }
    run.sandbox.acked_seq = acked;
    run.sandbox.lease_expires_at = now.plus(arrived.lease);
    store::sandbox::save_progress(&mut write, &run.sandbox).await?;
    run.save(&mut write).await?;
    write.commit().await?;
    let ended = run.sandbox.state == SandboxState::Ended;
    Ok(Taken { ack: Ack { acked, ended }, spec, token: None, next: run.next })
}

async fn take_one(
    app: Option<&App>,
    write: &mut Write,
    run: &mut Run,
    checked: &Checked,
) -> Result<(), Refusal> {
    let decoded = checked.decoded.as_ref().map_err(Clone::clone)?;
    run.record(&checked.event, true);
    match decoded {
        Decoded::Known(body) if run.sandbox.state != SandboxState::Ended => {
            effects::apply(app, write, run, &checked.event, (**body).clone()).await
        }
        Decoded::Known(_) | Decoded::Unknown => Ok(()),
    }
}
