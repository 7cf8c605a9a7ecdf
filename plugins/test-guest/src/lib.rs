//! Does what a record's value says, good or bad: for the host's tests, and for nothing else.
//!
//! The first word of a value is the command, the rest its argument; anything else is forwarded.
//!
//! | value | what happens |
//! | --- | --- |
//! | `drop` | dropped |
//! | `fail CODE DETAIL` | failed |
//! | `replace TEXT` | the value becomes the text |
//! | `tombstone` | the value becomes a null |
//! | `emit N` | N records of value `emit N#0`, `emit N#1`, ... |
//! | `number N OBJECT` | N records of the JSON object, each with its index as a further field `i` |
//! | `partial` | one record, and one failure `Part` |
//! | `annotate` | the header `annotated`: `yes`, the partition key `kind`: `test` |
//! | `route NAME...` | goes to the sinks of these names |
//! | `retry MS` | postponed by that many milliseconds, at each attempt |
//! | `retry-once MS` | postponed at the first attempt, then forwarded |
//! | `echo` | the value becomes what the guest saw of the record, one `name=value` a line |
//! | `context NAME` | the value becomes that fact, or a null |
//! | `counter` | the value becomes the number of records that this instance saw |
//! | `batch-size ...` | the value becomes the number of records of the call |
//! | `fatal TEXT` | the whole call ends in a fatal error of that text |
//! | `log TEXT` | the text in the log as info, then forwarded |
//! | `stderr TEXT`, `stdout TEXT` | the text on that stream, then forwarded |
//! | `panic TEXT` | panics with it |
//! | `trap` | traps without a word |
//! | `exit` | leaves the process with an error status |
//! | `loop` | never returns |
//! | `alloc` | takes memory until there is none |
//! | `recurse` | calls itself until the stack is gone |
//! | `sleep MS` | sleeps, then forwarded |
//! | `file PATH`, `write PATH`, `connect PEER`, `ask PEER`, `listen ADDRESS`, `send PEER`, `env NAME` | the value becomes what came of trying, `denied: ...` if nothing |
//! | `time`, `random` | the value becomes the wall clock's milliseconds, or a random number |
//! | `output N` | the value becomes N bytes |
//!
//! The configuration: `{"refuse": "TEXT"}` makes `configure` refuse with the text, `{"wrong_count": true}`
//! makes `process` leave the last outcome out, `{"fatal": "TEXT"}` and `{"retry": "TEXT"}` make it answer
//! every batch so, `{"trap_on_configure": true}` makes `configure` trap, `{"fail_partition": N}` makes every record
//! of that partition fail.
#![forbid(unsafe_code)]

mod misdeeds;

use std::fmt::Write as _;
use std::time::Duration;

use serde::Deserialize;
use vanne_plugin::{
    Annotation, Batch, BatchError, Emission, Failure, Message, Outcome, Outcomes, Output,
    Postponement, Transform,
};

/// What the guest does to every batch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Refuse this configuration with the text.
    pub refuse: Option<String>,
    /// Trap in `configure`.
    pub trap_on_configure: bool,
    /// Leave out the last outcome.
    pub wrong_count: bool,
    /// Answer every batch by a fatal error of that text.
    pub fatal: Option<String>,
    /// Answer every batch by a postponement for that reason.
    pub retry: Option<String>,
    /// Fail every record of this partition.
    pub fail_partition: Option<u32>,
}

/// Does what it is told.
#[derive(Debug)]
pub struct TestGuest {
    config: Config,
    seen: u64,
    /// Records of the call that is under way.
    batch_size: usize,
}

#[cfg(not(feature = "ergonomic"))]
vanne_plugin::export!(TestGuest);
#[cfg(feature = "ergonomic")]
vanne_plugin::export!(TestGuest, world = "transform");

impl Transform for TestGuest {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        if let Some(text) = config.refuse {
            return Err(text);
        }
        if config.trap_on_configure {
            misdeeds::trap();
        }
        Ok(Self {
            config,
            seen: 0,
            batch_size: 0,
        })
    }

    fn process<'a>(&'a mut self, message: Message<'a>) -> Outcome<'a> {
        self.seen += 1;
        if self.config.fail_partition == Some(message.partition()) {
            return Outcome::fail("Partition", "every record of this partition fails");
        }
        let Some(value) = message.value() else {
            return Outcome::forward();
        };
        let text = String::from_utf8_lossy(value);
        let (command, argument) = text.split_once(' ').unwrap_or((&text, ""));
        self.decide(command, argument, &message)
            .or_else(|| misdeeds::commit(command, argument))
            .unwrap_or_else(Outcome::forward)
    }

    fn process_batch(
        &mut self,
        batch: Batch<'_>,
        outcomes: &mut Outcomes,
    ) -> Result<(), BatchError> {
        if let Some(text) = &self.config.fatal {
            return Err(BatchError::Fatal(text.clone()));
        }
        if let Some(reason) = &self.config.retry {
            return Err(BatchError::Retry(Postponement::new("Test", reason)));
        }
        if let Some(text) = batch.messages().find_map(fatal) {
            return Err(BatchError::Fatal(text));
        }
        self.batch_size = batch.len();
        let wanted = batch.len() - usize::from(self.config.wrong_count && !batch.is_empty());
        for message in batch.messages().take(wanted) {
            outcomes.push(self.process(message));
        }
        Ok(())
    }
}

