//! Components and configurations, kept in the ledger by their digests.
//!
//! Owns writing and reading them. Does not know what is in them. Invariant: what is read has the digest
//! that was asked for; so it does not matter who wrote it, nor how often.

use std::borrow::Cow;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::document::{self, CREATE_TRIES};
use super::path::{self, digest_digits, hexadecimal};
use super::{Error, Ledger, Result};
use crate::store::{self, Created};

/// Largest component that is kept: real ones have some MiB (those with an interpreter some tens), and one
/// is held in memory while it is compiled.
pub const COMPONENT_BYTES_MAX: u64 = 256 << 20;

/// Largest configuration that is kept: a person writes some KiB.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// Bytes hashed before other tasks get their turn: well under a millisecond's work.
const HASHED_AT_ONCE: usize = 256 << 10;

/// What is kept by its digest.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kept {
    Component,
    Config,
}

impl Kept {
    fn word(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::Config => "configuration",
        }
    }

    fn most(self) -> u64 {
        match self {
            Self::Component => COMPONENT_BYTES_MAX,
            Self::Config => CONFIG_BYTES_MAX,
        }
    }

    /// Where it lies by its digest.
    pub(super) fn path(self, ledger: &Ledger, digest: &str) -> Result<String> {
        let digits = digest_digits(digest).ok_or_else(|| Error::Name {
            what: "digest",
            name: digest.to_owned(),
            reason: "`sha256:` and 64 lower case hexadecimal digits are needed",
        })?;
        Ok(match self {
            Self::Component => path::component_file(&ledger.root, &ledger.pipeline, digits),
            Self::Config => path::config_file(&ledger.root, &ledger.pipeline, digits),
        })
    }

    /// Writes it, unless it is there, and returns its digest.
    pub(super) async fn keep(self, ledger: &Ledger, bytes: Bytes) -> Result<String> {
        let length = bytes.len() as u64;
        if length > self.most() {
            return Err(Error::TooLarge { what: self.word(), bytes: length, most: self.most() });
        }
        let digest = digest_in_turns(&bytes).await;
        let path = self.path(ledger, &digest)?;
        let (store, patience) = (&*ledger.store, &ledger.patience);
        let mut backoff = patience.away();
        let mut failure = None;
        for _ in 0..CREATE_TRIES {
            match store.head(&path).await {
                Ok(Some(found)) if found == length => return Ok(digest),
                Ok(Some(found)) => {
                    return Err(damaged(ledger, path, format!("it has {found} bytes, not {length}")));
                }
                Ok(None) => match store.create(&path, bytes.clone()).await {
                    Ok(Created::Created) => return Ok(digest),
                    Ok(Created::Exists) => {}
                    Err(error) if error.kind == store::ErrorKind::Unknown => failure = Some(error),
                    Err(error) => return Err(error.into()),
                },
                Err(error) if error.kind == store::ErrorKind::Unknown => failure = Some(error),
                Err(error) => return Err(error.into()),
            }
            patience.wait(&mut backoff).await;
        }
        Err(Error::Store(failure.unwrap_or_else(|| document::contradiction(store, &path))))
    }

    /// Whether it is there.
    pub(super) async fn is_kept(self, ledger: &Ledger, digest: &str) -> Result<bool> {
        let path = self.path(ledger, digest)?;
        Ok(ledger.store.head(&path).await?.is_some())
    }

    /// Reads it, and checks its digest.
    pub(super) async fn read(self, ledger: &Ledger, digest: &str) -> Result<Bytes> {
        let path = self.path(ledger, digest)?;
        let missing = "it is missing, although it is asked for by its digest";
        let Some(length) = ledger.store.head(&path).await? else {
            return Err(damaged(ledger, path, missing));
        };
        if length > self.most() {
            let reason = format!("it has {length} bytes, and a {} has up to {}", self.word(), self.most());
            return Err(damaged(ledger, path, reason));
        }
        let Some(bytes) = ledger.store.get(&path).await? else { return Err(damaged(ledger, path, missing)) };
        let found = digest_in_turns(&bytes).await;
        if found == digest {
            return Ok(bytes);
        }
        Err(damaged(ledger, path, format!("its digest is `{found}`")))
    }
}

fn damaged<'a>(ledger: &Ledger, path: String, reason: impl Into<Cow<'a, str>>) -> Error {
    Error::Malformed { path, place: ledger.store.place().to_owned(), reason: reason.into().into_owned() }
}

