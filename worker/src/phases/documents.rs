//! Documents of accepted phases, written for people.
//!
//! A document is in its event before it is in a file: one that cannot be written changes nothing about
//! the run. It is told, and the control API has the text.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use specwright_shared::documents::Document;
use specwright_shared::render::{self, About};
use specwright_shared::wire::event::ArtifactCreated;

/// Why a document could not be written.
#[derive(Debug, thiserror::Error)]
#[error(
    "the document `{path}` could not be written and is kept by the control API only; is OUTPUT_DIR \
     writable and the disk not full?"
)]
pub(crate) struct DocumentError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// What came of a document.
pub(crate) struct Written {
    /// Its texts, each with its file, if it is in one.
    pub(crate) artifacts: Vec<ArtifactCreated>,
    /// The last one that could not be written.
    pub(crate) error: Option<DocumentError>,
}

/// Renders a document and writes what came of it, each file aside and renamed, so that a reader
/// never sees half of one.
pub(crate) fn write(document: &Document, about: &About<'_>, output_dir: &Path) -> Written {
    let mut written = Written { artifacts: Vec::new(), error: None };
    for rendered in render::render(document, about) {
        let path = output_dir.join(&rendered.name);
        let put = || -> std::io::Result<()> {
            std::fs::create_dir_all(output_dir)?;
            let mut aside = tempfile::Builder::new().prefix(".").tempfile_in(output_dir)?;
            aside.write_all(rendered.content.as_bytes())?;
            aside.persist(&path).map_err(|error| error.error)?;
            Ok(())
        };
        let path = match put() {
            Ok(()) => path.to_string_lossy().into_owned(),
            Err(source) => {
                written.error = Some(DocumentError { path, source });
                String::new()
            }
        };
        written.artifacts.push(ArtifactCreated {
            name: rendered.name,
            media_type: "text/markdown".to_owned(),
            path,
            sha256: hex::encode(Sha256::digest(&rendered.content)),
            bytes: rendered.content.len() as u64,
            content: rendered.content,
        });
    }
    written
}
