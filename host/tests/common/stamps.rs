//! Versions of the plugin `stamp`, as many as a test needs, made by writing into its component.

#![allow(unreachable_pub, dead_code, reason = "each test target takes this file in as a module of its own")]

use std::path::{Path, PathBuf};

use crate::guests::guest;

const STAMP: &[u8] = b"vanne-stamp:00000000";
const MODE: &[u8] = b"vanne-mode:-";

/// What a version does besides stamping. The plugin's own page says more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Good,
    /// Refuses its configuration.
    Refuses,
    /// Traps in `configure`.
    TrapsWhenConfigured,
    /// Traps at every call.
    Traps,
    /// Fails each record of an even offset.
    FailsHalf,
    /// Drops everything.
    Drops,
    /// Takes its time.
    Slow,
}

impl Mode {
    fn letter(self) -> u8 {
        match self {
            Self::Good => b'-',
            Self::Refuses => b'r',
            Self::TrapsWhenConfigured => b'c',
            Self::Traps => b't',
            Self::FailsHalf => b'f',
            Self::Drops => b'd',
            Self::Slow => b's',
        }
    }
}

/// The component that stamps `number`, eight digits at the most, and misbehaves as `mode` says.
pub fn stamped(number: u32, mode: Mode) -> Vec<u8> {
    let mut component = std::fs::read(guest("stamp")).expect("it was built");
    let digits = format!("{number:08}");
    assert_eq!(digits.len(), 8, "the stamp {number} has too many digits");
    let end = place(&component, STAMP) + STAMP.len();
    component[end - digits.len()..end].copy_from_slice(digits.as_bytes());
    let end = place(&component, MODE) + MODE.len();
    component[end - 1] = mode.letter();
    component
}

/// A component of another digest that does the same: with a custom section more, which nobody reads.
pub fn salted(component: &[u8], salt: u8) -> Vec<u8> {
    // The section's id, its length, the length of its name, its name, and what it holds.
    [component, &[0, 6, 4], b"salt", &[salt]].concat()
}

/// Writes a component into a folder.
pub fn write(folder: &Path, name: &str, component: &[u8]) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, component).expect("the folder can be written");
    file
}

/// Where a text stands: once in all of the component, or else writing there would not be enough.
fn place(component: &[u8], text: &[u8]) -> usize {
    let mut found = (0..component.len()).filter(|at| component[*at..].starts_with(text));
    let place = found.next().unwrap_or_else(|| panic!("`{}` is not in it", text.escape_ascii()));
    assert_eq!(found.next(), None, "`{}` is in it twice", text.escape_ascii());
    place
}
