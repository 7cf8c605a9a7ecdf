//! What can be typed, what is answered, and with which exit code.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::mutate;
use super::host::{Pipeline, Workspace, sink};

/// Variables that the files of `tests/config/valid` use.
const ENVIRONMENT: [(&str, &str); 4] =
    [("BROKERS", "127.0.0.1:1"), ("BUCKET", "lake"), ("SECRET", "hunter2"), ("SIZE", "hunter2MiB")];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

#[test]
fn help_reads_as_it_did_before() {
    let workspace = Workspace::new();
    let commands: [&[&str]; 23] = [
        &[],
        &["run"],
        &["dev"],
        &["validate"],
        &["explain"],
        &["ledger"],
        &["ledger", "new-chain"],
        &["ledger", "adopt"],
        &["ledger", "rollback"],
        &["plugin"],
        &["plugin", "inspect"],
        &["bench"],
        &["status"],
        &["swap"],
        &["promote"],
        &["abort"],
        &["weights"],
        &["rollback"],
        &["revisions"],
        &["reload"],
        &["pause"],
        &["resume"],
        &["drain"],
    ];
    let mut failures = Vec::new();
    for command in commands {
        let arguments: Vec<_> = command.iter().copied().chain(["--help"]).collect();
        let run = workspace.host_with(&arguments, &[("COLUMNS", "100")]);
        assert_eq!((run.code, &*run.stderr), (Some(0), ""), "{run}");
        let name = if command.is_empty() { String::from("host") } else { command.join("-") };
        let golden = folder("run/help").join(format!("{name}.txt"));
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&golden, &run.stdout).expect("the golden file is written");
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != run.stdout {
            failures.push(format!("{}\n{}", golden.display(), run.stdout));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_version_is_one_line() {
    let run = Workspace::new().host(&["--version"]);
    assert_eq!((run.code, run.stdout), (Some(0), format!("host {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn wrong_commands_are_refused() {
    let workspace = Workspace::new();
    for arguments in [
        &[][..],
        &["walk"],
        &["run"],
        &["run", "--fast", "pipeline.toml"],
        &["ledger", "new-chain", "pipeline.toml"],
        &["ledger", "new-chain", "--at", "noon", "pipeline.toml"],
        &["ledger", "adopt", "pipeline.toml"],
        &["explain"],
    ] {
        let run = workspace.host(arguments);
        assert!(
            run.code == Some(1) && run.stdout.is_empty() && !run.stderr.is_empty(),
            "{arguments:?}: {run}"
        );
    }
    for command in [
        &["run"][..],
        &["validate"],
        &["bench"],
        &["ledger", "adopt", "--from", "x"],
        &["dev"],
        &["explain", "x", "--pipeline"],
    ] {
        let run = workspace.host(&[command, &["none.toml"]].concat());
        run.expect(1, &["error: ", "none.toml"]);
        assert_eq!(run.stdout, "");
    }
}

#[test]
fn embedded_brokers_have_nothing_to_decide_and_nothing_to_measure() {
    let workspace = Workspace::with(&Pipeline::default(), b"a\n");
    workspace
        .host(&["ledger", "new-chain", "--at", "earliest", "pipeline.toml"])
        .expect(1, &["embedded broker"]);
    workspace.host(&["bench", "pipeline.toml"]).expect(1, &["needs a real Kafka"]);
}

#[test]
fn a_place_that_can_not_be_written_is_refused() {
    let workspace = Workspace::with(&Pipeline::default(), b"a\n");
    workspace.write("out", b"a file is in the way");
    for arguments in [&["run", "pipeline.toml"][..], &["validate", "--connect", "pipeline.toml"]] {
        workspace.host(arguments).expect(1, &["sinks", "can't be used", "out"]);
    }
    let missing = Workspace::with(&Pipeline::default().feed("file = \"none.log\""), b"");
    missing.host(&["run", "pipeline.toml"]).expect(1, &["source.feed.file", "none.log"]);
}

#[test]
fn validate_says_what_is_wrong_and_where() {
    let workspace = Workspace::with(&Pipeline::default(), b"a\n");
    let run = workspace.host(&["validate", "pipeline.toml"]);
    assert!(run.code == Some(0) && run.stdout.contains("lake"), "{run}");
    assert!(!workspace.path().join("out").exists(), "validate writes nothing");
    let run = workspace.host(&["validate", "--json", "pipeline.toml"]);
    assert_eq!((run.code, run.report()["valid"].as_bool()), (Some(0), Some(true)));
    let run = workspace.host(&["validate", "--connect", "pipeline.toml"]);
    assert!(run.code == Some(0) && run.stdout.contains("ok    sinks.lake"), "{run}");

    let bad = Pipeline::default()
        .cut("intervall = \"5s\"\nsize = \"5\"")
        .sinks(&[sink("lake", "compresion = \"zstd\"")]);
    workspace.write("pipeline.toml", bad.text().as_bytes());
    for arguments in [
        &["validate", "pipeline.toml"][..],
        &["run", "pipeline.toml"],
        &["validate", "--json", "pipeline.toml"],
    ] {
        let run = workspace.host(arguments);
        run.expect(
            1,
            &[
                "pipeline.toml:12:1: cut.intervall: unknown key; did you mean `interval`?",
                "pipeline.toml:13:8: cut.size",
                "sinks.lake.compresion: unknown key; did you mean `compression`?",
            ],
        );
        assert_eq!(run.stdout, "", "{run}");
    }
}

#[test]
fn a_build_command_runs_first_and_its_failure_ends_the_run() {
    let build = |command: &str| format!("build = {{ command = {command:?} }}");
    let plugin = super::super::guests::guest("identity").display().to_string();
    let good =
        Pipeline::default().plugin("made.wasm", &build(&format!("echo building; cp {plugin} made.wasm")));
    let workspace = Workspace::with(&good, b"a\n");
    workspace
        .host(&["run", "--until-end", "pipeline.toml"])
        .expect(1, &["transforms[0].plugin", "made.wasm", "--build"]);
    let run = workspace.host(&["run", "--build", "--until-end", "--json", "pipeline.toml"]);
    assert!(run.code == Some(0) && run.stderr.contains("building"), "{run}");
    assert_eq!((run.number("records_written"), workspace.lake().texts("", 0)), (1, vec![String::from("a")]));
    let bad = Workspace::with(&Pipeline::default().plugin("made.wasm", &build("exit 7")), b"a\n");
    bad.host(&["run", "--build", "pipeline.toml"])
        .expect(1, &["transforms.step-0.build", "`exit 7`", "exit status: 7"]);
}

#[test]
fn two_hundred_bad_files_end_in_a_refusal_and_never_in_a_panic() {
    const FILES: usize = 200;
    const THREADS: usize = 4;
    let mut paths: Vec<_> = std::fs::read_dir(folder("config/valid"))
        .expect("the golden folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.push(folder("../../examples/quickstart/pipeline.toml"));
    paths.push(folder("../../examples/chain/pipeline.toml"));
    paths.sort();
    let texts: Vec<_> = paths.iter().map(|path| std::fs::read_to_string(path).expect("text")).collect();
    let (next, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let workspace = Workspace::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= FILES {
                        break;
                    }
                    let damaged = mutate::damage(&texts[number % texts.len()], 77_000 + number as u64);
                    workspace.write("bad.toml", damaged.as_bytes());
                    let mut run = workspace.host_with(&["validate", "bad.toml"], &ENVIRONMENT);
                    if run.code == Some(0) {
                        continue;
                    }
                    refused.fetch_add(1, Ordering::Relaxed);
                    for _ in 0..2 {
                        assert_eq!(run.code, Some(1), "file {number}: {run}\n{damaged}");
                        assert!(
                            run.stderr.starts_with("error: ") && run.stderr.contains("bad.toml"),
                            "{run}"
                        );
                        assert!(!run.said().contains("hunter2") || damaged.contains("hunter2"), "{run}");
                        run = workspace.host_with(&["run", "bad.toml"], &ENVIRONMENT);
                    }
                }
            });
        }
    });
    let refused = refused.into_inner();
    assert!(refused > FILES / 3, "only {refused} of the files were bad");
}
