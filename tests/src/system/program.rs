//! Where the programs are.

use std::path::{Path, PathBuf};

/// A program of this workspace, from the same build as the test that asks.
///
/// # Panics
/// When it is not there; the message says how to get it.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let asking = std::env::current_exe()
        .unwrap_or_else(|error| panic!("the test cannot find itself: {error}"));
    // Tests stand in `target/<profile>/deps`, programs one above; a bench is a program itself.
    let beside = asking.parent().filter(|place| !place.ends_with("deps"));
    let above = asking.ancestors().nth(2).unwrap_or(Path::new("/"));
    let path = beside.unwrap_or(above).join(name);
    assert!(
        path.is_file(),
        "{} is not there; ./tests/run builds it (or: cargo build --workspace --bins)",
        path.display()
    );
    path
}

/// The native program of the Claude CLI, in the version that `tests/claude-cli` pins.
///
/// # Panics
/// When it is not there; the message says how to get it.
#[must_use]
pub fn claude_cli() -> PathBuf {
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let libc = if cfg!(target_env = "musl") { "-musl" } else { "" };
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("claude-cli/node_modules/@anthropic-ai")
        .join(format!("claude-code-linux-{machine}{libc}/claude"));
    assert!(path.is_file(), "{} is not there; ./tests/run installs it", path.display());
    path
}
