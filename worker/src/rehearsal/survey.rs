//! What the repository holds, as far as a few bounded reads can tell.

pub(super) mod language;
pub(super) mod manifest;
pub(super) mod model;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use specwright_shared::path::RepoPath;

use self::language::Language;
use self::manifest::Manifest;
use self::model::Model;

/// Entries of the walk, directories included. A repository with more is described by its first ones,
/// and the document says so; the walk stays under half a second.
const ENTRIES_MAX: usize = 60_000;
/// How much of one file is looked at, in bytes.
pub(super) const FILE_READ_MAX: u64 = 64 * 1024;
/// Files whose contents are searched for the idea's words.
const SEARCHED_FILES_MAX: usize = 1_500;
/// Bytes searched in all.
const SEARCHED_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Directories that hold other people's code or build products even where no ignore file says so.
const SKIPPED: [&str; 6] = [".git", "node_modules", "target", ".venv", "__pycache__", "vendor"];

/// A file and how often the idea's words turn up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mention {
    pub path: RepoPath,
    /// Words of the idea that its path holds.
    pub in_path: Vec<String>,
    /// Words of the idea that its text holds.
    pub in_text: Vec<String>,
}

impl Mention {
    /// A word in the path tells more than one in the text.
    fn weight(&self) -> usize {
        self.in_path.len() * 3 + self.in_text.len()
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Survey {
    root: PathBuf,
    /// Files as git would see them, sorted.
    pub files: Vec<RepoPath>,
    /// Whether there were more than [`ENTRIES_MAX`] entries.
    pub cut: bool,
    /// The README's first paragraph.
    pub readme: Option<String>,
    /// Manifests that were read.
    pub manifests: Vec<Manifest>,
    /// Files that have to do with the idea, the most relevant first.
    pub mentions: Vec<Mention>,
    /// Types that are near the idea.
    pub models: Vec<Model>,
}

impl Survey {
    /// Nothing looked at yet.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), ..Self::default() }
    }

    /// Lists the files. What cannot be read or named is passed over, as by `git ls-files`.
    pub(super) fn walk(&mut self) {
        let walk = WalkBuilder::new(&self.root)
            .hidden(false)
            // The work tree's own rules only: a clone may lie below an ignored directory.
            .parents(false)
            .git_global(false)
            .require_git(false)
            .sort_by_file_name(std::ffi::OsStr::cmp)
            .filter_entry(|entry| {
                let name = entry.file_name();
                entry.depth() == 0 || !SKIPPED.iter().any(|skipped| name == *skipped)
            })
            .build();
        for (count, entry) in walk.enumerate() {
            if count >= ENTRIES_MAX {
                self.cut = true;
                break;
            }
            let Ok(entry) = entry else { continue };
            if !entry.file_type().is_some_and(|kind| kind.is_file()) {
                continue;
            }
            let relative = entry.path().strip_prefix(&self.root).ok().and_then(Path::to_str);
            self.files.extend(relative.and_then(|path| RepoPath::new(path).ok()));
        }
        self.files.sort();
    }

    /// Whether a file is there.
    pub(super) fn has(&self, path: &str) -> bool {
        self.files.binary_search_by(|file| (**file).cmp(path)).is_ok()
            || self.root.join(path).exists()
    }

    /// A file's full path.
    pub(super) fn absolute(&self, path: &str) -> String {
        self.root.join(path).to_string_lossy().into_owned()
    }

    /// A file's text up to [`FILE_READ_MAX`]; `None` when it cannot be read or is no text.
    pub(super) fn read(&self, path: &str) -> Option<String> {
        let mut bytes = Vec::new();
        let file = File::open(self.root.join(path)).ok()?;
        file.take(FILE_READ_MAX).read_to_end(&mut bytes).ok()?;
        // A NUL near the start is how git, too, tells binary from text.
        if bytes.iter().take(8000).any(|byte| *byte == 0) {
            return None;
        }
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Takes in a file that was read: a README, a manifest, or source.
    pub(super) fn learn(&mut self, path: &RepoPath, text: &str, words: &[String]) {
        if is_readme(path) {
            self.readme = first_paragraph(text);
        } else if let Some(manifest) = Manifest::read(path, text) {
            self.manifests.push(manifest);
        } else if Language::of(path).is_some_and(|language| language.is_code) {
            self.models.extend(model::models(path, text, words));
        }
    }

    /// Looks for the idea's words in paths and, for a bounded number of files, in contents.
    pub(super) fn search(&mut self, words: &[String]) {
        let (mut files, mut bytes) = (0, 0);
        let mut mentions = Vec::new();
        for path in &self.files {
            let lower = path.to_lowercase();
            let holds = |text: &str| -> Vec<String> {
                words.iter().filter(|word| text.contains(word.as_str())).cloned().collect()
            };
            let in_path = holds(&lower);
            let searched = Language::of(path).is_some()
                && files < SEARCHED_FILES_MAX
                && bytes < SEARCHED_BYTES_MAX;
            let in_text = if searched && !words.is_empty() {
                files += 1;
                let text = self.read(path).unwrap_or_default();
                bytes += text.len();
                holds(&text.to_lowercase())
            } else {
                Vec::new()
            };
            if !in_path.is_empty() || !in_text.is_empty() {
                mentions.push(Mention { path: path.clone(), in_path, in_text });
            }
        }
        mentions.sort_by_key(|mention| std::cmp::Reverse(mention.weight()));
        self.mentions = mentions;
    }

    /// Languages and their numbers of files, the most frequent first.
    pub(super) fn languages(&self) -> Vec<(&'static Language, usize)> {
        let mut counts: BTreeMap<&str, (&Language, usize)> = BTreeMap::new();
        for language in self.files.iter().filter_map(|path| Language::of(path)) {
            counts.entry(language.name).or_insert((language, 0)).1 += 1;
        }
        let mut counts: Vec<_> = counts.into_values().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts
    }

    /// The programming language with the most files.
    pub(super) fn main_language(&self) -> Option<&'static Language> {
        self.languages().into_iter().map(|(language, _)| language).find(|found| found.is_code)
    }

    /// The README next to the root, if any.
    pub(super) fn readme_path(&self) -> Option<RepoPath> {
        self.files.iter().filter(|path| is_readme(path)).min_by_key(|path| depth(path)).cloned()
    }

    /// Manifests, those near the root first.
    pub(super) fn manifest_paths(&self, max: usize) -> Vec<RepoPath> {
        self.nearest(max, manifest::is_manifest)
    }

    /// Where execution seems to start.
    pub(super) fn entry_points(&self, max: usize) -> Vec<RepoPath> {
        self.nearest(max, |path| language::is_entry_point(path) && !language::is_test(path))
    }

    /// Files that seem to hold tests.
    pub(super) fn tests(&self) -> impl Iterator<Item = &RepoPath> {
        self.files.iter().filter(|path| language::is_test(path))
    }

    fn nearest(&self, max: usize, wanted: impl Fn(&str) -> bool) -> Vec<RepoPath> {
        let mut found: Vec<_> = self.files.iter().filter(|path| wanted(path)).cloned().collect();
        found.sort_by_key(|path| depth(path));
        found.truncate(max);
        found
    }

    /// Directories at the top and their numbers of files.
    pub(super) fn top_directories(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for (top, _) in self.files.iter().filter_map(|path| path.split_once('/')) {
            *counts.entry(top.to_owned()).or_insert(0) += 1;
        }
        counts
    }
}

fn depth(path: &str) -> usize {
    path.matches('/').count()
}

fn is_readme(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    name == "readme" || name.starts_with("readme.")
}

/// The first lines that are neither a heading nor a badge, up to a blank one.
fn first_paragraph(text: &str) -> Option<String> {
    let decoration = |line: &&str| {
        let line = line.trim();
        line.is_empty() || line.starts_with(['#', '=', '<', '[', '!', '-', '`'])
    };
    let lines: Vec<_> = text
        .lines()
        .skip_while(decoration)
        .take_while(|line| !line.trim().is_empty())
        .map(str::trim)
        .collect();
    let paragraph = lines.join(" ");
    (!paragraph.trim().is_empty()).then_some(paragraph)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_sees_what_git_would_see() {
        let place = tempfile::tempdir().unwrap();
        let file = |path: &str, text: &str| {
            let path = place.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        file(".gitignore", "*.log\n");
        file("src/main.rs", "fn main() { rate(); }");
        file("src/rate_limit.rs", "pub struct RateLimit {\n    per_minute: u32,\n}\n");
        file("tests/whole.rs", "");
        file("noise.log", "rate");
        file(".git/config", "rate");
        file("README.md", "# Title\n\n![badge](x)\n\nCounts requests\nper client.\n\nMore.\n");
        file("Cargo.toml", "[package]\nname = \"counter\"\n");
        let mut survey = Survey::new(place.path());
        survey.walk();
        let files: Vec<&str> = survey.files.iter().map(|path| &**path).collect();
        assert_eq!(
            files,
            [
                ".gitignore",
                "Cargo.toml",
                "README.md",
                "src/main.rs",
                "src/rate_limit.rs",
                "tests/whole.rs"
            ]
        );
        let words = ["rate".to_owned()];
        survey.search(&words);
        assert_eq!(&*survey.mentions[0].path, "src/rate_limit.rs");
        for path in survey.files.clone() {
            let text = survey.read(&path).unwrap();
            survey.learn(&path, &text, &words);
        }
        assert_eq!(survey.readme.as_deref(), Some("Counts requests per client."));
        assert_eq!(survey.manifests[0].name.as_deref(), Some("counter"));
        assert_eq!(survey.models[0].name, "RateLimit");
        assert_eq!(survey.models[0].fields, ["per_minute: u32"]);
        assert_eq!(survey.main_language().unwrap().name, "Rust");
        assert_eq!(survey.entry_points(5)[0].to_string(), "src/main.rs");
        assert_eq!(survey.tests().count(), 1);
    }
}
