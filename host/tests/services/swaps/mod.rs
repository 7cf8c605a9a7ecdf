//! Hot swap: the code of a running stream changed at exact offsets, and the proof of it.
//!
//! Each version of the plugin `stamp` writes its own number into each record, so that what the ledger says about a
//! record's version can be held against the record itself. The judge is the reader of the crash tests, and [`judge`],
//! which knows the ledger's files by their documentation only.
//!
//! `VANNE_SWAPS` is the number of swaps of the storm (12 unless it is set); `VANNE_SEED` is the seed, as for the crash
//! tests.

mod bench;
mod judge;
mod judge_tests;
mod refusals;
mod reloads;
mod rollbacks;
mod rollouts;
mod several;
mod stage;
mod storm;
mod swap;
