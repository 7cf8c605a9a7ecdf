//! What can't be used is refused before anything is read: one error that names the key or the thing, says what was
//! expected and what to do; code 1; nothing in the lake.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use super::{RUN, Scene, assert_says, refusal_of, write};
use crate::guests::guest;
use crate::support::host::Launch;
use crate::support::location::Location;
use crate::support::process::free_port;
use crate::support::stores::{Kind, Store};
use crate::support::unique;

/// Runs what can't run, and checks that a connecting `validate` says the same.
fn refused(scene: &Scene<'_>, wanted: &[&str]) -> String {
    let said = scene.refused();
    assert_says(&said, wanted);
    assert!(said.lines().skip(1).all(|line| !line.starts_with("error")), "{said}");
    let checked = said_by_validate(scene);
    assert_says(&checked, wanted);
    said
}

fn said_by_validate(scene: &Scene<'_>) -> String {
    let mut host = scene.start_command(&["validate", "--connect"]);
    host.expect_exit(RUN, 1);
    host.stderr()
}

#[test]
fn a_broker_that_is_down_is_named() {
    let address = format!("127.0.0.1:{}", free_port());
    let scene = Scene::new("no-broker", 1).set("source.brokers", format!("{address:?}"));
    refused(&scene, &[&address, "\nhint: check `source.brokers`"]);
}