impl TestGuest {
    /// The commands that a good plugin could obey; `None` if it is none of them.
    fn decide<'a>(
        &self,
        command: &str,
        argument: &str,
        message: &Message<'_>,
    ) -> Option<Outcome<'a>> {
        Some(match command {
            "drop" => Outcome::drop(),
            "fail" => {
                let (code, detail) = argument.split_once(' ').unwrap_or((argument, ""));
                Outcome::fail(code, detail)
            }
            "replace" => replace(argument),
            "tombstone" => Outcome::tombstone(),
            "emit" => {
                let count: u32 = argument.parse().unwrap_or(0);
                Outcome::emit(
                    (0..count).map(|index| {
                        Output::value(format!("emit {argument}#{index}").into_bytes())
                    }),
                )
            }
            "number" => number(argument),
            "partial" => Outcome::emission(
                Emission::new()
                    .output(Output::value(&b"whole"[..]).key(&b"key"[..]))
                    .failure(
                        Failure::new("Part", "a part that can't be made"),
                        Some(b"part"[..].into()),
                    ),
            ),
            "annotate" => Outcome::annotate(
                Annotation::new()
                    .header("annotated", "yes")
                    .partition_key("kind", "test"),
            ),
            "route" => Outcome::annotate(
                argument
                    .split_whitespace()
                    .fold(Annotation::new(), Annotation::route),
            ),
            "retry" => postpone(argument),
            "retry-once" if message.attempt() == 0 => postpone(argument),
            "echo" => replace(&echo(message)),
            "context" => match vanne_plugin::context(argument) {
                Some(fact) => replace(&fact),
                None => Outcome::tombstone(),
            },
            "counter" => replace(&self.seen.to_string()),
            "batch-size" => replace(&self.batch_size.to_string()),
            _ => return None,
        })
    }
}

/// What a record that ends its whole call says.
fn fatal(message: Message<'_>) -> Option<String> {
    let text = std::str::from_utf8(message.value()?).ok()?;
    text.strip_prefix("fatal ").map(str::to_owned)
}

fn number<'a>(argument: &str) -> Outcome<'a> {
    let (count, object) = argument.split_once(' ').unwrap_or((argument, "{}"));
    let rest = object.trim_start_matches('{');
    let output = |index| Output::value(format!(r#"{{"i":{index},{rest}"#).into_bytes());
    Outcome::emit((0..count.parse::<u32>().unwrap_or(0)).map(output))
}

fn replace<'a>(text: &str) -> Outcome<'a> {
    Outcome::replace(text.as_bytes().to_vec())
}

fn postpone<'a>(argument: &str) -> Outcome<'a> {
    let wish = Postponement::new("Later", "asked to come again");
    Outcome::retry(match argument.parse() {
        Ok(ms) => wish.after(Duration::from_millis(ms)),
        Err(_) => wish,
    })
}

/// What the guest sees of a record.
fn echo(message: &Message<'_>) -> String {
    let shown = |bytes: Option<&[u8]>| {
        bytes
            .map_or("null".into(), String::from_utf8_lossy)
            .into_owned()
    };
    let mut text = format!(
        "topic={}\npartition={}\noffset={}\nindex={}\nattempt={}\ntimestamp={}\nkey={}\n",
        message.topic(),
        message.partition(),
        message.offset(),
        message.index(),
        message.attempt(),
        message.timestamp_ms().unwrap_or(-1),
        shown(message.key()),
    );
    // Writing to a `String` can't fail.
    for header in message.headers() {
        writeln!(text, "header {}={}", header.name, shown(header.value)).ok();
    }
    for route in message.routes() {
        writeln!(text, "route={route}").ok();
    }
    for key in message.partition_keys() {
        writeln!(text, "partition key {}={}", key.name, key.value).ok();
    }
    text
}

#[cfg(test)]
mod tests;
