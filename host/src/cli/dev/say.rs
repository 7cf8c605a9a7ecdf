//! What `host dev` prints: for people, and as a JSON object a line.
//!
//! Pure but for the printing itself. Invariant: nothing of a record reaches a terminal as a control character.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::cli::exit::print;
use crate::control::model::Refusal;
use crate::pipeline::Taken;
use crate::transform::{Comparison, Finding, Probe, Shown};

/// Longest text of a value or key for people, in characters.
const TEXT_MAX: usize = 400;

/// A build that succeeded.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Built {
    pub(super) transforms: Vec<String>,
    pub(super) seconds: f64,
}

/// What happened; the names of its JSON form are stable.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(super) enum Event {
    /// A build failed, and everything goes on as before.
    BuildFailed { transforms: Vec<String>, seconds: f64, why: String, revision: u64 },
    /// What was built, or changed in the pipeline's file, is not taken.
    Refused { built: Vec<Built>, code: String, why: String, hint: Option<String>, revision: u64 },
    /// It is what runs already.
    Unchanged { built: Vec<Built>, revision: u64 },
    /// It is live.
    Live(Box<Live>),
}

/// A new revision.
#[derive(Debug, Serialize)]
pub(super) struct Live {
    built: Vec<Built>,
    revision: u64,
    before: u64,
    /// From the end of the builds until the lanes have gone over.
    seconds: f64,
    lanes_behind: usize,
    what: Vec<String>,
    /// Records that both versions were tried on.
    records: u64,
    /// The new version's first outputs on them.
    outputs: Vec<Shown>,
    /// Its first failures.
    failures: Vec<Finding>,
    /// Why it was not tried on all of them.
    stopped: Option<String>,
    /// What the old version made of the same records.
    difference: Option<Comparison>,
}

impl Event {
    /// What came of taking in what was built.
    pub(super) fn taken(built: Vec<Built>, taken: Taken, took: Duration) -> Self {
        let Taken { revision, before, what, probe, behind } = taken;
        if revision == before {
            return Self::Unchanged { built, revision };
        }
        let Probe { records, candidate, comparison, .. } = probe.unwrap_or_default();
        Self::Live(Box::new(Live {
            built,
            revision,
            before,
            seconds: took.as_secs_f64(),
            lanes_behind: behind,
            what: what.into_iter().filter(|line| !line.ends_with(": unchanged")).collect(),
            records,
            outputs: candidate.outputs,
            failures: candidate.failures,
            stopped: candidate.error,
            difference: comparison,
        }))
    }

    /// It was not taken.
    pub(super) fn refused(built: Vec<Built>, refusal: &Refusal, revision: u64) -> Self {
        let Refusal { code, message, hint, .. } = refusal.clone();
        Self::Refused { built, code, why: message, hint, revision }
    }

    /// Prints it to standard output.
    pub(super) fn say(&self, json: bool) {
        if json {
            print(&serde_json::to_string(self).unwrap_or_default());
        } else {
            print(&self.text());
        }
    }

    fn text(&self) -> String {
        match self {
            Self::BuildFailed { transforms, seconds, why, revision } => format!(
                "{}: the build failed after {seconds:.1} s: {why}; revision {revision} goes on",
                transforms.join(", ")
            ),
            Self::Refused { built, why, hint, revision, .. } => {
                let hint = hint.as_ref().map_or_else(String::new, |hint| format!("\n  hint: {hint}"));
                format!("{}, refused: {why}; revision {revision} goes on{hint}", said(built))
            }
            Self::Unchanged { built, revision } => {
                format!("{}, and nothing changed: revision {revision} goes on", said(built))
            }
            Self::Live(live) => live.text(),
        }
    }
}

impl Live {
    fn text(&self) -> String {
        let Self { revision, seconds, lanes_behind, .. } = self;
        let mut text = format!("{}, live as revision {revision} after {seconds:.1} s", said(&self.built));
        if *lanes_behind > 0 {
            let _infallible = write!(text, "; {lanes_behind} lanes go over when their calls and cuts end");
        }
        let mut line = |indent: usize, line: &str| {
            let _infallible = write!(text, "\n{:indent$}{}", "", plain(line));
        };
        self.what.iter().for_each(|what| line(2, what));
        if self.records == 0 {
            line(2, "there are no records yet to show it on");
            return text;
        }
        line(2, &format!("first outputs on the last {} records:", self.records));
        if self.outputs.is_empty() {
            line(4, "none");
        }
        self.outputs.iter().for_each(|output| line(4, &output_text(output)));
        if let Some(why) = &self.stopped {
            line(2, &format!("it stopped there: {why}"));
        }
        if !self.failures.is_empty() {
            line(2, "first failures:");
        }
        self.failures.iter().for_each(|failure| line(4, &failure_text(failure)));
        if let Some(difference) = &self.difference {
            line(2, &format!("difference from revision {}:", self.before));
            difference.lines().iter().for_each(|found| line(4, found));
        }
        text
    }
}

