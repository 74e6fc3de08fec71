//! The chaos of the test run: few cycles, always the same decisions, every kind of fault once.

use specwright_tests::chaos::campaign::Campaign;

/// Enough that each kind of fault comes at least once.
const CYCLES: u64 = 25;
/// Any would do; always the same, so that a failure comes back.
const SEED: u64 = 20_260_101;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_breaks_no_event_is_lost_or_doubled_and_nothing_is_left_running() {
    let traces = tempfile::tempdir().expect("a temporary directory").keep();
    let campaign = Campaign { cycles: CYCLES, seed: SEED, only: None, jobs: 2, traces };
    let verdict = campaign.run().await;
    assert!(verdict.holds(), "{verdict:#?}");
    // Without root two of them are left out.
    assert!(verdict.cycles > CYCLES / 2, "{verdict:#?}");
}
