//! `host validate --connect`: everything that a pipeline names, asked one by one.
//!
//! Owns the list of questions. Invariant: joins no group, claims nothing, reads no record; what it
//! writes is what the start probe writes.

use super::target::Targets;
use super::topics::Asker;
use super::{Error, code, letters};
use crate::config::{self, Broker};
use crate::record::DEAD_LETTER_SINK;
use crate::source::kafka::Queries;

/// What was asked, and what came of it.
#[derive(Debug)]
pub struct Finding {
    /// The key of the configuration, such as `sinks.lake`.
    pub subject: String,
    /// What was found, for people, or why it can't be used.
    pub result: Result<String, Error>,
}

/// Asks the stores, the plugins, the broker and the topics.
pub async fn check(config: &config::Pipeline) -> Vec<Finding> {
    let mut findings = Vec::new();
    let targets = match Targets::open(config).await {
        Ok(targets) => {
            for (sink, place) in targets.places() {
                let key = if sink == DEAD_LETTER_SINK { sink } else { format!("sinks.{sink}") };
                findings.push(found(&key, Ok(format!("{place} can be written exactly once"))));
            }
            Some(targets)
        }
        Err(error) => {
            findings.push(Finding { subject: String::from("sinks"), result: Err(error) });
            None
        }
    };
    if targets.is_some() {
        findings.push(found("ledger", Ok(String::from("its store does what is needed"))));
    }
    findings.push(found("transforms", plugins(config)));
    check_source(config, &mut findings).await;
    findings
}

fn found(subject: &str, result: Result<String, Error>) -> Finding {
    Finding { subject: subject.to_owned(), result }
}

fn plugins(config: &config::Pipeline) -> Result<String, Error> {
    let engines = code::Engines::new(config.host.cache.clone());
    let chain = code::load(&engines, config, &code::read(config)?)?;
    let names: Vec<_> = chain
        .plugins()
        .map(|plugin| format!("{} is {} {}", plugin.transform(), plugin.info().name, plugin.info().version))
        .collect();
    Ok(if names.is_empty() { String::from("none") } else { names.join(", ") })
}

async fn check_source(config: &config::Pipeline, findings: &mut Vec<Finding>) {
    let Broker::Kafka { brokers } = &config.source.broker else {
        findings.push(found("source", Ok(String::from("a broker in this process"))));
        return;
    };
    let asker = match Queries::new(&config.source, brokers) {
        Ok(queries) => Asker::new(queries, false),
        Err(error) => {
            findings.push(found("source", Err(error.into())));
            return;
        }
    };
    for topic in &config.source.topics {
        let result = topic_facts(&asker, topic).await;
        let is_reachable = result.is_ok();
        findings.push(found(&format!("source.topics `{topic}`"), result));
        if !is_reachable {
            // The next topic would wait for the same broker.
            return;
        }
    }
    if let Some(topic) = &config.dead_letter.topic {
        let partitions = letters::check(topic, &asker).await;
        let facts = partitions.map(|partitions| format!("{partitions} partitions get dead letters"));
        findings.push(found(&format!("dead_letter.topic `{topic}`"), facts));
    }
}

async fn topic_facts(asker: &Asker, topic: &str) -> Result<String, Error> {
    let partitions = asker.partitions(topic).await?;
    let id = asker.topic_id(topic).await?;
    Ok(format!("{} partitions, id {id}", partitions.len()))
}
