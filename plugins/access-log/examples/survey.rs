//! Says what the plugin makes of log files before a pipeline does:
//! `cargo run -p access-log --example survey -- access.log`.
//!
//! Counts the lines by what becomes of them, and shows those that fail or are odd. `CONFIG` in the
//! environment is the plugin's configuration.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout)] // a program for a terminal

use std::collections::BTreeMap;
use std::error::Error;
use std::{env, fs};

use access_log::AccessLog;
use vanne_plugin::testing::{Harness, Record, Reply};

fn main() -> Result<(), Box<dyn Error>> {
    let plugin = Harness::<AccessLog>::new(&env::var("CONFIG").unwrap_or_default())?;
    let mut counts = BTreeMap::<String, usize>::new();
    for path in env::args().skip(1) {
        let log = fs::read(&path).map_err(|error| format!("can't read `{path}`: {error}"))?;
        let lines = log
            .strip_suffix(b"\n")
            .unwrap_or(&log)
            .split(|byte| *byte == b'\n');
        for (number, line) in (1_usize..).zip(lines) {
            let (class, note) = classify(plugin.one(&Record::value(line)), line);
            if let Some(note) = note {
                println!("{path}:{number}: {class}: {note}");
            }
            *counts.entry(class).or_default() += 1;
        }
    }
    for (class, count) in counts {
        println!("{count:10} {class}");
    }
    Ok(())
}

/// What became of a line, and what to show of it, if it is worth that.
fn classify(reply: Reply, line: &[u8]) -> (String, Option<String>) {
    match reply {
        Reply::Replace(Some(object), _) => {
            let object = String::from_utf8_lossy(&object).into_owned();
            let is_odd =
                object.contains(r#","request":"#) || object.contains(r#","truncated":true"#);
            match (is_odd, line.contains(&b'\\')) {
                (true, _) => ("taken, odd".to_owned(), Some(object)),
                (false, true) => ("taken, with escapes".to_owned(), Some(object)),
                (false, false) => ("taken".to_owned(), None),
            }
        }
        Reply::Drop => ("dropped".to_owned(), None),
        Reply::Fail(code, detail) => (format!("failed, {code}"), Some(detail)),
        other => ("anything else".to_owned(), Some(format!("{other:?}"))),
    }
}
