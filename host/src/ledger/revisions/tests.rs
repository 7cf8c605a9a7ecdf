use super::super::revision::tests::revision;
use super::super::testing::{Fault, FaultyStore, block_on, ledger};
use super::super::{Kind, RevisionCause};
use super::*;

/// Revisions of a new ledger, and a kept configuration and component.
async fn begin(store: &FaultyStore) -> (Revisions, String, String) {
    let revisions = ledger(store).await.0.revisions();
    let config = revisions.keep_config("version = 1\n").await.expect("it is kept");
    let component = revisions.keep_component(Bytes::from_static(b"\0asm")).await.expect("it is kept");
    (revisions, config, component)
}

/// Another process over the same store.
async fn other(store: &FaultyStore) -> Revisions {
    ledger(store).await.0.revisions()
}

/// Makes revisions `from` to `to`; each has a component of its own.
async fn grow(revisions: &Revisions, config: &str, from: u64, to: u64) {
    for number in from..=to {
        let component = revisions.keep_component(Bytes::from(number.to_string())).await.expect("it is kept");
        let made = revision(number, config, &component);
        assert_eq!(revisions.create(&made).await.expect("nothing is in the way"), Created::Mine);
    }
}

fn number(revision: Option<Revision>) -> Option<u64> {
    revision.map(|revision| revision.revision)
}

#[test]
fn revisions_are_numbered_from_one_and_read_back() {
    block_on(async {
        let store = FaultyStore::new();
        let (revisions, config, component) = begin(&store).await;
        assert_eq!(revisions.newest().await.expect("the store answers"), None);
        let first = revision(1, &config, &component);
        assert_eq!(revisions.create(&first).await.expect("it is free"), Created::Mine);
        assert!(store.snapshot().contains_key("_vanne/logs/revision/00000000000000000001.json"));
        assert_eq!(revisions.newest().await.expect("the store answers"), Some(first.clone()));
        grow(&revisions, &config, 2, 5).await;
        let other = other(&store).await;
        assert_eq!(number(other.newest().await.expect("the store answers")), Some(5));
        assert_eq!(other.read(1).await.expect("the store answers"), Some(first));
        assert_eq!(other.read(6).await.expect("the store answers"), None);
    });
}

#[test]
fn of_two_hosts_that_create_at_once_one_wins_and_the_other_reads_what() {
    block_on(async {
        for fault in [
            None,
            Some(Fault::LostAnswer),
            Some(Fault::LostRequest),
            Some(Fault::Late),
            Some(Fault::Conflict),
        ] {
            let store = FaultyStore::new();
            let (one, config, component) = begin(&store).await;
            let two = other(&store).await;
            // Equal to the last byte, as two containers of one image may make them.
            let made = revision(1, &config, &component);
            if let Some(fault) = fault {
                store.script("create", fault);
            }
            let (first, second) = tokio::join!(one.create(&made), two.create(&made));
            let outcomes = [first.expect("it is known"), second.expect("it is known")];
            let mine = outcomes.iter().filter(|outcome| **outcome == Created::Mine).count();
            let theirs = Created::Theirs(Box::new(made.clone()));
            assert!(mine == 1 && outcomes.contains(&theirs), "{fault:?}: {outcomes:?}");
        }
    });
}

#[test]
fn a_revision_is_mine_after_a_lost_answer() {
    block_on(async {
        for fault in [Fault::LostAnswer, Fault::LostRequest, Fault::Late, Fault::Conflict] {
            let store = FaultyStore::new();
            let (revisions, config, component) = begin(&store).await;
            store.script("create", fault);
            store.script("create", fault);
            let made = revision(1, &config, &component);
            assert_eq!(revisions.create(&made).await.expect("it is tried again"), Created::Mine, "{fault:?}");
            store.land();
            assert_eq!(revisions.read(1).await.expect("the store answers"), Some(made), "{fault:?}");
        }
    });
}

#[test]
fn holes_and_names_of_what_is_not_kept_are_refused_before_anything_is_sent() {
    block_on(async {
        let store = FaultyStore::new();
        let (revisions, config, component) = begin(&store).await;
        let creates = store.requests("create");
        let nowhere = format!("sha256:{}", "0".repeat(64));
        let mut rolled = revision(1, &config, &component);
        rolled.rollout = Some(super::super::Rollout {
            config: nowhere.clone(),
            transforms: Vec::new(),
            mode: super::super::RolloutMode::Shadow { promote_after: Some(1000) },
        });
        for (made, word) in [
            (revision(2, &config, &component), "there is no revision 1"),
            (revision(0, &config, &component), "revision 0"),
            (revision(1, &nowhere, &component), "is not kept"),
            (revision(1, &config, &nowhere), "is not kept"),
            (revision(1, &config, "sha256:x"), "hexadecimal"),
            (rolled, "is not kept"),
            (Revision { pipeline: "other".into(), ..revision(1, &config, &component) }, "`other`"),
        ] {
            let error = revisions.create(&made).await.expect_err("it breaks a rule");
            assert!(error.kind() == Kind::Refused && error.to_string().contains(word), "{word}: {error}");
        }
        assert_eq!(store.requests("create"), creates);
        assert_eq!(revisions.newest().await.expect("the store answers"), None);
    });
}

