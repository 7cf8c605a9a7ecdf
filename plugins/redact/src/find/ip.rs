//! IP addresses, of both versions.
//!
//! Four numbers with dots are an address, and five are one with a port as tcpdump writes it; six and more
//! are an object identifier. A version such as `1.2.3.4` can't be told from an address, and is taken for
//! one.

use std::net::Ipv6Addr;
use std::ops::Range;

use super::{after_escape, digits_end};

/// The longest way to write an address, which has an IPv4 address at its end.
const V6_LENGTH_MAX: usize = 45;

/// An address, a colon, and a word or a port of five characters.
const PLACE_LENGTH_MAX: usize = V6_LENGTH_MAX + 6;

pub(super) fn find_v4(text: &[u8], mut found: impl FnMut(usize, usize)) {
    let mut at = 0;
    while at < text.len() {
        if !text[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let (parts, fourth_end, end) = dotted(text, at);
        match (parts, fourth_end, after_escape(text, at)) {
            (4 | 5, Some(fourth_end), _) => found(at, fourth_end),
            (_, _, Some(start)) => {
                if let (4 | 5, Some(fourth_end), _) = dotted(text, start) {
                    found(start, fourth_end);
                }
            }
            _ => {}
        }
        at = end.max(at + 1);
    }
}

/// How many numbers with dots between begin at a place, the end of the fourth if the first four are below
/// 256, and the end of all.
fn dotted(text: &[u8], start: usize) -> (usize, Option<usize>, usize) {
    let mut parts = 0;
    let mut are_octets = true;
    let mut fourth_end = None;
    let mut from = start;
    loop {
        let end = digits_end(text, from);
        if end == from {
            return (parts, fourth_end, end);
        }
        parts += 1;
        are_octets &= is_octet(&text[from..end]);
        if parts == 4 && are_octets {
            fourth_end = Some(end);
        }
        let goes_on =
            text.get(end) == Some(&b'.') && text.get(end + 1).is_some_and(u8::is_ascii_digit);
        if !goes_on {
            return (parts, fourth_end, end);
        }
        from = end + 1;
    }
}

fn is_octet(digits: &[u8]) -> bool {
    let value = |digits: &[u8]| {
        let digits = digits.iter();
        digits.fold(0_u16, |sum, digit| sum * 10 + u16::from(digit - b'0'))
    };
    digits.len() <= 3 && value(digits) < 256
}

pub(super) fn find_v6(text: &str, mut found: impl FnMut(usize, usize)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let run = run_from(bytes, at);
        at = run.end.max(at + 1);
        if let Some(run) = trimmed(bytes, run) {
            if let Some(start) = after_escape(bytes, run.start).filter(|start| *start < run.end) {
                in_run(text, start..run.end, &mut found);
            }
            in_run(text, run, &mut found);
        }
    }
}

/// The characters that an address can have, from a place on.
fn run_from(text: &[u8], from: usize) -> Range<usize> {
    let is_part = |byte: &&u8| matches!(byte, b':' | b'.') || byte.is_ascii_hexdigit();
    let length = text[from..].iter().take_while(is_part).count();
    from..from + length
}

/// The run without what can't be part of an address at its ends; `None` if it has too few colons.
fn trimmed(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let Range { mut start, mut end } = run;
    if text[start..end]
        .iter()
        .filter(|byte| **byte == b':')
        .count()
        < 2
    {
        return None;
    }
    while start < end && (text[start] == b'.' || is_single_colon(text, start, start + 1, end)) {
        start += 1;
    }
    while start < end && (text[end - 1] == b'.' || is_single_colon(text, end - 1, start, end - 1)) {
        end -= 1;
    }
    Some(start..end)
}

/// Whether there is a colon at `at`, and none beside it on the side that is from `from` to `to`.
fn is_single_colon(text: &[u8], at: usize, from: usize, to: usize) -> bool {
    let beside = if at < from { from } else { to.wrapping_sub(1) };
    text[at] == b':' && !(from < to && text[beside] == b':')
}

/// Tells the addresses of a run, the longest from each group on.
fn in_run(text: &str, run: Range<usize>, found: &mut impl FnMut(usize, usize)) {
    let bytes = text.as_bytes();
    let mut start = run.start;
    while start < run.end {
        let most = run.end.min(start + PLACE_LENGTH_MAX);
        let end = (start + 2..=most)
            .rev()
            .filter(|end| *end == run.end || matches!(bytes[*end], b':' | b'.'))
            .find(|end| is_place(text, &run, start, *end));
        if let Some(end) = end {
            found(start, end);
        }
        start = end.unwrap_or_else(|| next_start(bytes, start, run.end));
    }
}

