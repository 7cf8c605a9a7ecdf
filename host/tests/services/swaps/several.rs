//! Several hosts, of which one does not know, or can't do, what the others do.

use super::stage::{DONE, FIRST, PENDING, Stage, keyed};
use crate::crash::dice::Dice;
use crate::crash::load;
use crate::stamps::Mode;
use crate::support::PATIENCE;
use crate::support::host::{Launch, Pipeline};

/// A variable of the environment that only one of the hosts has.
const VARIABLE: &str = "VANNE_TEST_REGION";

#[test]
fn a_host_that_starts_with_an_old_file_runs_the_newest_revision_and_says_how_to_go_back() {
    let name = "old-file";
    let dice = Dice::for_test(name);
    let mut stage = Stage::new(name, 2, 2, &dice, |pipeline| pipeline);
    let mut counts = load::none(2);
    load::add(&stage.scene.topic, &mut counts, 50, keyed);
    let mut first = stage.host_with_lanes(0, 2);
    stage.await_records(&mut first, 100);
    let file = stage.version(2, Mode::Good);
    stage.swap(0, &file, &[]);
    first.kill();

    let mut second = stage.host(1);
    let status = stage.await_status(1, &mut second, |status| status["lanes"] == 2);
    assert_eq!((&status["revision"], &status["state"]), (&2.into(), &"running".into()), "{status}");
    let command = format!("host rollback {} --to 1", stage.name());
    second.expect_log(&command, PATIENCE);
    load::add(&stage.scene.topic, &mut counts, 50, keyed);
    stage.await_records(&mut second, 200);
    stage.end(second);
    let versions = stage.judge(&counts);
    assert_eq!(versions.records.into_iter().collect::<Vec<_>>(), [(FIRST, 100), (2, 100)]);
    assert_eq!(versions.revisions.len(), 2, "no host that starts makes one of content that is known");
}

#[test]
fn a_host_that_can_not_run_the_newest_revision_pauses_and_says_why() {
    let name = "unable";
    let dice = Dice::for_test(name);
    let stage = Stage::new(name, 2, 2, &dice, |pipeline| pipeline);
    let mut counts = load::none(2);
    load::add(&stage.scene.topic, &mut counts, 50, keyed);
    let mut able = Launch::run(&stage.file(0)).environment(VARIABLE, "north").start();
    stage.await_status(0, &mut able, |status| status["lanes"] == 2);
    let mut unable = stage.host_with_lanes(1, 1);
    stage.await_records(&mut able, 100);

    stage.rewrite(0, granted);
    // The other host's partition can't show the new revision, but for its having no record.
    let answer = stage.ask(0, &["reload", stage.name(), "--timeout", "5s", "--json"]);
    assert!([DONE, PENDING].contains(&answer.code), "{answer:?}");
    let report = answer.json();
    assert_eq!((&report["revision"], &report["changed"]), (&2.into(), &true.into()), "{report}");
    let status = stage.await_status(1, &mut unable, |status| status["state"] == "unable");
    let why = status["why"].as_str().unwrap_or_default();
    assert!(why.contains(VARIABLE), "{status}");
    unable.expect_log(VARIABLE, PATIENCE);
    assert!(unable.is_running(), "it waits for a revision that it can run: {}", unable.stderr());

    // Nothing is made by the old revision any more, wherever the records are.
    load::add(&stage.scene.topic, &mut counts, 50, keyed);
    unable.kill();
    stage.await_records(&mut able, 200);
    stage.end(able);

    let (run_to_the_end, environment) = (Launch::run_until_end(&stage.file(0)), VARIABLE);
    run_to_the_end.environment(environment, "north").start().expect_exit(load::DELIVERY, 0);
    let chains = crate::crash::chains::Chains::read(&stage.scene);
    let versions = stage.versions(&chains);
    stage.scene.look().assert_exactly_once(&counts);
    assert_eq!(versions.records.into_iter().collect::<Vec<_>>(), [(FIRST, 200)]);
    let late = chains.each().filter(|entry| entry.start >= 50);
    assert!(late.map(|entry| entry.revision).all(|revision| revision == 2), "the new revision made the rest");

    // A host that is started without it is refused, and does not go on with its own file.
    let mut late = stage.host(1);
    late.expect_exit(PATIENCE, 1);
    assert!(late.stderr().contains(VARIABLE) && late.stderr().contains("revision 2"), "{}", late.stderr());
}

/// The same pipeline, whose transform is granted the variable.
fn granted(pipeline: Pipeline) -> Pipeline {
    // It goes into the last table of the file, which is the transform's.
    pipeline.append(&format!("grants = {{ env = [{VARIABLE:?}] }}"))
}
