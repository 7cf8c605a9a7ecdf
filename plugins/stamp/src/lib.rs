//! Adds one member to each JSON object, `"stamp": N`: for the host's tests of hot swap, and for nothing else.
//!
//! The number lies in the component's data as text, behind `vanne-stamp:`, and what the plugin does besides
//! behind `vanne-mode:`. A test that writes others there has another version, of another digest and with
//! another output, without a compiler:
//!
//! | mode | what happens |
//! | --- | --- |
//! | `-` | nothing but the stamp |
//! | `r` | `configure` refuses |
//! | `c` | `configure` traps |
//! | `t` | every call traps |
//! | `f` | every record of an even offset fails |
//! | `d` | every record is dropped |
//! | `s` | every record takes about 100 us more |
//!
//! Any other mode is refused by `configure`. The version that the component says of itself holds the number
//! as well: `0.1.0+00000042`.
//!
//! Invariant: both markers stand in the component exactly once, and nothing that the compiler does depends
//! on what they say.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::hint::black_box;

use vanne_plugin::{Message, NoConfig, Outcome, Plan, Transform};

/// What tests write into: the number at [`STAMP_AT`], the mode at the end.
#[used]
static MARKER: [u8; MARKER_BYTES] = *b"vanne-stamp:00000000 vanne-mode:-";

const MARKER_BYTES: usize = 33;

/// Where the number's digits begin in the marker, and how many there are.
const STAMP_AT: usize = 12;
const STAMP_DIGITS: usize = 8;

/// Rounds of nothing, about 100 us of them.
const SLOW_ROUNDS: u32 = 100_000;

/// The marker as it stands in the component now, of which the compiler knows nothing.
fn marker() -> &'static [u8; MARKER_BYTES] {
    black_box(&MARKER)
}

/// The digits of the number, as they stand there.
fn digits(marker: &[u8; MARKER_BYTES]) -> Cow<'_, str> {
    String::from_utf8_lossy(&marker[STAMP_AT..STAMP_AT + STAMP_DIGITS])
}

/// What the component says of its version.
#[must_use]
pub fn version() -> String {
    format!("{}+{}", env!("CARGO_PKG_VERSION"), digits(marker()))
}

/// Stamps each record.
#[derive(Debug)]
pub struct Stamp {
    mode: u8,
    /// `"stamp":N}`.
    member: String,
    /// The value in the making, used again.
    value: Vec<u8>,
}

vanne_plugin::export!(
    Stamp,
    name = env!("CARGO_PKG_NAME"),
    version = &crate::version()
);

impl Transform for Stamp {
    type Config = NoConfig;

    fn configure(_: NoConfig) -> Result<Self, String> {
        Self::of(marker())
    }

    fn plan(&self) -> Plan {
        Plan::reading_nothing().value().pure()
    }

    fn process<'a>(&'a mut self, message: Message<'a>) -> Outcome<'a> {
        if let Some(misdeed) = misdeed(self.mode, message.offset()) {
            return misdeed;
        }
        let Some(inside) = message.value().and_then(inside) else {
            return Outcome::fail("NotAnObject", "expected a value that is one JSON object");
        };
        self.value.clear();
        self.value.extend_from_slice(inside);
        if inside
            .iter()
            .any(|byte| !byte.is_ascii_whitespace() && *byte != b'{')
        {
            self.value.push(b',');
        }
        self.value.extend_from_slice(self.member.as_bytes());
        Outcome::replace(&self.value[..])
    }
}

impl Stamp {
    /// The plugin that a marker asks for.
    fn of(marker: &[u8; MARKER_BYTES]) -> Result<Self, String> {
        let digits = digits(marker);
        let number: u32 = digits
            .parse()
            .map_err(|_| format!("the stamp `{digits}` is not {STAMP_DIGITS} digits"))?;
        let mode = marker[MARKER_BYTES - 1];
        match mode {
            b'-' | b't' | b'f' | b'd' | b's' => {}
            b'r' => return Err("this version refuses every configuration".to_owned()),
            b'c' => trap(),
            other => return Err(format!("there is no mode `{}`", char::from(other))),
        }
        Ok(Self {
            mode,
            member: format!("\"stamp\":{number}}}"),
            value: Vec::new(),
        })
    }
}

