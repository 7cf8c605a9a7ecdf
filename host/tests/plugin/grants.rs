//! What each grant opens, and that it opens nothing else.

use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use host::config::Peer;
use host::plugin::Verdict;

use super::*;

/// Long enough for a loaded machine where no limit is to be hit.
const LONG_MS: u64 = 20_000;
const HOUR: &str = "sleep 3600000";

fn granted(grants: &Grants, timeout_ms: u64) -> Arc<Plugin> {
    try_granted(grants, &limits(timeout_ms)).expect("the plugin loads")
}

fn try_granted(grants: &Grants, limits: &Limits) -> Result<Arc<Plugin>, Error> {
    let spec = Spec { pipeline: "web", transform: "test", config: "", limits, grants };
    Plugin::load(engine(), &guest("test-guest"), spec)
}

fn clock() -> Grants {
    Grants { clock: true, ..Grants::default() }
}

fn network(peers: &[(&str, u16)]) -> Grants {
    let peer = |(host, port): &(&str, u16)| Peer { host: (*host).to_owned(), port: *port };
    Grants { network: peers.iter().map(peer).collect(), ..Grants::default() }
}

/// What a fresh instance answers to a value.
fn told(plugin: &Plugin, value: &str) -> Result<String, CallError> {
    let batch = batch(&[value]);
    let mut answer = String::new();
    plugin.instantiate(&origin()).expect("an instance").process(
        &Inputs::of_batch(&batch.records),
        0..1,
        0,
        &mut |verdict| {
            answer = match verdict {
                Verdict::Replace { value: Some(value), .. } => String::from_utf8_lossy(value).into_owned(),
                other => format!("{other:?}"),
            };
        },
    )?;
    Ok(answer)
}

fn answer(plugin: &Plugin, value: &str) -> String {
    told(plugin, value).unwrap_or_else(|error| panic!("{value}: {}", error.in_full()))
}

fn denied(plugin: &Plugin, value: &str) {
    let answer = answer(plugin, value);
    assert!(answer.starts_with("denied: "), "{value}: {answer}");
}

fn timed_out(plugin: &Plugin, value: &str, limit: Duration) {
    let started = Instant::now();
    let error = told(plugin, value).expect_err("too long");
    assert!(matches!(error, CallError::Timeout { .. }), "{value}: {error}");
    assert!(error.kills());
    let took = started.elapsed();
    assert!(took >= limit && took < limit + Duration::from_secs(10), "{value}: {took:?}");
}

fn milliseconds(plugin: &Plugin) -> i64 {
    answer(plugin, "time").parse().expect("a number")
}

fn is_virtual(plugin: &Plugin) -> bool {
    (TIMESTAMP_MS..TIMESTAMP_MS + 1_000).contains(&milliseconds(plugin))
}

/// A server that answers each `ping` by `pong`, or never.
fn serve(answers: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let serve = move |stream: TcpStream| {
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line)?;
        if answers {
            (&stream).write_all(b"pong\n")
        } else {
            BufReader::new(&stream).read_line(&mut line).map(drop)
        }
    };
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve(stream));
        }
    });
    address
}

#[test]
fn without_a_grant_nothing_is_there() {
    let plugin = granted(&Grants::default(), LONG_MS);
    assert!(!plugin.may_block() && plugin.grants().is_empty());
    assert!(is_virtual(&plugin));
    assert_eq!(answer(&plugin, "random"), answer(&plugin, "random"));
    assert!(answer(&plugin, HOUR).contains("Forward"));
    let port = serve(true).port();
    for value in [
        "env CARGO_PKG_NAME",
        "file /etc/hostname",
        "write /tmp/vanne",
        "listen 127.0.0.1:0",
        "send 127.0.0.1:9",
    ] {
        denied(&plugin, value);
    }
    for host in ["127.0.0.1", "localhost"] {
        denied(&plugin, &format!("connect {host}:{port}"));
    }
}

#[test]
fn the_clock_is_the_hosts_and_sleeping_takes_its_time() {
    let plugin = granted(&clock(), LONG_MS);
    assert!(plugin.may_block());
    assert_eq!(plugin.grants(), ["clock"]);
    let now_ms = host::clock::now_ms();
    let difference_ms = milliseconds(&plugin) - now_ms;
    assert!((-1_000..60_000).contains(&difference_ms), "{difference_ms} ms");
    let started = Instant::now();
    assert!(answer(&plugin, "sleep 100").contains("Forward"));
    assert!(started.elapsed() >= Duration::from_millis(100));
    // Nothing else came with it.
    assert_eq!(answer(&plugin, "random"), answer(&granted(&Grants::default(), LONG_MS), "random"));
    denied(&plugin, "file /etc/hostname");
    denied(&plugin, &format!("connect 127.0.0.1:{}", serve(true).port()));
}

