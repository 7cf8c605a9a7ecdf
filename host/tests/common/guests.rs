//! The workspace's plugins as components, built once a process for the tests that need them.

#![allow(unreachable_pub, reason = "each test target takes this file in as a module of its own")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const GUESTS: [&str; 10] = [
    "access-log",
    "cloudwatch-logs",
    "identity",
    "identity-ergonomic",
    "json-fields",
    "redact",
    "route",
    "stamp",
    "test-guest",
    "test-guest-ergonomic",
];
const TARGET: &str = "wasm32-wasip2";
/// Settings of the run around this one that would make another build of the guests, or break it.
const FOREIGN: [&str; 6] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "MAKEFLAGS",
    "CARGO_MAKEFLAGS",
];

/// The component of the package `name`.
pub fn guest(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(build);
    folder.join(format!("{}.wasm", name.replace('-', "_")))
}

fn build() -> PathBuf {
    // Where `cargo build` itself puts them, so that nothing is built twice.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target folder");
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["build", "--release", "--target", TARGET, "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml"))
        .arg("--target-dir")
        .arg(target);
    for name in GUESTS {
        command.args(["--package", name]);
    }
    for name in FOREIGN {
        command.env_remove(name);
    }
    let status = command.status().expect("cargo starts");
    assert!(status.success(), "the guests build");
    target.join(TARGET).join("release")
}
