//! What a transform's table says about failures: retries, age, `on_error`, `on_fatal`, the circuit breaker.

use std::time::Duration;

use super::item::{Item, Value};
use super::table::{Bounds, Table};
use crate::config::error::{Problems, Wrong};
use crate::config::model::{CircuitBreaker, OnError, OnFatal, Policy};

/// AWS Lambda's bounds: -1 (without end) to 10,000.
const RETRIES_MAX: i64 = 10_000;

/// From AWS Lambda's least to its most, which is a week.
const AGE: Bounds<Duration> = Bounds {
    least: Duration::from_secs(60),
    why_least: "or records expire while the broker hands them out",
    most: Duration::from_secs(7 * 24 * 3600),
    why_most: "AWS Lambda's most; leave it out for no bound",
};

const RECORDS: Bounds<u64> = Bounds {
    least: 1,
    why_least: "or it opens before anything has failed",
    most: 1_000_000_000,
    why_most: "or it never opens; write `circuit_breaker = false` for that",
};

const WINDOW: Bounds<Duration> = Bounds {
    least: Duration::from_secs(1),
    why_least: "or hardly a batch fits into it",
    most: Duration::from_secs(3600),
    why_most: "or it opens long after the failures",
};

const PAUSE: Bounds<Duration> = Bounds {
    least: Duration::from_secs(1),
    why_least: "or a held lane hardly pauses",
    most: Duration::from_secs(24 * 3600),
    why_most: "or a mended lane stays held",
};

/// Reads the keys of an open `[[transforms]]` table.
pub(super) fn read(table: &Table<'_>, problems: &Problems<'_>) -> Option<Policy> {
    let default = Policy::default();
    let on_error = [("dead-letter", OnError::DeadLetter), ("drop", OnError::Drop), ("stop", OnError::Stop)];
    let on_fatal = [("bisect", OnFatal::Bisect), ("stop", OnFatal::Stop)];
    // Everything that is wrong is told at once, so nothing ends this early.
    let retries = table.get("retries").map_or(Some(default.retries), |item| retries(item, problems));
    let max_record_age = table.duration("max_record_age", &AGE);
    let on_error = table.choice("on_error", &on_error).unwrap_or(default.on_error);
    let on_fatal = table.choice("on_fatal", &on_fatal).unwrap_or(default.on_fatal);
    let breaker = table.get("circuit_breaker");
    let breaker = breaker.map_or(Some(default.circuit_breaker), |item| circuit_breaker(item, problems));
    Some(Policy { retries: retries?, max_record_age, on_error, on_fatal, circuit_breaker: breaker? })
}

fn retries(item: &Item, problems: &Problems<'_>) -> Option<Option<u32>> {
    match item.value {
        Value::Integer(-1) => Some(None),
        Value::Integer(number @ 0..=RETRIES_MAX) => Some(u32::try_from(number).ok()),
        Value::Integer(number) => {
            let wrong = Wrong::new(format!("{number} is out of bounds: 0 to {RETRIES_MAX}, or -1"));
            item.wrong(
                problems,
                wrong.hint("-1 means without end, and then one record may hold its partition"),
            );
            None
        }
        _ => item.expected(problems, "a whole number", "retries = 3"),
    }
}

fn circuit_breaker(item: &Item, problems: &Problems<'_>) -> Option<Option<CircuitBreaker>> {
    match item.value {
        Value::Boolean(false) => return Some(None),
        Value::Boolean(true) => return Some(Some(CircuitBreaker::default())),
        Value::Table(_) => {}
        _ => {
            return item.expected(
                problems,
                "a table, or false",
                "circuit_breaker = { max_failures = \"50%\" }",
            );
        }
    }
    let table = Table::open(item, "transforms.circuit_breaker", problems)?;
    let default = CircuitBreaker::default();
    let percent =
        table.get("max_failures").map_or(Some(default.max_failures_percent), |item| percent(item, problems));
    let records = table.count("records", &RECORDS).unwrap_or(default.records);
    let window = table.duration("window", &WINDOW).unwrap_or(default.window);
    let pause = table.duration("pause", &PAUSE).unwrap_or(default.pause);
    Some(Some(CircuitBreaker { max_failures_percent: percent?, records, window, pause }))
}

/// `"50%"`: a whole number from 1 to 100.
fn percent(item: &Item, problems: &Problems<'_>) -> Option<u32> {
    let example = "max_failures = \"50%\"";
    let text = item.text(problems, example)?;
    item.noted(problems, text, |text| {
        let number = text.strip_suffix('%').and_then(|number| number.trim().parse().ok());
        number.filter(|number| (1..=100).contains(number)).ok_or_else(|| {
            Wrong::new("expected a share from 1% to 100%").hint(format!("write it like `{example}`"))
        })
    })
}
