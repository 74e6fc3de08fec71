//! `interrupt`: breaks off what an agent is doing, and tells it why and to go on.

use specwright_shared::wire::message::{MessageKind, NewMessage};

use super::{Context, receipt};
use crate::args::steering::InterruptArgs;
use crate::exit::{Exit, Failure};

/// Runs the command.
pub(super) async fn run(context: &mut Context, args: InterruptArgs) -> Result<Exit, Failure> {
    let message = receipt::message(MessageKind::Interrupt, &args.text)?;
    let message = NewMessage { cancel_queued: args.drop_queued, ..message };
    receipt::send(context, &args.to, message).await
}
