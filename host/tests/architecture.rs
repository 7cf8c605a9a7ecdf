//! The layering of the host's modules, checked from their source: leaves know only leaves, stages never
//! know each other, and each foreign system has one door.

use std::fs;
use std::path::{Path, PathBuf};

const LEAVES: [&str; 9] =
    ["clock", "codec", "config", "crash", "filter", "record", "retry", "store", "telemetry"];
const STAGES: [&str; 5] = ["batch", "ledger", "plugin", "sink", "source"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the source folder is readable") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file as its module (`sink/object_store/name.rs`) and its text without tests and comments.
fn files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("source is text");
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            let name = path.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
            (name, code.join("\n"))
        })
        .collect()
}

fn top(name: &str) -> &str {
    name.split(['/', '.']).next().unwrap_or_default()
}

fn uses(code: &str, module: &str) -> bool {
    code.contains(&format!("crate::{module}::"))
        || code.contains(&format!("crate::{module};"))
        || code.contains(&format!("crate::{module}}}"))
        || code.contains(&format!("crate::{{{module}"))
}

#[test]
fn leaves_know_only_leaves() {
    for (name, code) in files().iter().filter(|(name, _)| LEAVES.contains(&top(name))) {
        for module in STAGES.iter().chain(&["transform", "pipeline", "control", "cli"]) {
            assert!(!uses(code, module), "{name} is a leaf and uses {module}");
        }
    }
}

#[test]
fn stages_never_know_each_other() {
    for (name, code) in files().iter().filter(|(name, _)| STAGES.contains(&top(name))) {
        let stage = top(name);
        for other in STAGES.iter().filter(|other| **other != stage) {
            // A sink publishes entries, so it reads the ledger's words; it can't reach its chains.
            let words_only = stage == "sink" && *other == "ledger";
            assert!(words_only || !uses(code, other), "{name} is a stage and uses {other}");
        }
        for module in ["pipeline", "control", "cli"] {
            assert!(!uses(code, module), "{name} is a stage and uses {module}");
        }
    }
}

/// The control API serves a trait: whoever runs pipelines implements it.
#[test]
fn the_control_api_knows_no_pipeline() {
    let all = files();
    let control: Vec<_> = all.iter().filter(|(name, _)| top(name) == "control").collect();
    assert!(!control.is_empty(), "the control API is somewhere else now");
    for (name, code) in control {
        for module in STAGES.iter().chain(&["transform", "pipeline", "cli"]) {
            assert!(!uses(code, module), "{name} is of the control API and uses {module}");
        }
    }
}

#[test]
fn each_foreign_system_has_one_door() {
    let doors: [(&str, &[&str]); 8] = [
        ("axum", &["control/"]),
        ("hyper", &["control/server/"]),
        ("hyper_util", &["control/server/"]),
        ("reqwest", &["control/client"]),
        ("wasmtime", &["plugin/"]),
        ("rdkafka", &["sink/kafka/", "source/kafka/"]),
        ("rdkafka_sys", &["source/kafka/"]),
        ("object_store::", &["store/"]),
    ];
    for (name, code) in &files() {
        for (foreign, folders) in doors {
            let ours = code.replace("sink::object_store::", "").replace("pub mod object_store", "");
            let used = ours.contains(&format!("use {foreign}")) || ours.contains(&format!(" {foreign}::"));
            let allowed = folders.iter().any(|folder| name.starts_with(folder));
            assert!(!used || allowed, "{name} uses {foreign}, which belongs to {folders:?}");
        }
    }
}
