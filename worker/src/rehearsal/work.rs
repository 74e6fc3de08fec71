//! What a turn does: a list of reads, and an answer made from what they found.

use std::collections::VecDeque;
use std::path::Path;

use serde_json::{Value, json};
use specwright_shared::path::RepoPath;
use specwright_shared::phase::Phase;

use super::flags::Flags;
use super::idea::Idea;
use super::input::Message;
use super::prompt::{Job, Prompt};
use super::survey::Survey;
use super::{LABEL, write};

/// Files that are read for one document, manifests and README included.
const READS_MAX: usize = 8;
/// Paths in the text of a Glob or Grep; the CLI cuts there, too.
const LISTED_MAX: usize = 100;
/// Lines of a file in the text of a Read.
const SHOWN_LINES_MAX: usize = 200;

/// One look at the repository.
#[derive(Debug, Clone)]
enum Step {
    List,
    Search,
    Read(RepoPath),
}

impl Step {
    const fn tool(&self) -> &'static str {
        match self {
            Self::List => "Glob",
            Self::Search => "Grep",
            Self::Read(_) => "Read",
        }
    }
}

/// What a look gave: the text for a model, and the CLI's object beside it.
#[derive(Debug)]
pub(super) struct Found {
    pub text: String,
    pub detail: Value,
    pub is_error: bool,
}

/// What a turn says in the end.
#[derive(Debug)]
pub(super) struct Answer {
    pub text: String,
    pub output: Option<Value>,
}

/// The work of one turn.
pub(super) struct Work {
    task: Task,
    opening: String,
    steps: VecDeque<Step>,
    current: Option<Step>,
    allowed: [bool; 3],
    survey: Survey,
}

enum Task {
    /// A phase, and the idea behind it.
    Phase(Box<Job>, Box<Idea>),
    /// Nothing but words.
    Talk(String),
}

impl Work {
    /// Decides what the messages ask for. The last phase asked for is remembered in `last_job`,
    /// because a repair message asks for it again without repeating its context.
    pub(super) fn plan(
        batch: &[Message],
        last_job: &mut Option<Job>,
        flags: &Flags,
        root: &Path,
    ) -> Self {
        let mut talk =
            "This is the rehearsal agent: it follows the prompts of Specwright's phases \
            and has no model to answer anything else with."
                .to_owned();
        let mut job = None;
        for message in batch {
            match Prompt::read(&message.text) {
                Prompt::Phase(asked) => job = Some(*asked),
                Prompt::Repair if last_job.is_some() => job.clone_from(last_job),
                Prompt::Repair => {
                    talk = "There is nothing to repair: no phase was asked for in this process."
                        .to_owned();
                }
                Prompt::Broken(why) => talk = format!("The phase prompt cannot be read: {why}."),
                Prompt::Other => {}
            }
        }
        let allowed = ["Glob", "Grep", "Read"].map(|tool| flags.may_use(tool));
        let survey = Survey::new(root);
        let Some(job) = job else {
            let task = Task::Talk(format!("{talk} ({LABEL})"));
            let (opening, steps) = (String::new(), VecDeque::new());
            return Self { task, opening, steps, current: None, allowed, survey };
        };
        let idea = Idea::of(&job.title, &job.description);
        let opening = format!("I look at the repository for the phase {} ({LABEL}).", job.phase);
        let steps = match job.phase {
            Phase::Explore => VecDeque::from([Step::List]),
            Phase::Requirements => reads(key_files(&job, 2)),
            Phase::Design => {
                let mut steps = VecDeque::from([Step::List]);
                steps.extend(reads(key_files(&job, 3)));
                steps
            }
            _ => VecDeque::from([Step::List]),
        };
        *last_job = Some(job.clone());
        let task = Task::Phase(Box::new(job), Box::new(idea));
        Self { task, opening, steps, current: None, allowed, survey }
    }

    /// What is said before the first look.
    pub(super) fn opening(&self) -> &str {
        &self.opening
    }

    /// What is said after a look.
    pub(super) fn remark(&self) -> String {
        match self.current {
            Some(Step::List) => format!("{} files are there.", self.survey.files.len()),
            Some(Step::Search) => {
                format!("{} files have to do with the idea.", self.survey.mentions.len())
            }
            Some(Step::Read(ref path)) => format!("I have read {path}."),
            None => String::new(),
        }
    }

    /// The next tool call: name and input.
    pub(super) fn next_call(&mut self) -> Option<(&'static str, Value)> {
        let allowed = self.allowed;
        let may = |step: &Step| match step {
            Step::List => allowed[0],
            Step::Search => allowed[1],
            Step::Read(_) => allowed[2],
        };
        let step = loop {
            let step = self.steps.pop_front()?;
            if may(&step) {
                break step;
            }
        };
        let input = match &step {
            Step::List => json!({ "pattern": "**/*" }),
            Step::Search => json!({
                "pattern": self.words().join("|"), "-i": true, "output_mode": "files_with_matches",
            }),
            Step::Read(path) => json!({ "file_path": self.survey.absolute(path) }),
        };
        let tool = step.tool();
        self.current = Some(step);
        Some((tool, input))
    }

