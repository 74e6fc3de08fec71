//! What breaks in a cycle, and when: decided by the seed and the cycle's number.
//!
//! Named steps are walked through in their order, so that enough cycles meet every kind of fault at
//! every step; every other cycle of a kind takes a point at random instead.

mod dice;

#[cfg(test)]
mod tests;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use specwright_shared::phase::Phase;

use crate::fault_proxy::{Cut, Fault, Toxic};
use dice::Dice;

/// Whole seconds of lease that a cycle's control API gives: short, so that outliving it is cheap.
pub const LEASE_SECONDS: u64 = 1;
/// The most durable events that a random point waits for: a run has about sixty.
const EVENTS_MAX: u64 = 60;
/// The longest pause behind a point, so that what follows the step is met too.
const AND_MS_MAX: u64 = 12;

/// The longest pause behind the loss of a place before the next strike: within it, what the place left
/// is delivered.
const SALVAGE_MS: u64 = 250;
/// What the faulty agent does besides giving its outputs, a word or several of its own. Nothing here
/// keeps a run from its end: it is the end that is looked at.
const FAULTS: [&str; 5] = [
    "setsid-grandchild",
    "burst",
    "line-5mb,invalid-utf8,malformed-known-line",
    "hang-after-result,setsid-grandchild",
    "asks,garbage,loops",
];

/// What costs seconds, because a deaf agent is given them; it comes rarely.
const SLOW_FAULT: &str = "setsid-grandchild,deaf";

/// The kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The worker is killed.
    Worker,
    /// The control API is killed.
    Api,
    /// One request is broken, or several.
    Request,
    /// Everything in the sandbox is killed, a supervisor too.
    Place,
    /// Control API and worker are killed.
    Both,
    /// The network between them is cut for a while.
    Network,
    /// Processes are stopped for longer than the lease, and go on.
    Pause,
    /// The disk of the sandbox is full for a while.
    Disk,
    /// The control API comes back on another machine, and the sandbox is silent for longer than
    /// its lease there.
    Lapse,
    /// Broken requests, and a kill among them.
    Storm,
}

/// When something breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// So long after the launch was answered.
    Launched,
    /// When an event of this type is durable in the worker's spool.
    Step {
        /// Its type.
        kind: String,
        /// Its phase; absent: any.
        phase: Option<Phase>,
    },
    /// When so many events are.
    Events(u64),
}

/// What breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// SIGKILL to the worker; its supervisor starts it again.
    KillWorker,
    /// SIGKILL to all of the sandbox but the agent's processes: nobody starts anything again.
    KillPlace,
    /// SIGKILL to the control API, which is started again afterwards.
    KillApi,
    /// Both of these.
    KillBoth,
    /// SIGSTOP to the sandbox, SIGCONT afterwards.
    StopPlace,
    /// The same to the control API.
    StopApi,
    /// The same to both.
    StopBoth,
    /// The network is cut, and mended afterwards.
    Cut(Cut),
    /// The disk is filled, and freed afterwards.
    FillDisk,
    /// The control API is killed and comes back elsewhere; then the sandbox is stopped until it
    /// counts as lost, and goes on.
    Lapse,
}

/// One thing that breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strike {
    /// When.
    pub at: Point,
    /// So long behind it, in milliseconds.
    pub and_ms: u64,
    /// What.
    pub deed: Deed,
    /// How long it stays broken, in milliseconds.
    pub for_ms: u64,
}

/// All that breaks in a cycle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Its kind.
    pub kind: Kind,
    /// In this order, each when the one before is mended.
    pub strikes: Vec<Strike>,
    /// Requests that are broken on their way.
    pub toxics: Vec<Toxic>,
    /// What the faulty agent does besides its work; absent: the rehearsal agent is at work.
    #[serde(default)]
    pub faulty: Option<String>,
}

impl Kind {
    /// The kinds in the order in which cycles take them. The last three need what not every machine
    /// gives, or seconds; they come rarely.
    const OFTEN: [Self; 7] = [
        Self::Worker,
        Self::Api,
        Self::Request,
        Self::Place,
        Self::Both,
        Self::Network,
        Self::Storm,
    ];
    const RARE: [Self; 3] = [Self::Pause, Self::Disk, Self::Lapse];

    /// The kind of a cycle, and how many of it came before.
    fn of(cycle: u64) -> (Self, u64) {
        let (often, rare) = (Self::OFTEN.len() as u64, Self::RARE.len() as u64);
        let (round, place) = (cycle / (often + 1), cycle % (often + 1));
        match Self::OFTEN.get(usize::try_from(place).unwrap_or(usize::MAX)) {
            Some(kind) => (*kind, round),
            None => {
                let place = usize::try_from(round % rare).unwrap_or_default();
                (Self::RARE[place], round / rare)
            }
        }
    }
}

