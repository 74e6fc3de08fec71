//! `say`: a message to a running agent, and its receipt.

use std::time::{Duration, SystemTime};

use specwright_shared::time::Timestamp;
use specwright_shared::wire::message::{Deliver, MessageKind, NewMessage};

use super::{Context, receipt};
use crate::args::steering::SayArgs;
use crate::exit::{Exit, Failure};

/// Runs the command.
pub(super) async fn run(context: &mut Context, args: SayArgs) -> Result<Exit, Failure> {
    let message = receipt::message(MessageKind::UserMessage, &args.text)?;
    let deliver = match (args.now, args.later) {
        (true, _) => Deliver::Now,
        (_, true) => Deliver::Later,
        _ => Deliver::Next,
    };
    let expires_at =
        args.within.map(|secs| Timestamp::from(SystemTime::now()).plus(Duration::from_secs(secs)));
    let message = NewMessage { deliver, expires_at, phase: args.phase, ..message };
    receipt::send(context, &args.to, message).await
}
