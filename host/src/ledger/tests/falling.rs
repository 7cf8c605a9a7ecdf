//! Revisions never fall along a chain, whoever writes it and whoever reads it.

use super::*;

#[test]
fn revisions_never_fall_along_a_chain() {
    block_on(async {
        let store = FaultyStore::new();
        let chain = chain(&store).await;
        let publisher = Publisher::new(&store);
        let mut tail = chain.begin(0).await.expect("a start is recorded");
        for revision in [0, 2, 2, 5] {
            let mut made = staged_entry(&store, &chain, &tail, tail.end + 10, &format!("{:016x}", tail.end));
            made.revision = revision;
            let outcome = chain.create(&tail, &made, &[]).await.expect("it does not fall");
            tail = chain.publish(outcome.entry().clone(), &publisher).await.expect("everything is staged");
        }
        let creates = store.requests("create");
        for revision in [0, 4] {
            let mut made = staged_entry(&store, &chain, &tail, 60, "00000000000000aa");
            made.revision = revision;
            let error = chain.create(&tail, &made, &[]).await.expect_err("it falls");
            assert!(
                matches!(error, Error::Unfit { .. }) && error.to_string().contains("revision 5"),
                "{error}"
            );
        }
        assert_eq!((store.requests("create"), tail_of(&chain, None).await.end), (creates, 40));
    });
}

#[test]
fn a_chain_that_falls_back_to_a_lower_revision_is_broken_to_every_reader() {
    block_on(async {
        let store = FaultyStore::new();
        let chain = chain(&store).await;
        let publisher = Publisher::new(&store);
        let begin = chain.begin(0).await.expect("a start is recorded");
        let mut first = staged_entry(&store, &chain, &begin, 10, "00000000000000aa");
        first.revision = 3;
        let outcome = chain.create(&begin, &first, &[]).await.expect("nothing is in the way");
        let tail = chain.publish(outcome.entry().clone(), &publisher).await.expect("everything is staged");
        // Written by something that does not know the rule.
        let mut fallen = staged_entry(&store, &chain, &tail, 20, "00000000000000bb");
        fallen.revision = 2;
        let body = crate::ledger::codec::encode(&fallen, &[]).expect("it is sound in itself").body;
        store.set(&chain.lane().entry(10), body);

        let broken = |error: Error| {
            assert!(matches!(error, Error::Broken { start: 10, .. }), "{error}");
            assert!(
                error.to_string().contains("of revision 2") && error.to_string().contains("of revision 3")
            );
        };
        broken(chain.tail(None).await.expect_err("the last link falls"));
        broken(
            chain.follow(outcome.entry().clone(), &publisher).await.expect_err("the way to the end falls"),
        );
        let mut mine = staged_entry(&store, &chain, &tail, 20, "00000000000000cc");
        mine.revision = 3;
        broken(chain.create(&tail, &mine, &[]).await.expect_err("what stands there falls"));
    });
}
