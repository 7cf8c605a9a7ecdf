//! `host explain` over a real run: objects and dead letters by their paths, and strangers.

use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::super::guests::guest;
use super::host::{Pipeline, Run, Workspace, sink};
use super::lake::{Lake, number, text};

/// A run that delivered an object and a dead letter, and the pair's paths.
struct Scene {
    workspace: Workspace,
    lake: Lake,
    run: PathBuf,
    object: PathBuf,
    letter: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let pipeline = Pipeline::default()
            .partitions(1)
            .guest("identity", "")
            .sinks(&[sink("lake", "format = \"json-lines\"\ncompression = \"none\"")]);
        let workspace = Workspace::with(&pipeline, b"{\"a\":1}\nnot json\n{\"a\":2}\n");
        let (_, lake) = workspace.deliver();
        let run = workspace.runs().remove(0);
        let path = |is_dead_letters: bool| {
            let mut objects = lake.objects.iter().filter(|object| object.is_dead_letters == is_dead_letters);
            run.join(&objects.next().expect("there is one").path)
        };
        let (object, letter) = (path(false), path(true));
        Self { workspace, lake, run, object, letter }
    }

    fn entry(&self) -> &Value {
        self.lake.all_entries().next().expect("an entry")
    }

    fn explain(&self, arguments: &[&str]) -> Run {
        self.workspace.host(&[&["explain"], arguments].concat())
    }

    fn form(&self, arguments: &[&str]) -> Value {
        let run = self.explain(&[&["--json"], arguments].concat());
        assert_eq!(run.code, Some(0), "{run}");
        run.report()
    }

    /// Puts a copy of the object under another name of the run.
    fn copied(&self, name: &str) -> PathBuf {
        let copy = self.run.join(name);
        std::fs::create_dir_all(copy.parent().expect("a folder")).expect("a folder can be made");
        std::fs::copy(&self.object, &copy).expect("it can be copied");
        copy
    }
}

fn shown(path: &Path) -> &str {
    path.to_str().expect("the paths of the tests are text")
}

fn sha256(path: &Path) -> String {
    use std::fmt::Write as _;
    let digest = Sha256::digest(std::fs::read(path).expect("the file is there"));
    let mut text = String::from("sha256:");
    digest.iter().for_each(|byte| write!(text, "{byte:02x}").expect("a string takes text"));
    text
}

#[test]
fn an_object_and_a_dead_letter_are_explained_by_their_paths() {
    let scene = Scene::new();
    let entry = scene.entry();
    for (path, sink, records) in [(&scene.object, "lake", 2), (&scene.letter, "dead_letter", 1)] {
        let form = scene.form(&[shown(path)]);
        assert_eq!((text(&form, "sink"), number(&form, "records")), (sink, records), "{form}");
        for name in ["pipeline", "topic", "topic_id", "partition", "start", "end", "nonce", "cause", "cut_at"]
        {
            assert_eq!(form[name], entry[name], "{name}");
        }
        assert_eq!(
            (&form["config_digest"], &form["transforms"]),
            (&entry["config_digest"], &entry["transforms"])
        );
        assert_eq!(text(&form["transforms"][0], "digest"), sha256(&guest("identity")));
        assert_eq!(text(&form["presence"], "is"), "in-place");
        let said = &entry["sinks"][sink]["objects"][0];
        for name in ["path", "bytes", "crc64nvme", "first_offset", "last_offset"] {
            assert_eq!(form[name], said[name], "{name}");
        }
        let at = text(&form, "entry").strip_prefix("file://").expect("a local ledger");
        assert_eq!(text(&form, "entry_digest"), sha256(Path::new(at)));
    }

    // The same by every other way to say it.
    let whole = scene.form(&[shown(&scene.object)]);
    let relative =
        shown(scene.object.strip_prefix(scene.workspace.path()).expect("it lies there")).to_owned();
    let url = format!("file://{}", shown(&scene.object));
    for arguments in [
        &[&*relative][..],
        &[&*url],
        &["--pipeline", "pipeline.toml", &*relative],
        &["--pipeline", "pipeline.toml", &*url],
    ] {
        assert_eq!(scene.form(arguments), whole, "{arguments:?}");
    }

    let run = scene.explain(&[&relative]);
    assert_eq!(run.code, Some(0), "{run}");
    let digest = text(&entry["transforms"][0], "digest");
    for words in [
        "in place",
        "pipeline     p\n",
        "topic        t (id ",
        "partition    0\n",
        "offsets      0 to 2\n",
        "records      2\n",
        "step-0: identity ",
        digest,
        "granted nothing",
        text(entry, "config_digest"),
        "cause: end",
        "0 to 2: 3 read, 0 dropped, 0 dead, 3 kept",
        "/_vanne/p/t@",
        "crc64nvme ",
    ] {
        assert!(run.stdout.contains(words), "`{words}` is missing: {run}");
    }
}

#[test]
fn strangers_are_refused_and_nothing_is_made() {
    let scene = Scene::new();
    let name = shown(&scene.object).rsplit('/').next().expect("a name").to_owned();
    let other_attempt = format!("{}00000000.jsonl", &name[..name.len() - "00000000.jsonl".len()]);
    let other_start = name.replace("-00000000000000000000-", "-00000000000000000007-");
    let moved = scene.copied(&format!("elsewhere/{name}"));
    let attempt = scene.copied(&format!("elsewhere/{other_attempt}"));
    let range = scene.copied(&format!("elsewhere/{other_start}"));
    let topic = scene.copied(&format!("elsewhere/u{name}"));
    let outside = scene.workspace.path().join(&name);
    std::fs::copy(&scene.object, &outside).expect("it can be copied");
    let in_log = scene.workspace.path().join("in.log");
    for (path, words) in [
        (shown(&moved), &["does not name `elsewhere/", "but `", "copied or moved"][..]),
        (shown(&attempt), &["is of the attempt", text(scene.entry(), "nonce")]),
        (shown(&range), &["has no entry for", "--pipeline"]),
        (shown(&topic), &["has no entry for"]),
        (shown(&outside), &["no folder above", "--pipeline"]),
        (shown(&in_log), &["`in.log` is not the name", "<nonce, 8 digits>"]),
        ("s4://lake/x", &["no address of an object", "s4://"]),
        ("", &["no address of an object"]),
    ] {
        let run = scene.explain(&[path]);
        run.expect(1, &[&["error: "], words].concat());
        assert_eq!(run.stdout, "", "{path}: {run}");
    }
    let run = scene.explain(&["--pipeline", "pipeline.toml", shown(&outside)]);
    run.expect(1, &["none of the places that pipeline `p` writes to"]);
    let absent = scene.workspace.path().join("out/never-run").join(&name);
    scene.explain(&["--pipeline", "pipeline.toml", shown(&absent)]).expect(1, &["there is no ledger"]);
    assert!(!absent.parent().expect("a folder").exists(), "nothing is made");
}

#[test]
fn what_was_replaced_or_taken_away_is_told() {
    let scene = Scene::new();
    std::fs::write(&scene.object, "{\"a\":1}\n").expect("it can be replaced");
    let run = scene.explain(&[shown(&scene.object)]);
    run.expect(1, &["has 8 bytes, and its entry says 16", "replaced"]);
    assert!(run.stdout.contains("REPLACED: 8 bytes, not 16"), "{run}");
    std::fs::remove_file(&scene.object).expect("it can be removed");
    let run = scene.explain(&[shown(&scene.object)]);
    assert!(run.code == Some(0) && run.stdout.contains("not there (16 bytes were committed)"), "{run}");
}
