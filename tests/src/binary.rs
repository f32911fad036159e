//! Where the binary under test is.

use std::path::PathBuf;

/// The `severance` binary beside the running test: `target/debug/deps/crash-…` runs
/// `target/debug/severance`, and a benchmark in `target/release/deps` the release build.
///
/// # Panics
/// When it was not built: `cargo test` builds the binaries of a package for its own tests only.
pub fn severance() -> PathBuf {
    let running = std::env::current_exe().expect("a running program has a path");
    let profile = running.parent().and_then(|deps| deps.parent()).expect("target/PROFILE/deps");
    let binary = profile.join("severance");
    let flag = if profile.ends_with("release") { " --release" } else { "" };
    assert!(
        binary.exists(),
        "{} is not there: run `cargo build{flag} -p severance` first (`make test` does)",
        binary.display()
    );
    binary
}
