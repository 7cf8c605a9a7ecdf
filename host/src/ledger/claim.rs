//! Who may write a topic's objects into a sink's place.
//!
//! Owns the claim files. They lie in the sink's own store, since two pipelines with different ledgers
//! must find the same one. Invariant: a claim is created once; only `adopt` hands it on.

use serde::{Deserialize, Serialize};
use tracing::info;

use super::document::{self, DOCUMENT_VERSION};
use super::error::Conflict;
use super::identity::place_text;
use super::path::{self, check_root, check_sink};
use super::{Error, Ledger, Place, Result, TopicIdentity};
use crate::clock;
use crate::store::Labels;

/// Where a sink's objects go.
#[derive(Clone, Copy, Debug)]
pub struct SinkPlace<'a> {
    /// The sink's name.
    pub sink: &'a str,
    /// Its store, and the folder in which Vanne keeps its own things there.
    pub place: &'a Place,
    /// The fixed part of its objects' paths, from the store's root; empty for the whole store.
    pub prefix: &'a str,
}

/// A claim file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claim {
    version: u32,
    url: String,
    topic: String,
    topic_id: String,
    ledger: String,
    pipeline: String,
    sink: String,
    claimed_at: String,
}

impl Claim {
    fn is_of(&self, ledger: &Ledger) -> bool {
        self.ledger == ledger.id() && self.pipeline == ledger.pipeline()
    }

    fn owner(&self) -> String {
        format!("sink `{}` of pipeline `{}` (ledger `{}`)", self.sink, self.pipeline, self.ledger)
    }

    fn refusal(self, asker: &Self, path: String) -> Error {
        Error::Claimed(Box::new(Conflict {
            owner: self.owner(),
            asker: asker.owner(),
            url: self.url,
            topic: self.topic,
            path,
            owner_pipeline: self.pipeline,
        }))
    }
}

impl Ledger {
    /// Claims a sink's place for a topic, before anything is read. Repeatable by the owner.
    ///
    /// # Errors
    /// [`Error::Claimed`] where another pipeline, another sink or another ledger owns it;
    /// [`Error::Name`], [`Error::Malformed`], [`Error::Newer`], [`Error::Store`].
    pub async fn claim(&self, sink: SinkPlace<'_>, topic: &TopicIdentity) -> Result<()> {
        let (path, claim) = self.claim_for(sink, topic)?;
        let store = &*sink.place.store;
        let standing = document::create_or_read(store, &self.patience, &path, &claim).await?;
        if standing.is_of(self) && standing.sink == claim.sink {
            return Ok(());
        }
        Err(standing.refusal(&claim, path))
    }

    /// Makes a claim of `old` this pipeline's. For whoever has made sure that `old` is stopped for good.
    pub(super) async fn take_claim(
        &self,
        sink: SinkPlace<'_>,
        topic: &TopicIdentity,
        old: &Self,
    ) -> Result<()> {
        let (path, claim) = self.claim_for(sink, topic)?;
        let store = &*sink.place.store;
        let standing = document::create_or_read(store, &self.patience, &path, &claim).await?;
        if standing.is_of(self) && standing.sink == claim.sink {
            return Ok(());
        }
        if !standing.is_of(old) {
            return Err(standing.refusal(&claim, path));
        }
        store.put(&path, document::write(&claim), &Labels::default()).await?;
        info!(
            url = claim.url,
            topic = claim.topic,
            from = standing.owner(),
            to = claim.owner(),
            "claim handed on"
        );
        Ok(())
    }

    fn claim_for(&self, sink: SinkPlace<'_>, topic: &TopicIdentity) -> Result<(String, Claim)> {
        self.check(topic)?;
        check_sink(sink.sink)?;
        check_root(&sink.place.root)?;
        let url = place_text(&*sink.place.store, sink.prefix.trim_matches('/'));
        let path = path::claim_file(&sink.place.root, &topic.id, &url);
        let claim = Claim {
            version: DOCUMENT_VERSION,
            url,
            topic: topic.name.clone(),
            topic_id: topic.id.clone(),
            ledger: self.id().to_owned(),
            pipeline: self.pipeline().to_owned(),
            sink: sink.sink.to_owned(),
            claimed_at: clock::rfc3339(clock::now_ms()),
        };
        Ok((path, claim))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::super::testing::{Fault, FaultyStore, block_on, topic};
    use super::*;
    use std::sync::Arc;

    async fn ledger(store: &FaultyStore, root: &str, pipeline: &str) -> Ledger {
        let store = Arc::new(store.clone());
        Ledger::open(store, root, pipeline, &Options::default()).await.expect("it opens")
    }

    #[test]
    fn a_place_has_one_owner_for_each_topic() {
        block_on(async {
            let (store, lake) = (FaultyStore::new(), FaultyStore::at("s3://lake"));
            let place = Place { store: Arc::new(lake.clone()), root: "_vanne".into() };
            let sink = |sink, prefix| SinkPlace { sink, place: &place, prefix };
            let mine = ledger(&store, "_vanne", "logs").await;
            lake.script("create", Fault::LostAnswer);
            mine.claim(sink("lake", "access"), &topic()).await.expect("nobody owns it");
            mine.claim(sink("lake", "access/"), &topic()).await.expect("it is mine already");

            let theirs = ledger(&store, "_vanne", "copy").await;
            let error = theirs.claim(sink("lake", "access"), &topic()).await.expect_err("it is owned");
            let text = error.to_string();
            assert!(
                text.contains("s3://lake/access") && text.contains("`logs`") && text.contains("`copy`"),
                "{text}"
            );
            assert!(error.hint().expect("there is a way out").contains("host ledger adopt --from logs"));
            mine.claim(sink("other", "access"), &topic()).await.expect_err("another sink of mine owns it");
            let moved = ledger(&store, "elsewhere", "logs").await;
            moved
                .claim(sink("lake", "access"), &topic())
                .await
                .expect_err("another ledger's pipeline owns it");

            theirs.claim(sink("lake", "access-2"), &topic()).await.expect("another prefix is free");
            let other = TopicIdentity { name: "other".into(), id: "topic-id-9".into() };
            theirs.claim(sink("lake", "access"), &other).await.expect("another topic is free");
        });
    }
}
