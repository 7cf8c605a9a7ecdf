//! What it takes to go from one configuration of a pipeline to another, part by part.
//!
//! Pure: compares, and changes nothing. Owns which parts can change in a running pipeline, and how.
//! Invariant: every field of the model is looked at (a new one does not compile until it is), and no value
//! is shown, only names of keys.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::location;
use super::model::{
    Batch, Broker, Build, ControlAddress, Cut, DeadLetter, Feed, Filter, Host, Ledger, Location, ObjectSink,
    Pipeline, Policy, RollbackLimits, Sink, Source, Swap, Transform,
};

/// What becomes of each part of a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Every part of both configurations, in the order of the file.
    pub steps: Vec<Step>,
}

/// What becomes of one part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// A table of the file, such as `source`, `transform` or `sink`.
    pub part: String,
    /// Which transform or sink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is done.
    pub action: Action,
    /// Keys whose values differ, or `added`, `removed`, `order`, `component`; empty if unchanged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
}

/// How a part changes, from the least to the greatest effort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Not at all.
    Unchanged,
    /// It holds from now on, and nothing that runs is touched: a fact of this host only.
    AtOnce,
    /// Lanes go over to it at their next cut.
    Swap,
    /// Lanes are cut, and what writes is built anew.
    Rebuild,
    /// Not while the process runs.
    Restart,
}

impl Plan {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.greatest() == Action::Unchanged
    }

    /// The greatest effort of all parts.
    #[must_use]
    pub fn greatest(&self) -> Action {
        self.steps.iter().map(|step| step.action).max().unwrap_or(Action::Unchanged)
    }

    /// Whether it changes what a revision fixes: something is swapped or built anew.
    #[must_use]
    pub fn changes_shape(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.action, Action::Swap | Action::Rebuild))
    }

    /// What needs a restart, as a reason to refuse the whole plan; `None`: nothing does.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let parts = self.steps.iter().filter(|step| step.action == Action::Restart);
        let parts: Vec<String> = parts.map(Step::keys).collect();
        if parts.is_empty() {
            return None;
        }
        let what = parts.join(", ");
        Some(format!("{what} can't change while the pipeline runs: restart the host, or take that back"))
    }

    fn push(&mut self, part: &str, name: Option<&str>, action: Action, changed: Vec<&str>) {
        let action = if changed.is_empty() { Action::Unchanged } else { action };
        let changed = changed.into_iter().map(str::to_owned).collect();
        self.steps.push(Step { part: part.to_owned(), name: name.map(str::to_owned), action, changed });
    }
}

impl fmt::Display for Plan {
    /// A line a part.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, step) in self.steps.iter().enumerate() {
            formatter.write_str(if nth > 0 { "\n" } else { "" })?;
            step.fmt(formatter)?;
        }
        Ok(())
    }
}

impl Step {
    /// `` `source.topics` and `source.group` ``: the keys that changed, as they are called in the file.
    fn keys(&self) -> String {
        let key = |key: &String| match (key.as_str(), &self.name) {
            ("name", None) => "`name`".to_owned(),
            (key, _) => format!("`{}.{key}`", self.part),
        };
        self.changed.iter().map(key).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Step {
    /// Such as ``transform `parse`: swap at next cut (config)``.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.part)?;
        if let Some(name) = &self.name {
            write!(formatter, " `{name}`")?;
        }
        write!(formatter, ": {}", self.action)?;
        match self.changed.is_empty() {
            true => Ok(()),
            false => write!(formatter, " ({})", self.changed.join(", ")),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unchanged => "unchanged",
            Self::AtOnce => "holds at once",
            Self::Swap => "swap at next cut",
            Self::Rebuild => "cut and rebuild",
            Self::Restart => "needs a restart",
        })
    }
}

