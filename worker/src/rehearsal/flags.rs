//! The command line, as the CLI takes it: the flags that the worker passes, and no others.

use std::ffi::OsString;

use serde_json::Value;
use uuid::Uuid;

/// What the command line asks for.
#[derive(Debug)]
pub(super) enum Asked {
    /// `--version`.
    Version,
    /// A session.
    Work(Flags),
}

/// The flags of a session that change what it does. The others are checked and dropped.
#[derive(Debug)]
pub(super) struct Flags {
    /// The session's id, given, resumed or made here.
    pub session: Uuid,
    /// Reported back, as the CLI does; nothing here needs a permission.
    pub permission_mode: String,
    /// Whether delivered messages are echoed.
    pub replay: bool,
    /// The tools that may be used; `None` is all that the rehearsal has.
    pub tools: Option<Vec<String>>,
    /// Whether a `StructuredOutput` tool was asked for.
    pub structured: bool,
    /// Model calls per turn, at most.
    pub max_turns: Option<u32>,
}

/// Why the command line was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FlagsError {
    #[error("error: unknown option '{0}'")]
    Unknown(String),
    #[error("error: option '{0}' needs a value")]
    NoValue(String),
    #[error("error: option '{flag}' cannot be '{value}'; {right}")]
    BadValue { flag: &'static str, value: String, right: &'static str },
    #[error("error: {0}")]
    Needs(&'static str),
}

impl Flags {
    /// Reads the arguments after the program's name.
    pub(super) fn parse(args: impl Iterator<Item = OsString>) -> Result<Asked, FlagsError> {
        let mut flags = Self {
            session: Uuid::new_v4(),
            permission_mode: "default".to_owned(),
            replay: false,
            tools: None,
            structured: false,
            max_turns: None,
        };
        let (mut print, mut input, mut output, mut verbose) = (false, false, false, false);
        let mut args = args.map(|arg| arg.to_string_lossy().into_owned());
        while let Some(arg) = args.next() {
            let (name, inline) = match arg.split_once('=') {
                Some((name, value)) if name.starts_with("--") => {
                    (name.to_owned(), Some(value.to_owned()))
                }
                _ => (arg.clone(), None),
            };
            let mut value =
                || inline.clone().or_else(|| args.next()).ok_or(FlagsError::NoValue(name.clone()));
            match name.as_str() {
                "--version" | "-v" => return Ok(Asked::Version),
                "-p" | "--print" => print = true,
                "--verbose" => verbose = true,
                "--replay-user-messages" => flags.replay = true,
                "--strict-mcp-config" => {}
                "--input-format" => input = stream_json("--input-format", value()?)?,
                "--output-format" => output = stream_json("--output-format", value()?)?,
                "--session-id" => flags.session = uuid("--session-id", value()?)?,
                "--resume" | "-r" => flags.session = uuid("--resume", value()?)?,
                "--permission-mode" => flags.permission_mode = value()?,
                "--tools" => {
                    let list = value()?;
                    let tools = list.split(',').map(str::trim).filter(|tool| !tool.is_empty());
                    flags.tools = Some(tools.map(str::to_owned).collect());
                }
                "--json-schema" => {
                    let schema = value()?;
                    if !matches!(serde_json::from_str(&schema), Ok(Value::Object(_))) {
                        let value = schema.chars().take(80).collect();
                        let right = "give a JSON Schema that is an object";
                        return Err(FlagsError::BadValue { flag: "--json-schema", value, right });
                    }
                    flags.structured = true;
                }
                "--max-turns" => {
                    flags.max_turns = Some(positive("--max-turns", value()?, |n: &u32| *n > 0)?);
                }
                "--max-budget-usd" => {
                    positive("--max-budget-usd", value()?, |usd: &f64| *usd > 0.0)?;
                }
                "--model"
                | "--setting-sources"
                | "--append-system-prompt"
                | "--system-prompt-snapshot" => {
                    value()?;
                }
                _ => return Err(FlagsError::Unknown(name)),
            }
        }
        if !(print && input && output && verbose) {
            return Err(FlagsError::Needs(
                "the rehearsal agent needs -p --input-format stream-json --output-format stream-json --verbose",
            ));
        }
        Ok(Asked::Work(flags))
    }

    /// Whether a tool may be used.
    pub(super) fn may_use(&self, tool: &str) -> bool {
        self.tools.as_ref().is_none_or(|tools| tools.iter().any(|name| name == tool))
    }
}

fn stream_json(flag: &'static str, value: String) -> Result<bool, FlagsError> {
    if value == "stream-json" {
        Ok(true)
    } else {
        Err(FlagsError::BadValue { flag, value, right: "only stream-json is spoken here" })
    }
}

fn uuid(flag: &'static str, value: String) -> Result<Uuid, FlagsError> {
    Uuid::parse_str(&value).map_err(|_| FlagsError::BadValue { flag, value, right: "give a UUID" })
}

fn positive<T: std::str::FromStr>(
    flag: &'static str,
    value: String,
    fits: impl Fn(&T) -> bool,
) -> Result<T, FlagsError> {
    match value.parse() {
        Ok(number) if fits(&number) => Ok(number),
        _ => Err(FlagsError::BadValue { flag, value, right: "give a number greater than 0" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Asked, FlagsError> {
        Flags::parse(line.split_whitespace().map(OsString::from))
    }

    const SPOKEN: &str = "-p --input-format stream-json --output-format=stream-json --verbose";

    #[test]
    fn the_workers_flags_are_taken_in_both_spellings() {
        let line = format!(
            "{SPOKEN} --replay-user-messages --session-id=6f9619ff-8b86-4d01-b42d-00c04fc964ff \
             --model x --permission-mode bypassPermissions --setting-sources= --strict-mcp-config \
             --append-system-prompt text --system-prompt-snapshot off --tools Read,Glob \
             --json-schema {{}} --max-turns 7 --max-budget-usd 1.5"
        );
        let Ok(Asked::Work(flags)) = parse(&line) else { panic!("refused") };
        assert_eq!(flags.session.to_string(), "6f9619ff-8b86-4d01-b42d-00c04fc964ff");
        assert_eq!(flags.permission_mode, "bypassPermissions");
        assert!(flags.replay && flags.structured && flags.may_use("Glob"));
        assert!(!flags.may_use("Grep"));
        assert_eq!(flags.max_turns, Some(7));
    }

    #[test]
    fn what_the_cli_does_not_know_is_refused() {
        let refusal = |line: String| parse(&line).unwrap_err().to_string();
        assert_eq!(refusal(format!("{SPOKEN} --fast")), "error: unknown option '--fast'");
        assert!(refusal(format!("{SPOKEN} --session-id=1")).contains("give a UUID"));
        assert!(refusal(format!("{SPOKEN} --json-schema [")).contains("JSON Schema"));
        assert!(refusal(format!("{SPOKEN} --model")).contains("needs a value"));
        assert!(refusal(format!("{SPOKEN} --max-turns 0")).contains("greater than 0"));
        assert!(refusal("-p".to_owned()).contains("--verbose"));
    }
}