#[test]
fn an_endless_sleep_or_loop_ends_at_the_limit_while_others_go_on() {
    let cores = thread::available_parallelism().map_or(2, std::num::NonZeroUsize::get);
    let sleeper = granted(&clock(), 1_500);
    let other = granted(&Grants::default(), LONG_MS);
    let also_granted = granted(&clock(), LONG_MS);
    thread::scope(|scope| {
        let sleepers: Vec<_> = (0..cores)
            .map(|_| scope.spawn(|| timed_out(&sleeper, HOUR, Duration::from_millis(1_500))))
            .collect();
        let started = Instant::now();
        let mut calls = 0;
        while started.elapsed() < Duration::from_millis(700) {
            assert!(answer(&other, "plain").contains("Forward"));
            assert!(answer(&also_granted, "plain").contains("Forward"));
            calls += 1;
        }
        assert!(calls >= 3, "only {calls} calls beside the sleepers");
        assert!(sleepers.iter().all(|sleeper| !sleeper.is_finished()), "they sleep all the while");
    });
    timed_out(&granted(&clock(), 300), "loop", Duration::from_millis(300));
    // A plugin that timed out serves again, in a new instance.
    assert!(answer(&sleeper, "plain").contains("Forward"));
}

#[test]
fn a_lane_outlives_what_a_plugin_that_may_wait_does() {
    let result = lane(vec![granted(&clock(), 400)]).process(&batch(&[HOUR]), 0).expect("runs");
    assert_eq!(result.failed[0].failure.code, "PluginTimeout");
    let traps = batch(&["panic no", "alloc", "recurse", "a"]);
    let result = lane(vec![granted(&clock(), LONG_MS)]).process(&traps, 0).expect("runs");
    let codes: Vec<_> = result.failed.iter().map(|failed| &*failed.failure.code).collect();
    assert_eq!(codes, ["PluginTrap", "PluginOutOfMemory", "PluginTrap"]);
}

#[test]
fn random_numbers_are_the_systems() {
    let plugin = granted(&Grants { random: true, ..Grants::default() }, LONG_MS);
    assert!(!plugin.may_block());
    assert_eq!(plugin.grants(), ["random"]);
    assert_ne!(answer(&plugin, "random"), answer(&plugin, "random"));
    assert!(is_virtual(&plugin));
}

#[test]
fn variables_are_granted_by_name() {
    let grants = Grants { env: vec![String::from("CARGO_PKG_NAME")], ..Grants::default() };
    let plugin = granted(&grants, LONG_MS);
    assert!(!plugin.may_block());
    assert_eq!(plugin.grants(), ["env:CARGO_PKG_NAME"]);
    assert_eq!(answer(&plugin, "env CARGO_PKG_NAME"), "host");
    denied(&plugin, "env PATH");
    let missing = Grants { env: vec![String::from("VANNE_TEST_MISSING")], ..Grants::default() };
    let error = try_granted(&missing, &limits(LONG_MS)).expect_err("it is not set");
    assert!(
        matches!(error, Error::Grant { .. }) && error.to_string().contains("VANNE_TEST_MISSING"),
        "{error}"
    );
}

#[test]
fn a_folder_can_be_read_and_not_left() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("geo-data");
    std::fs::create_dir_all(folder.join("deep")).expect("made");
    std::fs::write(folder.join("deep/db"), "cities").expect("written");
    std::fs::write(parent.path().join("secret"), "secret").expect("written");
    for (link, target) in [("relative", "../secret"), ("absolute", "/etc/hostname"), ("fine", "deep/db")] {
        std::os::unix::fs::symlink(target, folder.join(link)).expect("a link");
    }
    std::os::unix::fs::symlink(parent.path(), folder.join("up")).expect("a link");
    let grants = Grants { files: [(String::from("/geo"), folder.clone())].into(), ..Grants::default() };
    let plugin = granted(&grants, LONG_MS);
    assert!(plugin.may_block());
    assert_eq!(plugin.grants(), ["files:/geo"]);
    for path in ["/geo/deep/db", "/geo/fine", "/geo/deep/../deep/db"] {
        assert_eq!(answer(&plugin, &format!("file {path}")), "cities", "{path}");
    }
    for path in [
        "/geo/relative",
        "/geo/absolute",
        "/geo/up/secret",
        "/geo/../secret",
        "/geo/deep/../../secret",
        "/etc/hostname",
        "/geo-data/deep/db",
        "/secret",
    ] {
        denied(&plugin, &format!("file {path}"));
    }
    for path in ["/geo/new", "/geo/deep/db", "/geo/fine"] {
        denied(&plugin, &format!("write {path}"));
    }
    assert_eq!(std::fs::read_to_string(folder.join("deep/db")).expect("there"), "cities");
    // Its time is virtual all the same.
    assert!(is_virtual(&plugin));
    assert!(answer(&plugin, HOUR).contains("Forward"));
    denied(&plugin, &format!("connect 127.0.0.1:{}", serve(true).port()));

    std::fs::remove_dir_all(&folder).expect("removed");
    let error = try_granted(&grants, &limits(LONG_MS)).expect_err("no folder");
    assert!(error.to_string().contains("`files:/geo`"), "{error}");
}

