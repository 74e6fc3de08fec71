//! Types near the idea, found by the words that introduce them.

use specwright_shared::path::RepoPath;

/// A type that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Model {
    pub name: String,
    pub file: RepoPath,
    /// Lines of its body that look like fields.
    pub fields: Vec<String>,
}

/// Types taken from one file.
const MODELS_MAX: usize = 3;
/// Fields taken from one type.
const FIELDS_MAX: usize = 12;
/// Longest field line, in characters.
const FIELD_MAX: usize = 120;

/// Types whose name holds one of the words.
pub(super) fn models(path: &RepoPath, text: &str, words: &[String]) -> Vec<Model> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = introduced(line) else { continue };
        let lower = name.to_lowercase();
        if !words.iter().any(|word| lower.contains(word.as_str())) {
            continue;
        }
        let fields = if line.trim_end().ends_with('{') { fields(&lines[at + 1..]) } else { vec![] };
        found.push(Model { name: name.to_owned(), file: path.clone(), fields });
        if found.len() == MODELS_MAX {
            break;
        }
    }
    found
}

/// The name after `struct`, `class`, `interface`, `enum`, `type`, `record` or `trait`.
fn introduced(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    words.by_ref().take(4).find(|word| {
        matches!(*word, "struct" | "class" | "interface" | "enum" | "type" | "record" | "trait")
    })?;
    let word = words.next()?;
    let end = word.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(word.len());
    let name = &word[..end];
    name.starts_with(char::is_alphabetic).then_some(name)
}

fn fields(lines: &[&str]) -> Vec<String> {
    lines
        .iter()
        .map(|line| line.trim().trim_end_matches([',', ';']))
        .take_while(|line| !line.starts_with('}'))
        .filter(|line| line.starts_with(char::is_alphabetic))
        .filter(|line| line.contains([':', ' ']) && !line.contains(['(', '{']))
        .map(|line| line.strip_prefix("pub ").unwrap_or(line).chars().take(FIELD_MAX).collect())
        .take(FIELDS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_named_like_the_idea_are_found() {
        let path = RepoPath::new("a.ts").unwrap();
        let text =
            "export interface ApiClient {\n  id: string;\n  call(): void;\n}\nclass Other {}\n";
        let found = models(&path, text, &["client".to_owned()]);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].name.as_str(), &found[0].fields[..]),
            ("ApiClient", &["id: string".to_owned()][..])
        );
        assert!(models(&path, "// struct\nstruct\nclass <T>", &["t".to_owned()]).is_empty());
    }
}