/// What a mode does instead of stamping, if anything.
fn misdeed<'a>(mode: u8, offset: u64) -> Option<Outcome<'a>> {
    match mode {
        b't' => trap(),
        b'f' if offset.is_multiple_of(2) => Some(Outcome::fail(
            "Even",
            "this version fails records of even offsets",
        )),
        b'd' => Some(Outcome::drop()),
        b's' => {
            for round in 0..SLOW_ROUNDS {
                black_box(round);
            }
            None
        }
        _ => None,
    }
}

/// A JSON object without its last brace. Looks at its two ends only.
fn inside(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    value
        .strip_suffix(b"}")
        .filter(|inside| inside.starts_with(b"{"))
}

/// Ends in a trap, without a message first.
fn trap() -> ! {
    #[cfg(target_family = "wasm")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_family = "wasm"))]
    panic!("a trap")
}

#[cfg(test)]
mod tests {
    use vanne_plugin::testing::{Harness, Record, Reply};

    use super::*;

    /// What becomes of a value under the markers as they are compiled.
    fn stamped(value: &str) -> Reply {
        let plugin = Harness::<Stamp>::new("").expect("it takes no configuration");
        plugin.one(&Record::value(value))
    }

    #[test]
    fn every_object_gets_one_more_member() {
        for (value, with) in [
            (r#"{"p":0,"n":7}"#, r#"{"p":0,"n":7,"stamp":0}"#),
            ("{}", r#"{"stamp":0}"#),
            ("{ }\n", r#"{ "stamp":0}"#),
            (r#" {"a":{}} "#, r#"{"a":{},"stamp":0}"#),
        ] {
            assert_eq!(stamped(value), Reply::replaced(with), "{value}");
        }
    }

    #[test]
    fn what_is_no_object_fails() {
        let failure = "expected a value that is one JSON object";
        for value in ["", "7", "[{}]", "{", "}"] {
            let reply = Reply::Fail("NotAnObject".into(), failure.into());
            assert_eq!(stamped(value), reply, "{value}");
        }
        let plugin = Harness::<Stamp>::new("").expect("it takes no configuration");
        assert!(matches!(plugin.one(&Record::tombstone()), Reply::Fail(..)));
    }

    #[test]
    fn the_version_holds_the_number_and_the_plan_is_pure() {
        assert_eq!(version(), format!("{}+00000000", env!("CARGO_PKG_VERSION")));
        let plugin = Harness::<Stamp>::new("").expect("it takes no configuration");
        assert_eq!(plugin.plan().traits(), ["pure"]);
        assert!(plugin.plan().reads_value() && !plugin.plan().reads_key());
        assert!(Harness::<Stamp>::new(r#"{"a": 1}"#).is_err());
    }

    /// What a marker makes of a record of an offset.
    fn marked(marker: &[u8; MARKER_BYTES], offset: u64) -> Result<String, String> {
        let plugin = Stamp::of(marker)?;
        Ok(match misdeed(plugin.mode, offset) {
            Some(outcome) => format!("{outcome:?}"),
            None => plugin.member,
        })
    }

    #[test]
    fn a_marker_that_was_written_into_makes_another_version() {
        let marked = |marker, offset| marked(marker, offset).expect("a good version");
        let good = b"vanne-stamp:00000042 vanne-mode:-";
        let half = b"vanne-stamp:12345678 vanne-mode:f";
        assert_eq!(marked(good, 0), r#""stamp":42}"#);
        assert_eq!(marked(half, 1), r#""stamp":12345678}"#);
        assert!(marked(half, 2).contains("even offsets"));
        assert!(marked(b"vanne-stamp:00000000 vanne-mode:d", 1).contains("Drop"));
        let slow = b"vanne-stamp:00000003 vanne-mode:s";
        assert_eq!(marked(slow, 1), r#""stamp":3}"#);
    }

    #[test]
    fn versions_that_are_not_well_are_refused_or_trap() {
        let refused = |marker| marked(marker, 0).expect_err("a bad version");
        assert!(refused(b"vanne-stamp:00000000 vanne-mode:r").contains("every configuration"));
        assert!(refused(b"vanne-stamp:00000000 vanne-mode:x").contains("no mode `x`"));
        assert!(refused(b"vanne-stamp:0000000x vanne-mode:-").contains("`0000000x`"));
        for marker in [
            b"vanne-stamp:00000000 vanne-mode:c",
            b"vanne-stamp:00000000 vanne-mode:t",
        ] {
            assert!(std::panic::catch_unwind(|| marked(marker, 1)).is_err());
        }
    }
}
