//! Finding an entry without knowing whose it is: for people who ask where an object comes from.
//!
//! Owns looking through a ledger's pipelines and topics by name. Reads only; holds no lane. Invariant: an
//! entry that is returned belongs where it lies.

use super::path::{self, pipeline_of, topic_of};
use super::start::folders;
use super::{Error, LastEntry, Ledger, Place, Result, TopicIdentity};

/// The pipelines that have something in a ledger.
///
/// # Errors
/// [`Error::Absent`] where there is no ledger; [`Error::Name`], [`Error::Store`].
pub async fn pipelines(place: &Place) -> Result<Vec<String>> {
    let Place { store, root } = place;
    path::check_root(root)?;
    if store.head(&path::ledger_file(root)).await?.is_none() {
        return Err(Error::Absent { root: root.clone(), place: store.place().to_owned() });
    }
    folders(&**store, root, root.clone(), |path| pipeline_of(root, path).map(str::to_owned)).await
}

impl Ledger {
    /// The topics of a name that have something in this pipeline's ledger: one, but for topics that were
    /// deleted and made again.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Store`].
    pub async fn topics_named(&self, name: &str) -> Result<Vec<TopicIdentity>> {
        self.check(&TopicIdentity { name: name.to_owned(), id: "any".into() })?;
        let folder = path::pipeline_folder(&self.root, &self.pipeline);
        let of_name = |path: &str| topic_of(&folder, path).filter(|topic| topic.name == name);
        folders(&*self.store, &folder, format!("{folder}/{name}@"), of_name).await
    }

    /// The entry of a partition that begins at an offset, and its path; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Malformed`], [`Error::Newer`], [`Error::Store`].
    pub async fn entry(
        &self,
        topic: &TopicIdentity,
        partition: i32,
        start: u64,
    ) -> Result<Option<(String, LastEntry)>> {
        // A chain has a start.
        let Some(starts) = self.starts(topic).await? else { return Ok(None) };
        let chain = self.chain(topic, partition, &starts)?;
        Ok(chain.read(start).await?.map(|entry| (chain.lane().entry(start), entry)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::super::testing::{FaultyStore, block_on, ledger, staged_entry, topic};
    use super::*;
    use crate::store::memory;

    #[test]
    fn an_entry_is_found_among_pipelines_and_topics() {
        block_on(async {
            let store = FaultyStore::new();
            let place = |root: &str| Place { store: Arc::new(store.clone()), root: root.into() };
            let absent = pipelines(&place("_vanne")).await;
            assert!(matches!(absent, Err(Error::Absent { .. })));
            let (ledger, starts) = ledger(&store).await;
            let chain = ledger.chain(&topic(), 0, &starts).expect("the names are possible");
            let begin = chain.begin(0).await.expect("a start is recorded");
            let made = staged_entry(&store, &chain, &begin, 10, "00000000000000aa");
            chain.create(&begin, &made, &[]).await.expect("nothing is in the way");
            for beside in [
                "_vanne/_claims/t/x.json",
                "_vanne/_probe/0.1.0.json",
                "_vanne/copy/revision/00000000000000000001.json",
                "_vanne/logs/config/00.toml",
                "_vanne/logs/component/00.wasm",
                "_vanne/logs/revision/00000000000000000001.json",
                "_vanne2/other/x",
            ] {
                store.set(beside, Bytes::new());
            }
            assert_eq!(pipelines(&place("_vanne")).await.expect("the store answers"), ["copy", "logs"]);
            assert_eq!(ledger.topics().await.expect("the store answers"), [topic()]);
            let named = ledger.topics_named("access-logs").await.expect("the store answers");
            assert_eq!(named, [topic()]);
            for name in ["access", "revision", "component", "config"] {
                let named = ledger.topics_named(name).await.expect("the store answers");
                assert_eq!(named, [], "{name}");
            }
            let (path, entry) =
                ledger.entry(&topic(), 0, 0).await.expect("the store answers").expect("it stands");
            assert_eq!((path, entry.entry), (chain.lane().entry(0), made));
            assert_eq!(ledger.entry(&topic(), 0, 10).await.expect("the store answers"), None);
            let other = ledger.of_pipeline("copy").expect("the name is possible");
            assert_eq!(other.entry(&topic(), 0, 0).await.expect("the store answers"), None);
            let known = other.revisions().newest().await;
            assert!(matches!(known, Err(Error::Malformed { .. })), "an empty document is none");
        });
    }

    #[test]
    fn a_ledger_at_the_root_of_its_store_is_looked_through_too() {
        block_on(async {
            let store = memory();
            for path in ["_ledger.json", "_claims/t/x.json", "a/t@1/_start.json", "b/revision/x", "object"] {
                store.create(path, Bytes::new()).await.expect("memory takes it");
            }
            let place = Place { store, root: String::new() };
            assert_eq!(pipelines(&place).await.expect("the store answers"), ["a", "b"]);
        });
    }
}