fn said(built: &[Built]) -> String {
    if built.is_empty() {
        return String::from("the pipeline's files: read again");
    }
    let one = |it: &Built| format!("{}: built in {:.1} s", it.transforms.join(", "), it.seconds);
    built.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn output_text(output: &Shown) -> String {
    let mut text = format!("offset {}", output.offset);
    if output.index > 0 {
        let _infallible = write!(text, ", output {}", output.index);
    }
    if let Some(key) = &output.key {
        let _infallible = write!(text, ", key `{}`", short(key));
    }
    if !output.routes.is_empty() {
        let _infallible = write!(text, ", to {}", output.routes.join(", "));
    }
    let value = output.value.as_ref().map_or_else(|| String::from("null"), |value| short(value));
    format!("{text}: {value}")
}

fn failure_text(failure: &Finding) -> String {
    let Finding { offset, transform, condition, text } = failure;
    let place = transform.as_ref().map_or_else(String::new, |name| format!(" in `{name}`"));
    format!("offset {offset}: {condition:?}{place}: {text}")
}

fn short(text: &str) -> String {
    match text.char_indices().nth(TEXT_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Control characters as escapes: a record must not move a terminal's cursor.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            plain.extend(character.escape_default());
        } else {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Condition;
    use crate::transform::Side;

    fn built() -> Vec<Built> {
        vec![Built { transforms: vec![String::from("parse")], seconds: 2.14 }]
    }

    fn taken(revision: u64, probe: Option<Probe>) -> Taken {
        let what = ["source: unchanged", "transform `parse`: swap at next cut (component)"];
        Taken { revision, before: 3, what: what.map(String::from).to_vec(), probe, behind: 0 }
    }

    fn probe() -> Probe {
        let output = |offset, index, value: Option<&str>| Shown {
            offset,
            index,
            key: (index == 1).then(|| String::from("k")),
            value: value.map(str::to_owned),
            routes: Vec::new(),
        };
        let failure = Finding {
            offset: 9,
            transform: Some(String::from("parse")),
            condition: Condition::ProcessingFailed,
            text: String::from("BadTime: expected a date"),
        };
        let candidate = Side {
            outputs: vec![output(7, 0, Some("a\u{1b}[2Jb")), output(7, 1, None)],
            failures: vec![failure],
            ..Side::default()
        };
        let comparison = Comparison { records: 3, equal: 1, different: 2, ..Comparison::default() };
        Probe { records: 3, candidate, comparison: Some(comparison), ..Probe::default() }
    }

    #[test]
    fn people_read_what_was_built_what_comes_out_and_what_differs() {
        let event = Event::taken(built(), taken(4, Some(probe())), Duration::from_millis(260));
        let expected = "parse: built in 2.1 s, live as revision 4 after 0.3 s\n  \
             transform `parse`: swap at next cut (component)\n  \
             first outputs on the last 3 records:\n    \
             offset 7: a\\u{1b}[2Jb\n    \
             offset 7, output 1, key `k`: null\n  \
             first failures:\n    \
             offset 9: ProcessingFailed in `parse`: BadTime: expected a date\n  \
             difference from revision 3:\n    \
             3 records compared: 1 equal, 2 different";
        assert_eq!(event.text(), expected);
        let json = serde_json::to_value(&event).expect("plain data");
        assert_eq!((json["event"].as_str(), json["revision"].as_u64()), (Some("live"), Some(4)));
        assert_eq!(json["outputs"][0]["value"], "a\u{1b}[2Jb");
        assert_eq!(
            (&json["failures"][0]["offset"], &json["difference"]["different"]),
            (&9.into(), &2.into())
        );
    }

    #[test]
    fn what_changes_nothing_and_what_is_not_taken_is_said_in_a_line() {
        let took = Duration::from_millis(100);
        assert_eq!(
            Event::taken(built(), taken(3, None), took).text(),
            "parse: built in 2.1 s, and nothing changed: revision 3 goes on"
        );
        assert!(
            Event::taken(Vec::new(), taken(4, None), took)
                .text()
                .starts_with("the pipeline's files: read again, live")
        );
        let refusal = Refusal::new("trial", "it fails").hint("mend it");
        assert_eq!(
            Event::refused(built(), &refusal, 3).text(),
            "parse: built in 2.1 s, refused: it fails; revision 3 goes on\n  hint: mend it"
        );
        let why = String::from("`make` in a ended with exit status: 2");
        let failed =
            Event::BuildFailed { transforms: vec![String::from("parse")], seconds: 0.04, why, revision: 3 };
        assert_eq!(
            failed.text(),
            "parse: the build failed after 0.0 s: `make` in a ended with exit status: 2; revision 3 goes on"
        );
    }
}
