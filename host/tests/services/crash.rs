//! Exactly once, whatever dies: hosts as processes over real Kafka and real stores, killed, paused and drained at
//! named points and at random moments, with an independent reader as the judge.
//!
//! `VANNE_KILLS` is the number of SIGKILLs over the three plain storms together (30 unless it is set; MinIO, versitygw,
//! a folder), a third of it that of each further storm. `VANNE_SEED` is the seed, which every run prints: it draws the
//! same again, though processes never take the same time twice.

pub(crate) mod chains;
mod crew;
pub(crate) mod dice;
pub(crate) mod load;
mod plugin;
mod points;
mod rebalances;
pub(crate) mod scene;
mod storm;
mod zombies;
