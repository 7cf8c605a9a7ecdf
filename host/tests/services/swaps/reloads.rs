//! The pipeline file changes while the pipeline runs: all of it is taken, or nothing.

use std::time::Duration;

use super::stage::{FIRST, Stage, keyed};
use crate::crash::dice::Dice;
use crate::crash::load::{self, Counts};
use crate::stamps::{Mode, stamped, write};
use crate::support::host::Host;
use crate::support::{PATIENCE, until};

/// A host that has delivered 50 records of each of two partitions.
fn working(name: &'static str) -> (Stage, Counts, Host) {
    let dice = Dice::for_test(name);
    let stage = Stage::new(name, 2, 1, &dice, |pipeline| pipeline);
    let mut counts = load::none(2);
    load::add(&stage.scene.topic, &mut counts, 50, keyed);
    let mut host = stage.host_with_lanes(0, 2);
    stage.await_records(&mut host, 100);
    (stage, counts, host)
}

#[test]
fn a_file_that_changed_is_taken_on_sighup_as_a_whole_or_not_at_all() {
    let (stage, mut counts, mut host) = working("reload");

    // Another compression: the sink is built anew.
    stage.rewrite(0, |pipeline| pipeline.set("sinks.lake.compression", r#""gzip""#));
    host.reload();
    let status = stage.await_status(0, &mut host, |status| status["revision"] == 2);
    host.expect_log("sink `lake`: cut and rebuild", PATIENCE);
    load::add(&stage.scene.topic, &mut counts, 50, keyed);
    stage.await_records(&mut host, 200);

    // A good change beside one that needs a restart: neither is taken.
    stage.rewrite(0, |pipeline| {
        pipeline.set("sinks.lake.compression", r#""zstd""#).set("source.topics", r#"["other"]"#)
    });
    host.reload();
    host.expect_log("`source.topics` can't change while the pipeline runs", PATIENCE);
    // Nor is one that can't be read.
    std::fs::write(stage.file(0), "version = 1\nname = ").expect("the scratch folder can be written");
    let refused = stage.ask(0, &["reload", stage.name()]);
    assert!(refused.code == 1 && refused.said.contains("host-0.toml"), "{refused:?}");
    let after = stage.await_status(0, &mut host, |_| true);
    assert_eq!((&after["revision"], &after["config_digest"]), (&2.into(), &status["config_digest"]));
    load::add(&stage.scene.topic, &mut counts, 50, keyed);
    stage.await_records(&mut host, 300);
    stage.end(host);

    // Whoever runs to the end has the first file, and runs the newest revision.
    let versions = stage.judge(&counts);
    let causes: Vec<_> = versions.revisions.values().map(|revision| &*revision.cause).collect();
    assert_eq!(causes, ["start", "reload"]);
    let look = stage.scene.look();
    let gzip = |start: u64| {
        let objects = look.objects.iter().filter(move |object| object.start.is_some_and(|it| it >= start));
        objects.map(|object| object.path.ends_with(".gz")).collect::<Vec<_>>()
    };
    assert!(gzip(50).iter().all(|gzip| *gzip), "everything since is compressed as the new file says");
    assert!(gzip(0).iter().any(|gzip| !*gzip), "what was before is not");
}

#[test]
fn a_component_that_is_built_anew_is_taken_when_it_is_seen() {
    let name = "watch";
    let dice = Dice::for_test(name);
    let mut stage = Stage::new(name, 2, 1, &dice, |pipeline| pipeline.set("swap.watch", "true"));
    let mut counts = load::none(2);
    load::add(&stage.scene.topic, &mut counts, 50, keyed);
    let mut host = stage.host_with_lanes(0, 2);
    stage.await_records(&mut host, 100);
    // A compiler's output that is not whole yet changes nothing.
    let bad = &stamped(2, Mode::Good)[..1000];
    write(stage.folder(), "stamp.wasm", bad);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(stage.revisions(0).len(), 1, "half a component is no version");
    stage.make("stamp.wasm", &stamped(3, Mode::Good), 3);
    stage.await_status(0, &mut host, |status| status["revision"] == 2);
    load::add(&stage.scene.topic, &mut counts, 50, keyed);
    stage.await_records(&mut host, 200);
    stage.end(host);
    let versions = stage.judge(&counts);
    assert_eq!(versions.records.into_iter().collect::<Vec<_>>(), [(FIRST, 100), (3, 100)]);
}

#[test]
fn a_pause_stops_reading_and_a_drain_ends_the_host() {
    let (stage, mut counts, mut host) = working("operated");
    assert_eq!(stage.told(0, &["pause", stage.name()])["state"], "paused");
    load::add(&stage.scene.topic, &mut counts, 50, keyed);
    let came = until(Duration::from_secs(3), || stage.scene.look().records() > 100);
    assert!(!came, "a pipeline that is paused reads nothing; it said:\n{}", host.stderr());
    assert_eq!(stage.told(0, &["resume", stage.name()])["state"], "running");
    stage.await_records(&mut host, 200);
    stage.told(0, &["drain", stage.name()]);
    host.expect_exit(crate::crash::scene::DRAIN, 0);
    stage.judge(&counts);
}
