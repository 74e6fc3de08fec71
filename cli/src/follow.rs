//! Follows a run to its end: stored events first, then new ones, each once, in commit order.
//!
//! Holds: the run is over when its *sandbox* has ended, not when some event says so; a lost sandbox
//! makes no event of its own. The first interrupt asks the run to stop and goes on following; the
//! second ends the sandbox at once.

use std::time::{Duration, SystemTime};

use specwright_control_api::client::{Client, ClientError};
use specwright_shared::id::{SandboxId, SpecId};
use specwright_shared::phase::SandboxState;
use specwright_shared::text::Line;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::event::{Decoded, Event, EventView, Marks};
use specwright_shared::wire::sandbox::SandboxView;
use specwright_shared::wire::spec::Cancel;

use crate::display::Display;
use crate::exit::Failure;
use crate::output::Out;
use crate::signals::Interrupts;
use crate::timeline::Timeline;

/// How long one request waits for events: so long can a sandbox be gone before it is noticed.
const WAIT: Duration = Duration::from_secs(3);

/// How often the display moves.
const TICK: Duration = Duration::from_millis(100);

/// What an interrupt does to the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnInterrupt {
    /// It is ours: stop it.
    Stop,
    /// We only look on: leave it.
    Leave,
}

/// How following ended.
#[derive(Debug)]
pub(crate) enum Followed {
    /// The run is over, and this is its sandbox (none: it was never run).
    Ended(Option<Box<SandboxView>>),
    /// The run is over because we were interrupted.
    Stopped(Option<Box<SandboxView>>),
    /// We were interrupted and did not wait for the run's end.
    Left,
}

/// What is followed, and from where.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// The spec.
    pub(crate) spec: SpecId,
    /// The sandbox at work; none: only what is stored is shown.
    pub(crate) sandbox: Option<SandboxId>,
    /// The last event that is known already.
    pub(crate) after: Option<String>,
}

/// Shows a run until it is over.
pub(crate) async fn follow(
    client: &Client,
    mut run: Run,
    timeline: &mut Timeline,
    display: &mut Display,
    out: &mut Out,
    interrupts: &mut Interrupts,
    on_interrupt: OnInterrupt,
) -> Result<Followed, Failure> {
    let mut interrupted = false;
    let mut ended: Option<Option<Box<SandboxView>>> = run.sandbox.is_none().then_some(None);
    let mut ticks = tokio::time::interval(TICK);
    let mut feed = client.feed(run.spec, run.after.take());
    loop {
        let wait = if ended.is_some() { Duration::ZERO } else { WAIT };
        let page = {
            let request = feed.next(wait);
            tokio::pin!(request);
            loop {
                tokio::select! {
                    page = &mut request => break page?,
                    _ = ticks.tick() => display.tick(timeline, now()),
                    () = interrupts.next() => {
                        if on_interrupt == OnInterrupt::Leave {
                            return Ok(Followed::Left);
                        }
                        if !std::mem::replace(&mut interrupted, true) {
                            display.note(
                                "stopping; the spec can be resumed. Once more ends the agent at once",
                            );
                            tokio::select! {
                                asked = cancel(client, run.spec, false) => {
                                    asked?;
                                    continue;
                                }
                                // Whoever waits for an answer in vain is heard, too.
                                () = interrupts.next() => {}
                            }
                        }
                        display.note("ending it at once");
                        tokio::select! {
                            ended = cancel(client, run.spec, true) => ended?,
                            () = interrupts.next() => display.note("no answer; it is left alone"),
                        }
                        return Ok(Followed::Left);
                    }
                }
            }
        };
        if feed.passed_over() {
            display.note(
                "some events are no longer there; what follows begins with the oldest that is",
            );
        }
        know_messages(client, &page, timeline).await?;
        // Told in the transaction that ended the one: behind its end there is always this event.
        if let Some(next) = goes_on_in(&page, run.sandbox) {
            (run.sandbox, ended) = (Some(next), None);
        }
        if show(&page, timeline, display, out) && on_interrupt == OnInterrupt::Leave {
            return Ok(Followed::Left);
        }
        if page.is_empty()
            && let Some(sandbox) = ended
        {
            let end = if interrupted { Followed::Stopped } else { Followed::Ended };
            return Ok(end(sandbox));
        }
        if ended.is_none() && may_be_the_end(&page) {
            ended = ended_sandbox(client, run.sandbox).await?;
        }
    }
}