impl Plan {
    /// The plan of a cycle.
    #[must_use]
    pub fn of(seed: u64, cycle: u64, only: Option<Kind>) -> Self {
        let (kind, visit) = only.map_or_else(|| Kind::of(cycle), |kind| (kind, cycle));
        let mut dice = Dice::new(seed, cycle);
        let mut plan = Self { kind, strikes: Vec::new(), toxics: Vec::new(), faulty: None };
        match kind {
            Kind::Worker => {
                plan.strike(point(&mut dice, visit), Deed::KillWorker, 0, &mut dice);
                if dice.below(4) == 0 {
                    // Again, while the first is being recovered from.
                    let again = Point::Events(dice.below(EVENTS_MAX));
                    plan.strike(again, Deed::KillWorker, 0, &mut dice);
                }
            }
            Kind::Place => {
                plan.strike(point(&mut dice, visit), Deed::KillPlace, 0, &mut dice);
                if dice.below(2) == 0 {
                    // Again, while what it left is being delivered.
                    let deed = [Deed::KillPlace, Deed::KillApi, Deed::KillWorker, Deed::KillBoth];
                    let deed = deed[usize::try_from(dice.below(4)).unwrap_or_default()];
                    plan.strike(Point::Launched, deed, 100, &mut dice);
                    plan.strikes[1].and_ms = dice.below(SALVAGE_MS);
                }
            }
            Kind::Api => {
                plan.strike(point(&mut dice, visit), Deed::KillApi, 400, &mut dice);
                if dice.below(3) == 0 {
                    let again = Point::Events(dice.below(EVENTS_MAX));
                    plan.strike(again, Deed::KillApi, 200, &mut dice);
                }
            }
            Kind::Both => plan.strike(point(&mut dice, visit), Deed::KillBoth, 200, &mut dice),
            Kind::Request => plan.toxics = toxics(&mut dice),
            Kind::Network => {
                let cut = if dice.below(2) == 0 { Cut::Reset } else { Cut::BlackHole };
                plan.strike(point(&mut dice, visit), Deed::Cut(cut), 500, &mut dice);
            }
            Kind::Pause => {
                let deed = [Deed::StopPlace, Deed::StopApi, Deed::StopBoth];
                let deed = deed[usize::try_from(dice.below(3)).unwrap_or_default()];
                plan.strike(point(&mut dice, visit), deed, 0, &mut dice);
                plan.strikes[0].for_ms = LEASE_SECONDS * 1000 + 200 + dice.below(400);
            }
            Kind::Disk => plan.strike(point(&mut dice, visit), Deed::FillDisk, 600, &mut dice),
            Kind::Lapse => plan.strike(point(&mut dice, visit), Deed::Lapse, 0, &mut dice),
            Kind::Storm => {
                plan.toxics = toxics(&mut dice);
                let deed = [Deed::KillWorker, Deed::KillApi, Deed::KillBoth];
                let deed = deed[usize::try_from(dice.below(3)).unwrap_or_default()];
                plan.strike(point(&mut dice, visit), deed, 200, &mut dice);
            }
        }
        if dice.below(3) == 0 {
            let pick = usize::try_from(dice.below(FAULTS.len() as u64)).unwrap_or_default();
            let slow = dice.below(20) == 0;
            plan.faulty = Some(if slow { SLOW_FAULT } else { FAULTS[pick] }.to_owned());
        }
        plan
    }

    fn strike(&mut self, at: Point, deed: Deed, for_ms_max: u64, dice: &mut Dice) {
        let (and_ms, for_ms) = (dice.below(AND_MS_MAX), dice.below(for_ms_max + 1));
        self.strikes.push(Strike { at, and_ms, deed, for_ms });
    }

    /// Whether a run may end as lost on its way: only where its place is taken from it.
    #[must_use]
    pub fn may_lose_a_sandbox(&self) -> bool {
        self.strikes
            .iter()
            .any(|strike| matches!(strike.deed, Deed::KillPlace | Deed::KillBoth | Deed::Lapse))
    }

    /// Whether it needs what only root may do: mount a disk, give a machine another name.
    #[must_use]
    pub fn needs_root(&self) -> bool {
        self.strikes.iter().any(|strike| matches!(strike.deed, Deed::FillDisk | Deed::Lapse))
    }

    /// Whether the disk fails.
    #[must_use]
    pub fn fills_the_disk(&self) -> bool {
        self.strikes.iter().any(|strike| strike.deed == Deed::FillDisk)
    }
}

/// A point: named and at random by turns.
fn point(dice: &mut Dice, visit: u64) -> Point {
    let steps = steps();
    if visit % 2 == 1 {
        return Point::Events(dice.below(EVENTS_MAX));
    }
    let place = usize::try_from(visit / 2).unwrap_or_default() % steps.len();
    steps[place].clone()
}

/// Every named step of a run.
#[must_use]
pub fn steps() -> Vec<Point> {
    let step = |kind: &str, phase| Point::Step { kind: kind.to_owned(), phase };
    let mut steps = vec![Point::Launched, step("spec.execution_started", None)];
    for phase in Phase::ALL {
        steps.push(step("spec.phase_started", Some(phase)));
        if phase.needs_agent() {
            for kind in ["agent.started", "agent.completed", "agent.exited"] {
                steps.push(step(kind, Some(phase)));
            }
        }
        if phase == Phase::Sync {
            steps.push(step("spec.sync_started", None));
            steps.push(step("spec.sync_completed", None));
        }
        steps.push(step("spec.phase_completed", Some(phase)));
    }
    steps.push(step("spec.execution_completed", None));
    steps
}

/// One to four broken requests.
fn toxics(dice: &mut Dice) -> Vec<Toxic> {
    let count = 1 + dice.below(4);
    (0..count)
        .map(|_| {
            let route = match dice.below(10) {
                0 | 1 => "hello",
                2 => "heartbeat",
                3 => "stream",
                _ => "events",
            };
            let nth = if route == "events" { dice.below(16) } else { dice.below(2) };
            let fault = match dice.below(7) {
                0 => Fault::ResetBefore,
                1 => Fault::ResetAfter,
                2 => Fault::BlackHole { ms: 50 + dice.below(400) },
                3 => Fault::Slow { ms: dice.below(300) },
                4 => Fault::Duplicate,
                5 => Fault::Reorder { ms: 20 + dice.below(400) },
                _ => Fault::Truncate { bytes: usize::try_from(dice.below(160)).unwrap_or(0) },
            };
            let nth = u32::try_from(nth).unwrap_or_default();
            Toxic { route: route.to_owned(), nth, fault }
        })
        .collect()
}