#[test]
fn the_newest_is_seen_however_many_there_are_and_whatever_lies_beside() {
    block_on(async {
        let store = FaultyStore::new();
        let (revisions, config, component) = begin(&store).await;
        for nth in 1..=2500 {
            let made = Written { revision: revision(nth, &config, &component), nonce: String::new() };
            store.set(&format!("_vanne/logs/revision/{nth:020}.json"), document::write(&made));
        }
        store.set("_vanne/logs/revision/99.json", Bytes::new());
        store.set("_vanne/logs/revision/zzz", Bytes::new());
        let before = store.listings();
        assert_eq!(number(revisions.newest().await.expect("the store answers")), Some(2500));
        assert_eq!(store.listings() - before, 3);
        let (listings, gets) = (store.listings(), store.requests("get"));
        assert_eq!(number(revisions.newest().await.expect("the store answers")), Some(2500));
        assert_eq!((store.listings() - listings, store.requests("get") - gets), (0, 2));
        assert_eq!(revisions.newest_from(2500).await.expect("the store answers"), None);
        assert_eq!(
            (store.listings() - listings, store.requests("get") - gets),
            (0, 3),
            "polling is one request"
        );
        assert_eq!(number(revisions.newest_from(3).await.expect("the store answers")), Some(2500));
    });
}

#[test]
fn what_another_host_created_is_seen_by_the_next_look() {
    block_on(async {
        let store = FaultyStore::new();
        let (one, config, _) = begin(&store).await;
        let two = other(&store).await;
        grow(&one, &config, 1, 2).await;
        assert_eq!(number(two.newest().await.expect("the store answers")), Some(2));
        grow(&one, &config, 3, 6).await;
        assert_eq!(number(two.newest_from(2).await.expect("the store answers")), Some(6));
        grow(&two, &config, 7, 7).await;
        assert_eq!(number(one.newest().await.expect("the store answers")), Some(7));
        store.remove("_vanne/logs/revision/00000000000000000007.json");
        let error = one.newest().await.expect_err("a number that was seen is gone");
        assert_eq!(error.kind(), Kind::Halted, "{error}");
    });
}

#[test]
fn content_is_found_by_its_newest_revision() {
    block_on(async {
        let store = FaultyStore::new();
        let (revisions, config, _) = begin(&store).await;
        let nothing = revisions.find_content("sha256:00").await.expect("the store answers");
        assert_eq!(nothing, None);
        grow(&revisions, &config, 1, 40).await;
        let third = revisions.read(3).await.expect("the store answers").expect("it stands");
        let back = Revision { revision: 41, cause: RevisionCause::Rollback, of: Some(3), ..third.clone() };
        let found = |content: String| {
            let revisions = revisions.clone();
            async move { number(revisions.find_content(&content).await.expect("the store answers")) }
        };
        assert_eq!(found(third.content()).await, Some(3));
        assert_eq!(revisions.create(&back).await.expect("it is free"), Created::Mine);
        assert_eq!(found(third.content()).await, Some(41));
        grow(&revisions, &config, 42, 44).await;
        assert_eq!(found(third.content()).await, Some(41));
        assert_eq!(found(String::from("sha256:00")).await, None);
    });
}

#[test]
fn a_revision_of_another_place_or_a_later_host_is_told_by_its_path() {
    block_on(async {
        let store = FaultyStore::new();
        let (revisions, config, component) = begin(&store).await;
        let made = revision(2, &config, &component);
        store.set("_vanne/logs/revision/00000000000000000001.json", document::write(&made));
        let error = revisions.newest().await.expect_err("it has another number");
        assert!(
            error.kind() == Kind::Halted && error.to_string().contains("00000000000000000001.json"),
            "{error}"
        );
        let newer = Bytes::from_static(b"{\"version\":2,\"everything\":\"else\"}");
        store.set("_vanne/logs/revision/00000000000000000001.json", newer);
        let error = revisions.newest().await.expect_err("a later host wrote it");
        assert!(matches!(error, Error::Newer { found: 2, known: 1, .. }), "{error}");
    });
}

#[test]
fn tasks_of_a_runtime_can_ask() {
    fn can_move(_: &impl Send) {}
    block_on(async {
        let store = FaultyStore::new();
        let (revisions, config, component) = begin(&store).await;
        let made = revision(1, &config, &component);
        can_move(&revisions.create(&made));
        can_move(&revisions.keep_component(Bytes::new()));
        can_move(&revisions.newest_from(0));
        can_move(&revisions.find_content(""));
    });
}
