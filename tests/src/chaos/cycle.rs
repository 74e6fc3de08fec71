//! One cycle: launch, break, mend, go on until the spec is done, judge.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use specwright_shared::id::SpecId;
use specwright_shared::phase::SpecStatus;

use super::plan::{Deed, LEASE_SECONDS, Plan, Point, Strike};
use super::verdict::may_end_so;
use super::world::World;
use super::{Verdict, spool, victims};
use crate::wait::PATIENCE;

/// How often is looked at what is durable: a step takes longer.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How long a worker is waited for that is to be killed.
const WORKER_COMES_WITHIN: Duration = Duration::from_millis(500);
/// How often the control API is asked.
const ASK_EVERY: Duration = Duration::from_millis(25);
/// How long one run may take; it takes one second, and five on a busy machine. More is a hang.
const RUN_AT_MOST: Duration = Duration::from_secs(300);
/// How long processes may take to go when their run is over: what lives longer would not go.
const GONE_WITHIN: Duration = PATIENCE;
/// A place may be lost so often in one cycle: once for each strike, and one more for the recovery.
const RESUMES_MAX: usize = 3;

/// Plays a plan in a world of its own. The directory is kept when something did not hold.
pub async fn play(plan: &Plan) -> (Verdict, Option<PathBuf>) {
    let mut verdict = Verdict { cycles: 1, ..Verdict::default() };
    let mut world = match World::new(plan).await {
        Ok(world) => world,
        Err(error) => {
            verdict.violated(format!("there is no world: {error:#}"));
            return (verdict, None);
        }
    };
    if let Err(error) = go_through(&mut world, plan, &mut verdict).await {
        verdict.violated(format!("the cycle broke: {error:#}"));
    }
    for applied in world.proxy.applied() {
        if !verdict.holds() {
            verdict.because.push(format!("(broken on its way: {applied})"));
        }
    }
    let kept = (!verdict.holds()).then(|| world.keep());
    (verdict, kept)
}

async fn go_through(world: &mut World, plan: &Plan, verdict: &mut Verdict) -> Result<()> {
    let spec = world.launch().await?.spec.id;
    for strike in &plan.strikes {
        until(world, &strike.at, spec).await?;
        tokio::time::sleep(Duration::from_millis(strike.and_ms)).await;
        do_it(world, strike, spec).await?;
    }
    until_completed(world, plan, spec, verdict).await?;
    verdict.judge(world.client()?, spec, &world.data()).await?;
    until_gone(world, verdict, "its run was over", |world| {
        victims::of_the_sandbox(world.root()).len()
    })
    .await;
    world.end_api().await?;
    until_gone(world, verdict, "everything was over", |world| world.processes().len()).await;
    Ok(())
}

