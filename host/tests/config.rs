//! What pipeline.toml takes and refuses, by golden files, the documentation's own example and a mutator.
//!
//! `tests/config/valid/*.toml` have a `.summary` and a `.kept` (the kept configuration) beside them,
//! `tests/config/invalid/*.toml` an `.err`;
//! `BLESS=1` writes them anew, for a person to read in the diff.

#[path = "config/kept.rs"]
mod kept;
#[path = "config/mutate.rs"]
mod mutate;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use host::config::{self, Broker, NotJson, Pipeline, PrefixPart, Sink, Start, TimePart};

/// What the secrets of these tests hold; it must stand nowhere in what is shown.
const SECRET: &str = "hunter2";

fn environment(name: &str) -> Option<String> {
    let value = match name {
        "BROKERS" => "kafka-0:9092,kafka-1:9092",
        "BUCKET" => "lake",
        "SECRET" => SECRET,
        "SIZE" => "hunter2MiB",
        _ => return None,
    };
    Some(value.into())
}

fn parse(text: &str, file: &str) -> Result<Pipeline, config::Error> {
    config::parse(text, Path::new("/etc/vanne"), file, &environment)
}

/// The files of a folder with their texts, by name.
fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(folder);
    let entries = std::fs::read_dir(folder).expect("the golden folder");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let read = |path: PathBuf| (path.clone(), std::fs::read_to_string(&path).expect("UTF-8"));
    paths.into_iter().map(read).collect()
}

/// Compares with the golden file, or writes it; what differs.
fn differs(path: &Path, extension: &str, found: &str) -> Option<String> {
    let golden = path.with_extension(extension);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&golden, found).expect("the golden file is written");
        return None;
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    (expected != found).then(|| format!("{}\nexpected:\n{expected}\nfound:\n{found}", golden.display()))
}

