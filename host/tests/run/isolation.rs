//! What a plugin does to itself: the records to blame are dead letters, every other one arrives, and the other partitions
//! do not wait for it.

use super::host::{Pipeline, Workspace, together};
use super::lake::{number, text};
use super::lines::{dealt, good, input, with};

/// A value that makes the guest misbehave, the limits under which it does, and the words of its dead letter.
struct Misdeed {
    value: &'static str,
    limits: &'static str,
    condition: &'static str,
    code: &'static str,
}

const SMALL: &str = "limits = { memory = \"16MiB\" }";
/// What is too much to hand over has to fit into the guest first.
const LARGE: &str = "limits = { memory = \"256MiB\" }";
/// Long enough for a good call on a busy machine, short enough for a test.
const SHORT: &str = "limits = { memory = \"16MiB\", timeout = \"1s\" }";

const fn traps(value: &'static str) -> Misdeed {
    Misdeed { value, limits: SMALL, condition: "Trap", code: "PluginTrap" }
}

const MISDEEDS: [Misdeed; 7] = [
    traps("trap"),
    traps("panic as told"),
    traps("exit"),
    traps("recurse"),
    Misdeed { value: "alloc", limits: SMALL, condition: "OutOfMemory", code: "PluginOutOfMemory" },
    Misdeed { value: "output 70000000", limits: LARGE, condition: "OutputTooLarge", code: "OutputTooLarge" },
    Misdeed { value: "loop", limits: SHORT, condition: "Timeout", code: "PluginTimeout" },
];

#[test]
fn bad_records_first_in_the_middle_last_and_all_of_them() {
    let [traps, panics, exits, recurses, hoards, pours, loops] = &MISDEEDS;
    together([
        &|| costs_only_itself(traps, 9),
        &|| costs_only_itself(panics, 9),
        &|| costs_only_itself(exits, 9),
        &|| costs_only_itself(recurses, 9),
        &|| costs_only_itself(hoards, 9),
        &|| costs_only_itself(pours, 5),
        &|| costs_only_itself(loops, 5),
    ]);
}

/// One partition each with a bad record at its begin, two in its middle, one at its end, and nothing but bad ones.
fn costs_only_itself(misdeed: &Misdeed, records: usize) {
    let (middle, last) = (records / 2, records - 1);
    let bad: [Vec<usize>; 4] = [vec![0], vec![middle, middle + 1], vec![last], (0..records).collect()];
    let lines = |places: &Vec<usize>| {
        let others: Vec<_> = places.iter().map(|place| (*place, misdeed.value)).collect();
        with(&others, records)
    };
    let partitions: Vec<_> = bad.iter().map(lines).collect();
    let pipeline = Pipeline::default().partitions(4).batch("").guest("test-guest", misdeed.limits);
    let (run, lake) = Workspace::with(&pipeline, &dealt(&partitions)).deliver();
    let mut expected = Vec::new();
    for (partition, (lines, places)) in (0..).zip(partitions.iter().zip(&bad)) {
        let delivered: Vec<_> = lines.iter().filter(|line| line.starts_with("good")).cloned().collect();
        assert_eq!(lake.texts("", partition), delivered, "`{}`: {run}", misdeed.value);
        let letters = places.iter().map(|place| (partition, *place as u64, misdeed.condition.to_owned()));
        expected.extend(letters);
    }
    assert_eq!(lake.conditions(), expected, "`{}`: {run}", misdeed.value);
    for letter in lake.letters() {
        let words = ["value", "code"].map(|name| text(&letter, name));
        assert_eq!(words, [misdeed.value, misdeed.code], "{letter}");
        assert_eq!(
            (text(&letter["transform"], "name"), number(&letter, "attempts")),
            ("step-0", 1),
            "{letter}"
        );
    }
    assert_eq!(run.number("holds"), 0, "few bad records hold nothing: {run}");
}

#[test]
fn a_batch_of_one_bad_record() {
    let values = MISDEEDS.iter().map(|misdeed| misdeed.value);
    let lines: Vec<_> = values.enumerate().flat_map(|(nth, value)| [value.to_owned(), good(nth)]).collect();
    let limits = "limits = { memory = \"256MiB\", timeout = \"5s\" }";
    let pipeline = Pipeline::default().partitions(1).batch("records = 1").guest("test-guest", limits);
    let (run, lake) = Workspace::with(&pipeline, &input(&lines)).deliver();
    assert_eq!(lake.texts("", 0), (0..MISDEEDS.len()).map(good).collect::<Vec<_>>(), "{run}");
    let expected: Vec<_> =
        (0..).step_by(2).zip(&MISDEEDS).map(|(at, it)| (0, at, it.condition.to_owned())).collect();
    assert_eq!(lake.conditions(), expected, "{run}");
}