#[test]
fn a_file_that_never_answers_ends_at_the_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(made.success());
    let files = [(String::from("/geo"), folder.path().to_owned())].into();
    let plugin = granted(&Grants { files, ..Grants::default() }, 400);
    timed_out(&plugin, "file /geo/pipe", Duration::from_millis(400));
    // A writer lets the thread go that hangs in the open.
    drop(std::fs::OpenOptions::new().read(true).write(true).open(&pipe).expect("opened"));
}

#[test]
fn only_the_granted_peer_is_reached() {
    let (open, other) = (serve(true), serve(true));
    let plugin = granted(&network(&[("127.0.0.1", open.port())]), LONG_MS);
    assert!(plugin.may_block());
    assert_eq!(plugin.grants(), [format!("network:{open}")]);
    assert_eq!(answer(&plugin, &format!("connect {open}")), "connected");
    assert_eq!(answer(&plugin, &format!("ask {open}")), "pong\n");
    denied(&plugin, &format!("connect {other}"));
    // The address was granted and not the name, so that it is not looked up.
    denied(&plugin, &format!("connect localhost:{}", open.port()));
    denied(&plugin, "listen 127.0.0.1:0");
    denied(&plugin, "listen 0.0.0.0:0");
    denied(&plugin, &format!("send {open}"));
    denied(&plugin, "file /etc/hostname");
    assert!(is_virtual(&plugin));
    let started = Instant::now();
    assert!(answer(&plugin, "sleep 100").contains("Forward"));
    assert!(started.elapsed() >= Duration::from_millis(100), "a timer is real beside a peer");
}

#[test]
fn a_granted_name_is_looked_up_and_reached_at_its_port_only() {
    let (open, other) = (serve(true), serve(true));
    let plugin = granted(&network(&[("localhost", open.port())]), LONG_MS);
    // Before a lookup its address is any address.
    denied(&plugin, &format!("connect {open}"));
    assert_eq!(answer(&plugin, &format!("ask localhost:{}", open.port())), "pong\n");
    denied(&plugin, &format!("connect localhost:{}", other.port()));
    denied(&plugin, &format!("connect example.com:{}", open.port()));
}

#[test]
fn a_peer_that_never_answers_ends_at_the_limit() {
    let silent = serve(false);
    let plugin = granted(&network(&[("127.0.0.1", silent.port())]), 500);
    timed_out(&plugin, &format!("ask {silent}"), Duration::from_millis(500));
    assert!(answer(&plugin, "plain").contains("Forward"));
}

#[test]
fn a_plugin_that_may_wait_is_loaded_and_called_inside_a_runtime_too() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let plugin = granted(&clock(), LONG_MS);
        assert!(answer(&plugin, "sleep 10").contains("Forward"));
    });
}

#[test]
fn limits_are_those_of_the_transform() {
    let nothing = Grants::default();
    let small = Limits { output: 64 << 10, ..limits(LONG_MS) };
    for grants in [&nothing, &clock()] {
        let plugin = try_granted(grants, &small).expect("loads");
        assert_eq!(answer(&plugin, "output 1000").len(), 1000);
        let error = told(&plugin, "output 100000").expect_err("too much");
        assert_eq!(error, CallError::OutputTooLarge { limit_bytes: 64 << 10 });
    }
    for limits in [
        Limits { instances: 0, ..limits(LONG_MS) },
        Limits { table_elements: 1, ..limits(LONG_MS) },
        Limits { memory: 64 << 10, ..limits(LONG_MS) },
    ] {
        let error = try_granted(&nothing, &limits).expect_err("it needs more");
        assert!(matches!(error, Error::Start { step: "instantiate", .. }), "{error}");
    }
    let error =
        told(&try_granted(&nothing, &Limits { memory: 4 << 20, ..limits(LONG_MS) }).expect("loads"), "alloc");
    assert!(matches!(error, Err(CallError::OutOfMemory { limit_bytes, .. }) if limit_bytes == 4 << 20));
}
