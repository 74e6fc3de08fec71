//! How large the two binaries are (the release profile strips them).

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::figure::Figure;
use crate::programs;

const WORKER_AIM_MB: f64 = 10.0;

pub(crate) async fn figures() -> Result<Vec<Figure>> {
    Ok(vec![
        Figure::new("size_specwright", megabytes(&programs::specwright())?, "MB"),
        Figure::new("size_specwright_worker", megabytes(&programs::worker())?, "MB")
            .aim(WORKER_AIM_MB)
            .beside("hello world of the same HTTP stack, stripped: 6.3 MB"),
    ])
}

fn megabytes(path: &Path) -> Result<f64> {
    let bytes = fs::metadata(path).with_context(|| path.display().to_string())?.len();
    Ok(bytes as f64 / 1e6)
}