/// `sha256:` and the digest, without keeping the thread for as long as 256 MiB take.
async fn digest_in_turns(bytes: &Bytes) -> String {
    let mut hasher = Sha256::new();
    for piece in bytes.chunks(HASHED_AT_ONCE) {
        hasher.update(piece);
        tokio::task::yield_now().await;
    }
    format!("sha256:{}", hexadecimal(&hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fault, FaultyStore, block_on, ledger};
    use super::super::{Kind, Revisions};
    use super::*;

    async fn revisions(store: &FaultyStore) -> Revisions {
        ledger(store).await.0.revisions()
    }

    #[test]
    fn a_component_is_kept_once_and_read_by_its_digest() {
        block_on(async {
            let store = FaultyStore::new();
            let revisions = revisions(&store).await;
            let component = Bytes::from(vec![7; 3 * HASHED_AT_ONCE + 1]);
            let digest = revisions.keep_component(component.clone()).await.expect("it is kept");
            assert_eq!(digest, super::super::codec::digest(&component));
            let path = format!("_vanne/logs/component/{}.wasm", &digest["sha256:".len()..]);
            assert!(store.snapshot().contains_key(&path));
            let creates = store.requests("create");
            assert_eq!(revisions.keep_component(component.clone()).await.expect("it is there"), digest);
            assert_eq!(store.requests("create"), creates, "it is not sent again");
            assert_eq!(revisions.component(&digest).await.expect("it is read"), component);
        });
    }

    #[test]
    fn a_lost_answer_does_not_matter_to_what_is_kept() {
        block_on(async {
            for fault in [Fault::LostAnswer, Fault::LostRequest, Fault::Late, Fault::Conflict] {
                let store = FaultyStore::new();
                let revisions = revisions(&store).await;
                store.script("create", fault);
                store.script("head", Fault::LostAnswer);
                let digest = revisions.keep_config("version = 1\n").await.expect("it is tried again");
                assert_eq!(
                    revisions.config(&digest).await.expect("it is read"),
                    "version = 1\n",
                    "{fault:?}"
                );
            }
            let store = FaultyStore::new();
            let revisions = revisions(&store).await;
            store.script("create", Fault::Denied);
            let error = revisions.keep_config("x").await.expect_err("access is denied");
            assert_eq!(error.kind(), Kind::Transient);
        });
    }

    #[test]
    fn what_was_damaged_is_not_taken_for_what_was_kept() {
        block_on(async {
            let store = FaultyStore::new();
            let revisions = revisions(&store).await;
            let digest = revisions.keep_config("a = 1\n").await.expect("it is kept");
            let path = format!("_vanne/logs/config/{}.toml", &digest["sha256:".len()..]);
            store.set(&path, Bytes::from_static(b"a = 2\n"));
            let error = revisions.config(&digest).await.expect_err("it was replaced");
            assert!(error.kind() == Kind::Halted && error.to_string().contains("its digest is"), "{error}");
            store.set(&path, Bytes::from_static(b"a"));
            let error = revisions.keep_config("a = 1\n").await.expect_err("it was cut short");
            assert!(error.to_string().contains("it has 1 bytes, not 6"), "{error}");
            store.set(&path, Bytes::from(vec![b' '; usize::try_from(CONFIG_BYTES_MAX).expect("fits") + 1]));
            let error = revisions.config(&digest).await.expect_err("it is too large");
            assert!(error.to_string().contains("1048576"), "{error}");
            store.remove(&path);
            let error = revisions.config(&digest).await.expect_err("it is gone");
            assert!(error.to_string().contains("missing"), "{error}");
            for digest in ["", "sha256:00", "sha256:../../../../etc/passwd"] {
                let error = revisions.component(digest).await.expect_err("it is no digest");
                assert_eq!(error.kind(), Kind::Refused, "{error}");
            }
        });
    }

    #[test]
    fn what_is_too_large_is_refused_before_anything_is_sent() {
        block_on(async {
            let store = FaultyStore::new();
            let revisions = revisions(&store).await;
            let heads = store.requests("head");
            let text = " ".repeat(usize::try_from(CONFIG_BYTES_MAX).expect("fits") + 1);
            let error = revisions.keep_config(&text).await.expect_err("it is too large");
            assert_eq!(
                error.to_string(),
                "the configuration has 1048577 bytes, and the ledger keeps up to 1048576"
            );
            assert_eq!((error.kind(), store.requests("head")), (Kind::Refused, heads));
        });
    }
}
