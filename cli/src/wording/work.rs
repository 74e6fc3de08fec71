//! What became of the work in progress, in a person's words: where it is and how to get at it.

use specwright_shared::wire::event::{WorkKept, WorkSaved};

use super::{Wording, count};

/// `None`: there was no work, which is how most runs end.
pub(super) fn saved(work: &WorkSaved) -> Option<Wording> {
    let files = count(usize::try_from(work.files).unwrap_or(usize::MAX), "changed file");
    let reference = work.reference.as_deref().unwrap_or_default();
    let because = work.reason.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    let text = match work.kept {
        WorkKept::Nothing if work.left_out.is_empty() => return None,
        WorkKept::Nothing => "no work in progress could be kept".to_owned(),
        WorkKept::Pushed => format!("work in progress ({files}) is pushed as {reference}"),
        WorkKept::Bundled => format!("work in progress ({files}) is kept{because}; to fetch it:"),
        WorkKept::Untouched => format!("the changed files ({files}) stay where they are{because}"),
        WorkKept::NotSaved => format!("work in progress could not be saved{because}"),
    };
    let details = work.left_out.iter().map(|one| format!("left out: {one}")).collect();
    let bundle = work.bundle.as_deref().filter(|_| work.kept == WorkKept::Bundled);
    let command = bundle.map(|path| format!("git fetch '{path}' {reference}"));
    Some(Wording { text, details, command, notable: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_work_is_told_with_the_command_that_fetches_it_and_no_work_is_not_told() {
        let work = |body: serde_json::Value| saved(&serde_json::from_value(body).unwrap());
        assert_eq!(work(serde_json::json!({ "kept": "nothing" })), None);
        let told = work(serde_json::json!({
            "kept": "bundled", "files": 2, "bundle": "/s/rescue.bundle",
            "reference": "refs/heads/specwright/rescue/1", "left_out": ["k: it holds a secret"],
        }))
        .unwrap();
        let command = "git fetch '/s/rescue.bundle' refs/heads/specwright/rescue/1";
        assert_eq!(told.command.as_deref(), Some(command));
        assert_eq!(told.details, ["left out: k: it holds a secret"]);
        assert!(told.notable && told.text.contains("2 changed files"), "{told:?}");
    }
}
