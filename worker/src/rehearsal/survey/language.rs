//! Languages by file extension, and what file names tell about a file's part.

/// A language.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Language {
    /// Its name.
    pub name: &'static str,
    /// Its files' extensions.
    extensions: &'static [&'static str],
    /// Whether programs are written in it.
    pub is_code: bool,
}

const fn code(name: &'static str, extensions: &'static [&'static str]) -> Language {
    Language { name, extensions, is_code: true }
}

const fn text(name: &'static str, extensions: &'static [&'static str]) -> Language {
    Language { name, extensions, is_code: false }
}

static LANGUAGES: [Language; 30] = [
    code("Rust", &["rs"]),
    code("Python", &["py"]),
    code("TypeScript", &["ts", "tsx", "mts"]),
    code("JavaScript", &["js", "jsx", "mjs", "cjs"]),
    code("Go", &["go"]),
    code("Java", &["java"]),
    code("Kotlin", &["kt", "kts"]),
    code("C", &["c", "h"]),
    code("C++", &["cpp", "cc", "cxx", "hpp", "hh"]),
    code("C#", &["cs"]),
    code("Ruby", &["rb"]),
    code("PHP", &["php"]),
    code("Swift", &["swift"]),
    code("Scala", &["scala"]),
    code("Elixir", &["ex", "exs"]),
    code("Erlang", &["erl"]),
    code("Haskell", &["hs"]),
    code("Lua", &["lua"]),
    code("Zig", &["zig"]),
    code("Dart", &["dart"]),
    code("Shell", &["sh", "bash"]),
    code("Vue", &["vue"]),
    text("SQL", &["sql"]),
    text("HTML", &["html", "htm"]),
    text("CSS", &["css", "scss"]),
    text("Markdown", &["md"]),
    text("TOML", &["toml"]),
    text("YAML", &["yml", "yaml"]),
    text("JSON", &["json"]),
    text("Protocol Buffers", &["proto"]),
];

impl Language {
    /// The language of a file, by its name.
    pub(in super::super) fn of(path: &str) -> Option<&'static Self> {
        let extension = path.rsplit('/').next()?.rsplit_once('.')?.1;
        LANGUAGES.iter().find(|language| language.extensions.contains(&extension))
    }

    /// The usual extension.
    pub(in super::super) const fn extension(&self) -> &'static str {
        self.extensions[0]
    }
}

/// Whether a program or a library seems to start here.
pub(super) fn is_entry_point(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some((stem, _)) = name.rsplit_once('.') else { return false };
    Language::of(path).is_some_and(|language| language.is_code)
        && (matches!(
            stem,
            "main"
                | "Main"
                | "__main__"
                | "index"
                | "app"
                | "server"
                | "manage"
                | "lib"
                | "cli"
                | "Program"
                | "Application"
        ) || path.starts_with("src/bin/")
            || path.starts_with("bin/"))
}

/// Whether a file seems to hold tests.
pub(in super::super) fn is_test(path: &str) -> bool {
    if !Language::of(path).is_some_and(|language| language.is_code) {
        return false;
    }
    let (directories, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    directories
        .split('/')
        .any(|part| matches!(part, "test" | "tests" | "__tests__" | "spec" | "e2e" | "Tests"))
        || matches!(stem, "test" | "tests")
        || stem.starts_with("test_")
        || ["_test", "_tests", "_spec", ".test", ".spec", "Test", "Tests"]
            .iter()
            .any(|end| stem.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_a_file_is_for() {
        assert_eq!(Language::of("a/b.tsx").unwrap().name, "TypeScript");
        assert!(Language::of("Makefile").is_none() && Language::of("a.b/c").is_none());
        for test in [
            "tests/a.rs",
            "src/a/tests.rs",
            "pkg/a_test.go",
            "src/a.test.ts",
            "test_a.py",
            "x/ATest.java",
        ] {
            assert!(is_test(test), "{test}");
        }
        assert!(!is_test("src/contest.rs") && !is_test("tests/data.json"));
        assert!(is_entry_point("cmd/x/main.go") && is_entry_point("src/bin/tool.rs"));
        assert!(!is_entry_point("main.md") && !is_entry_point("src/mainly.rs"));
    }
}