/// Records of a looping lane that loop; each takes a whole time-out once it is alone.
const LOOPS: usize = 8;

#[test]
fn as_many_looping_lanes_as_threads_do_not_stop_the_others() {
    const RECORDS: usize = 200;
    let loops: Vec<_> = (0..LOOPS).map(|place| (place, "loop")).collect();
    // A nap of an hour is over at once: the guest's clock jumps.
    let naps: Vec<_> = (0..LOOPS).map(|place| (place, "sleep 3600000")).collect();
    let mut partitions =
        [with(&loops, RECORDS), with(&loops, RECORDS), with(&naps, RECORDS), with(&[], RECORDS)];
    for (partition, words) in [(2, "log the third is in"), (3, "log the fourth is in")] {
        words.clone_into(&mut partitions[partition][RECORDS - 1]);
    }
    // So many batches that the others would be last, could each of theirs have to wait for a time-out.
    let pipeline = Pipeline::default()
        .partitions(4)
        .batch("records = 4")
        .guest("test-guest", SHORT)
        .rest("[host]\nthreads = 2\n");
    let (run, lake) = Workspace::with(&pipeline, &dealt(&partitions)).deliver();
    for (partition, lines) in (0..).zip(&partitions) {
        let expected: Vec<_> = lines.iter().filter(|line| *line != "loop").cloned().collect();
        assert_eq!(lake.texts("", partition), expected, "{run}");
    }
    let dead = |partition| (0..LOOPS as u64).map(move |offset| (partition, offset, String::from("Timeout")));
    assert_eq!(lake.conditions(), dead(0).chain(dead(1)).collect::<Vec<_>>(), "{run}");
    let last_loop = run.stderr.rfind("PluginTimeout").expect("it says that a call took too long");
    for words in ["the third is in", "the fourth is in"] {
        let delivered = run.stderr.find(words).unwrap_or_else(|| panic!("no `{words}`: {run}"));
        assert!(delivered < last_loop, "`{words}` only after the loops: {run}");
    }
}

#[test]
fn lanes_that_sleep_an_hour_by_a_granted_clock_do_not_stop_the_others() {
    const RECORDS: usize = 100;
    const NAPS: usize = 2;
    // By the host's clock a nap is real, and ends with the limit of a call.
    let naps: Vec<_> = (0..NAPS).map(|place| (place, "sleep 3600000")).collect();
    let mut partitions: Vec<_> = (0..4).map(|_| with(&naps, RECORDS)).collect();
    partitions[3] = with(&[], RECORDS);
    "log the last is in".clone_into(&mut partitions[3][RECORDS - 1]);
    let pipeline = Pipeline::default()
        .partitions(4)
        .batch("records = 4")
        .guest("test-guest", &format!("{SHORT}\ngrants = {{ clock = true }}"))
        .rest("[host]\nthreads = 2\n");
    let (run, lake) = Workspace::with(&pipeline, &dealt(&partitions)).deliver();
    for (partition, lines) in (0..).zip(&partitions) {
        let expected: Vec<_> = lines.iter().filter(|line| !line.starts_with("sleep")).cloned().collect();
        assert_eq!(lake.texts("", partition), expected, "{run}");
    }
    let dead = |partition| (0..NAPS as u64).map(move |offset| (partition, offset, String::from("Timeout")));
    assert_eq!(lake.conditions(), (0..3).flat_map(dead).collect::<Vec<_>>(), "{run}");
    let last_nap = run.stderr.rfind("PluginTimeout").expect("it says that a call took too long");
    let delivered = run.stderr.find("the last is in").unwrap_or_else(|| panic!("not delivered: {run}"));
    assert!(delivered < last_nap, "only after the naps: {run}");
    assert_eq!(lake.letters()[0]["transform"]["grants"], serde_json::json!(["clock"]));
    let entry = lake.all_entries().next().expect("an entry");
    assert_eq!(entry["transforms"][0]["grants"], serde_json::json!(["clock"]));
}
