//! Saying that dead letters wait for their topic.
//!
//! Owns the pace: one line for all lanes together, soon at first and then ever more seldom. Invariant:
//! whatever the number of lanes, at most one line every [`FIRST`].

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::ledger::Entry;
use crate::sink::kafka::Topic;

/// A broker that elects a leader, or a slow link, is no news.
const FIRST: Duration = Duration::from_secs(3);

/// The longest silence while lanes wait.
const MOST: Duration = Duration::from_secs(60);

/// The lanes that wait, and when it was said last.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    lanes: usize,
    said: Option<(Instant, Duration)>,
}

impl Waiting {
    /// Does the work, and says every now and then that it is not done.
    pub(super) async fn watch<E>(
        &self,
        topic: &Topic,
        entry: &Entry,
        work: impl Future<Output = Result<(), E>>,
    ) -> Result<(), E> {
        let began = Instant::now();
        let mut work = std::pin::pin!(work);
        let mut lane = None;
        loop {
            tokio::select! {
                biased;
                done = &mut work => {
                    if lane.take().is_some() && done.is_ok() && self.lanes() == 0 {
                        tracing::info!(topic = topic.name(), waited = ?began.elapsed(),
                            "the dead letters that waited are in their topic");
                    }
                    return done;
                }
                () = tokio::time::sleep(FIRST) => {}
            }
            lane.get_or_insert_with(|| Lane::enter(self));
            if let Some(lanes) = self.may_say(Instant::now()) {
                let trouble = topic.trouble().unwrap_or_else(|| String::from("no answer yet"));
                tracing::warn!(lane = %format_args!("{}/{}", entry.topic, entry.partition), lanes,
                    topic = topic.name(), trouble, waited = ?began.elapsed(),
                    "dead letters wait for their topic, and their lanes with them; other lanes go on");
            }
        }
    }

    fn lanes(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).lanes
    }

    /// How many lanes wait, where it is time to say so.
    fn may_say(&self, now: Instant) -> Option<usize> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let silence = match state.said {
            Some((at, silence)) if now.duration_since(at) < silence => return None,
            Some((_, silence)) => (silence * 2).min(MOST),
            None => FIRST,
        };
        state.said = Some((now, silence));
        Some(state.lanes)
    }
}

/// One lane that waits.
struct Lane<'a>(&'a Waiting);

impl<'a> Lane<'a> {
    fn enter(waiting: &'a Waiting) -> Self {
        waiting.0.lock().unwrap_or_else(PoisonError::into_inner).lanes += 1;
        Self(waiting)
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.lanes -= 1;
        // The next time that one waits is news again, if not at once.
        if state.lanes == 0 {
            state.said = state.said.map(|(at, _)| (at, FIRST));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_gets_rarer_while_lanes_wait_and_is_news_again_later() {
        let waiting = Waiting::default();
        let began = Instant::now();
        let mut at = began;
        let mut said = Vec::new();
        let lanes = (Lane::enter(&waiting), Lane::enter(&waiting));
        // Two lanes ask every second for ten minutes.
        for _ in 0..600 {
            at += Duration::from_secs(1);
            said.extend(waiting.may_say(at).map(|lanes| ((at - began).as_secs(), lanes)));
            assert_eq!(waiting.may_say(at), None, "one line for both");
        }
        assert_eq!(said[..6], [(1, 2), (4, 2), (10, 2), (22, 2), (46, 2), (94, 2)]);
        assert!(said.len() < 16, "{said:?}");
        drop(lanes);
        let _lane = Lane::enter(&waiting);
        assert_eq!(waiting.may_say(at + FIRST), Some(1));
    }
}