#[test]
fn valid_files_mean_what_their_summaries_say() {
    let files = files("valid");
    assert!(files.len() >= 10, "only {} valid files", files.len());
    let mut failures = Vec::new();
    for (path, text) in files {
        match parse(&text, "pipeline.toml") {
            Ok(pipeline) => {
                let summary = config::summary(&pipeline);
                assert!(!summary.contains(SECRET), "{summary}");
                assert!(!format!("{pipeline:?}").contains(SECRET), "{}", path.display());
                failures.extend(differs(&path, "summary", &summary));
                kept::stands_for(&pipeline);
                failures.extend(differs(&path, "kept", &pipeline.kept.text));
            }
            Err(error) => failures.push(format!("{} is refused:\n{error}", path.display())),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn invalid_files_are_refused_with_the_expected_words() {
    let files = files("invalid");
    assert!(files.len() >= 60, "only {} invalid files", files.len());
    let mut failures = Vec::new();
    for (path, text) in files {
        match parse(&text, "pipeline.toml") {
            Ok(_) => failures.push(format!("{} is taken", path.display())),
            Err(error) => {
                let shown = format!("{error}\n");
                assert!(!shown.contains(SECRET), "{shown}");
                assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
                assert!(error.problems.iter().all(|problem| problem.position.is_some()), "{shown}");
                failures.extend(differs(&path, "err", &shown));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_documentation_describes_every_key_and_its_example_is_taken() {
    let document = include_str!("../docs/configuration.md");
    let (_, rest) = document.split_once("```toml\n").expect("the example");
    let (example, _) = rest.split_once("```").expect("the end of the example");
    let read = |text: &str| parse(text, "configuration.md").unwrap_or_else(|error| panic!("{error}"));
    read(example);

    // The error for an unknown key lists the known ones: each must have its line in the document.
    for (table, heading) in [
        ("zzzz = 1\n", "## The top of the file"),
        ("[batch]\nzzzz = 1\n", "## `[batch]`"),
        ("[cut]\nzzzz = 1\n", "## `[cut]`"),
        ("[filter]\nzzzz = 1\n", "## `[filter]`"),
        ("[swap]\nzzzz = 1\n", "## `[swap]`"),
        ("[swap]\nrollback = { zzzz = 1 }\n", "### Automatic rollback"),
        ("[host]\nzzzz = 1\n", "## `[host]`"),
        ("[ledger]\nzzzz = 1\n", "## `[ledger]`"),
        ("[dead_letter]\nzzzz = 1\n", "## `[dead_letter]`"),
        ("[source]\nzzzz = 1\n", "## `[source]`"),
        ("[source]\ntype = \"embedded\"\ntopics = [\"a\"]\nfeed = { zzzz = 1 }\n", "### `[source.feed]`"),
        ("[[transforms]]\nzzzz = 1\n", "## `[[transforms]]`"),
        ("[[transforms]]\nlimits = { zzzz = 1 }\n", "### Limits"),
        ("[[transforms]]\ngrants = { zzzz = 1 }\n", "### Grants"),
        ("[sinks.a]\ntype = \"object-store\"\nzzzz = 1\n", "## `[sinks.NAME]`"),
    ] {
        let error = parse(&format!("version = 1\n{table}"), "x").expect_err("an unknown key");
        let problem = error.problems.iter().find(|problem| problem.message == "unknown key");
        let hint = problem.and_then(|problem| problem.hint.clone()).expect("the known keys");
        let (_, known) = hint.split_once("known here: ").expect("a list");
        let (_, section) = document.split_once(heading).unwrap_or_else(|| panic!("no section {heading}"));
        let section = section.split("\n## ").next().unwrap_or_default();
        for key in known.split(", ") {
            assert!(section.contains(key), "{heading} says nothing about {key}");
        }
    }
}

#[test]
fn a_damaged_file_never_panics_and_says_where() {
    const EACH: u64 = 200;
    let mut sources = files("valid");
    sources.extend(files("invalid").into_iter().take(20));
    let mut tried = 0;
    for (nth, (path, text)) in (0_u64..).zip(&sources) {
        for seed in nth * EACH..(nth + 1) * EACH {
            let damaged = mutate::damage(text, seed);
            let outcome = catch_unwind(AssertUnwindSafe(|| parse(&damaged, "damaged.toml")));
            let Ok(outcome) = outcome else {
                panic!("panicked on seed {seed} of {}:\n{damaged}", path.display())
            };
            if let Ok(pipeline) = &outcome {
                kept::stands_for(pipeline);
            }
            if let Err(error) = outcome {
                assert!(!error.problems.is_empty(), "seed {seed}: an error without a problem");
                let placed = error.problems.iter().all(|problem| problem.position.is_some());
                assert!(placed, "seed {seed} of {}: no line in\n{error}", path.display());
                // Where the file does not hold the secret itself, only the environment can have shown it.
                let shown = error.to_string().contains(SECRET) && !damaged.contains(SECRET);
                assert!(!shown, "seed {seed} of {}: a secret in\n{error}", path.display());
            }
            tried += 1;
        }
    }
    assert!(tried >= 2_000, "only {tried} mutations");
}

#[test]
fn nesting_beyond_reason_is_an_error() {
    // As deep as a file can be before its length is the problem.
    const DEEP: usize = 80_000;
    for text in [
        format!("version = 1\na = {}", "[".repeat(DEEP)),
        format!("version = 1\na = {}{}", "[".repeat(DEEP), "]".repeat(DEEP)),
        format!("version = 1\na = {}", "{a=".repeat(DEEP)),
        format!("version = 1\n{}b = 1", "a.".repeat(DEEP)),
        format!("version = 1\nsource.properties.{}b = 1", "a.".repeat(DEEP)),
        format!("version = 1\n[{}b]", "a.".repeat(DEEP)),
        format!("version = 1\n{}", "[[a]]\n".repeat(DEEP / 2)),
        format!("version = 1\n[[transforms]]\nconfig = {{ {}b = 1 }}", "a.".repeat(DEEP)),
        "x".repeat(300 << 10),
        format!("version = 1\n{}", "\u{1F980} = 1\n".repeat(1000)),
    ] {
        let start: String = text.chars().take(40).collect();
        assert!(parse(&text, "deep.toml").is_err(), "taken: {start}");
    }
}

#[test]
fn values_reach_the_model() {
    let text = include_str!("config/valid/complete.toml");
    let pipeline = parse(text, "complete.toml").unwrap_or_else(|error| panic!("{error}"));
    assert!(
        matches!(&pipeline.source.broker, Broker::Kafka { brokers } if brokers == "kafka-0:9092,kafka-1:9092")
    );
    assert_eq!(pipeline.source.properties["sasl.password"].reveal(), SECRET);
    assert!(matches!(pipeline.source.start, Start::Time(1_795_478_400_000)));
    assert_eq!(pipeline.transforms[0].plugin, Path::new("/plugins/access-log.wasm"));
    assert_eq!(pipeline.transforms[0].config, r#"{"keep_status":["2xx","4xx"],"token":"hunter2"}"#);
    let Sink::ObjectStore(lake) = &pipeline.sinks["lake"];
    assert_eq!(lake.location.url.as_str(), "s3://lake/access");
    assert_eq!(lake.location.options["allow_http"].reveal(), "true");
    assert_eq!(lake.location.options["secret_access_key"].reveal(), SECRET);
    let time = vec![TimePart::Text("year=".into()), TimePart::Year];
    assert_eq!(lake.prefix.parts[0], PrefixPart::Timestamp(time));
    assert_eq!(pipeline.cut.min_size, 0, "whoever writes an interval means it");
    assert!(pipeline.digest.starts_with("sha256:") && pipeline.digest.len() == 71);
    assert_eq!(pipeline.digest, pipeline.kept.digest);
    assert!(pipeline.host.control.is_some_and(|control| !control.explicit && control.is_loopback()));
    let ledger = pipeline.ledger_location().expect("a ledger");
    assert_eq!(ledger.url.as_str(), "s3://lake/_vanne");
    assert_eq!(pipeline.dead_letter_location().expect("a place").url.as_str(), "s3://lake/dead/access");
}

#[test]
fn patterns_reach_the_model_as_json_that_the_filter_takes() {
    let text = include_str!("config/valid/filter.toml");
    let pipeline = parse(text, "filter.toml").unwrap_or_else(|error| panic!("{error}"));
    let filter = pipeline.filter.expect("a filter");
    assert_eq!(filter.not_json, NotJson::DeadLetter);
    assert_eq!(filter.patterns[1], r#"{"headers": {"bucket": ["lake"]}}"#);
    let table =
        r#"{"$or":[{"value":{"path":[{"prefix":"/api/"}]}},{"key":[{"exists":false}]}],"partition":[0,1]}"#;
    assert_eq!(filter.patterns[2], table);
    let patterns: Vec<&str> = filter.patterns.iter().map(String::as_str).collect();
    host::filter::Filter::parse(&patterns).unwrap_or_else(|error| panic!("{error}"));
    let default = include_str!("config/valid/filter-default.toml");
    let pipeline = parse(default, "filter.toml").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(pipeline.filter.map(|filter| filter.not_json), Some(NotJson::Drop));
}

#[test]
fn places_have_defaults_beside_the_sinks() {
    let read = |url: &str| {
        let text = format!(
            "version = 1\nname = \"p\"\n[source]\ntype = \"kafka\"\nbrokers = \"a\"\ntopics = [\"t\"]\n\
             [sinks.a]\ntype = \"object-store\"\nurl = \"{url}\"\n"
        );
        let pipeline = parse(&text, "p.toml").unwrap_or_else(|error| panic!("{error}"));
        let ledger = pipeline.ledger_location().expect("a ledger").url.to_string();
        (ledger, pipeline.dead_letter_location().expect("a place").url.to_string())
    };
    assert_eq!(read("s3://lake/a/b"), ("s3://lake/_vanne".into(), "s3://lake/dead/p".into()));
    assert_eq!(read("gs://lake"), ("gs://lake/_vanne".into(), "gs://lake/dead/p".into()));
    let local = ("file:///etc/vanne/out/_vanne".into(), "file:///etc/vanne/out/dead/p".into());
    assert_eq!(read("out"), local);
}

#[test]
fn files_on_disk_are_loaded_with_their_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pipeline.toml");
    let text = "version = 1\nname = \"p\"\n[source]\ntype = \"embedded\"\ntopics = [\"t\"]\n\
                feed = { file = \"in.log\" }\n[[transforms]]\nname = \"t\"\nplugin = \"t.wasm\"\n\
                build = { command = \"make\" }\n[sinks.a]\ntype = \"object-store\"\nurl = \"out\"\n";
    std::fs::write(&path, text).expect("written");
    let pipeline = config::load(&path).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(pipeline.folder, folder.path());
    assert_eq!(pipeline.file.as_deref(), Some(path.as_path()));
    let again = pipeline.with_kept(&pipeline.kept.text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((&again.file, &again.digest), (&pipeline.file, &pipeline.digest));
    assert_eq!(again.transforms, pipeline.transforms);

    let missing = config::check_files(&pipeline).expect_err("nothing is there").to_string();
    assert!(missing.contains("transforms[0].plugin") && missing.contains("`make`"), "{missing}");
    assert!(missing.contains("source.feed.file"), "{missing}");
    std::fs::write(folder.path().join("in.log"), "").expect("written");
    std::fs::write(folder.path().join("t.wasm"), "").expect("written");
    config::check_files(&pipeline).unwrap_or_else(|error| panic!("{error}"));

    std::fs::write(&path, b"version = 1\nname = \"\xff\"\n").expect("written");
    let error = config::load(&path).expect_err("not UTF-8").to_string();
    assert!(error.ends_with("pipeline.toml:2:9: not UTF-8; save the file as UTF-8"), "{error}");
    std::fs::write(&path, "#".repeat(257 << 10)).expect("written");
    assert!(config::load(&path).is_err_and(|error| error.to_string().contains("larger than 256KiB")));
    let error = config::load(&folder.path().join("none.toml")).expect_err("no file").to_string();
    assert!(error.contains("none.toml: can't be read"), "{error}");
    assert!(config::load(folder.path()).is_err());
}

#[test]
fn secret_files_reach_options_only() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("key"), format!("{SECRET}\n")).expect("written");
    let read = |group: &str, key: &str| {
        let text = format!(
            "version = 1\nname = \"p\"\n[source]\ntype = \"kafka\"\nbrokers = \"a\"\ntopics = [\"t\"]\n\
             group = \"{group}\"\n[sinks.a]\ntype = \"object-store\"\nurl = \"s3://lake\"\n\
             options = {{ secret_access_key = \"{key}\" }}\n"
        );
        config::parse(&text, folder.path(), "p.toml", &environment)
    };
    let pipeline = read("g", "${file:key}").unwrap_or_else(|error| panic!("{error}"));
    let Sink::ObjectStore(sink) = &pipeline.sinks["a"];
    assert_eq!(sink.location.options["secret_access_key"].reveal(), SECRET);
    assert!(!format!("{pipeline:?}").contains(SECRET));
    let error = read("${file:key}", "x").expect_err("a secret in a printed value").to_string();
    assert!(error.contains("p.toml:7:9: source.group: a secret file") && !error.contains(SECRET), "{error}");
    let pattern = |pattern: &str| {
        let text = format!(
            "version = 1\nname = \"p\"\n[source]\ntype = \"kafka\"\nbrokers = \"a\"\ntopics = [\"t\"]\n\
             [sinks.a]\ntype = \"object-store\"\nurl = \"s3://lake\"\n[filter]\npatterns = [{pattern}]\n"
        );
        config::parse(&text, folder.path(), "p.toml", &environment).expect_err("a secret").to_string()
    };
    for written in ["{ value = { a = [\"${file:key}\"] } }", "'{\"value\": [\"${file:key}\"]}'"] {
        let error = pattern(written);
        let expected = "p.toml:11:13: filter.patterns[0]: a secret file";
        assert!(error.starts_with(expected) && !error.contains(SECRET), "{error}");
    }
    let error = read("g", "${file:gone}").expect_err("no such secret").to_string();
    assert!(error.contains("sinks.a.options.secret_access_key: the secret file"), "{error}");
}