/// Fetches what was said where an event is about it: the event has only the message's id.
async fn know_messages(
    client: &Client,
    page: &[EventView],
    timeline: &mut Timeline,
) -> Result<(), ClientError> {
    for view in page {
        if timeline.asks_for(view)
            && let Some(sandbox) = view.sandbox_id
        {
            timeline.know(client.messages(sandbox).await?);
        }
    }
    Ok(())
}

/// Shows a page; true when nobody reads what is shown any more.
fn show(page: &[EventView], timeline: &mut Timeline, display: &mut Display, out: &mut Out) -> bool {
    for view in page {
        let told = timeline.take(view);
        display.event(view, told.as_ref(), timeline, out);
    }
    out.is_closed()
}

fn may_be_the_end(page: &[EventView]) -> bool {
    page.is_empty() || page.iter().any(|view| Marks::of(&view.event.kind).terminal)
}

async fn ended_sandbox(
    client: &Client,
    sandbox: Option<SandboxId>,
) -> Result<Option<Option<Box<SandboxView>>>, ClientError> {
    let Some(id) = sandbox else { return Ok(Some(None)) };
    let view = client.sandbox(id).await?;
    Ok((view.state == SandboxState::Ended).then(|| Some(Box::new(view))))
}

/// The sandbox that goes on with the run in the place of the one that is followed, if a page says so.
fn goes_on_in(page: &[EventView], followed: Option<SandboxId>) -> Option<SandboxId> {
    let restarts = page.iter().filter_map(|view| match view.event.decode() {
        Ok(Decoded::Known(event)) => match *event {
            Event::Restarted(restart) => Some(restart),
            _ => None,
        },
        _ => None,
    });
    restarts.fold(None, |next, restart| {
        let at_work = next.or(followed);
        if at_work == Some(restart.ended) { Some(restart.sandbox_id) } else { next }
    })
}

async fn cancel(client: &Client, spec: SpecId, force: bool) -> Result<(), ClientError> {
    let reason = Line::fitted(if force { "interrupted twice" } else { "interrupted" });
    match client.cancel(spec, &Cancel { reason, force }).await {
        Ok(_) => Ok(()),
        // It ended by itself in the meantime: what was wanted is so.
        Err(error) if error.problem().is_some_and(|kind| kind.status() == 409) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn restart(ended: SandboxId, next: SandboxId) -> EventView {
        let event = json!({
            "position": 1, "spec_id": Uuid::nil(), "seq": 0, "id": Uuid::nil(),
            "type": "spec.restarted", "at": "2026-11-18T11:06:40.000001Z",
            "data": {
                "ended": ended, "outcome": "lost", "message": "m", "sandbox_id": next,
                "phase": "design", "restart": 1,
            },
        });
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn a_run_is_followed_from_sandbox_to_sandbox_and_no_other_runs_restart_misleads() {
        let [one, two, three, other] = [1, 2, 3, 4].map(|id| SandboxId(Uuid::from_u128(id)));
        let page = [restart(other, one), restart(one, two), restart(two, three)];
        assert_eq!(goes_on_in(&page, Some(one)), Some(three));
        assert_eq!(goes_on_in(&page[..2], Some(one)), Some(two));
        assert_eq!(goes_on_in(&page, Some(three)), None, "what is past");
        assert_eq!(goes_on_in(&page, None), None);
    }
}
