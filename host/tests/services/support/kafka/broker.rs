//! The broker's process: its Java options, its settings, its data folder.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::process::tied;
use crate::support::{required, unique};

/// Of a small heap, and compiled quickly rather than well: it has to start fast and to leave the cores to the tests.
const JAVA_OPTIONS: [&str; 8] = [
    "-Xms256m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:MaxDirectMemorySize=128m",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "-Dlog4j2.level=WARN",
];

/// The broker's settings but for the ports and the folder. Groups may have a session time-out of half a second, topics
/// appear only when a test makes them, a group's first rebalance does not wait for more members, and records stay however
/// old their timestamps are.
const PROPERTIES: [(&str, &str); 27] = [
    ("process.roles", "broker,controller"),
    ("node.id", "1"),
    ("controller.listener.names", "CONTROLLER"),
    ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"),
    ("inter.broker.listener.name", "PLAINTEXT"),
    ("num.partitions", "4"),
    ("auto.create.topics.enable", "false"),
    ("offsets.topic.replication.factor", "1"),
    ("offsets.topic.num.partitions", "1"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
    ("transaction.state.log.num.partitions", "1"),
    ("share.coordinator.state.topic.replication.factor", "1"),
    ("share.coordinator.state.topic.min.isr", "1"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("group.min.session.timeout.ms", "500"),
    ("message.max.bytes", "4000000"),
    ("log.segment.bytes", "67108864"),
    ("log.retention.ms", "-1"),
    ("log.cleaner.dedupe.buffer.size", "4194304"),
    ("log.initial.task.delay.ms", "500"),
    ("log.retention.check.interval.ms", "500"),
    ("file.delete.delay.ms", "500"),
    ("log.index.size.max.bytes", "1048576"),
    ("num.network.threads", "1"),
    ("num.io.threads", "2"),
    ("background.threads", "2"),
];

/// `java` with the broker's classes and a small heap; the class to run comes next.
pub(super) fn java() -> Command {
    let mut command = tied("java");
    command.args(JAVA_OPTIONS).arg("-cp").arg(required("kafka", "libs").join("*"));
    command
}

/// Writes `server.properties`.
pub(super) fn write_properties(
    folder: &Path,
    brokers: &str,
    controller: &str,
    further: &[(&str, &str)],
) -> PathBuf {
    let mut text = format!(
        "listeners=PLAINTEXT://{brokers},CONTROLLER://{controller}\n\
         advertised.listeners=PLAINTEXT://{brokers}\n\
         controller.quorum.voters=1@{controller}\n\
         log.dirs={}\n",
        folder.join("data").display()
    );
    // The last of two settings of a name counts.
    for (key, value) in PROPERTIES.iter().chain(further) {
        writeln!(text, "{key}={value}").expect("a string takes text");
    }
    let file = folder.join("server.properties");
    std::fs::write(&file, text).expect("the scratch folder can be written");
    file
}

/// Prepares the data folder and answers the cluster's id, by which the broker is told from another one on its port.
pub(super) fn format_storage(properties: &Path) -> Result<String, String> {
    let id = unique("vanne-cluster");
    let mut command = java();
    command.arg("kafka.tools.StorageTool").args(["format", "-t", &id, "-c"]).arg(properties);
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("`java` does not start: {error}"))?;
    if output.status.success() {
        return Ok(id);
    }
    Err(format!("the broker's folder can't be formatted: {}", String::from_utf8_lossy(&output.stderr)))
}
