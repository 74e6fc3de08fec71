//! Finds a project, a spec or a sandbox by the beginning of its id.

use specwright_control_api::client::{Client, ClientError, SpecFilter};
use specwright_shared::id::{ProjectId, SandboxId, SpecId};
use specwright_shared::phase::SpecStatus;
use uuid::Uuid;

use crate::exit::{Exit, Failure};

/// How much of an id a table shows. The first 48 bits are the millisecond in which it was made, so
/// that two of them are alike here only if they were made in the same one.
pub(crate) const SHORT_ID: usize = 13;

/// How many candidates a refusal names.
const CANDIDATES_SHOWN: usize = 5;

/// A beginning that does not name exactly one thing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FindError {
    /// It begins no id.
    #[error(
        "no {what} has an id that begins with `{prefix}`; `specwright list` shows what is there"
    )]
    None {
        /// What was looked for.
        what: &'static str,
        /// The beginning.
        prefix: String,
    },
    /// It begins several.
    #[error("`{prefix}` begins the ids of several {what}s; write more of it: {candidates}")]
    Several {
        /// What was looked for.
        what: &'static str,
        /// The beginning.
        prefix: String,
        /// Some of them.
        candidates: String,
    },
    /// It cannot begin an id.
    #[error("`{prefix}` is no beginning of an id; ids are made of 0-9, a-f and hyphens")]
    NoId {
        /// What was given.
        prefix: String,
    },
}

impl From<FindError> for Failure {
    fn from(error: FindError) -> Self {
        Self::of(Exit::Usage, error)
    }
}

/// The one id that begins with `prefix`, whatever its case and hyphens.
fn unique(prefix: &str, what: &'static str, ids: &[Uuid]) -> Result<Uuid, FindError> {
    let wanted = digits(prefix)?;
    let matching: Vec<&Uuid> =
        ids.iter().filter(|id| id.simple().to_string().starts_with(&wanted)).collect();
    match matching[..] {
        [one] => Ok(*one),
        [] => Err(FindError::None { what, prefix: prefix.to_owned() }),
        _ => {
            let shown: Vec<String> =
                matching.iter().take(CANDIDATES_SHOWN).map(ToString::to_string).collect();
            Err(FindError::Several {
                what,
                prefix: prefix.to_owned(),
                candidates: shown.join(", "),
            })
        }
    }
}

fn digits(prefix: &str) -> Result<String, FindError> {
    let digits: String =
        prefix.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
    if !digits.is_empty() && digits.chars().all(|c| c.is_ascii_hexdigit()) {
        Ok(digits)
    } else {
        Err(FindError::NoId { prefix: prefix.chars().take(60).collect() })
    }
}

/// Finds a project by its name, its id or a beginning of that.
pub(crate) async fn project(client: &Client, given: &str) -> Result<ProjectId, Failure> {
    if let Ok(whole) = Uuid::parse_str(given) {
        return Ok(whole.into());
    }
    let projects = client.projects().await?;
    let named: Vec<_> = projects.iter().filter(|project| project.name == given).collect();
    match named[..] {
        [one] => Ok(one.id),
        // Two owners may have one of the same name.
        [_, ..] => {
            let candidates = named.iter().take(CANDIDATES_SHOWN);
            let candidates: Vec<_> =
                candidates.map(|one| format!("{} of {}", one.id, one.owner)).collect();
            let sentence = format!(
                "several projects are called `{given}`; give an id: {}",
                candidates.join(", ")
            );
            Err(Failure::new(Exit::Usage, sentence))
        }
        [] => {
            let ids: Vec<Uuid> = projects.iter().map(|project| project.id.0).collect();
            let found = unique(given, "project", &ids).map_err(|error| match error {
                FindError::Several { .. } => Failure::from(error),
                _ => {
                    let names: Vec<_> = projects.iter().map(|one| one.name.as_str()).collect();
                    Failure::new(Exit::Usage, no_project(given, &names))
                }
            });
            Ok(found?.into())
        }
    }
}

fn no_project(given: &str, names: &[&str]) -> String {
    let there_are = match names {
        [] => "you are in none yet; `specwright launch` makes one".to_owned(),
        _ => format!("there are: {}", names.join(", ")),
    };
    format!("no project has the name or id `{given}`; {there_are}")
}

