//! What `[host]` and `[swap]` mean: facts of one host, which no revision fixes.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::{Factor, Secret, Share};

/// The `[host]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Memory of the process (default 1 GiB).
    pub memory: u64,
    /// CPU threads; `None`: as many as cores.
    pub threads: Option<NonZeroU32>,
    /// Folder of the component cache; `None`: the user's cache folder.
    pub cache: Option<PathBuf>,
    /// Where the control API listens (default 127.0.0.1:7464); `None`: nowhere.
    pub control: Option<ControlAddress>,
    /// What clients of the control API have to know; 16 to 1,024 visible ASCII characters. Always there
    /// where `control` is not a loopback address.
    pub control_token: Option<Secret>,
}

/// Where the control API listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlAddress {
    /// The address; port 0: any free one.
    pub address: SocketAddr,
    /// Whether somebody wrote it: the default may be in use by another host without harm.
    pub explicit: bool,
}

impl ControlAddress {
    /// Whether only this machine can reach it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.address.ip().to_canonical().is_loopback()
    }
}

/// The `[swap]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swap {
    /// Whether a changed pipeline.toml or component is taken in by itself (default true).
    pub watch: bool,
    /// Records that are kept to try a new version on (default 100; 0: none).
    pub probe: u32,
    /// Age at which the first range under a new revision is cut, so that the swap can be read back
    /// (default 1 s).
    pub prove: Duration,
    /// When a new version is taken back by itself; `None`: never.
    pub rollback: Option<RollbackLimits>,
}

/// `swap.rollback`: how long a new version is watched, and what it may not do in that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollbackLimits {
    /// Batches for which it is watched (default 100)...
    pub batches: u64,
    /// ... or this long, whichever ends first (default 5 min).
    pub window: Duration,
    /// Judged only after so many records (default 1,000).
    pub records: u64,
    /// Share of records that fail (default 5%); `None`: any.
    pub failed: Option<Share>,
    /// Share of records that are dropped; `None` (the default): any.
    pub dropped: Option<Share>,
    /// Time a record beside that of the version before; `None` (the default): any.
    pub time: Option<Factor>,
}

impl Default for Swap {
    fn default() -> Self {
        Self {
            watch: true,
            probe: 100,
            prove: Duration::from_secs(1),
            rollback: Some(RollbackLimits::default()),
        }
    }
}

impl Default for RollbackLimits {
    fn default() -> Self {
        Self {
            batches: 100,
            window: Duration::from_secs(300),
            records: 1_000,
            failed: Share::from_hundredths(500),
            dropped: None,
            time: None,
        }
    }
}
