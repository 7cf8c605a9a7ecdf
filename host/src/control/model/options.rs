//! What a caller may ask for with a change: the query of a request.

use serde::{Deserialize, Serialize};

use super::Refusal;

/// How long a change waits for its partitions if the caller does not say.
pub const TIMEOUT_MS: u64 = 30_000;

/// How long a change may wait for its partitions: whoever wants to wait longer asks again.
pub const TIMEOUT_MS_MAX: u64 = 600_000;

/// All of the records, in hundredths of a percent.
pub const SHARE_WHOLE: u16 = 10_000;

/// What a share is a share of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShareBy {
    /// Whole batches.
    #[default]
    Batches,
    /// Keys: a key is always with the same version.
    Keys,
}

impl ShareBy {
    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Batches => "batches",
            Self::Keys => "keys",
        }
    }
}

/// How a new version is to come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// For all records, from the next cut on.
    All,
    /// For a share of them, as the candidate beside the stable version.
    Share {
        /// In hundredths of a percent, from 1 to [`SHARE_WHOLE`].
        share: u16,
        /// Of what.
        by: ShareBy,
    },
    /// For none: it gets the same records, and its output is compared and thrown away.
    Shadow {
        /// Promote it by itself once so many records did not differ.
        promote_after: Option<u64>,
    },
}

/// Options of a swap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SwapOptions {
    /// Percent that go to the new version, in steps of a hundredth; all of them if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_percent: Option<f64>,
    /// What it is a share of; batches if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<ShareBy>,
    /// Only compare the new version's output.
    #[serde(skip_serializing_if = "is_false")]
    pub shadow: bool,
    /// Promote a shadow by itself once so many records did not differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promote_after: Option<u64>,
    /// How long to wait until every partition has shown the change.
    pub timeout_ms: u64,
    /// Swap even if the trial on kept records failed.
    #[serde(skip_serializing_if = "is_false")]
    pub force: bool,
}

impl Default for SwapOptions {
    fn default() -> Self {
        Self {
            share_percent: None,
            by: None,
            shadow: false,
            promote_after: None,
            timeout_ms: TIMEOUT_MS,
            force: false,
        }
    }
}

impl SwapOptions {
    /// How the new version comes in.
    ///
    /// # Errors
    /// Options that contradict each other, or a share that is none.
    pub fn way(&self) -> Result<Way, Refusal> {
        match (self.shadow, self.share_percent) {
            (true, Some(_)) => Err(bad("`shadow` and `share_percent` exclude each other")
                .hint("a shadow's output is never delivered; a share's is")),
            (false, _) if self.promote_after.is_some() => Err(bad("`promote_after` needs `shadow`")),
            (_, None) if self.by.is_some() => Err(bad("`by` needs `share_percent`")),
            (true, None) if self.promote_after == Some(0) => {
                Err(bad("`promote_after` is 0").hint("leave `shadow` out to swap at once"))
            }
            (true, None) => Ok(Way::Shadow { promote_after: self.promote_after }),
            (false, Some(percent)) => {
                Ok(Way::Share { share: hundredths(percent)?, by: self.by.unwrap_or_default() })
            }
            (false, None) => Ok(Way::All),
        }
    }
}

/// A percentage in hundredths of a percent.
///
/// # Errors
/// It is not above 0 and at most 100, or finer than a hundredth.
pub fn hundredths(percent: f64) -> Result<u16, Refusal> {
    let scaled = percent * 100.0;
    let whole = scaled.round();
    if !(1.0..=f64::from(SHARE_WHOLE)).contains(&whole) || (scaled - whole).abs() > 1e-6 {
        let wrong = bad(format!("`share_percent` is {percent}, which is no share"));
        return Err(
            wrong.hint("a share is from 0.01 to 100 percent, in steps of 0.01; `abort` takes it all back")
        );
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked: from 1 to 10,000")]
    let share = whole as u16;
    Ok(share)
}

/// Options of a change that only waits: promote, abort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WaitOptions {
    /// How long to wait until every partition has shown the change.
    pub timeout_ms: u64,
}

impl Default for WaitOptions {
    fn default() -> Self {
        Self { timeout_ms: TIMEOUT_MS }
    }
}

/// Options of a reload: the same as of a promotion.
pub type ReloadOptions = WaitOptions;

/// Options of a rollback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RollbackOptions {
    /// The revision to go back to; the one before the current one if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// How long to wait until every partition has shown the change.
    pub timeout_ms: u64,
}

impl Default for RollbackOptions {
    fn default() -> Self {
        Self { to: None, timeout_ms: TIMEOUT_MS }
    }
}

/// Options of a change of a running rollout's share.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightsOptions {
    /// Percent that go to the candidate, in steps of a hundredth.
    pub share_percent: f64,
    /// What it is a share of; as it was if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<ShareBy>,
    /// How long to wait until every partition has shown the change.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
}

/// Options of a list of revisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RevisionsOptions {
    /// So many at the most, the newest first.
    pub limit: usize,
}

impl RevisionsOptions {
    /// The longest list: each revision is a request to the ledger's store.
    pub const LIMIT_MAX: usize = 1_000;
}

impl Default for RevisionsOptions {
    fn default() -> Self {
        Self { limit: 20 }
    }
}

fn timeout_ms() -> u64 {
    TIMEOUT_MS
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new("bad-request", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(percent: f64) -> SwapOptions {
        SwapOptions { share_percent: Some(percent), ..SwapOptions::default() }
    }

    #[test]
    fn a_swap_is_for_all_for_a_share_or_a_shadow() {
        assert_eq!(SwapOptions::default().way(), Ok(Way::All));
        assert_eq!(share(12.5).way(), Ok(Way::Share { share: 1_250, by: ShareBy::Batches }));
        let keys = SwapOptions { by: Some(ShareBy::Keys), ..share(0.01) };
        assert_eq!(keys.way(), Ok(Way::Share { share: 1, by: ShareBy::Keys }));
        let shadow = SwapOptions { shadow: true, promote_after: Some(9), ..SwapOptions::default() };
        assert_eq!(shadow.way(), Ok(Way::Shadow { promote_after: Some(9) }));
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        let base = SwapOptions::default;
        for (options, named) in [
            (SwapOptions { shadow: true, ..share(1.0) }, "exclude"),
            (SwapOptions { promote_after: Some(1), ..base() }, "promote_after"),
            (SwapOptions { promote_after: Some(1), ..share(1.0) }, "promote_after"),
            (SwapOptions { shadow: true, promote_after: Some(0), ..base() }, "promote_after"),
            (SwapOptions { by: Some(ShareBy::Keys), ..base() }, "by"),
            (SwapOptions { shadow: true, by: Some(ShareBy::Keys), ..base() }, "by"),
        ] {
            let refusal = options.way().expect_err("contradictory");
            assert!(
                refusal.code == "bad-request" && refusal.message.contains(named),
                "{options:?}: {refusal}"
            );
        }
    }

    #[test]
    fn every_hundredth_of_a_percent_is_a_share_and_nothing_else_is() {
        for share in 1..=SHARE_WHOLE {
            assert_eq!(hundredths(f64::from(share) / 100.0), Ok(share));
            assert_eq!(format!("{}", f64::from(share) / 100.0).parse().ok().map(hundredths), Some(Ok(share)));
        }
        for wrong in [0.0, -1.0, 0.001, 0.015, 100.01, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(hundredths(wrong).is_err(), "{wrong}");
        }
    }
}