    fn words(&self) -> &[String] {
        match &self.task {
            Task::Phase(_, idea) => &idea.words,
            Task::Talk(_) => &[],
        }
    }

    fn explores(&self) -> bool {
        matches!(&self.task, Task::Phase(job, _) if job.phase == Phase::Explore)
    }

    /// Does the call that [`Self::next_call`] named.
    pub(super) fn perform(&mut self) -> Found {
        match self.current.clone() {
            Some(Step::List) => self.list(),
            Some(Step::Search) => self.search(),
            Some(Step::Read(path)) => self.read(&path),
            None => Found { text: String::new(), detail: Value::Null, is_error: false },
        }
    }

    fn list(&mut self) -> Found {
        self.survey.walk();
        if self.explores() {
            let mut first: Vec<RepoPath> = self.survey.readme_path().into_iter().collect();
            first.extend(self.survey.manifest_paths(READS_MAX / 2));
            self.steps.extend(reads(first));
            if !self.words().is_empty() && !self.survey.files.is_empty() {
                self.steps.push_back(Step::Search);
            }
        }
        let paths: Vec<&str> = self.survey.files.iter().map(|path| &**path).collect();
        let truncated = self.survey.cut || paths.len() > LISTED_MAX;
        let shown = &paths[..paths.len().min(LISTED_MAX)];
        Found {
            text: if shown.is_empty() { "No files found".to_owned() } else { shown.join("\n") },
            detail: json!({ "filenames": shown, "numFiles": paths.len(), "truncated": truncated }),
            is_error: false,
        }
    }

    fn search(&mut self) -> Found {
        let words = self.words().to_vec();
        self.survey.search(&words);
        let near: Vec<RepoPath> =
            self.survey.mentions.iter().take(3).map(|mention| mention.path.clone()).collect();
        let read = self.survey.manifests.iter().map(|manifest| &manifest.path);
        let unread: Vec<_> =
            near.into_iter().filter(|path| !read.clone().any(|known| known == path)).collect();
        self.steps.extend(reads(unread));
        let paths: Vec<&str> =
            self.survey.mentions.iter().map(|mention| &*mention.path).take(LISTED_MAX).collect();
        let count = self.survey.mentions.len();
        let text = match count {
            0 => "No files found".to_owned(),
            1 => format!("Found 1 file\n{}", paths.join("\n")),
            _ => format!("Found {count} files\n{}", paths.join("\n")),
        };
        let detail = json!({
            "mode": "files_with_matches", "filenames": paths, "numFiles": count,
        });
        Found { text, detail, is_error: false }
    }

    fn read(&mut self, path: &RepoPath) -> Found {
        let Some(text) = self.survey.read(path) else {
            let text = format!("File cannot be read as text: {path}");
            return Found { detail: json!(format!("Error: {text}")), text, is_error: true };
        };
        let words = self.words().to_vec();
        self.survey.learn(path, &text, &words);
        let total = text.lines().count();
        let shown: Vec<String> = text
            .lines()
            .take(SHOWN_LINES_MAX)
            .enumerate()
            .map(|(at, line)| format!("{:>6}\u{2192}{line}", at + 1))
            .collect();
        let detail = json!({ "type": "text", "file": {
            "filePath": self.survey.absolute(path), "numLines": shown.len(),
            "startLine": 1, "totalLines": total,
        } });
        Found { text: shown.join("\n"), detail, is_error: false }
    }

    /// The answer, from all that was found.
    pub(super) fn answer(self) -> Answer {
        let (job, idea) = match self.task {
            Task::Phase(job, idea) => (job, idea),
            Task::Talk(text) => return Answer { text, output: None },
        };
        match write::document(&job, &idea, &self.survey) {
            Ok(document) => Answer {
                text: format!("Here is the document of the phase {} ({LABEL}).", job.phase),
                output: Some(document.to_value()),
            },
            Err(problem) => Answer {
                text: format!("The phase {} cannot be rehearsed: {problem} ({LABEL}).", job.phase),
                output: None,
            },
        }
    }
}

fn reads(paths: impl IntoIterator<Item = RepoPath>) -> VecDeque<Step> {
    paths.into_iter().map(Step::Read).collect()
}

/// The files that `explore` found to matter most.
fn key_files(job: &Job, max: usize) -> Vec<RepoPath> {
    let explore = job.accepted.explore.as_ref();
    let files = explore.into_iter().flat_map(|explore| explore.key_files.iter());
    files.take(max).map(|file| file.path.clone()).collect()
}