/// What it takes to go from `old` to `new`, where the components of these transforms of `new` are others
/// than those that run.
#[must_use]
pub fn plan(old: &Pipeline, new: &Pipeline, components: &BTreeSet<String>) -> Plan {
    let Pipeline {
        name,
        source,
        batch,
        cut,
        filter,
        transforms,
        sinks: _,
        dead_letter,
        // Compared as the place that it stands for.
        ledger: _,
        swap,
        host,
        // Spelling: what it means is in the other fields. Places are absolute there.
        kept: _,
        digest: _,
        folder: _,
        file: _,
    } = old;
    let mut plan = Plan::default();
    plan.push("name", None, Action::Restart, keys([("name", *name != new.name)]));
    plan.push("source", None, Action::Restart, source_keys(source, &new.source));
    plan.push("batch", None, Action::Restart, batch_keys(batch, &new.batch));
    plan.push("cut", None, Action::Swap, cut_keys(cut, &new.cut));
    plan.push("filter", None, Action::Swap, filter_keys(filter.as_ref(), new.filter.as_ref()));
    plan_transforms(&mut plan, transforms, &new.transforms, components);
    plan_sinks(&mut plan, old, new);
    let DeadLetter { location: _, topic } = dead_letter;
    let mut changed = location_keys(old.dead_letter_location().as_ref(), new.dead_letter_location().as_ref());
    changed.extend(keys([("topic", *topic != new.dead_letter.topic)]));
    plan.push("dead_letter", None, Action::Rebuild, changed);
    plan.push("ledger", None, Action::Restart, ledger_keys(old, new));
    plan.push("swap", None, Action::AtOnce, swap_keys(swap, &new.swap));
    plan.push("host", None, Action::Restart, host_keys(host, &new.host));
    plan
}

/// The names that go with true.
fn keys<const N: usize>(changed: [(&'static str, bool); N]) -> Vec<&'static str> {
    changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect()
}

fn source_keys(old: &Source, new: &Source) -> Vec<&'static str> {
    let Source { broker, topics, group, start, properties } = old;
    let mut changed = match (broker, &new.broker) {
        (Broker::Kafka { brokers }, Broker::Kafka { brokers: now }) => keys([("brokers", brokers != now)]),
        (
            Broker::Embedded { partitions, feed: Feed { from, records, seed } },
            Broker::Embedded { partitions: now, feed },
        ) => {
            let fed = *from != feed.from || *records != feed.records || *seed != feed.seed;
            keys([("partitions", partitions != now), ("feed", fed)])
        }
        (Broker::Kafka { .. } | Broker::Embedded { .. }, _) => vec!["type"],
    };
    changed.extend(keys([
        ("topics", *topics != new.topics),
        ("group", *group != new.group),
        ("start", *start != new.start),
        ("properties", *properties != new.properties),
    ]));
    changed
}

fn batch_keys(old: &Batch, new: &Batch) -> Vec<&'static str> {
    let Batch { bytes, records, window } = old;
    keys([
        ("size", *bytes != new.bytes),
        ("records", *records != new.records),
        ("window", *window != new.window),
    ])
}

fn cut_keys(old: &Cut, new: &Cut) -> Vec<&'static str> {
    let Cut { interval, size, records, min_size, max_interval } = old;
    keys([
        ("interval", *interval != new.interval),
        ("size", *size != new.size),
        ("records", *records != new.records),
        ("min_size", *min_size != new.min_size),
        ("max_interval", *max_interval != new.max_interval),
    ])
}

fn filter_keys(old: Option<&Filter>, new: Option<&Filter>) -> Vec<&'static str> {
    match (old, new) {
        (None, None) => Vec::new(),
        (None, Some(_)) => vec!["added"],
        (Some(_), None) => vec!["removed"],
        (Some(Filter { patterns, not_json }), Some(new)) => {
            keys([("patterns", *patterns != new.patterns), ("not_json", *not_json != new.not_json)])
        }
    }
}

fn plan_transforms(plan: &mut Plan, old: &[Transform], new: &[Transform], components: &BTreeSet<String>) {
    let find = |list: &[Transform], name: &str| list.iter().position(|transform| transform.name == name);
    for transform in new {
        let name = &transform.name;
        match find(old, name).and_then(|at| old.get(at)) {
            Some(before) => {
                let changed = transform_keys(before, transform, components.contains(name));
                let of_this_host = changed.iter().all(|key| matches!(*key, "plugin" | "build"));
                let action = if of_this_host { Action::AtOnce } else { Action::Swap };
                plan.push("transform", Some(name), action, changed);
            }
            None => plan.push("transform", Some(name), Action::Swap, vec!["added"]),
        }
    }
    for transform in old.iter().filter(|transform| find(new, &transform.name).is_none()) {
        plan.push("transform", Some(&transform.name), Action::Swap, vec!["removed"]);
    }
    // Those in both, each at its place in the new list: a step back is another order.
    let places: Vec<_> = old.iter().filter_map(|transform| find(new, &transform.name)).collect();
    if !places.is_sorted() {
        plan.push("transforms", None, Action::Swap, vec!["order"]);
    }
}