/// The same for an option that may be absent.
pub(crate) async fn project_given(
    client: &Client,
    given: Option<&str>,
) -> Result<Option<ProjectId>, Failure> {
    match given {
        Some(given) => project(client, given).await.map(Some),
        None => Ok(None),
    }
}

/// Finds a spec.
pub(crate) async fn spec(client: &Client, prefix: &str) -> Result<SpecId, Failure> {
    if let Ok(whole) = Uuid::parse_str(prefix) {
        return Ok(whole.into());
    }
    digits(prefix)?;
    Ok(unique(prefix, "spec", &spec_ids(client).await?)?.into())
}

/// A sandbox, given by its spec's id or by its own. A spec and its sandbox are made in the same
/// moment, so a short beginning may begin both: then the spec is meant, which is what people see.
pub(crate) async fn sandbox(client: &Client, prefix: &str) -> Result<SandboxId, Failure> {
    let specs = spec_ids(client).await?;
    match unique(prefix, "spec", &specs) {
        Ok(found) => at_work_on(client, found.into()).await,
        Err(FindError::None { .. }) => {
            let sandboxes = client.sandboxes().await?;
            let ids: Vec<Uuid> = sandboxes.iter().map(|sandbox| sandbox.id.0).collect();
            Ok(unique(prefix, "spec or sandbox", &ids)?.into())
        }
        Err(other) => Err(other.into()),
    }
}

async fn at_work_on(client: &Client, spec: SpecId) -> Result<SandboxId, Failure> {
    let spec = client.spec(spec).await?;
    spec.sandbox_id.ok_or_else(|| Failure::new(Exit::Failed, nobody_at_work(spec.id, spec.status)))
}

fn nobody_at_work(id: SpecId, status: SpecStatus) -> String {
    // What is completed has no phase to go on at.
    let from = if status == SpecStatus::Completed { " --from PHASE" } else { "" };
    format!(
        "no agent is at work on spec {id} (it is {status}); `specwright resume {id}{from}` starts one"
    )
}

async fn spec_ids(client: &Client) -> Result<Vec<Uuid>, ClientError> {
    let specs = client.specs(SpecFilter::default()).await?;
    Ok(specs.iter().map(|spec| spec.id.0).collect())
}

/// An id as tables show it.
pub(crate) fn short(id: SpecId) -> String {
    id.to_string().chars().take(SHORT_ID).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> [Uuid; 3] {
        [
            "01890a5d-ac96-774b-bcce-b302099a8057",
            "01890a5d-ac97-774b-bcce-b302099a8058",
            "0199ffff-0000-774b-bcce-b302099a8059",
        ]
        .map(|id| id.parse().unwrap())
    }

    #[test]
    fn a_unique_beginning_names_its_spec() {
        let [first, second, third] = ids();
        for (prefix, found) in
            [("0199", third), ("01890a5d-ac97", second), ("01890A5DAC96", first), ("0199-", third)]
        {
            assert_eq!(unique(prefix, "spec", &ids()), Ok(found), "{prefix}");
        }
        assert_eq!(unique(&third.to_string(), "spec", &ids()), Ok(third));
    }

    #[test]
    fn a_beginning_of_several_names_them() {
        let error = unique("0189", "spec", &ids()).unwrap_err().to_string();
        assert!(error.contains("several specs") && error.contains("ac96"), "{error}");
        assert!(error.contains("ac97") && !error.contains("0199ffff"), "{error}");
    }

    #[test]
    fn who_names_a_project_that_is_not_there_is_told_which_are() {
        assert!(no_project("x", &["a", "b"]).ends_with("`x`; there are: a, b"));
        assert!(no_project("x", &[]).contains("none yet"));
    }

    #[test]
    fn who_speaks_to_nobody_is_told_what_starts_an_agent() {
        let id = ids()[0].into();
        assert!(nobody_at_work(id, SpecStatus::Failed).contains(&format!("resume {id}` starts")));
        assert!(nobody_at_work(id, SpecStatus::Completed).contains("--from PHASE` starts"));
    }

    #[test]
    fn what_begins_nothing_is_refused_with_the_way_out() {
        let error = unique("02", "spec", &ids()).unwrap_err().to_string();
        assert!(error.contains("`specwright list`"), "{error}");
        for no_id in ["", "-", "my spec", "../x"] {
            let error = unique(no_id, "spec", &ids()).unwrap_err();
            assert!(matches!(error, FindError::NoId { .. }), "{no_id}");
        }
    }
}
