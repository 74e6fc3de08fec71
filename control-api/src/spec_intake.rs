//! A new spec, checked and stored: what `POST /specs` and `POST /specs/launch` share.

mod inner;

use std::path::Path;

use specwright_shared::id::{ProjectId, SpecId};
use specwright_shared::phase::{Phase, SpecStatus};
use specwright_shared::text::Line;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::access::{Deed, Role};
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::spec::{NewSpec, ProjectView};
use uuid::Uuid;

use crate::app::App;
use crate::auth::{Person, may};
use crate::problem::{Refusal, impl_answer};
use crate::store::phase::PhaseRecord;
use crate::store::spec::Spec;
use crate::store::{self, StoreError, Write};

/// What a repository may be fetched with. `http` is among them on this machine only: elsewhere, what it
/// brings can be changed on the way.
const SCHEMES: [&str; 4] = ["https", "ssh", "git", "file"];

/// The project of a spec without a repository.
const DEFAULT_PROJECT: &str = "default";

/// Why a spec was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IntakeError {
    #[error("there is no project {0} in which you may make specs; name another as `project_id`")]
    NoProject(ProjectId),
    #[error("`repository` {0}")]
    Repository(#[from] RepositoryError),
    #[error(
        "`repository` is on the control API's own machine, which only an administrator may name (or everyone, with `specwright serve --local-repositories`); give a URL like https://host/owner/name"
    )]
    NotYourMachine,
    #[error(
        "`repository` names the host `{0}`, which is, or may be, in the control API's own network; only an administrator may name one there (or everyone, with `specwright serve --local-repositories`); give a URL with a public host, written plainly, like https://host.example/owner/name"
    )]
    InnerHost(String),
    #[error("the spec could not be stored")]
    Store(#[from] StoreError),
}

/// What is wrong with a repository's address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RepositoryError {
    #[error(
        "is neither a path nor a URL; give an absolute path or a URL like https://host/owner/name or ssh://git@host/owner/name"
    )]
    Neither,
    #[error("has the scheme `{0}`, which is not fetched; use https, ssh, git or file")]
    Scheme(String),
    #[error(
        "holds a password or a token, which would be stored and shown; leave it out and let git's credential helper give it"
    )]
    Password,
    #[error(
        "is {0}, which is not a directory on this machine; give the absolute path of a git work tree"
    )]
    NoDirectory(String),
    #[error(
        "is {0}, which is not the top of a git work tree (it has no `.git`); run `git init` there or give another path"
    )]
    NoWorkTree(String),
}

impl Refusal for IntakeError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NoProject(_) | Self::Repository(_) => ProblemType::InvalidRequest,
            Self::NotYourMachine | Self::InnerHost(_) => ProblemType::Forbidden,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(IntakeError);

/// Whether this person may have this repository planned for: who has a token has not therefore the run
/// of the machine that the control API is on, nor of the network that it is in.
pub(crate) fn within_reach(app: &App, person: &Person, new: &NewSpec) -> Result<(), IntakeError> {
    if app.local_repositories || Deed::Administer.open_to(person.kind) {
        return Ok(());
    }
    let Some(address) = new.repository.as_deref() else { return Ok(()) };
    if address.starts_with("file:") || !address.contains("://") {
        return Err(IntakeError::NotYourMachine);
    }
    match inner::inner_host(address) {
        Some(host) => Err(IntakeError::InnerHost(host.chars().take(80).collect())),
        None => Ok(()),
    }
}

/// Checks a new spec and stores it with its six phases, in a project where this person may do that.
pub(crate) async fn take(
    write: &mut Write,
    person: &Person,
    new: NewSpec,
    now: Timestamp,
) -> Result<Spec, IntakeError> {
    if let Some(repository) = &new.repository {
        check_repository(repository)?;
    }
    // A token for one project makes specs there, wherever the repository is.
    let project_id = match new.project_id.or(person.scope) {
        Some(id) => id,
        None => {
            let name = new.repository.as_deref().and_then(repository_name);
            let name = name.as_deref().unwrap_or(DEFAULT_PROJECT);
            own_project(write, person, name, now).await?.0.id
        }
    };
    if !may(write, person, Deed::Steer, project_id).await? {
        return Err(IntakeError::NoProject(project_id));
    }
    let spec = Spec {
        id: SpecId(Uuid::now_v7()),
        project_id,
        owner: person.name.clone(),
        title: new.title.map_or_else(|| first_line(&new.description), |title| title.to_string()),
        description: new.description.to_string(),
        repository: new.repository.map(|repository| repository.to_string()),
        status: SpecStatus::Draft,
        reason: None,
        message: None,
        current_phase: Phase::Explore,
        agent: None,
        rehearsal: false,
        cost_micro_usd: 0,
        events: 0,
        coverage: None,
        created_at: now,
        updated_at: now,
        sandbox_id: None,
    };
    store::spec::insert(write, &spec).await?;
    for phase in Phase::ALL {
        store::phase::save(write, spec.id, &PhaseRecord::pending(phase)).await?;
    }
    Ok(spec)
}

