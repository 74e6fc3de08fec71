//! The programs that are measured, built beside the bench in the same profile.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use specwright_tests::system::program;

/// The product's binary.
pub(crate) fn specwright() -> PathBuf {
    program("specwright")
}

/// The lean worker of images.
pub(crate) fn worker() -> PathBuf {
    program("specwright-worker")
}

/// Builds both, so that no older build is measured, and what their world needs. Quick when they are
/// fresh.
pub(crate) fn build() -> Result<()> {
    let mut arguments = vec!["build"];
    for (package, program) in [
        ("specwright", "specwright"),
        ("specwright-worker", "specwright-worker"),
        ("specwright-tests", "warden"),
        ("specwright-tests", "faulty-agent"),
    ] {
        arguments.extend(["--package", package, "--bin", program]);
    }
    if !cfg!(debug_assertions) {
        arguments.push("--release");
    }
    let by_hand = format!("by hand: cargo {}", arguments.join(" "));
    let status = Command::new(env!("CARGO"))
        .args(&arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // Lines on stdout are figures and nothing else.
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("cargo cannot be started; {by_hand}"))?;
    ensure!(status.success(), "the programs could not be built; {by_hand}");
    Ok(())
}
