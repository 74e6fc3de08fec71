//! Manifests: what a project calls itself and how it is built and tested.

use serde_json::Value;
use specwright_shared::path::RepoPath;

/// A manifest that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Manifest {
    pub path: RepoPath,
    /// The tool that reads it, e.g. `Cargo`.
    pub tool: &'static str,
    /// The project's name.
    pub name: Option<String>,
    /// Named commands (npm scripts, make targets are left out).
    pub scripts: Vec<String>,
    /// The usual command that runs the tests.
    pub test_command: &'static str,
}

/// File name, tool, key of the name, usual test command.
const KINDS: [(&str, &str, &str, &str); 9] = [
    ("Cargo.toml", "Cargo", "name", "cargo test"),
    ("package.json", "npm", "name", "npm test"),
    ("pyproject.toml", "Python packaging", "name", "pytest"),
    ("go.mod", "Go modules", "module", "go test ./..."),
    ("pom.xml", "Maven", "<artifactId>", "mvn test"),
    ("build.gradle", "Gradle", "group", "gradle test"),
    ("Gemfile", "Bundler", "source", "bundle exec rake test"),
    ("composer.json", "Composer", "name", "composer test"),
    ("mix.exs", "Mix", "app:", "mix test"),
];

/// Whether a file is a manifest.
pub(super) fn is_manifest(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    KINDS.iter().any(|(file, ..)| name == *file)
}

impl Manifest {
    /// Reads a manifest; `None` for any other file.
    pub(super) fn read(path: &RepoPath, text: &str) -> Option<Self> {
        let file = path.rsplit('/').next().unwrap_or(path);
        let (_, tool, key, test_command) = KINDS.into_iter().find(|(name, ..)| file == *name)?;
        let mut scripts = Vec::new();
        let name = if file.ends_with(".json") {
            let value: Value = serde_json::from_str(text).unwrap_or_default();
            if let Some(object) = value["scripts"].as_object() {
                scripts.extend(object.keys().take(20).cloned());
            }
            value["name"].as_str().map(str::to_owned)
        } else {
            text.lines().find_map(|line| value_of(line.trim(), key))
        };
        Some(Self { path: path.clone(), tool, name, scripts, test_command })
    }
}

/// The value in `key = "value"`, `key value`, `app: :value` or `<key>value</key>`.
fn value_of(line: &str, key: &str) -> Option<String> {
    let rest = line.strip_prefix(key)?;
    let separated = key.ends_with(['>', ':']) || rest.starts_with([' ', '=', '\t']);
    let value = rest.trim_matches([' ', '=', '"', '\'', ':', ',', '\t']);
    let value = value.split(['<', '"', '\'']).next().unwrap_or(value);
    (separated && !value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_scripts_are_found() {
        let read =
            |path: &str, text: &str| Manifest::read(&RepoPath::new(path).unwrap(), text).unwrap();
        assert_eq!(read("Cargo.toml", "[package]\nname = \"a-b\"").name.as_deref(), Some("a-b"));
        assert_eq!(read("go.mod", "module example.org/x\n").name.as_deref(), Some("example.org/x"));
        let pom = "<project>\n  <artifactId>shop</artifactId>";
        assert_eq!(read("pom.xml", pom).name.as_deref(), Some("shop"));
        let npm = read("web/package.json", r#"{"name":"web","scripts":{"test":"vitest"}}"#);
        assert_eq!(
            (npm.name.as_deref(), npm.scripts.as_slice()),
            (Some("web"), &["test".into()][..])
        );
        assert_eq!(read("package.json", "not json").name, None);
    }
}