/// Makes a project of this person's own, who is its owner, or finds the one of that name. Says whether
/// it was made now.
pub(crate) async fn own_project(
    write: &mut Write,
    person: &Person,
    name: &str,
    now: Timestamp,
) -> Result<(ProjectView, bool), StoreError> {
    let id = ProjectId(Uuid::now_v7());
    let (project, made) = store::project::ensure(write, id, &person.name, name, now).await?;
    if made {
        store::member::put(write, project.id, person.user, Role::Owner, now).await?;
    }
    Ok((project, made))
}

/// The first line of an idea that says something, cut to a title.
fn first_line(idea: &str) -> String {
    // An idea is never blank (`Idea`), so there is such a line.
    idea.lines().find_map(Line::fitted).map(|line| line.to_string()).unwrap_or_default()
}

fn check_repository(repository: &str) -> Result<(), RepositoryError> {
    if let Some((scheme, rest)) = repository.split_once("://") {
        let authority = rest.split('/').next().unwrap_or_default();
        if !(SCHEMES.contains(&scheme) || scheme == "http" && is_here(authority)) {
            return Err(RepositoryError::Scheme(scheme.chars().take(40).collect()));
        }
        return match authority.rsplit_once('@') {
            // A user's name belongs to an ssh address; with https it can only be a credential.
            Some((user, _)) if scheme == "https" || user.contains(':') => {
                Err(RepositoryError::Password)
            }
            _ => Ok(()),
        };
    }
    let path = Path::new(repository);
    if !path.is_absolute() {
        return Err(RepositoryError::Neither);
    }
    if !path.is_dir() {
        return Err(RepositoryError::NoDirectory(repository.to_owned()));
    }
    if !path.join(".git").exists() {
        return Err(RepositoryError::NoWorkTree(repository.to_owned()));
    }
    Ok(())
}

/// Whether a URL leads to a port of this machine.
fn is_here(authority: &str) -> bool {
    if authority.contains('@') {
        return false;
    }
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    matches!(host, "127.0.0.1" | "localhost" | "[::1]")
}

/// The last part of a repository's path, without `.git`.
fn repository_name(repository: &str) -> Option<Line> {
    let last = repository.trim_end_matches('/').rsplit(['/', ':']).next()?;
    Line::fitted(last.strip_suffix(".git").unwrap_or(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_a_work_tree_or_a_url_without_secrets() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap();
        assert_eq!(check_repository(path), Err(RepositoryError::NoWorkTree(path.to_owned())));
        std::fs::create_dir(directory.path().join(".git")).unwrap();
        assert_eq!(check_repository(path), Ok(()));
        assert_eq!(check_repository("https://example.org/a/b.git"), Ok(()));
        assert_eq!(check_repository("ssh://git@example.org/a/b"), Ok(()));
        assert_eq!(check_repository("http://127.0.0.1:8080/a/b"), Ok(()));
        for (bad, why) in [
            ("../x", RepositoryError::Neither),
            ("git@example.org:a/b", RepositoryError::Neither),
            ("http://example.org/a", RepositoryError::Scheme("http".into())),
            ("http://127.0.0.1@example.org/a", RepositoryError::Scheme("http".into())),
            ("http://127.0.0.1:x@example.org/a", RepositoryError::Scheme("http".into())),
            ("ext::sh -c date://x", RepositoryError::Scheme("ext::sh -c date".into())),
            ("https://token@example.org/a", RepositoryError::Password),
            ("ssh://git:pw@example.org/a", RepositoryError::Password),
            ("/no/such/place", RepositoryError::NoDirectory("/no/such/place".into())),
        ] {
            assert_eq!(check_repository(bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn a_project_is_named_after_its_repository() {
        let name = |repository| repository_name(repository).map(|name| name.to_string());
        assert_eq!(name("https://example.org/a/limiter.git").as_deref(), Some("limiter"));
        assert_eq!(name("/home/me/limiter/").as_deref(), Some("limiter"));
        assert_eq!(name("/"), None);
        assert_eq!(first_line("\n  Limit clients \nmore"), "Limit clients");
    }
}
