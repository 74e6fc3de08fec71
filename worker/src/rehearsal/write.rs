//! Writes a phase's document from the idea, the accepted documents and what the survey found.
//!
//! Templates, not thought: each is grammatical for most ideas and valid for all of them.

mod design;
mod explore;
mod requirements;
mod sentence;
mod tasks;
#[cfg(test)]
mod tests;

use specwright_shared::documents::{Document, Explore, Requirements};
use specwright_shared::id::KeyError;
use specwright_shared::list::ListError;
use specwright_shared::path::{RepoPath, RepoPathError};
use specwright_shared::phase::Phase;
use specwright_shared::text::{Line, Text};

use super::LABEL;
use super::idea::{Idea, one_line};
use super::prompt::Job;
use super::survey::Survey;
use super::survey::language::{Language, is_test};

/// Why a document could not be written. Every case would be a flaw of a template.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("a text of the document is blank")]
    Blank,
    #[error("a list of the document does not fit")]
    List(#[from] ListError),
    #[error("a key of the document is malformed")]
    Key(#[from] KeyError),
    #[error("a path of the document is malformed")]
    Path(#[from] RepoPathError),
    #[error("the accepted output of {0} is missing")]
    Missing(Phase),
    #[error("the phase {0} has no document of an agent")]
    NoDocument(Phase),
}

/// The document of the job's phase.
pub(super) fn document(job: &Job, idea: &Idea, survey: &Survey) -> Result<Document, WriteError> {
    let explore = || job.accepted.explore.as_deref().ok_or(WriteError::Missing(Phase::Explore));
    let requirements =
        || job.accepted.requirements.as_deref().ok_or(WriteError::Missing(Phase::Requirements));
    Ok(match job.phase {
        Phase::Explore => Document::Explore(Box::new(explore::write(idea, survey)?)),
        Phase::Requirements => {
            Document::Requirements(Box::new(requirements::write(idea, explore()?)?))
        }
        Phase::Design => {
            Document::Design(Box::new(design::write(requirements()?, explore()?, survey)?))
        }
        Phase::Tasks => {
            Document::Tasks(Box::new(tasks::write(requirements()?, explore()?, survey)?))
        }
        phase @ (Phase::Sync | Phase::Complete) => return Err(WriteError::NoDocument(phase)),
    })
}

/// A line that is cut where it is too long.
fn line(text: impl AsRef<str>) -> Result<Line, WriteError> {
    Line::fitted(&one_line(text.as_ref())).ok_or(WriteError::Blank)
}

/// Several of them.
fn lines<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Vec<Line>, WriteError> {
    texts.into_iter().map(line).collect()
}

/// A text that is cut where it is too long.
fn text<const MAX: usize>(text: impl AsRef<str>) -> Result<Text<MAX>, WriteError> {
    Text::fitted(text.as_ref()).ok_or(WriteError::Blank)
}

/// The longest path beside which a new file is put, in characters: its name must fit there, too.
const HOME_MAX: usize = 300;

/// Where things of this feature go, following the repository's own layout.
struct Layout {
    /// The new module; `None` where no programming language was found.
    module: Option<RepoPath>,
    /// The new test file.
    test: Option<RepoPath>,
    /// The new page for people.
    page: RepoPath,
}

impl Layout {
    /// New code goes beside the file that matters most for the idea, else beside an entry point.
    fn of(
        requirements: &Requirements,
        explore: &Explore,
        survey: &Survey,
    ) -> Result<Self, WriteError> {
        let slug = requirements.feature_name.as_str();
        let snake = slug.replace('-', "_");
        let language = survey.main_language();
        let entry_points = survey.entry_points(50);
        let mut neighbours = explore.key_files.iter().map(|file| &file.path).chain(&entry_points);
        let neighbour = neighbours.find(|path| {
            path.chars().count() <= HOME_MAX && Language::of(path) == language && !is_test(path)
        });
        let home = neighbour.and_then(|path| path.rsplit_once('/')).map(|(home, _)| home);
        let module = match language {
            Some(language) => {
                let extension = language.extension();
                let home = home.map_or_else(String::new, |home| format!("{home}/"));
                Some(unused(survey, &format!("{home}{snake}"), extension)?)
            }
            None => None,
        };
        let test = match language {
            Some(language) => {
                let (stem, extension) = match language.name {
                    "Go" => {
                        let home = home.map_or_else(String::new, |home| format!("{home}/"));
                        (format!("{home}{snake}_test"), "go")
                    }
                    "Python" => (format!("tests/test_{snake}"), "py"),
                    "TypeScript" | "JavaScript" => {
                        (format!("tests/{slug}.test"), language.extension())
                    }
                    _ => (format!("tests/{snake}"), language.extension()),
                };
                Some(unused(survey, &stem, extension)?)
            }
            None => None,
        };
        Ok(Self { module, test, page: unused(survey, &format!("docs/{slug}"), "md")? })
    }
}

/// Tries for a free file name; then the last is taken, and its task is to be told apart by people.
const NAMES_TRIED: usize = 20;

/// A path that no file of the repository has.
fn unused(survey: &Survey, stem: &str, extension: &str) -> Result<RepoPath, RepoPathError> {
    let mut path = format!("{stem}.{extension}");
    for number in 2..NAMES_TRIED {
        if !survey.has(&path) {
            break;
        }
        path = format!("{stem}_{number}.{extension}");
    }
    RepoPath::new(path)
}
