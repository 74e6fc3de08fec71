//! Where the CLI keeps a conversation.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::launch::CONFIG_DIR;

/// The transcript of a conversation below a private directory, if there is one. The CLI names the
/// folder between after the working directory in a way of its own, so it is looked for in all.
#[must_use]
pub fn transcript(private_dir: &Path, session: Uuid) -> Option<PathBuf> {
    let projects = std::fs::read_dir(private_dir.join(CONFIG_DIR).join("projects")).ok()?;
    let name = format!("{session}.jsonl");
    projects
        .filter_map(|project| Some(project.ok()?.path().join(&name)))
        .find(|path| path.metadata().is_ok_and(|file| file.is_file() && file.len() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_is_found_in_any_project_and_an_empty_file_is_none() {
        let place = tempfile::tempdir().unwrap();
        let session = Uuid::from_u128(7);
        assert_eq!(transcript(place.path(), session), None);
        let project = place.path().join("config/projects/-work-space");
        std::fs::create_dir_all(&project).unwrap();
        let path = project.join(format!("{session}.jsonl"));
        std::fs::write(&path, "").unwrap();
        assert_eq!(transcript(place.path(), session), None);
        std::fs::write(&path, "{}\n").unwrap();
        assert_eq!(transcript(place.path(), session), Some(path));
        assert_eq!(transcript(place.path(), Uuid::nil()), None);
    }
}
