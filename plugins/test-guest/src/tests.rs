//! The commands that can be obeyed on the machine without ending it.

use vanne_plugin::Level;
use vanne_plugin::testing::{
    Added, BatchReply, Harness, Record, Reply, World, set_context, take_log,
};

use crate::TestGuest;

/// The world that this crate's component is of.
const WORLD: World = match cfg!(feature = "ergonomic") {
    true => World::Transform,
    false => World::Columnar,
};

fn guest(config: &str) -> Harness<TestGuest> {
    Harness::in_world(WORLD, config).expect("the configuration is a good one")
}

fn told(value: &str) -> Reply {
    guest("").one(&Record::value(value))
}

#[test]
fn it_does_what_a_value_says() {
    set_context("pipeline", "p");
    let added = Added {
        headers: vec![("annotated".into(), Some(b"yes".to_vec()))],
        partition_keys: vec![("kind".into(), "test".into())],
        ..Added::default()
    };
    let routed = Added {
        routes: vec!["lake".into(), "attic".into()],
        ..Added::default()
    };
    let emitted = ["emit 2#0", "emit 2#1"].map(Record::value).to_vec();
    let later = |ms| Reply::Retry("Later".into(), "asked to come again".into(), ms);
    for (value, reply) in [
        ("anything else", Reply::Forward),
        ("", Reply::Forward),
        ("drop", Reply::Drop),
        ("fail Bad a b", Reply::Fail("Bad".into(), "a b".into())),
        ("replace a b", Reply::replaced("a b")),
        ("tombstone", Reply::Replace(None, Added::default())),
        ("emit 2", Reply::Emit(emitted, Vec::new())),
        ("emit 0", Reply::Emit(Vec::new(), Vec::new())),
        ("annotate", Reply::Annotate(added)),
        ("route lake attic", Reply::Annotate(routed)),
        ("retry 250", later(Some(250))),
        ("retry", later(None)),
        ("retry-once 5", later(Some(5))),
        ("context pipeline", Reply::replaced("p")),
        ("context other", Reply::Replace(None, Added::default())),
        ("counter", Reply::replaced("1")),
        ("batch-size and more", Reply::replaced("1")),
        ("output 3", Reply::replaced("xxx")),
        ("log a b", Reply::Forward),
    ] {
        assert_eq!(told(value), reply, "{value}");
    }
    assert_eq!(take_log(), [(Level::Info, "a b".to_owned())]);
    assert_eq!(guest("").one(&Record::tombstone()), Reply::Forward);
}

#[test]
fn it_shows_what_it_sees() {
    let record = Record {
        key: Some(b"k".to_vec()),
        headers: vec![("h".into(), Some(b"v".to_vec())), ("n".into(), None)],
        attempt: 1,
        ..Record::value("echo")
    };
    let text = "topic=test\npartition=0\noffset=0\nindex=0\nattempt=1\ntimestamp=-1\nkey=k\nheader h=v\nheader n=null\n";
    assert_eq!(guest("").one(&record), Reply::replaced(text));
    let again = Record {
        attempt: 1,
        ..Record::value("retry-once 5")
    };
    assert_eq!(guest("").one(&again), Reply::Forward);
}

#[test]
fn it_does_to_batches_what_the_configuration_says() {
    let refused = Harness::<TestGuest>::new(r#"{"refuse": "no"}"#).map(|_| ());
    assert_eq!(refused, Err("no".to_owned()));
    let batch = [Record::value("a"), Record::value("drop")];
    assert_eq!(
        guest(r#"{"wrong_count": true}"#).batch(&batch),
        Ok(vec![Reply::Forward])
    );
    let fatal = guest(r#"{"fatal": "broken"}"#).batch(&batch);
    assert_eq!(fatal, Err(BatchReply::Fatal("broken".into())));
    let retry = guest(r#"{"retry": "busy"}"#).batch(&batch);
    assert_eq!(
        retry,
        Err(BatchReply::Retry("Test".into(), "busy".into(), None))
    );
    let partition = Reply::Fail(
        "Partition".into(),
        "every record of this partition fails".into(),
    );
    assert_eq!(
        guest(r#"{"fail_partition": 0}"#).batch(&batch),
        Ok(vec![partition.clone(), partition])
    );
    assert_eq!(
        guest("").batch(&[Record::value("a"), Record::value("fatal as told")]),
        Err(BatchReply::Fatal("as told".into()))
    );
    assert_eq!(
        guest("").batch(&[Record::value("batch-size"), Record::value("batch-size")]),
        Ok(vec![Reply::replaced("2"), Reply::replaced("2")])
    );
}

#[test]
#[should_panic(expected = "as told")]
fn it_panics() {
    let _ = told("panic as told");
}
