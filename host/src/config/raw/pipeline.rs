//! The top of the file, and what must hold between its tables.

use super::Outside;
use super::item::{Document, Item, Value};
use super::table::Table;
use super::{cut, filter, host, sinks, source, swap, transforms};
use crate::config::error::{Problems, Wrong, shown};
use crate::config::kept::Kept;
use crate::config::model::{Batch, Host, Ledger, Pipeline, Sink, Source, Swap};

/// The version of this notation.
const VERSION: i64 = 1;

/// Names that mean something else where a name may stand.
const RESERVED: [&str; 1] = ["dead_letter"];

/// Characters of a name at the most: it is part of paths, labels and group ids.
const LONGEST: usize = 63;

/// What a file says about one host, and no revision fixes.
struct Facts {
    source: Source,
    batch: Batch,
    ledger: Option<Ledger>,
    swap: Swap,
    host: Host,
}

/// Reads the whole file; of a kept configuration, what it holds.
pub(super) fn read(
    document: &Document,
    outside: &Outside<'_>,
    kept: Kept,
    problems: &Problems<'_>,
) -> Option<Pipeline> {
    check_version(&Table::open_free(&document.top, problems)?, problems)?;
    let top = Table::open(&document.top, if outside.own.is_some() { "kept" } else { "" }, problems)?;
    let name = top.need("name", "name = \"access-logs\"").and_then(|item| name(item, problems));
    let facts = match outside.own {
        Some(own) => {
            check_identity(own, name.as_deref(), &top);
            Some(own_facts(own))
        }
        None => facts(&top, name.as_deref(), outside, problems),
    };
    let cut = cut::cut(top.get("cut"), problems);
    let filter = top.get("filter").map(|item| filter::read(item, problems));
    let transforms = transforms::read(top.get("transforms"), outside, problems);
    let sinks = sinks::read(top.need("sinks", "[sinks.lake]"), outside, problems);
    let dead_letter = top.get("dead_letter").map(|item| sinks::dead_letter(item, outside, problems));
    let Facts { source, batch, ledger, swap, host } = facts?;
    let pipeline = Pipeline {
        name: name?,
        source,
        batch,
        cut: cut?,
        filter: flat(filter)?,
        transforms: transforms?,
        sinks: sinks?,
        dead_letter: flat(dead_letter)?.unwrap_or_default(),
        ledger,
        swap,
        host,
        digest: kept.digest.clone(),
        kept,
        folder: outside.folder.to_path_buf(),
        file: outside.own.and_then(|own| own.file.clone()),
    };
    check(&pipeline, &top, problems);
    Some(pipeline)
}

fn facts(
    top: &Table<'_>,
    name: Option<&str>,
    outside: &Outside<'_>,
    problems: &Problems<'_>,
) -> Option<Facts> {
    let source = top.need("source", "[source]");
    let source = source.and_then(|item| source::read(item, name, outside.folder, problems));
    let batch = cut::batch(top.get("batch"), problems);
    let ledger = top.get("ledger").map(|item| sinks::ledger(item, outside, problems));
    let swap = swap::read(top.get("swap"), problems);
    let host = host::read(top.get("host"), outside.folder, problems);
    Some(Facts { source: source?, batch: batch?, ledger: flat(ledger)?, swap: swap?, host: host? })
}

/// Those of this host's own file. Its ledger stays where it is, also if the sinks move: the kept
/// configuration is from there.
fn own_facts(own: &Pipeline) -> Facts {
    let at_default = || own.ledger_location().map(|location| Ledger { location, shared: false });
    Facts {
        source: own.source.clone(),
        batch: own.batch.clone(),
        ledger: own.ledger.clone().or_else(at_default),
        swap: own.swap.clone(),
        host: own.host.clone(),
    }
}

/// A revision of another pipeline is none of this one, whatever its name became on this host.
fn check_identity(own: &Pipeline, name: Option<&str>, top: &Table<'_>) {
    if name.is_some_and(|name| name != own.name) {
        let wrong = Wrong::new(format!("is another pipeline's than `{}`", own.name));
        top.wrong("name", wrong.hint("where names hold `${}`, set the same on each host"));
    }
}

/// Not there is fine; there and wrong is not.
#[expect(clippy::option_option, reason = "the two kinds of nothing differ")]
fn flat<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(read) => read.map(Some),
    }
}

/// A file of another version has other keys: nothing else would be a true problem.
fn check_version(top: &Table<'_>, problems: &Problems<'_>) -> Option<()> {
    let item = top.need("version", "version = 1")?;
    match item.value {
        Value::Integer(VERSION) => Some(()),
        Value::Integer(other) => {
            let wrong = Wrong::new(format!("version {other} is not known to this host"));
            item.wrong(
                problems,
                wrong.hint(format!("write `version = {VERSION}`, or take a host that knows it")),
            );
            None
        }
        _ => item.expected(problems, "a whole number", "version = 1"),
    }
}

/// A name of a pipeline or a transform.
pub(super) fn name(item: &Item, problems: &Problems<'_>) -> Option<String> {
    let text = item.filled(problems, "name = \"access-logs\"")?;
    item.noted(problems, text, |name| check_name(name).map(|()| name.to_owned()))
}

/// Checks a name: it becomes part of paths, metric labels and routes.
pub(super) fn check_name(name: &str) -> Result<(), Wrong> {
    if name.starts_with('_') || RESERVED.contains(&name) {
        let wrong = Wrong::new(format!("the name `{}` is reserved", shown(name)));
        return Err(wrong.hint("choose another; names that start with `_` are the host's own"));
    }
    let first = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if first && name.chars().all(fine) && name.len() <= LONGEST {
        return Ok(());
    }
    let wrong = Wrong::new(format!("`{}` is not a name", shown(name)));
    let rule = "a name has 1 to 63 lower case letters, digits, `-`, `_` and `.`, the first a letter or digit";
    Err(wrong.hint(rule))
}

fn check(pipeline: &Pipeline, top: &Table<'_>, problems: &Problems<'_>) {
    let key = if top.get("batch").is_some() { ["batch", "size"] } else { ["host", "memory"] };
    cut::check_memory(&pipeline.batch, &pipeline.host, top.find(&key), problems);
    if let Some(item) = top.get("transforms") {
        transforms::check_memory(&pipeline.transforms, &pipeline.batch, &pipeline.host, item, problems);
    }
    let (dead_letter, ledger) = (pipeline.dead_letter.location.as_ref(), pipeline.ledger.as_ref());
    sinks::check_dead_letter_topic(&pipeline.dead_letter, &pipeline.source, top, problems);
    sinks::check_places(&pipeline.sinks, dead_letter, ledger, top, problems);
    let takes_all = |sink: &Sink| matches!(sink, Sink::ObjectStore(sink) if sink.default);
    if pipeline.transforms.is_empty() && !pipeline.sinks.values().any(takes_all) {
        let wrong = Wrong::new("every sink has `default = false`, and no transform names a route");
        top.wrong("sinks", wrong.hint("every record would be dropped: remove `default = false` from a sink"));
    }
}