/// Waits for a point, or for the end of the run if that comes first.
async fn until(world: &World, point: &Point, spec: SpecId) -> Result<()> {
    let (begun, mut asked) = (Instant::now(), Instant::now());
    loop {
        let mut any = matches!(point, Point::Launched);
        for state in spool::states(&world.data()) {
            let durable = spool::read(&state);
            any |= spool::reached(point, &durable) || spool::is_over(&durable);
        }
        if any {
            return Ok(());
        }
        if asked.elapsed() > ASK_EVERY * 10 {
            asked = Instant::now();
            // Lost by an earlier strike: nobody goes on towards the point.
            if world.client()?.spec(spec).await?.status != SpecStatus::Executing {
                return Ok(());
            }
        }
        if begun.elapsed() > RUN_AT_MOST {
            bail!("waited {RUN_AT_MOST:?} in vain for {point:?}");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Breaks something, and mends it.
async fn do_it(world: &mut World, strike: &Strike, spec: SpecId) -> Result<()> {
    let broken = Duration::from_millis(strike.for_ms);
    let root = world.root().to_owned();
    match strike.deed {
        Deed::KillWorker => {
            let begun = Instant::now();
            // Right behind the launch there is none yet, and right behind the end none any more.
            while !victims::worker(&root).is_some_and(|worker| worker.kill())
                && begun.elapsed() < WORKER_COMES_WITHIN
            {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Deed::KillPlace => {
            victims::signal(&victims::of_the_sandbox(&root), Signal::KILL);
        }
        Deed::KillApi => {
            world.kill_api().await?;
            tokio::time::sleep(broken).await;
            world.start_api(false).await?;
        }
        Deed::KillBoth => {
            victims::signal(&victims::of_the_sandbox(&root), Signal::KILL);
            world.kill_api().await?;
            tokio::time::sleep(broken).await;
            world.start_api(false).await?;
        }
        Deed::StopPlace => {
            let stopped = victims::of_the_sandbox(&root);
            victims::signal(&stopped, Signal::STOP);
            tokio::time::sleep(broken).await;
            victims::signal(&stopped, Signal::CONT);
        }
        Deed::StopApi => {
            world.signal_api(Signal::STOP)?;
            tokio::time::sleep(broken).await;
            world.signal_api(Signal::CONT)?;
        }
        Deed::StopBoth => {
            let stopped = victims::of_the_sandbox(&root);
            world.signal_api(Signal::STOP)?;
            victims::signal(&stopped, Signal::STOP);
            tokio::time::sleep(broken).await;
            victims::signal(&stopped, Signal::CONT);
            world.signal_api(Signal::CONT)?;
        }
        Deed::Cut(cut) => {
            world.proxy.cut(Some(cut));
            tokio::time::sleep(broken).await;
            world.proxy.cut(None);
        }
        Deed::FillDisk => {
            let disk = world.disk.as_ref().context("the world has no disk of its own")?;
            disk.fill()?;
            tokio::time::sleep(broken).await;
            disk.free()?;
        }
        Deed::Lapse => lapse(world, spec).await?,
    }
    Ok(())
}

/// The sandbox is stopped, and the control API comes back where it cannot see its processes: the
/// lease alone can tell. When it has told, the sandbox goes on and must find out by itself.
async fn lapse(world: &mut World, spec: SpecId) -> Result<()> {
    // In this order: a stopped process group that loses its parent is told so (SIGHUP) and goes on.
    world.kill_api().await?;
    let stopped = victims::of_the_sandbox(world.root());
    victims::signal(&stopped, Signal::STOP);
    world.start_api(true).await?;
    let begun = Instant::now();
    // Beyond the lease, the time that it gives workers to come back, and its round.
    while begun.elapsed() < Duration::from_secs(2 * LEASE_SECONDS + 10)
        && world.client()?.spec(spec).await?.status == SpecStatus::Executing
    {
        tokio::time::sleep(ASK_EVERY).await;
    }
    victims::signal(&stopped, Signal::CONT);
    Ok(())
}

/// Waits until the spec is completed, and resumes it when its place was lost.
async fn until_completed(
    world: &World,
    plan: &Plan,
    id: SpecId,
    verdict: &mut Verdict,
) -> Result<()> {
    let client = world.client()?;
    let (mut begun, mut resumes) = (Instant::now(), 0);
    loop {
        let spec = client.spec(id).await?;
        match spec.status {
            SpecStatus::Completed => return Ok(()),
            SpecStatus::Failed => {
                if !may_end_so(spec.reason, plan.may_lose_a_sandbox(), plan.fills_the_disk()) {
                    verdict.violated(format!("it ended as {:?}: {:?}", spec.reason, spec.message));
                }
                if spec.message.as_deref().unwrap_or_default().is_empty() {
                    verdict.violated("it ended without a sentence");
                }
                resumes += 1;
                if resumes > RESUMES_MAX {
                    bail!("it failed again after {RESUMES_MAX} resumes: {:?}", spec.message);
                }
                client.execute(id, &world.options()?).await?;
                begun = Instant::now();
            }
            SpecStatus::Draft | SpecStatus::Executing => {}
        }
        if begun.elapsed() > RUN_AT_MOST {
            bail!("a run takes longer than {RUN_AT_MOST:?}: {spec:#?}");
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Waits until a count is nought; what is left then is noted.
async fn until_gone(
    world: &World,
    verdict: &mut Verdict,
    when: &str,
    count: impl Fn(&World) -> usize,
) {
    let begun = Instant::now();
    while count(world) > 0 {
        if begun.elapsed() > GONE_WITHIN {
            verdict.left_running += count(world) as u64;
            let left = world.processes();
            verdict.because.push(format!("left running after {when}: {left:#?}"));
            return;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}
