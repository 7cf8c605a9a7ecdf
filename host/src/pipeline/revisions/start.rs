//! Which revision a host begins with.
//!
//! Owns the rule: content that the ledger does not know gets the next number; content that it knows runs
//! as the newest revision says, which may be another one. Invariant: what a host begins with is the newest
//! revision.

use std::sync::Arc;

use super::blueprint::{Blueprint, Reason};
use super::loader::Loader;
use super::shape::Shape;
use crate::ledger::{Created, RevisionCause};
use crate::pipeline::Error;

/// How often hosts that start at once may get into each other's way before one gives up.
const TRIES: u32 = 16;

/// Loads what this host is to begin with, and makes a revision of its file where that is new.
pub(super) async fn first_shape(loader: &Arc<Loader>) -> Result<Arc<Shape>, Error> {
    let own = Blueprint::alone(loader.own().half);
    let content = own.content();
    for _ in 0..TRIES {
        let newest = loader.revisions.newest().await?;
        let Some(newest) = newest else {
            match make(loader, &own, 1).await? {
                Some(shape) => return Ok(shape),
                None => continue,
            }
        };
        if newest.content() == content {
            return Ok(loader.load(own, None).await?.into_shape(newest));
        }
        if let Some(known) = loader.revisions.find_content(&content).await? {
            tracing::warn!(
                file = known.revision,
                newest = newest.revision,
                cause = ?newest.cause,
                made_by = newest.made_by,
                made_at = newest.made_at,
                "what this file says is revision {}, which was superseded; this host runs the newest, revision {}; \
                 to go back: `host rollback {} --to {}`",
                known.revision, newest.revision, newest.pipeline, known.revision
            );
            let blueprint = loader.blueprint(&newest).await?;
            let loaded = loader.load(blueprint, None).await;
            let loaded = loaded
                .map_err(|source| Error::Revision { revision: newest.revision, source: Box::new(source) })?;
            return Ok(loaded.into_shape(newest));
        }
        if let Some(shape) = make(loader, &own, newest.revision + 1).await? {
            return Ok(shape);
        }
    }
    Err(Error::RevisionsRace)
}

/// Makes a revision of this host's file; `None` where another one got the number.
async fn make(loader: &Arc<Loader>, own: &Blueprint, number: u64) -> Result<Option<Arc<Shape>>, Error> {
    let loaded = loader.load(own.clone(), None).await?;
    let mut draft = own.draft(number, Reason::plain(RevisionCause::Start));
    loaded.name_plugins(&mut draft);
    loader.keep(own).await?;
    match loader.revisions.create(&draft).await? {
        Created::Mine => {
            if number > 1 {
                tracing::info!(revision = number, "what this file says is a new revision");
            }
            Ok(Some(loaded.into_shape(draft)))
        }
        Created::Theirs(_) => Ok(None),
    }
}
