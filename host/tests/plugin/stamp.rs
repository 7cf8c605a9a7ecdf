//! The plugin `stamp`, whose versions the tests of hot swap make by writing into its component: a version made so has
//! to be another plugin indeed.

use host::record::Condition;

use super::*;
use crate::stamps::{Mode, salted, stamped, write};

/// Loads a component that was made here.
fn load_made(component: &[u8]) -> Result<Arc<Plugin>, Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = write(folder.path(), "made.wasm", component);
    Plugin::load(engine(), &file, spec("", &limits(20_000)))
}

fn outcome(component: &[u8]) -> (Vec<Option<String>>, usize, u64) {
    let batch = batch(&[r#"{"n":0}"#, r#"{"n":1}"#]);
    let plugin = load_made(component).expect("it loads");
    let result = lane(vec![plugin]).process(&batch, 0).expect("runs");
    (values(&batch, &result), result.failed.len(), result.dropped)
}

#[test]
fn a_number_that_is_written_into_it_makes_another_version() {
    let mut digests = std::collections::BTreeSet::new();
    for (number, shown) in [(0, "00000000"), (7, "00000007"), (12_345_678, "12345678")] {
        let made = stamped(number, Mode::Good);
        let plugin = load_made(&made).expect("it loads");
        assert_eq!(plugin.info().version, format!("0.1.0+{shown}"));
        let (values, ..) = outcome(&made);
        let value = |n: u32| format!(r#"{{"n":{n},"stamp":{number}}}"#);
        assert_eq!(values, some(&[&value(0), &value(1)]));
        assert!(digests.insert(plugin.digest().as_str().to_owned()), "another component has another digest");
        // A salted one does the same, by another digest.
        let salted = salted(&made, 1);
        assert_eq!(outcome(&salted).0, values);
        assert!(digests.insert(load_made(&salted).expect("it loads").digest().as_str().to_owned()));
    }
}

#[test]
fn a_mode_that_is_written_into_it_misbehaves() {
    let text = |mode| load_made(&stamped(1, mode)).map(drop).expect_err("a bad version").to_string();
    assert!(text(Mode::Refuses).contains("every configuration"), "{}", text(Mode::Refuses));
    assert!(load_made(&stamped(1, Mode::TrapsWhenConfigured)).is_err());
    // Offsets are from 100.
    let stamped_one = some(&[r#"{"n":1,"stamp":1}"#]);
    assert_eq!(outcome(&stamped(1, Mode::FailsHalf)), (stamped_one, 1, 0));
    assert_eq!(outcome(&stamped(1, Mode::Drops)), (Vec::new(), 0, 2));
    assert_eq!(outcome(&stamped(1, Mode::Slow)).0.len(), 2);
    let batch = batch(&["{}"]);
    let plugin = load_made(&stamped(1, Mode::Traps)).expect("it loads");
    let result = lane(vec![plugin]).process(&batch, 0).expect("a trap costs its record");
    let failed: Vec<_> = result.failed.iter().map(|failure| failure.condition).collect();
    assert_eq!(failed, [Condition::Trap]);
}
