//! Settings that name a repository and its branches: what cannot be meant is refused before anything
//! begins, what is not there ends the run before an agent starts.

use super::*;

type Settings<'a> = &'a [(&'a str, &'a str)];

#[test]
fn names_that_no_repository_or_branch_can_have_are_refused_before_hello() {
    let table = [
        ("GITHUB_REPO", "https://github.com/a/b", "`owner/name`"),
        ("BRANCH_NAME", "--upload-pack=x", "a branch name that git allows"),
        ("BASE_BRANCH", "a..b", "a branch name that git allows"),
    ];
    for (name, value, may_be) in table {
        let place = tempfile::tempdir().unwrap();
        let control = Control::start(Some(repository(place.path())));
        assert_eq!(run(place.path(), &control, &[(name, value)]), Some(2), "{name}");
        let said = log(place.path());
        assert!(
            said.contains(&format!("{name} must be {may_be}")) && said.contains(value),
            "{said}"
        );
        assert_eq!(control.generation(), 0, "{name}: it said hello");
    }
}

#[test]
fn a_branch_or_repository_that_is_not_there_ends_the_run_before_an_agent_starts() {
    // Where no server is: what is refused by its name is refused without asking one.
    let here = ("GITHUB_URL", "http://127.0.0.1:9");
    let (repo, token) = (("GITHUB_REPO", "team/limiter"), ("GITHUB_TOKEN", "ghp_of_a_test"));
    let table: [(bool, Settings, &str); 4] = [
        (true, &[("BASE_BRANCH", "missing")], "no branch `missing`; set BASE_BRANCH"),
        (
            false,
            &[here, repo, token, ("BRANCH_NAME", "main")],
            "never pushed from here; set BRANCH_NAME",
        ),
        (false, &[here, repo, token, ("BRANCH_NAME", "feature/x")], "127.0.0.1:9/team/limiter"),
        (false, &[here, repo], "127.0.0.1:9/team/limiter"),
    ];
    for (local, settings, because) in table {
        let place = tempfile::tempdir().unwrap();
        let url = format!("file://{}", repository(place.path()));
        let control = Control::start(local.then_some(url));
        assert_eq!(run(place.path(), &control, settings), Some(16), "{settings:?}");
        assert_eq!(control.kinds(), ["spec.execution_failed"], "{settings:?}");
        let end = control.describe("spec.execution_failed");
        assert!(end.contains(because) && end.contains("worker_error"), "{settings:?}: {end}");
        assert!(!end.contains("ghp_of_a_test"), "{end}");
    }
}