/// Where the next address of a run can begin: at two colons, or after a colon or a dot.
fn next_start(text: &[u8], start: usize, end: usize) -> usize {
    let is_mark = |byte: &u8| matches!(byte, b':' | b'.');
    match text[start..end].iter().position(is_mark) {
        None => end,
        Some(0) => start + 1,
        Some(length) if text[start + length..].starts_with(b"::") => start + length,
        Some(length) => start + length + 1,
    }
}

/// Whether an address is there. One without `::` has to stand alone, but for something that was written
/// before it (`face:`) or a port after it: in a fingerprint, each eight of its bytes would be one.
fn is_place(text: &str, run: &Range<usize>, start: usize, end: usize) -> bool {
    let place = &text[start..end];
    if place.contains("::") {
        return is_address(place);
    }
    let bytes = text.as_bytes();
    let begins_alone = start == run.start || bytes[start - 1] == b'.';
    let ends_alone = end == run.end || bytes[end] == b'.';
    let is_rest = |split: Option<&str>| split.is_some_and(is_address);
    begins_alone
        && ends_alone
        && (is_address(place)
            || is_rest(place.split_once(':').map(|(_, rest)| rest))
            || is_rest(place.rsplit_once(':').map(|(rest, _)| rest)))
}

fn is_address(text: &str) -> bool {
    text.len() <= V6_LENGTH_MAX && text.parse::<Ipv6Addr>().is_ok() && looks_like_one(text)
}

/// `::`, `a::b` and `fe::ed` are names in programs. An address has a digit or three groups.
fn looks_like_one(text: &str) -> bool {
    let groups = text.split(':').filter(|group| !group.is_empty());
    text.bytes().any(|byte| byte.is_ascii_digit()) || groups.count() > 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_version_4_are_found() {
        for (text, expected) in [
            ("10.0.0.1", vec!["10.0.0.1"]),
            (
                "from 203.0.113.9:443, 192.168.001.254.",
                vec!["203.0.113.9", "192.168.001.254"],
            ),
            (
                "IP 10.1.2.3.55321 > 10.1.2.4.53:",
                vec!["10.1.2.3", "10.1.2.4"],
            ),
            ("::ffff:10.0.0.1", vec!["10.0.0.1"]),
            ("ip%3D10.0.0.1 %2010.0.0.2", vec!["10.0.0.1", "10.0.0.2"]),
            ("%10.0.0.1", vec!["10.0.0.1"]),
            ("10.0.0.1/24", vec!["10.0.0.1"]),
            ("1.3.6.1.4.1", vec![]),
            (
                "256.1.1.1 1.1.1.256 1.2.3 1.2.3. 1..2.3.4 1.2.3.4444",
                vec![],
            ),
            ("2.10.0.0.1.9", vec![]),
        ] {
            let mut places = Vec::new();
            find_v4(text.as_bytes(), |start, end| places.push(&text[start..end]));
            places.dedup(); // what stands after an escape is met twice
            assert_eq!(places, expected, "{text}");
        }
    }

    #[test]
    fn addresses_of_version_6_are_found() {
        for (text, expected) in [
            ("2001:db8::1", vec!["2001:db8::1"]),
            (
                "[2001:DB8:0:0:8:800:200C:417A]:443",
                vec!["2001:DB8:0:0:8:800:200C:417A"],
            ),
            (
                "::1 fe80::1%eth0 ::ffff:10.0.0.1",
                vec!["::1", "fe80::1", "::ffff:10.0.0.1"],
            ),
            (
                "from 2001:db8::1, to 2001:db8::2.",
                vec!["2001:db8::1", "2001:db8::2"],
            ),
            ("addr:2001:db8::1: x", vec!["2001:db8::1"]),
            ("ip%3D2001:db8::1", vec!["2001:db8::1", "db8::1"]),
            (r"\n2001:db8::1", vec!["2001:db8::1"]),
            (
                "face:2001:db8:1:2:3:4:5:6",
                vec!["face:2001:db8:1:2:3:4:5:6"],
            ),
            ("fdab:cdef:abcd::", vec!["fdab:cdef:abcd::"]),
            (
                "2001:db8::1,2001:db8::2",
                vec!["2001:db8::1", "2001:db8::2"],
            ),
            ("1:2:3:4:5:6:7:8:2001:db8::1", vec!["5:6:7:8:2001:db8::1"]),
            ("std::vec a::b Foo::bar :: ::: 10:15:30 12:34", vec![]),
            ("XXX::1", vec!["::1"]),
            (
                "1:2:3:4:5:6:7:8.9 ::ffff:10.0.0.1.5",
                vec!["1:2:3:4:5:6:7:8", "::ffff:10.0.0.1"],
            ),
            (
                "MD5 16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48",
                vec![],
            ),
            ("aa:bb:cc:dd:ee:ff 1:2:3:4:5:6:7", vec![]),
        ] {
            let mut places = Vec::new();
            find_v6(text, |start, end| places.push(&text[start..end]));
            places.dedup(); // what stands after an escape is met twice
            assert_eq!(places, expected, "{text}");
        }
    }
}
