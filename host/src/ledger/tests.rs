//! What the ledger promises, case by case, against a store that loses answers and delays creates.

mod falling;

use std::sync::Arc;

use bytes::Bytes;

use super::testing::{
    Fault, FaultyStore, Publisher, block_on, chain, entry, ledger, staged_entry, topic, within,
};
use super::*;
use crate::store::Store;

/// Ranges one after the other, all published; returns the tail.
async fn grow(store: &FaultyStore, chain: &Chain, ends: &[u64]) -> Tail {
    let publisher = Publisher::new(store);
    let mut tail = match chain.take_over(None, &publisher).await.expect("the chain is sound") {
        Some(tail) => tail,
        None => chain.begin(0).await.expect("a start is recorded"),
    };
    for end in ends {
        let made = staged_entry(store, chain, &tail, *end, &format!("{end:016x}"));
        let Outcome::Mine(last) = chain.create(&tail, &made, &[]).await.expect("nothing is in the way")
        else {
            panic!("nobody else writes")
        };
        tail = chain.publish(last, &publisher).await.expect("everything is staged");
    }
    tail
}

async fn tail_of(chain: &Chain, hint: Option<&Commit>) -> Tail {
    chain.tail(hint).await.expect("the chain is sound").expect("the chain has entries")
}

fn nonce(tail: &Tail) -> &str {
    tail.last.as_ref().expect("there is an entry").nonce()
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> Kind {
    result.expect_err("this must not succeed").kind()
}

#[test]
fn a_lost_answer_of_a_create_is_mine() {
    block_on(async {
        for fault in [Fault::LostAnswer, Fault::LostRequest, Fault::Late, Fault::Conflict, Fault::Denied] {
            let store = FaultyStore::new();
            let chain = chain(&store).await;
            let tail = chain.begin(0).await.expect("a start is recorded");
            let made = staged_entry(&store, &chain, &tail, 10, "00000000000000aa");
            store.script("create", fault);
            store.script("create", fault);
            store.script("get", Fault::LostAnswer);
            let outcome = chain.create(&tail, &made, &[]).await.expect("it is tried until it is known");
            let Outcome::Mine(last) = &outcome else { panic!("{fault:?}: nobody else writes") };
            store.land();
            let standing = chain.read(0).await.expect("it is readable").expect("it stands");
            assert_eq!(*last, standing, "{fault:?}: what was read is what was sent");
        }
    });
}

#[test]
fn a_refused_create_is_an_error_and_nothing_stands() {
    block_on(async {
        let store = FaultyStore::new();
        let chain = chain(&store).await;
        let tail = chain.begin(0).await.expect("a start is recorded");
        let made = staged_entry(&store, &chain, &tail, 10, "00000000000000aa");
        store.script("create", Fault::Refused);
        assert_eq!(kind(chain.create(&tail, &made, &[]).await), Kind::Refused);
        assert_eq!(chain.read(0).await.expect("the store answers"), None);
    });
}

#[test]
fn a_late_create_of_an_abandoned_attempt_wins_over_the_same_process() {
    block_on(async {
        let store = FaultyStore::new();
        let chain = chain(&store).await;
        let publisher = Publisher::new(&store);
        let tail = chain.begin(0).await.expect("a start is recorded");

        let first = staged_entry(&store, &chain, &tail, 10, "00000000000000aa");
        store.script("create", Fault::Late);
        let creates = store.requests("create");
        let outcome = within(2, chain.create(&tail, &first, &[])).await;
        assert!(outcome.is_none(), "it is abandoned before it knows");
        assert_eq!(store.requests("create"), creates + 1, "its create was sent");

        let second = staged_entry(&store, &chain, &tail, 25, "00000000000000bb");
        store.land();
        let outcome = chain.create(&tail, &second, &[]).await.expect("an entry stands");
        let Outcome::Theirs(winner) = outcome else { panic!("the first attempt has landed") };
        assert_eq!(winner.nonce(), "00000000000000aa");

        let tail = chain.follow(winner, &publisher).await.expect("its staging was left");
        assert_eq!((tail.end, publisher.starts()), (10, vec![0]));
        assert_eq!(
            store.snapshot()["lake/00000000000000000000-00000000000000aa"],
            "0..10 of 00000000000000aa"
        );
        assert!(!store.snapshot().contains_key("lake/00000000000000000000-00000000000000bb"));
    });
}

#[test]
fn the_winner_dies_before_publishing_and_the_loser_publishes_it_first() {
    block_on(async {
        let store = FaultyStore::new();
        let chain = chain(&store).await;
        let tail = grow(&store, &chain, &[10]).await;
        let winner = staged_entry(&store, &chain, &tail, 20, "00000000000000aa");
        chain.create(&tail, &winner, &[]).await.expect("it is created, and then its writer dies");

        let publisher = Publisher::new(&store);
        let loser = staged_entry(&store, &chain, &tail, 30, "00000000000000bb");
        let Outcome::Theirs(theirs) = chain.create(&tail, &loser, &[]).await.expect("an entry stands") else {
            panic!("the winner was first")
        };
        let tail = chain.follow(theirs, &publisher).await.expect("its objects are staged");
        assert_eq!(publisher.starts(), [10]);
        assert!(store.snapshot().contains_key("lake/00000000000000000010-00000000000000aa"));
        let next = staged_entry(&store, &chain, &tail, 30, "00000000000000cc");
        assert!(matches!(chain.create(&tail, &next, &[]).await, Ok(Outcome::Mine(_))));
    });
}

#[test]
fn the_next_entry_is_not_created_before_the_last_is_published() {
    block_on(async {
        let store = FaultyStore::new();
        let chain = chain(&store).await;
        let tail = chain.begin(0).await.expect("a start is recorded");
        let made = staged_entry(&store, &chain, &tail, 10, "00000000000000aa");
        chain.create(&tail, &made, &[]).await.expect("nothing is in the way");
        let unpublished = tail_of(&chain, None).await;
        assert!(!unpublished.closed && !unpublished.is_published());
        let next = staged_entry(&store, &chain, &unpublished, 20, "00000000000000bb");
        let error = chain.create(&unpublished, &next, &[]).await.expect_err("it must not be created");
        assert!(error.to_string().contains("not published"), "{error}");
        assert_eq!(chain.read(10).await.expect("the store answers"), None);
    });
}

#[test]
fn an_entry_that_does_not_continue_the_chain_is_not_created() {
    block_on(async {
        let store = FaultyStore::new();
        let chain = chain(&store).await;
        let tail = grow(&store, &chain, &[10, 20]).await;
        let good = staged_entry(&store, &chain, &tail, 30, "00000000000000aa");
        let creates = store.requests("create");
        for change in [
            (|entry| (entry.start, entry.read, entry.kept) = (21, 9, 9)) as fn(&mut Entry),
            |entry| entry.previous = None,
            |entry| entry.partition = 1,
            |entry| entry.pipeline = "other".into(),
            |entry| entry.topic_id = "other".into(),
            |entry| entry.kept -= 1,
        ] {
            let mut wrong = good.clone();
            change(&mut wrong);
            assert_eq!(kind(chain.create(&tail, &wrong, &[]).await), Kind::Halted);
        }
        assert_eq!(store.requests("create"), creates, "nothing was sent");
    });
}

#[test]
fn hints_that_are_nonsense_ahead_or_behind_change_nothing() {
    block_on(async {
        let store = FaultyStore::new();
        let chain = chain(&store).await;
        grow(&store, &chain, &[7, 9_999_999, 10_000_000, 10_000_003]).await;
        let bare = |offset| Commit { offset, metadata: String::new() };
        for hint in [0, 3, 7, 9_999_998, 10_000_000, 10_000_003, 10_000_004, 99_000_000, u64::MAX].map(bare) {
            let tail = tail_of(&chain, Some(&hint)).await;
            assert_eq!((tail.end, nonce(&tail)), (10_000_003, "0000000000989683"), "{hint:?}");
            assert!(!tail.closed, "a bare offset proves nothing: {hint:?}");
        }
    });
}

#[test]
fn the_groups_note_on_this_very_entry_closes_it() {
    block_on(async {
        let store = FaultyStore::new();
        let (ledger, _) = ledger(&store).await;
        let chain = chain(&store).await;
        let tail = grow(&store, &chain, &[10, 20]).await;
        let published = tail.last.as_ref().expect("there is an entry");
        let commit = chain.commit(published);
        assert_eq!(commit, Commit::published(ledger.id(), 20, "0000000000000014"));
        assert!(tail_of(&chain, Some(&commit)).await.closed);
        // Even when somebody moved the offset and kept the note.
        assert!(tail_of(&chain, Some(&Commit { offset: 3, ..commit.clone() })).await.closed);
        for other in [
            Commit::published(ledger.id(), 10, "000000000000000a"),
            Commit::published(ledger.id(), 20, "00000000000000ff"),
            Commit::published(ledger.id(), 21, "0000000000000014"),
            Commit { offset: 20, metadata: "console".into() },
        ] {
            assert!(!tail_of(&chain, Some(&other)).await.closed, "{other:?}");
        }
    });
}

#[test]
fn a_closed_marker_closes_an_entry_without_the_group() {
    block_on(async {
        let store = FaultyStore::new();
        let chain = chain(&store).await;
        let tail = grow(&store, &chain, &[10]).await;
        let last = tail.last.as_ref().expect("there is an entry");
        store.script("create", Fault::LostAnswer);
        chain.close(last).await.expect("the answer is lost, but not the marker");
        chain.close(last).await.expect("it may be closed again");
        // The group is deleted and a reader has taken the objects: neither halted nor published again.
        store.remove("lake/00000000000000000000-000000000000000a");
        let publisher = Publisher::new(&store);
        let taken = chain.take_over(None, &publisher).await.expect("it is closed").expect("it has an entry");
        assert!(taken.closed && taken.is_published() && publisher.starts().is_empty());
    });
}

#[test]
fn a_next_entry_closes_the_one_before() {
    block_on(async {
        let store = FaultyStore::new();
        let chain = chain(&store).await;
        grow(&store, &chain, &[10, 20]).await;
        store.remove("lake/00000000000000000000-000000000000000a");
        let publisher = Publisher::new(&store);
        chain.take_over(None, &publisher).await.expect("the first entry is closed by the second");
        assert_eq!(publisher.starts(), [10]);
    });
}

#[test]
fn a_marker_of_another_attempt_halts() {
    block_on(async {
        let store = FaultyStore::new();
        let chain = chain(&store).await;
        let mut last = grow(&store, &chain, &[10]).await.last.expect("there is an entry");
        last.entry.nonce = "00000000000000ff".into();
        chain.close(&last).await.expect("the marker is written");
        assert_eq!(kind(chain.tail(None).await), Kind::Halted);
    });
}

#[test]
fn a_group_reset_forward_between_create_and_publish_proves_nothing() {
    block_on(async {
        let store = FaultyStore::new();
        let chain = chain(&store).await;
        let tail = grow(&store, &chain, &[10]).await;
        let made = staged_entry(&store, &chain, &tail, 20, "00000000000000aa");
        chain.create(&tail, &made, &[]).await.expect("it is created, and then its writer dies");
        let publisher = Publisher::new(&store);
        let reset = Commit { offset: 5000, metadata: String::new() };
        let taken = chain.take_over(Some(&reset), &publisher).await.expect("the chain is sound");
        assert_eq!((taken.expect("it has entries").end, publisher.starts()), (20, vec![10]));
        assert!(store.snapshot().contains_key("lake/00000000000000000010-00000000000000aa"));
    });
}

#[test]
fn an_object_neither_staged_nor_published_halts_the_lane() {
    block_on(async {
        let store = FaultyStore::new();
        let chain = chain(&store).await;
        grow(&store, &chain, &[10]).await;
        store.remove("lake/00000000000000000000-000000000000000a");
        let publisher = Publisher::new(&store);
        assert_eq!(kind(chain.take_over(None, &publisher).await), Kind::Halted);
    });
}

#[test]
fn a_zombie_that_publishes_what_was_published_and_taken_finds_the_new_end() {
    block_on(async {
        let store = FaultyStore::new();
        let chain = chain(&store).await;
        let tail = chain.begin(0).await.expect("a start is recorded");
        let made = staged_entry(&store, &chain, &tail, 10, "00000000000000aa");
        let Ok(Outcome::Mine(zombies)) = chain.create(&tail, &made, &[]).await else {
            panic!("nobody else writes")
        };
        // While it sleeps the lane is taken over, goes on, and a reader takes what is delivered.
        grow(&store, &chain, &[20, 30]).await;
        store.remove("lake/00000000000000000000-00000000000000aa");
        let publisher = Publisher::new(&store);
        let tail = chain.publish(zombies, &publisher).await.expect("it was published before");
        assert_eq!((tail.end, publisher.starts()), (30, vec![20]));
    });
}

#[test]
fn a_malformed_entry_halts() {
    block_on(async {
        let store = FaultyStore::new();
        let chain = chain(&store).await;
        let tail = grow(&store, &chain, &[10, 20]).await;
        let path = chain.lane().entry(20);
        for body in ["", "{}", "{\"version\":1}\n", "\u{0}\u{0}\u{0}\n"] {
            store.set(&path, Bytes::from_static(body.as_bytes()));
            let error = chain.tail(None).await.expect_err("it is not an entry");
            assert!(error.kind() == Kind::Halted && error.to_string().contains(&path), "{error}");
            let next = staged_entry(&store, &chain, &tail, 30, "00000000000000aa");
            assert_eq!(kind(chain.create(&tail, &next, &[]).await), Kind::Halted);
        }
        store.set(&path, Bytes::from_static(b"{\"version\":2,\"what\":\"ever\"}\n"));
        let error = chain.tail(None).await.expect_err("it is from a later version");
        assert!(matches!(error, Error::Newer { found: 2, known: 1, .. }) && error.hint().is_some());
    });
}

#[test]
fn a_chain_that_does_not_fit_at_its_end_halts() {
    block_on(async {
        let store = FaultyStore::new();
        let chain = chain(&store).await;
        grow(&store, &chain, &[10, 20, 30]).await;
        let body = |start, end| {
            let text = serde_json::to_string(&entry(start, end)).expect("an entry is JSON");
            Bytes::from(text + "\n")
        };
        let sound = store.snapshot()[&chain.lane().entry(10)].clone();
        store.set(&chain.lane().entry(10), body(10, 20));
        assert!(matches!(chain.tail(None).await, Err(Error::Broken { start: 20, .. })), "one was replaced");
        store.set(&chain.lane().entry(10), sound);
        store.set(&chain.lane().entry(40), body(40, 50));
        assert!(matches!(chain.tail(None).await, Err(Error::Broken { start: 40, .. })), "one stands apart");
        store.remove(&chain.lane().entry(40));
        store.set(&chain.lane().entry(30), body(31, 50));
        assert!(
            matches!(chain.tail(None).await, Err(Error::Malformed { .. })),
            "one stands at another's place"
        );
        store.remove(&chain.lane().entry(30));
        assert_eq!(tail_of(&chain, None).await.end, 30);
    });
}

#[test]
fn a_commit_of_another_ledger_is_refused() {
    block_on(async {
        let store = FaultyStore::new();
        let chain = chain(&store).await;
        grow(&store, &chain, &[10]).await;
        let other = Commit::published("ffffffffffffffff", 10, "000000000000000a");
        let error = chain.tail(Some(&other)).await.expect_err("it names another ledger");
        assert!(matches!(error, Error::AnotherLedger { .. }) && error.kind() == Kind::Refused);
        assert!(error.to_string().contains("`ffffffffffffffff`") && error.hint().is_some(), "{error}");
    });
}

#[test]
fn only_what_lies_below_the_last_entry_is_garbage() {
    block_on(async {
        let (store, sink) = (FaultyStore::new(), FaultyStore::at("memory://other"));
        let chain = chain(&store).await;
        let tail = grow(&store, &chain, &[10, 20]).await;
        let lane = LanePath::new("own", "logs", &topic(), 0).expect("the names are possible");
        let staged = |start, nonce: &str| {
            let name = StagedName { start, nonce: nonce.into(), sink: "lake".into(), number: 3 };
            lane.staged(&name).expect("the name is possible")
        };
        let kept =
            [staged(10, "00000000000000bb"), staged(20, "00000000000000cc"), format!("{}/x", lane.staging())];
        let kept = kept.into_iter().chain([lane.entry(0), "lake/x".into()]).collect::<Vec<_>>();
        for path in kept.iter().chain(&[staged(0, "00000000000000aa"), staged(9, "00000000000000aa")]) {
            sink.set(path, Bytes::from_static(b"x"));
        }
        let place = Place { store: Arc::new(sink.clone()), root: "own".into() };
        let places = [place.clone(), place];
        assert_eq!(chain.collect_garbage(&tail, &places).await.expect("the store answers"), 2);
        let mut kept_sorted = kept.clone();
        kept_sorted.sort();
        assert_eq!(sink.snapshot().into_keys().collect::<Vec<_>>(), kept_sorted);
    });
}

#[test]
fn garbage_is_removed_in_bounded_steps() {
    block_on(async {
        let store = FaultyStore::new();
        let chain = chain(&store).await;
        let tail = grow(&store, &chain, &[10, 20]).await;
        for number in 0..150 {
            let name = StagedName { start: 0, nonce: "00000000000000aa".into(), sink: "lake".into(), number };
            store.set(&chain.lane().staged(&name).expect("the name is possible"), Bytes::from_static(b"x"));
        }
        let place = Place { store: Arc::new(store.clone()), root: "_vanne".into() };
        for expected in [100, 50, 0] {
            let removed = chain.collect_garbage(&tail, std::slice::from_ref(&place)).await;
            assert_eq!(removed.expect("the store answers"), expected);
        }
    });
}

#[test]
fn writers_that_see_a_late_partition_at_different_times_begin_one_chain() {
    block_on(async {
        let store = FaultyStore::new();
        let (ledger, starts) = ledger(&store).await;
        let chain = ledger.chain(&topic(), 7, &starts).expect("the names are possible");
        let first = chain.begin(0).await.expect("a start is recorded");
        let later = chain.begin(100).await.expect("the first one's start is read");
        assert_eq!((first.end, later.end), (0, 0));
        assert_eq!(chain.tail(None).await.expect("the store answers"), None);
    });
}

#[test]
fn a_ledger_keeps_its_id_and_its_machine() {
    block_on(async {
        let store: Arc<dyn Store> = Arc::new(FaultyStore::new());
        let open = |options: Options| {
            let store = Arc::clone(&store);
            async move { Ledger::open(store, "_vanne", "logs", &options).await }
        };
        let existing = Options { existing: true, ..Options::default() };
        assert!(matches!(open(existing.clone()).await, Err(Error::Absent { .. })));
        let of = |machine: &str| Options { machine: Some(machine.into()), ..Options::default() };
        let id = open(of("here")).await.expect("it is created").id().to_owned();
        assert!(is_unique_id(&id));
        assert_eq!(open(existing).await.expect("it exists").id(), id);
        assert_eq!(open(of("here")).await.expect("it is the same machine").id(), id);
        let error = open(of("there")).await.expect_err("it is another machine");
        assert!(error.hint().expect("there is a way out").contains("shared = true"), "{error}");
        let shared = Options { shared: true, ..of("there") };
        assert_eq!(open(shared).await.expect("it is shared").id(), id);
        assert!(is_unique_id(&machine_id()) && machine_id() == machine_id());
    });
}

#[test]
fn ledgers_that_are_created_at_once_have_one_id() {
    block_on(async {
        for fault in [None, Some(Fault::LostAnswer), Some(Fault::LostRequest), Some(Fault::Conflict)] {
            let store = FaultyStore::new();
            if let Some(fault) = fault {
                store.script("create", fault);
            }
            let shared: Arc<dyn Store> = Arc::new(store.clone());
            let options = Options::default();
            let open = || Ledger::open(Arc::clone(&shared), "_vanne", "logs", &options);
            let (one, other) = tokio::join!(open(), open());
            assert_eq!(one.expect("it opens").id(), other.expect("it opens").id(), "{fault:?}");
        }
    });
}
