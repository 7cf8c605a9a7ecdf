//! `host dev`: an edit of a plugin's source is live in the running pipeline, and what fails changes nothing.

use serde_json::Value;

use super::super::guests::guest;
use super::host::{Pipeline, Process, Workspace, together};

const LINES: &[u8] = b"plain\nreplace other\nfail Bad it is\ndrop\n";

/// The "compiler" copies the component that its one source file names.
const BUILD: &str =
    r#"build = { command = '''printf 'com%s\n' piling; cp "$(cat choice)" ../made.wasm''', dir = "src" }"#;

fn pipeline() -> Pipeline {
    Pipeline::default()
        .partitions(1)
        .batch("window = \"1s\"")
        .cut("interval = \"1s\"")
        .plugin("made.wasm", BUILD)
}

/// A pipeline whose plugin forwards everything, once it has seen all lines. Its feed has ended then.
fn running(arguments: &[&str]) -> (Workspace, Process) {
    let workspace = Workspace::with(&pipeline(), LINES);
    choose(&workspace, &guest("identity").display().to_string());
    let mut process = workspace.start(arguments, &[("VANNE_LOG", "warn,host=debug")]);
    process.wait_for("compiling");
    process.wait_for("committed");
    (workspace, process)
}

fn choose(workspace: &Workspace, component: &str) {
    workspace.write("src/choice", component.as_bytes());
}

#[test]
fn an_edit_is_live_and_what_fails_changes_nothing() {
    together([&for_people, &as_json, &refused_at_start]);
}

fn for_people() {
    let (workspace, mut process) = running(&["dev", "pipeline.toml"]);
    choose(&workspace, &guest("test-guest").display().to_string());
    process.wait_for_output("live as revision 2 after");
    process.wait_for_output("difference from revision 1:");

    choose(&workspace, "missing.wasm");
    process.wait_for_output("step-0: the build failed after");
    workspace.write("no-component", b"no component");
    choose(&workspace, "../no-component");
    process.wait_for_output(", refused: ");
    choose(&workspace, &guest("test-guest").display().to_string());
    process.wait_for_output("and nothing changed: revision 2 goes on");

    let edited = pipeline().cut("interval = \"2s\"").text();
    workspace.write("pipeline.toml", edited.as_bytes());
    process.wait_for_output("live as revision 3 after");
    process.signal("TERM");
    let run = process.end();
    assert_eq!(run.code, Some(0), "{run}");
    for words in [
        "step-0: built in ",
        "  transform `step-0`: swap at next cut",
        "  first outputs on the last 4 records:\n    offset 0: plain\n    offset 1: other\n",
        "  first failures:\n    offset 2: ProcessingFailed in `step-0`: Bad: it is\n",
        "    4 records compared: 1 equal, 3 different (fate 2, value 1)\n",
        "    offset 1: value: `replace other` became `other`\n",
        "    offset 3: fate: `delivered` became `dropped`\n",
        "exit status: 1; revision 2 goes on\n",
        "the pipeline's files: read again, live as revision 3",
        "  cut: swap at next cut (interval)\n",
        "4 records compared: 4 equal, 0 different\n",
        "p: drained after",
    ] {
        assert!(run.stdout.contains(words), "`{words}` is missing: {run}");
    }
    assert_eq!(run.stdout.matches("goes on").count(), 3, "{run}");
    assert_eq!(run.stderr.matches("compiling").count(), 5, "each edit is built once: {run}");
    assert!(!run.stderr.contains("reload:"), "nothing else reads the files: {run}");
    assert_eq!(workspace.lake().texts("", 0), ["plain", "replace other", "fail Bad it is", "drop"], "{run}");
}

fn as_json() {
    let (workspace, mut process) = running(&["dev", "--json", "pipeline.toml"]);
    choose(&workspace, &guest("test-guest").display().to_string());
    process.wait_for_output("\n");
    process.signal("TERM");
    let run = process.end();
    assert_eq!(run.code, Some(0), "{run}");
    let lines: Vec<Value> =
        run.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
    let [live, report] = &lines[..] else { panic!("two lines: {run}") };
    let expected = [
        ("/event", Value::from("live")),
        ("/built/0/transforms/0", "step-0".into()),
        ("/revision", 2.into()),
        ("/before", 1.into()),
        ("/lanes_behind", 0.into()),
        ("/records", 4.into()),
        ("/outputs/1/value", "other".into()),
        ("/failures/0/offset", 2.into()),
        ("/difference/different", 3.into()),
    ];
    for (name, value) in expected {
        assert_eq!(live.pointer(name), Some(&value), "{name}: {run}");
    }
    assert_eq!(report["outcome"], "drained", "{run}");
}

fn refused_at_start() {
    let workspace = Workspace::with(&pipeline(), LINES);
    choose(&workspace, "missing.wasm");
    workspace
        .host(&["dev", "pipeline.toml"])
        .expect(1, &["transforms.step-0.build: `printf 'com%s", "exit status: 1"]);
}
