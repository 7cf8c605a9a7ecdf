//! Values of arguments: a transform of a pipeline, a share, a time.

use std::str::FromStr;
use std::time::Duration;

use crate::control::model::{TIMEOUT_MS_MAX, hundredths};

/// `PIPELINE/TRANSFORM`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) pipeline: String,
    pub(super) transform: String,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((pipeline, transform))
                if !pipeline.is_empty() && !transform.is_empty() && !transform.contains('/') =>
            {
                Ok(Self { pipeline: pipeline.to_owned(), transform: transform.to_owned() })
            }
            _ => Err(String::from("expected a pipeline's name, `/` and the name of one of its transforms")),
        }
    }
}

/// A share: `10%`, in percent.
pub(super) fn share(text: &str) -> Result<f64, String> {
    // `0.1` could be a tenth or a thousandth.
    let number = text.strip_suffix('%').ok_or("expected a share like `10%`")?;
    let percent = number.trim().parse().map_err(|_| format!("`{number}` is no number"))?;
    match hundredths(percent) {
        Ok(_) => Ok(percent),
        Err(_) => Err(String::from("a share is from 0.01% to 100%, in steps of 0.01%")),
    }
}

/// A time to wait: `30s`, `1m 30s`.
pub(super) fn wait(text: &str) -> Result<Duration, String> {
    let most = Duration::from_millis(TIMEOUT_MS_MAX);
    let wrong = || format!("expected a time like `30s`, at most `{}m`", most.as_secs() / 60);
    let read: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(read).ok().filter(|wait| *wait <= most).ok_or_else(wrong)
}

/// In whole milliseconds, as the API has it.
pub(super) fn milliseconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(TIMEOUT_MS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_a_pipeline_and_a_transform() {
        let target = Target { pipeline: String::from("logs"), transform: String::from("parse") };
        assert_eq!("logs/parse".parse(), Ok(target));
        for wrong in ["", "logs", "logs/", "/parse", "a/b/c", "/"] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn shares_say_percent() {
        assert_eq!((share("10%"), share("0.25 %"), share("100%")), (Ok(10.0), Ok(0.25), Ok(100.0)));
        for wrong in ["10", "0.1", "%", "0%", "101%", "-1%", "0.001%", "NaN%", "inf%", "ten%"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn waits_are_bounded() {
        assert_eq!(wait("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(wait("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(wait("0s"), Ok(Duration::ZERO));
        assert_eq!(wait("10m").map(milliseconds), Ok(TIMEOUT_MS_MAX));
        for wrong in ["", "30", "-1s", "11m", "9999999999999999999h", "soon"] {
            assert!(wait(wrong).is_err(), "{wrong}");
        }
    }
}
