//! What the faulty agent is told to do.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Every word that is understood, and what it makes the agent do.
const WORDS: [(&str, &str); 36] = [
    ("ok", "answers with an output; `ok:FILE` takes it from FILE by the title of the schema"),
    ("aborts-a-later-turn", "breaks the turn of its second message off by itself, once"),
    (
        "answers-when-told",
        "marks an interrupt with the file `interrupted`, answers when `go` is there",
    ),
    ("asks", "asks us for a permission and tells what we said"),
    ("burst", "says three hundred things in the turn"),
    ("closes-stdout-but-lives", "closes stdout in the turn and lives on"),
    ("deaf", "ignores SIGTERM, SIGINT, SIGHUP and the end of stdin"),
    ("exit-at-once", "exits with 7 before anything"),
    ("flood", "says a hundred thousand things in the turn"),
    ("flood-5mb", "says ten lines of five megabytes in the turn"),
    ("garbage", "begins with lines that are no protocol"),
    ("hang", "never answers a message or an interrupt, and does not end with stdin"),
    ("hang-after-result", "ends its turn and then neither reads nor ends"),
    ("hang-before-initialize", "never introduces itself"),
    ("hangs-in-a-tool-once", "calls a tool that never answers, until it is interrupted, once"),
    ("invalid-utf8", "says bytes that are no text"),
    ("line-5mb", "says a line of five megabytes"),
    ("line-65mb", "says a line that is longer than any that is kept"),
    ("loops", "calls the same tool again and again before it answers"),
    ("malformed-known-line", "says a known line with a wrong body"),
    ("no-result", "exits with 0 in the middle of the turn"),
    ("out-of-budget", "ends its turn because its dollars are spent"),
    ("out-of-turns", "ends its turn because it may make no more calls"),
    ("prose", "ends its turn without the output"),
    ("prose-once", "ends its first turn, and no other, without the output"),
    ("refused-key", "ends its turn with the API's 401"),
    ("setsid-grandchild", "leaves two deaf processes in sessions of their own, one an orphan"),
    (
        "steady",
        "`steady:LINES_PER_SECOND:LINES` marks the turn with the file `steady-PID` and, when `go` is \
         there, says so many things at that pace, each with the time at which it is written",
    ),
    ("stderr-noise", "writes megabytes to stderr"),
    ("torn-line", "exits in the middle of a line"),
    ("unknown-session", "knows no conversation to resume"),
    ("waits", "works until it is interrupted"),
    ("waits-once", "works until it is interrupted, in its first turn only"),
    ("writes-file", "changes the work tree"),
    ("wrong-permission-mode", "introduces itself with another permission mode"),
    ("wrong-version", "introduces itself with another version"),
];

/// The words that it was told.
pub(crate) struct Behaviour {
    words: Vec<String>,
    folder: PathBuf,
}

impl Behaviour {
    /// Reads the file `behaviour` beside the path by which the program was started.
    pub(crate) fn beside(program: &Path) -> Result<Self> {
        let folder = program.parent().context("the program has no folder")?.to_owned();
        let path = folder.join("behaviour");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let words: Vec<String> = text.split(',').map(|word| word.trim().to_owned()).collect();
        for word in &words {
            let name = word.split(':').next().unwrap_or_default();
            if !WORDS.iter().any(|(known, _)| *known == name) {
                let known: Vec<_> =
                    WORDS.iter().map(|(word, does)| format!("{word}: {does}")).collect();
                bail!("`{word}` is not among the behaviours\n{}", known.join("\n"));
            }
        }
        Ok(Self { words, folder })
    }

    pub(crate) fn has(&self, word: &str) -> bool {
        self.words.iter().any(|told| told == word)
    }

    /// What is told behind a word and a colon.
    pub(crate) fn behind(&self, word: &str) -> Option<&str> {
        self.words.iter().find_map(|told| told.strip_prefix(word)?.strip_prefix(':'))
    }

    /// Where the test looks for what the agent leaves.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The output for a schema: from the file of `ok:FILE` (a path, relative to the folder), by title.
    pub(crate) fn output(&self, schema: &Value) -> Result<Value> {
        let Some(file) = self.behind("ok") else {
            return Ok(serde_json::json!({"answer": "ok"}));
        };
        let path = self.folder.join(file);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let outputs: Value = serde_json::from_str(&text)?;
        let title = schema["title"].as_str().context("the schema has no title")?;
        let output = outputs.get(title).cloned();
        output.with_context(|| format!("{} has no output for `{title}`", path.display()))
    }
}