fn transform_keys(old: &Transform, new: &Transform, is_other_component: bool) -> Vec<&'static str> {
    let Transform { name: _, plugin, build, config, limits, grants, policy } = old;
    let Policy { retries, max_record_age, on_error, on_fatal, circuit_breaker } = policy;
    let how =
        |build: &Option<Build>| build.as_ref().map(|Build { command, dir }| (command.clone(), dir.clone()));
    keys([
        ("component", is_other_component),
        ("plugin", *plugin != new.plugin),
        ("build", how(build) != how(&new.build)),
        ("config", *config != new.config),
        ("limits", *limits != new.limits),
        ("grants", *grants != new.grants),
        ("retries", *retries != new.policy.retries),
        ("max_record_age", *max_record_age != new.policy.max_record_age),
        ("on_error", *on_error != new.policy.on_error),
        ("on_fatal", *on_fatal != new.policy.on_fatal),
        ("circuit_breaker", *circuit_breaker != new.policy.circuit_breaker),
    ])
}

fn plan_sinks(plan: &mut Plan, old: &Pipeline, new: &Pipeline) {
    for (name, Sink::ObjectStore(sink)) in &new.sinks {
        let changed = match old.sinks.get(name) {
            Some(Sink::ObjectStore(before)) => sink_keys(before, sink),
            None => vec!["added"],
        };
        plan.push("sink", Some(name), Action::Rebuild, changed);
    }
    for name in old.sinks.keys().filter(|name| !new.sinks.contains_key(*name)) {
        plan.push("sink", Some(name), Action::Rebuild, vec!["removed"]);
    }
}

fn sink_keys(old: &ObjectSink, new: &ObjectSink) -> Vec<&'static str> {
    let ObjectSink { location, prefix, format, compression, buffer_bytes, default } = old;
    let mut changed = location_keys(Some(location), Some(&new.location));
    changed.extend(keys([
        ("prefix", *prefix != new.prefix),
        ("format", *format != new.format),
        ("compression", *compression != new.compression),
        ("buffer", *buffer_bytes != new.buffer_bytes),
        ("default", *default != new.default),
    ]));
    changed
}

fn location_keys(old: Option<&Location>, new: Option<&Location>) -> Vec<&'static str> {
    let (Some(old), Some(new)) = (old, new) else { return keys([("url", old != new)]) };
    let Location { url, options } = old;
    keys([("url", *url != new.url), ("options", *options != new.options)])
}

/// The ledger is compared as the place that it is. Options only matter where both files write them: those
/// of a sink that the ledger borrows stay as they were when it was opened.
fn ledger_keys(old: &Pipeline, new: &Pipeline) -> Vec<&'static str> {
    let shared = |ledger: Option<&Ledger>| ledger.is_some_and(|Ledger { location: _, shared }| *shared);
    let (Some(old_place), Some(new_place)) = (old.ledger_location(), new.ledger_location()) else {
        return keys([("url", old.ledger_location() != new.ledger_location())]);
    };
    let moved =
        old_place.url != new_place.url || location::bucket(&old_place) != location::bucket(&new_place);
    let written = old.ledger.is_some() && new.ledger.is_some();
    keys([
        ("url", moved),
        ("options", written && !moved && old_place.options != new_place.options),
        ("shared", shared(old.ledger.as_ref()) != shared(new.ledger.as_ref())),
    ])
}

fn swap_keys(old: &Swap, new: &Swap) -> Vec<&'static str> {
    let Swap { watch, probe, prove, rollback } = old;
    let limits = |limits: &Option<RollbackLimits>| {
        limits.map(|RollbackLimits { batches, window, records, failed, dropped, time }| {
            (batches, window, records, failed, dropped, time)
        })
    };
    keys([
        ("watch", *watch != new.watch),
        ("probe", *probe != new.probe),
        ("prove", *prove != new.prove),
        ("rollback", limits(rollback) != limits(&new.rollback)),
    ])
}

fn host_keys(old: &Host, new: &Host) -> Vec<&'static str> {
    let Host { memory, threads, cache, control, control_token } = old;
    // Who wrote the address matters only at a start.
    let address =
        |control: &Option<ControlAddress>| control.map(|ControlAddress { address, explicit: _ }| address);
    keys([
        ("memory", *memory != new.memory),
        ("threads", *threads != new.threads),
        ("cache", *cache != new.cache),
        ("control", address(control) != address(&new.control)),
        ("control_token", *control_token != new.control_token),
    ])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse;

    const BASE: &str = r#"
