//! Dead letters on their way to the topic of `[dead_letter]`.
//!
//! Owns the step from the objects of a committed entry to acknowledged messages, and saying that it
//! waits. `lines` reads the objects, `message` is a letter as the topic gets it. Does not decide what is
//! a dead letter. Invariant: what is produced was read from the entry's own bytes, in order; it is done
//! when all of it is acknowledged, and may be done again by anyone, with the same headers.

mod lines;
mod message;
mod waiting;

use std::sync::Arc;

use tokio::sync::Semaphore;

use self::lines::Pieces;
use self::message::Reader;
use self::waiting::Waiting;
use super::Error;
use super::stats::Stats;
use super::topics::Asker;
use crate::clock::Random;
use crate::config;
use crate::ledger::{DEAD_LETTER_SINK, Entry, Kind, LastEntry, ObjectEntry, PublishError};
use crate::sink::kafka::{Message, Topic};
use crate::store::Store;

/// Messages handed to the client at once, in bytes and in number: enough for a round trip's worth, and
/// little beside a lane's buffers.
const WINDOW_BYTES: usize = 1 << 20;
const WINDOW_MESSAGES: usize = 1_000;

/// Lanes that produce at once: each holds a window, a piece of an object and a line. The others wait for
/// the same broker either way.
const AT_ONCE: usize = 16;

/// The topic of dead letters.
#[derive(Debug)]
pub(super) struct LetterTopic {
    topic: Topic,
    partitions: i32,
    store: Arc<dyn Store>,
    slots: Semaphore,
    waiting: Waiting,
    stats: Arc<Stats>,
}

impl LetterTopic {
    /// The topic, once it is known to be there; `None` where the configuration names none. `store` has the
    /// objects of dead letters.
    pub(super) async fn open(
        config: &config::Pipeline,
        brokers: &str,
        asker: &Asker,
        store: Arc<dyn Store>,
        stats: Arc<Stats>,
    ) -> Result<Option<Self>, Error> {
        let Some(name) = &config.dead_letter.topic else { return Ok(None) };
        let partitions = check(name, asker).await?;
        let topic = Topic::open(&config.source, brokers, name, Random::from_system()?)?;
        let (slots, waiting) = (Semaphore::new(AT_ONCE), Waiting::default());
        Ok(Some(Self { topic, partitions, store, slots, waiting, stats }))
    }

    /// Produces the dead letters of a committed entry; waits for a broker or topic that is away as long as
    /// it takes, and says so.
    pub(super) async fn produce(&self, last: &LastEntry) -> Result<(), PublishError> {
        let letters = last.entry.sinks.get(DEAD_LETTER_SINK);
        let objects = letters.map_or(&[][..], |letters| &letters.objects);
        if objects.is_empty() {
            return Ok(());
        }
        self.waiting.watch(&self.topic, &last.entry, self.produce_objects(last, objects)).await
    }

    async fn produce_objects(&self, last: &LastEntry, objects: &[ObjectEntry]) -> Result<(), PublishError> {
        let _slot = self.slots.acquire().await;
        for object in objects {
            self.produce_object(last, object).await?;
        }
        Ok(())
    }

    async fn produce_object(&self, last: &LastEntry, object: &ObjectEntry) -> Result<(), PublishError> {
        let mut pieces = Pieces::of(&*self.store, last, object)?;
        let place = format!("{}/{}", self.store.place().trim_end_matches('/'), object.path);
        let mut reader = Reader::new(&last.entry, place, self.partitions);
        while let Some(piece) = pieces.next().await? {
            // Some milliseconds of JSON are too much for a thread that serves others.
            let read = tokio::task::spawn_blocking(move || {
                let messages = reader.take(&piece);
                (reader, messages)
            });
            let (back, messages) = read.await.map_err(|error| failure(&error.to_string()))?;
            reader = back;
            for window in windows(&messages) {
                self.produce_window(&last.entry, object, window).await;
            }
        }
        let unread = reader.finish();
        if unread > 0 {
            Stats::add(&self.stats.dead_letters_refused, unread);
            tracing::error!(
                topic = self.topic.name(),
                object = object.path,
                letters = unread,
                "lines of an object of dead letters can't be read, so they are not in the topic"
            );
        }
        Ok(())
    }

    async fn produce_window(&self, entry: &Entry, object: &ObjectEntry, window: &[Message]) {
        let produced = self.topic.produce(window).await;
        Stats::add(&self.stats.dead_letters_produced, produced.sent);
        Stats::add(&self.stats.dead_letters_shortened, produced.shortened);
        Stats::add(&self.stats.dead_letters_refused, produced.refused);
        let lane = format_args!("{}/{}", entry.topic, entry.partition).to_string();
        if produced.shortened > 0 {
            tracing::warn!(
                lane,
                topic = self.topic.name(),
                letters = produced.shortened,
                object = object.path,
                "dead letters are too large for their topic and stand there without their values; the object has them whole"
            );
        }
        if produced.refused > 0 {
            tracing::error!(
                lane,
                topic = self.topic.name(),
                letters = produced.refused,
                object = object.path,
                "dead letters are too large for their topic even without the record; only the object has them"
            );
        }
    }
}

/// How many partitions the topic has; refuses one that is not there.
pub(super) async fn check(name: &str, asker: &Asker) -> Result<i32, Error> {
    let partitions = asker.partitions(name).await.map_err(|source| Error::DeadLetterTopic { source })?;
    Ok(i32::try_from(partitions.len()).unwrap_or(i32::MAX))
}

/// Cuts messages into what is handed to the client at once.
fn windows(messages: &[Message]) -> impl Iterator<Item = &[Message]> {
    let mut rest = messages;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take(WINDOW_MESSAGES).take_while(|message| {
            bytes += message.bytes();
            bytes <= WINDOW_BYTES
        });
        let count = fits.count().max(1).min(rest.len());
        let (window, left) = rest.split_at(count);
        rest = left;
        (!window.is_empty()).then_some(window)
    })
}

/// A failure that may be over when it is tried again.
fn failure(message: &str) -> PublishError {
    PublishError { kind: Kind::Transient, message: message.to_owned(), source: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn windows_are_bounded_and_hold_everything_in_order(
            sizes in vec(prop_oneof![0_usize..2_000, 400_000_usize..1_500_000], 0..40),
        ) {
            let of = |size: usize| Message { value: Some(Bytes::from(vec![0; size])), ..Message::default() };
            let messages: Vec<_> = sizes.into_iter().map(of).collect();
            let mut together = Vec::new();
            for window in windows(&messages) {
                let bytes: usize = window.iter().map(Message::bytes).sum();
                prop_assert!(window.len() == 1 || bytes <= WINDOW_BYTES);
                together.extend_from_slice(window);
            }
            prop_assert_eq!(together, messages);
        }
    }
}
