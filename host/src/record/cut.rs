//! Words about ranges that several stages share.

use serde::{Deserialize, Serialize};

/// Why a range ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CutCause {
    /// `cut.size`, counted after compression over all sinks.
    Size,
    /// `cut.records`.
    Records,
    /// Two versions run side by side, and took turns so often that an entry can hold no more runs.
    Runs,
    /// `cut.interval` or `cut.max_interval`.
    Age,
    /// A million offsets, or `cut.max_interval`, with nothing to write.
    Dropped,
    /// The process needed the memory.
    Memory,
    /// The partition was moved to another consumer.
    Revoke,
    /// The process is stopping.
    Shutdown,
    /// `--until-end` and the end noted at start is reached.
    End,
    /// A transform changed.
    Swap,
    /// The pipeline was paused.
    Pause,
    /// Records lost to retention: nobody read them.
    Gap,
}

/// Name of the sink that takes dead letters; no configured sink can have it.
pub const DEAD_LETTER_SINK: &str = "dead_letter";