version = 1
name = "p"
[source]
type = "kafka"
brokers = "a"
topics = ["t"]
properties = { "sasl.password" = "hunter2" }
[batch]
records = 10
[cut]
records = 100
[filter]
patterns = ['{"topic": ["t"]}']
[[transforms]]
name = "parse"
plugin = "parse.wasm"
build = { command = "make" }
config = { a = 1 }
limits = { timeout = "1s" }
grants = { clock = true }
retries = 1
[[transforms]]
name = "enrich"
plugin = "enrich.wasm"
[sinks.lake]
type = "object-store"
url = "s3://lake/a"
options = { region = "eu" }
[sinks.pond]
type = "object-store"
url = "s3://lake/b"
options = { region = "eu" }
default = false
[dead_letter]
url = "s3://lake/dead"
[ledger]
url = "s3://lake/_vanne"
[swap]
probe = 1
[host]
threads = 2
control = "127.0.0.1:1"
"#;

    fn read(text: &str) -> Pipeline {
        let read = parse(text, Path::new("/etc/vanne"), "p.toml", &|_| None);
        read.unwrap_or_else(|error| panic!("{error}"))
    }

    fn planned(from: &str, to: &str) -> Plan {
        assert!(BASE.contains(from), "{from}");
        plan(&read(BASE), &read(&BASE.replacen(from, to, 1)), &BTreeSet::new())
    }

    /// The lines of what is not unchanged.
    fn changes(plan: &Plan) -> Vec<String> {
        let changed = plan.steps.iter().filter(|step| step.action != Action::Unchanged);
        changed.map(ToString::to_string).collect()
    }

    #[test]
    fn the_same_file_is_an_empty_plan() {
        let plan = plan(&read(BASE), &read(BASE), &BTreeSet::new());
        assert!(plan.is_empty() && plan.refusal().is_none() && !plan.changes_shape());
        let lines = plan.to_string();
        assert!(lines.starts_with("name: unchanged\nsource: unchanged\nbatch: unchanged\n"), "{lines}");
        assert!(lines.contains("transform `parse`: unchanged\ntransform `enrich`: unchanged\n"), "{lines}");
    }

    #[test]
    fn every_key_changes_its_part() {
        for (from, to, line) in [
            ("records = 100", "records = 101", "cut: swap at next cut (records)"),
            ("[cut]\n", "[cut]\ninterval = \"10s\"\n", "cut: swap at next cut (interval, min_size)"),
            ("[\"t\"]}'", "[\"u\"]}'", "filter: swap at next cut (patterns)"),
            ("[filter]", "[filter]\nnot_json = \"dead-letter\"", "filter: swap at next cut (not_json)"),
            ("a = 1", "a = 2", "transform `parse`: swap at next cut (config)"),
            ("\"1s\"", "\"2s\"", "transform `parse`: swap at next cut (limits)"),
            ("clock = true", "random = true", "transform `parse`: swap at next cut (grants)"),
            ("retries = 1", "retries = 2", "transform `parse`: swap at next cut (retries)"),
            ("retries = 1", "on_error = \"drop\"", "transform `parse`: swap at next cut (retries, on_error)"),
            ("\"parse.wasm\"", "\"x.wasm\"", "transform `parse`: holds at once (plugin)"),
            ("\"make\"", "\"ninja\"", "transform `parse`: holds at once (build)"),
            ("s3://lake/a", "s3://lake/c", "sink `lake`: cut and rebuild (url)"),
            ("default = false", "format = \"raw\"", "sink `pond`: cut and rebuild (format, default)"),
            ("[sinks.lake]", "[sinks.lake]\nprefix = \"a/\"", "sink `lake`: cut and rebuild (prefix)"),
            (
                "[sinks.lake]",
                "[sinks.lake]\ncompression = \"gzip\"\nbuffer = { size = \"1MiB\" }",
                "sink `lake`: cut and rebuild (compression, buffer)",
            ),
            ("s3://lake/dead", "s3://lake/letters", "dead_letter: cut and rebuild (url)"),
            ("[dead_letter]", "[dead_letter]\ntopic = \"d\"", "dead_letter: cut and rebuild (topic)"),
            ("probe = 1", "probe = 2", "swap: holds at once (probe)"),
            ("probe = 1", "probe = 1\nrollback = \"off\"", "swap: holds at once (rollback)"),
            ("name = \"p\"", "name = \"q\"", "name: needs a restart (name)"),
            ("topics = [\"t\"]", "topics = [\"t\", \"u\"]", "source: needs a restart (topics)"),
            ("brokers = \"a\"", "brokers = \"b\"", "source: needs a restart (brokers)"),
            ("hunter2", "hunter3", "source: needs a restart (properties)"),
            ("records = 10\n", "records = 11\n", "batch: needs a restart (records)"),
            ("s3://lake/_vanne", "s3://lake/_other", "ledger: needs a restart (url)"),
            ("[ledger]", "[ledger]\noptions = { region = \"us\" }", "ledger: needs a restart (options)"),
            ("threads = 2", "threads = 3", "host: needs a restart (threads)"),
            ("127.0.0.1:1", "off", "host: needs a restart (control)"),
        ] {
            let mut changes = changes(&planned(from, to));
            // The group is the pipeline's name, and dead letters have no other place of their own here.
            changes.retain(|line| line != "source: needs a restart (group)");
            assert_eq!(changes, [line], "{from} to {to}");
            assert!(!line.contains("hunter"));
        }
    }

    #[test]
    fn parts_come_go_and_trade_places() {
        let second = "[[transforms]]\nname = \"enrich\"\nplugin = \"enrich.wasm\"\n";
        let third = "[[transforms]]\nname = \"geo\"\nplugin = \"geo.wasm\"\n";
        let plan = planned(second, third);
        let lines =
            ["transform `geo`: swap at next cut (added)", "transform `enrich`: swap at next cut (removed)"];
        assert_eq!(changes(&plan), lines);
        assert!(plan.changes_shape());
        assert_eq!(changes(&planned("[[transforms]]\n", &format!("{third}[[transforms]]\n"))), &lines[..1]);
        let first = BASE.find("[[transforms]]").expect("a transform");
        let swapped = BASE.replacen(second, "", 1);
        let swapped = format!("{}{second}{}", &swapped[..first], &swapped[first..]);
        let plan = super::plan(&read(BASE), &read(&swapped), &BTreeSet::new());
        assert_eq!(changes(&plan), ["transforms: swap at next cut (order)"]);
        assert_eq!(
            changes(&planned("[sinks.pond]", "[sinks.puddle]")),
            ["sink `puddle`: cut and rebuild (added)", "sink `pond`: cut and rebuild (removed)",]
        );
        let filter = "[filter]\npatterns = ['{\"topic\": [\"t\"]}']\n";
        assert_eq!(changes(&planned(filter, "")), ["filter: swap at next cut (removed)"]);
    }

    #[test]
    fn a_changed_component_is_a_change_of_its_transform() {
        let changed = BTreeSet::from([String::from("enrich"), String::from("gone")]);
        let plan = plan(&read(BASE), &read(BASE), &changed);
        assert_eq!(changes(&plan), ["transform `enrich`: swap at next cut (component)"]);
        let text = serde_json::to_string(&plan).expect("JSON");
        assert!(
            text.contains(r#"{"part":"transform","name":"enrich","action":"swap","changed":["component"]}"#)
        );
        assert_eq!(serde_json::from_str::<Plan>(&text).expect("read again"), plan);
    }

    #[test]
    fn what_needs_a_restart_refuses_the_plan() {
        let both = BASE.replacen("threads = 2", "threads = 3", 1).replacen("a = 1", "a = 2", 1);
        let both = both.replacen("topics = [\"t\"]", "topics = [\"u\"]\ngroup = \"g\"", 1);
        let plan = plan(&read(BASE), &read(&both), &BTreeSet::new());
        assert_eq!(plan.greatest(), Action::Restart);
        let expected = "`source.topics`, `source.group`, `host.threads` can't change while the pipeline runs: \
                        restart the host, or take that back";
        assert_eq!(plan.refusal().as_deref(), Some(expected));
    }

    #[test]
    fn a_ledger_by_default_is_compared_as_a_place() {
        let default = BASE.replacen("[ledger]\nurl = \"s3://lake/_vanne\"\n", "", 1);
        let changes = |to: &str| changes(&plan(&read(BASE), &read(to), &BTreeSet::new()));
        assert_eq!(changes(&default), Vec::<String>::new());
        let moved = default.replace("s3://lake/", "s3://pond/");
        assert!(changes(&moved).contains(&"ledger: needs a restart (url)".to_owned()));
        let token = default.replacen("region = \"eu\"", "region = \"us\"", 1);
        assert_eq!(changes(&token), ["sink `lake`: cut and rebuild (options)"]);
    }
}
