//! What `host plugin inspect` tells, of components that this host runs and of such that it refuses, and
//! the cache of compiled plugins behind it.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::*;

/// A workspace with a cache of its own.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), text).expect("written");
        self.path(name)
    }

    fn command(&self, file: &Path, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_host"));
        command.args(["plugin", "inspect"]).arg(file).args(more);
        command
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("REGION", "hunter2")
            .current_dir(self.folder.path());
        command
    }

    fn inspect(&self, file: &Path, more: &[&str]) -> Output {
        self.command(file, more).output().expect("host runs")
    }

    /// The one file of the cache.
    fn cached(&self) -> PathBuf {
        let files = std::fs::read_dir(self.path("cache/vanne/components")).expect("the cache");
        let files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
        let [file] = &files[..] else { panic!("{files:?}") };
        file.clone()
    }
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {output:?}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn pipeline(place: &Place, grants: &str) -> PathBuf {
    let guest = guest("test-guest");
    place.write(
        "pipeline.toml",
        format!(
            "version = 1\nname = \"web\"\n[source]\ntype = \"kafka\"\nbrokers = \"127.0.0.1:9092\"\ntopics = [\"clicks\"]\n\
             [sinks.lake]\ntype = \"object-store\"\nurl = \"lake\"\n[[transforms]]\nname = \"first\"\n\
             plugin = \"{0}\"\n[[transforms]]\nname = \"second\"\nplugin = \"{0}\"\n\
             limits = {{ output = \"1MiB\" }}\nconfig = {{ refuse = \"not today\" }}\n{grants}\n",
            guest.display()
        ),
    )
}