#[test]
fn a_broker_that_speaks_otherwise_is_named() {
    let scene = Scene::new("no-tls", 1).set("source.properties", r#"{ "security.protocol" = "ssl" }"#);
    refused(&scene, &[scene.kafka.brokers(), "`security.protocol`"]);
}

#[test]
fn a_topic_that_is_missing_is_named() {
    let topic = unique("missing");
    let scene = Scene::new("no-topic", 1).set("source.topics", format!("[{topic:?}]"));
    refused(&scene, &[&format!("`{topic}`"), "does not exist", scene.kafka.brokers(), "`source.topics`"]);
}

#[test]
fn a_bucket_that_is_missing_is_named() {
    let bucket = Store::shared(Kind::Minio).location(&unique("missing"));
    let scene = Scene::new("no-bucket", 1).set("sinks.lake.url", format!("{:?}", bucket.under("lake").url));
    let name = bucket.url.trim_start_matches("s3://").to_owned();
    refused(&scene, &["sinks.lake", &name, "there is no such bucket", "`url`"]);
}

#[test]
fn wrong_credentials_are_named_and_not_shown() {
    for option in ["access_key_id", "secret_access_key"] {
        let mut scene = Scene::new("no-key", 1);
        let mut place = scene.lake();
        place.options.insert(option.to_owned(), "not-the-right-one".to_owned());
        scene.change("sinks.lake.options", place.options_toml());
        let said = refused(&scene, &["sinks.lake", "credentials", "`options`"]);
        assert!(!said.contains("not-the-right-one"), "{said}");
    }
}

#[test]
fn a_store_that_is_down_is_named() {
    let endpoint = format!("http://127.0.0.1:{}", free_port());
    let mut scene = Scene::new("no-store", 1);
    let mut place = scene.lake();
    place.options.insert("endpoint".to_owned(), endpoint.clone());
    scene.change("sinks.lake.options", place.options_toml());
    refused(&scene, &["sinks.lake", endpoint.trim_start_matches("http://"), "`endpoint`"]);
}

#[test]
fn a_store_that_overwrites_is_refused() {
    let store = Overwriting::start();
    let mut scene = Scene::new("overwrites", 1);
    scene.produce(0..10);
    let mut place = scene.lake();
    place.options.insert("endpoint".to_owned(), store.endpoint.clone());
    scene.change("sinks.lake.options", place.options_toml());
    let wanted = [
        "sinks.lake",
        "hint: ",
        "does not create an object for exactly one of several writers",
        "If-None-Match",
    ];
    refused(&scene, &wanted);
    let lake: Vec<_> = store.objects().into_keys().filter(|path| !super::is_own(path)).collect();
    assert!(lake.is_empty(), "{lake:?}");
}

#[test]
fn what_is_no_plugin_is_named() {
    let scene = Scene::new("no-plugin", 1);
    let with = |file: &str| Scene {
        pipeline: scene
            .pipeline
            .clone()
            .append(&format!("[[transforms]]\nname = \"parse\"\nplugin = {file:?}")),
        folder: crate::support::process::scratch("plugin"),
        name: scene.name.clone(),
        topic: scene.topic.clone(),
        bucket: scene.bucket.clone(),
        ..scene
    };
    refused(&with("no-such.wasm"), &["transforms[0].plugin", "no-such.wasm", "build the plugin"]);

    let mut wasm = std::fs::read(guest("identity")).expect("it is built");
    let (ours, other) = (b"vanne:transform/columnar@0.1.0", b"vanne:transform/columnar@0.9.0");
    for at in 0..wasm.len() - ours.len() {
        if wasm[at..].starts_with(ours) {
            wasm[at..at + ours.len()].copy_from_slice(other);
        }
    }
    let cases: [(&str, &[u8], &[&str]); 3] = [
        ("core.wasm", b"\0asm\x01\0\0\0", &["core module", "wasm32-wasip2"]),
        ("script.wasm", b"#!/bin/sh\n", &["no WebAssembly", "wasm32-wasip2"]),
        ("other.wasm", &wasm, &["another version of the contract", "transformer@0.1.x", "columnar@0.9.0"]),
    ];
    for (name, content, wanted) in cases {
        let scene = with(name);
        write(scene.folder.path(), name, content);
        refused(&scene, &[&["`parse`", name], wanted].concat());
    }
}

#[test]
fn a_plugin_that_refuses_its_config_is_quoted() {
    let mut scene = Scene::new("no-config", 1);
    let plugin = guest("test-guest");
    let transform = format!("[[transforms]]\nname = \"parse\"\nplugin = {plugin:?}\n");
    scene.pipeline = scene.pipeline.append(&(transform + r#"config = { refuse = "no such field" }"#));
    refused(&scene, &["`parse`", "refuses its config", "no such field"]);
}

#[test]
fn a_property_of_ours_or_of_nobody_is_named() {
    let with = |properties: &str| Scene::new("property", 1).set("source.properties", properties);
    for reserved in ["group.id", "enable.auto.commit", "auto.offset.reset", "isolation.level"] {
        let scene = with(&format!("{{ {reserved:?} = \"x\" }}"));
        refused(&scene, &["source.properties", &format!("`{reserved}`"), "pipeline.toml:"]);
    }
    let said =
        refused(&with(r#"{ "fetch.max.bytes" = "many" }"#), &["`source.properties`", "`fetch.max.bytes`"]);
    assert!(!said.contains("many"), "values may be secrets: {said}");
    refused(&with(r#"{ "no.such.property" = "1" }"#), &["`source.properties`", "`no.such.property`"]);
}

#[test]
fn a_file_that_is_wrong_is_told_with_line_key_and_way_out() {
    let scene = Scene::new("wrong-file", 1)
        .set("cut.interval", "60")
        .set("cut.recrods", "10")
        .set("sinks.lake.compression", r#""brotli""#);
    let wanted = [
        "pipeline.toml:",
        "cut.interval",
        "`interval = \"",
        "cut.recrods",
        "did you mean `records`",
        "brotli",
    ];
    let said = scene.refused();
    assert_says(&said, &wanted);
    let mut host = scene.start_command(&["validate"]);
    host.expect_exit(RUN, 1);
    assert_eq!(refusal_of(&host), said, "`validate` says what `run` says");

    let folder = scene.folder.path();
    let mut host = Launch::command(folder, &["run", "no-such-file.toml"]).start();
    host.expect_exit(RUN, 1);
    assert_says(&refusal_of(&host), &["no-such-file.toml"]);
}

#[test]
fn validate_touches_no_network_and_connect_asks_everything() {
    let dead = format!("127.0.0.1:{}", free_port());
    let scene = Scene::new("offline", 1).set("source.brokers", format!("{dead:?}"));
    let said = scene.command(&["validate"]);
    assert_says(&said, &["pipeline", &scene.name, &dead, "lake", "zstd"]);
    assert!(!said.contains("vanne-tests-secret"), "no secret is shown: {said}");
    let json: serde_json::Value =
        serde_json::from_str(&scene.command(&["validate", "--json"])).expect("JSON");
    assert_eq!(json["valid"], true);

    let mut scene = Scene::new("online", 3);
    scene.pipeline =
        scene.pipeline.append(&format!("[[transforms]]\nname = \"pass\"\nplugin = {:?}", guest("identity")));
    let said = scene.command(&["validate", "--connect"]);
    let wanted =
        ["ok    sinks.lake", "ok    ledger", "ok    transforms: pass is identity", "3 partitions, id "];
    assert_says(&said, &wanted);
    assert!(scene.visible().is_empty() && scene.entries().is_empty());
    assert_eq!(scene.kafka.members(&scene.name), 0, "it joins no group");

    // One thing after the other is told, not only the first.
    let mut scene = scene.set("source.brokers", format!("{dead:?}"));
    let missing = Store::shared(Kind::Minio).location(&unique("missing"));
    scene.change("sinks.lake.url", format!("{:?}", missing.url));
    let said = said_by_validate(&scene);
    assert_says(&said, &["there is no such bucket", &dead]);
}

#[test]
fn secrets_from_the_environment_are_needed_and_not_shown() {
    let mut scene = Scene::new("secret", 1);
    let mut place: Location = scene.lake();
    place.options.insert("secret_access_key".to_owned(), "${VANNE_TEST_SECRET}".to_owned());
    scene.change("sinks.lake.options", place.options_toml());
    let said = scene.refused();
    assert_says(&said, &["pipeline.toml:", "sinks.lake.options.secret_access_key", "VANNE_TEST_SECRET"]);
    scene.produce(0..10);
    let mut host =
        Launch::run_until_end(&scene.file()).environment("VANNE_TEST_SECRET", "vanne-tests-secret").start();
    host.expect_exit(RUN, 0);
    scene.assert_delivered(10);
    assert!(!(host.stderr() + &host.stdout()).contains("vanne-tests-secret"));
}

/// An S3 of sorts that lets the last writer win: it takes no notice of `If-None-Match`.
struct Overwriting {
    endpoint: String,
    objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl Overwriting {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let objects = Arc::default();
        let shared = Arc::clone(&objects);
        // It ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let objects = Arc::clone(&shared);
                std::thread::spawn(move || answer(stream, &objects));
            }
        });
        Self { endpoint, objects }
    }

    fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One request, one answer, and the connection is closed.
fn answer(stream: TcpStream, objects: &Mutex<BTreeMap<String, Vec<u8>>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let (method, rest) = line.split_once(' ')?;
    let path = rest.split([' ', '?']).next()?.to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        length =
            header.strip_prefix("content-length: ").and_then(|value| value.parse().ok()).unwrap_or(length);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut objects = objects.lock().unwrap_or_else(PoisonError::into_inner);
    let (status, content) = match method {
        "PUT" => {
            objects.insert(path, body);
            ("200 OK", Vec::new())
        }
        "GET" => match objects.get(&path) {
            Some(content) => ("200 OK", content.clone()),
            None => ("404 Not Found", b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
        },
        _ => ("204 No Content", Vec::new()),
    };
    let date = "Tue, 24 Nov 2026 00:00:00 GMT";
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nlast-modified: {date}\r\netag: \"1\"\r\nconnection: close\r\n\r\n",
        content.len()
    );
    let mut stream = reader.into_inner();
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&content).ok()
}
