//! A token that the control API takes back in the middle of a run.

use specwright_shared::wire::problem::ProblemType;

use super::*;

#[test]
fn a_token_that_is_revoked_is_told_and_shown_slowly_and_nothing_is_lost_when_it_is_good_again() {
    for refusal in [ProblemType::Unauthorized, ProblemType::Forbidden] {
        let place = tempfile::tempdir().unwrap();
        let control = Control::start(Some(repository(place.path())));
        let began = Instant::now();
        let mut child = Child::start(worker(place.path(), &control.url, &[]));
        control.wait_for("the run begins", |kinds| !kinds.is_empty());
        control.revoke(Some(refusal));
        let spool = place.path().join(SEGMENT);
        control::until("the run to go on to its end", || {
            std::fs::read_to_string(&spool).is_ok_and(|text| text.contains("execution_completed"))
        });
        control::until("the refusal", || control.refused_events() > 0);
        let slowly = usize::try_from(began.elapsed().as_secs() / 5).unwrap() + 2;
        assert!(control.refused_events() <= slowly, "{} times", control.refused_events());
        let said = log(place.path());
        assert!(said.contains("events cannot be delivered"), "{said}");
        assert!(said.contains("this token was taken back"), "{said}");
        assert!(!control.kinds().contains(&"spec.execution_completed".to_owned()));

        control.revoke(None);

        assert_eq!(child.exit_code(place.path()), Some(0), "{}", log(place.path()));
        let kinds = control.kinds();
        assert_eq!(kinds.last().unwrap(), "spec.execution_completed");
        let done = kinds.iter().filter(|kind| *kind == "spec.phase_completed").count();
        assert_eq!(done, Phase::ALL.len(), "{kinds:?}");
    }
}