#[test]
fn a_good_plugin_is_described() {
    let place = Place::new();
    let output = place.inspect(&guest("test-guest"), &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let found = json_of(&output);
    assert_eq!(
        (&found["name"], &found["runs"], &found["refusal"]),
        (&json!("test-guest"), &json!(true), &Value::Null)
    );
    assert_eq!((&found["grants"], &found["limits"]["timeout_ms"]), (&json!([]), &json!(3_000)));
    assert!(found["worlds"].as_array().is_some_and(|worlds| !worlds.is_empty()), "{found}");
    let contract = found["contract"].to_string();
    assert!(contract.contains("vanne:transform/lifecycle@0.1."), "{contract}");
    let wasm = std::fs::read(guest("test-guest")).expect("built");
    assert_eq!(found["bytes"], json!(wasm.len()));
    assert!(found["digest"].as_str().is_some_and(|digest| digest.len() == "sha256:".len() + 64));
    let imports = found["imports"].as_array().expect("a list");
    let wall = imports.iter().find(|it| it["name"].as_str().is_some_and(|name| name.contains("wall-clock")));
    let wall = wall.expect("it asks for the time");
    assert_eq!(wall["answer"], json!("virtual clock; real with the grant `clock`"));
    assert!(imports.iter().all(|import| import["answer"].is_string()), "{imports:?}");
    for figure in ["compile_us", "load_us", "instance_p50_us", "instance_p99_us", "instances_made"] {
        assert!(found[figure].as_u64().is_some_and(|number| number > 0), "{figure}: {found}");
    }
    assert!(found["instances_made"].as_u64() <= Some(200));

    let told = text(&place.inspect(&guest("test-guest"), &[]).stdout);
    for part in ["plugin     test-guest", "granted    nothing", "verdict    this host would run it", "p99"] {
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[test]
fn a_pipeline_says_what_is_granted_and_no_value_is_shown() {
    let place = Place::new();
    std::fs::create_dir(place.path("geo-data")).expect("made");
    let grants = "grants = { clock = true, env = [\"REGION\"], files = { \"/geo\" = \"geo-data\" } }";
    let pipeline = pipeline(&place, grants);
    let pipeline = pipeline.to_str().expect("UTF-8");
    let wasm = guest("test-guest");
    let unclear = place.inspect(&wasm, &["--pipeline", pipeline]);
    assert_eq!(unclear.status.code(), Some(1));
    assert!(text(&unclear.stderr).contains("`first`, `second`"), "{unclear:?}");
    let output = place.inspect(&wasm, &["--json", "--pipeline", pipeline, "--transform", "second"]);
    assert_eq!(output.status.code(), Some(1), "its config is refused: {output:?}");
    let found = json_of(&output);
    assert_eq!(found["grants"], json!(["clock", "env:REGION", "files:/geo"]));
    assert_eq!(found["limits"]["output_bytes"], json!(1 << 20));
    // Who it is can be told all the same.
    assert_eq!((&found["name"], &found["runs"]), (&json!("test-guest"), &json!(false)));
    assert!(found["refusal"].as_str().is_some_and(|text| text.contains("not today")), "{found}");
    for shown in [&output.stdout, &output.stderr] {
        assert!(!text(shown).contains("hunter2") && !text(shown).contains("geo-data"), "{output:?}");
    }
    let first = json_of(&place.inspect(&wasm, &["--json", "--pipeline", pipeline, "--transform", "first"]));
    assert_eq!((&first["grants"], &first["runs"]), (&json!([]), &json!(true)));
}

#[test]
fn a_config_is_tried() {
    let place = Place::new();
    let config = place.write("config.json", r#"{"refuse": "too green"}"#);
    for config in [String::from(r#"{"refuse": "too green"}"#), format!("@{}", config.display())] {
        let output = place.inspect(&guest("test-guest"), &["--config", &config]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text(&output.stderr).contains("too green"), "{output:?}");
        let told = text(&output.stdout);
        assert!(told.contains("plugin     test-guest") && told.contains("verdict    refused"), "{told}");
    }
}

#[test]
fn what_is_no_transform_is_refused_with_its_reason() {
    let place = Place::new();
    for (name, bytes, reason) in [
        ("text.wasm", &b"hello"[..], "no WebAssembly"),
        ("core.wasm", &b"\0asm\x01\0\0\0"[..], "core module"),
        ("empty.wasm", &b"\0asm\x0d\0\x01\0"[..], "no transform"),
    ] {
        let output = place.inspect(&place.write(name, bytes), &[]);
        assert_eq!(output.status.code(), Some(1), "{name}: {output:?}");
        assert!(text(&output.stderr).contains(reason), "{name}: {output:?}");
        assert!(text(&output.stdout).contains("sha256:"), "{name}: {output:?}");
    }
    let missing = place.inspect(&place.path("missing.wasm"), &[]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("missing.wasm"), "{missing:?}");
}

#[test]
fn an_unknown_import_is_named() {
    let wasm = std::fs::read(guest("test-guest")).expect("built");
    // Of the same length, so that the file stays whole.
    let (known, unknown) = (&b"wasi:clocks/wall-clock"[..], &b"wasi:clocks/moon-clock"[..]);
    let changed = replaced(&wasm, known, unknown);
    assert_ne!(wasm, changed);
    let place = Place::new();
    let output = place.inspect(&place.write("moon.wasm", changed), &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("`wasi:clocks/moon-clock@0.2."), "{output:?}");
    assert!(text(&output.stdout).contains("UNKNOWN"), "{output:?}");
}

fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    for at in 0..bytes.len().saturating_sub(old.len()) {
        if bytes[at..].starts_with(old) {
            changed[at..at + new.len()].copy_from_slice(new);
        }
    }
    changed
}

#[test]
fn processes_at_once_share_one_cache() {
    let place = Place::new();
    let wasm = guest("identity");
    let started: Vec<_> = (0..3)
        .map(|_| {
            let mut command = place.command(&wasm, &["--json"]);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            command.spawn().expect("host starts")
        })
        .collect();
    for child in started {
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(json_of(&output)["load_us"].is_u64());
        assert!(!text(&output.stderr).contains("damaged"), "{output:?}");
    }
    assert!(place.cached().exists());
}

#[test]
fn torn_and_foreign_machine_code_is_compiled_again() {
    let place = Place::new();
    let cache = || Cache::open(&place.path("cache")).expect("ours");
    let compiled = |name: &str| {
        let engine = Engine::new(Some(cache())).expect("the engine starts");
        Plugin::load(&engine, &guest(name), spec("", &limits(20_000))).expect("loads");
        engine.compiled()
    };
    let file_of = |name: &str| {
        let wasm = std::fs::read(guest(name)).expect("built");
        let digest = host::plugin::Digest::of(&wasm).to_string().replace("sha256:", "");
        let files = std::fs::read_dir(place.path("cache")).expect("the cache");
        let mut paths = files.map(|file| file.expect("a file").path());
        paths.find(|path| path.to_string_lossy().contains(&digest)).expect("it is kept")
    };
    assert_eq!((compiled("identity"), compiled("identity"), compiled("access-log")), (1, 0, 1));
    let (identity, other) = (file_of("identity"), file_of("access-log"));
    let whole = std::fs::read(&identity).expect("readable");

    // Whole, written by this host, and of another plugin.
    std::fs::copy(&other, &identity).expect("copied");
    assert_eq!((compiled("identity"), compiled("identity")), (1, 0), "foreign");
    assert_eq!(std::fs::read(&identity).expect("readable").len(), whole.len());

    std::fs::write(&identity, &whole[..whole.len() / 2]).expect("written");
    assert_eq!((compiled("identity"), compiled("identity")), (1, 0), "torn");

    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    std::fs::write(&identity, flipped).expect("written");
    assert_eq!((compiled("identity"), compiled("identity")), (1, 0), "changed");

    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&identity, std::fs::Permissions::from_mode(0o646)).expect("chmod");
    assert_eq!((compiled("identity"), compiled("identity")), (1, 0), "open to others");
}
