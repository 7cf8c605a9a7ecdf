//! Made-up lines of a web server's access log, in the combined format.
//!
//! Owns what a line looks like; pure, with no clock. Invariant: a seed and a start give the same bytes on
//! every machine. About one line in a thousand is malformed on purpose, so that dead letters are seen;
//! some others are odd, but right: no size, an escaped quote, a very long agent, IPv6, a user.

use std::io::{self, Write};

use super::lines::Lines;
use crate::clock::Random;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Weights are in the repetitions.
const METHODS: [&str; 12] =
    ["GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "POST", "POST", "HEAD", "PUT"];
const STATUSES: [u16; 16] = [200, 200, 200, 200, 200, 200, 200, 200, 200, 304, 304, 301, 404, 404, 403, 500];
const SECTIONS: [&str; 8] =
    ["/", "/blog/", "/images/", "/products/", "/api/v1/items/", "/search?q=", "/static/", "/account/"];
const ENDINGS: [&str; 8] = ["", ".html", ".png", ".css", ".js", "?page=2", "/", "/edit"];
const REFERRERS: [&str; 6] = [
    "-",
    "-",
    "https://www.example.com/",
    "https://search.example.net/?q=stream",
    "https://www.example.com/blog/",
    "https://news.example.org/item?id=42",
];
const AGENTS: [&str; 7] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
    "ExampleBot/2.1 (+https://bot.example.com/about)",
    "curl/8.9.1",
    "-",
];
const USERS: [&str; 4] = ["alice", "bob", "carol", "svc-deploy"];

/// The generator; endless.
#[derive(Debug)]
pub struct AccessLog {
    random: Random,
    time_ms: i64,
}

impl AccessLog {
    /// Lines whose times begin at `start_ms`, milliseconds since 1970 UTC.
    #[must_use]
    pub fn new(seed: u64, start_ms: i64) -> Self {
        Self { random: Random::seeded(seed), time_ms: start_ms }
    }

    /// Puts the next line, without its end, in place of what the buffer holds.
    pub fn write_line(&mut self, line: &mut Vec<u8>) {
        line.clear();
        self.time_ms = self.time_ms.saturating_add(self.below_i64(120));
        if self.below(1000) == 0 {
            self.write_malformed(line);
            return;
        }
        self.write_client(line);
        let user = if self.below(20) == 0 { self.pick(&USERS) } else { "-" };
        put(line, format_args!(" - {user} ["));
        write_time(line, self.time_ms);
        line.extend_from_slice(b"] \"");
        self.write_request(line);
        line.extend_from_slice(b"\" ");
        self.write_answer(line);
        let referrer = self.pick(&REFERRERS);
        put(line, format_args!(" \"{referrer}\" \""));
        self.write_agent(line);
        line.push(b'"');
    }

    fn write_client(&mut self, line: &mut Vec<u8>) {
        let bits = self.random.next_u64();
        if bits.is_multiple_of(10) {
            let (low, high) = ((bits >> 16) & 0xffff, (bits >> 32) & 0xffff);
            put(line, format_args!("2001:db8::{low:x}:{high:x}"));
        } else {
            // The three networks that are set aside for documentation.
            let network = ["192.0.2", "198.51.100", "203.0.113"][(bits >> 8) as usize % 3];
            put(line, format_args!("{network}.{}", (bits >> 16) % 254 + 1));
        }
    }

    fn write_request(&mut self, line: &mut Vec<u8>) {
        let (method, section) = (self.pick(&METHODS), self.pick(&SECTIONS));
        put(line, format_args!("{method} {section}"));
        if section != "/" {
            let (number, ending) = (self.below(5000), self.pick(&ENDINGS));
            put(line, format_args!("{number}{ending}"));
        }
        let protocol = if self.below(4) == 0 { "HTTP/2.0" } else { "HTTP/1.1" };
        put(line, format_args!(" {protocol}"));
    }

    fn write_answer(&mut self, line: &mut Vec<u8>) {
        let status = self.pick(&STATUSES);
        put(line, format_args!("{status} "));
        if status == 304 || self.below(50) == 0 {
            line.push(b'-');
        } else {
            // Small answers are common, large ones are not.
            let size = self.below(64) * self.below(64) * self.below(64);
            put(line, format_args!("{size}"));
        }
    }

    fn write_agent(&mut self, line: &mut Vec<u8>) {
        match self.below(500) {
            0 => line.extend_from_slice(br#"Mozilla/5.0 (compatible; \"Quoted\" Agent/1.0)"#),
            1 => {
                line.extend_from_slice(b"Mozilla/5.0 (");
                for part in 0..60 {
                    put(line, format_args!("component-{part}/1.{part}; "));
                }
                line.push(b')');
            }
            _ => line.extend_from_slice(self.pick(&AGENTS).as_bytes()),
        }
    }

    fn write_malformed(&mut self, line: &mut Vec<u8>) {
        match self.below(4) {
            0 => line.extend_from_slice(b"worker 17 exited on signal 9 (core dumped)"),
            1 => {
                line.extend_from_slice(b"192.0.2.7 - - [99/Foo/2026:25:61:61 +0000] \"GET / HTTP/1.1\" 200 5")
            }
            2 => line.extend_from_slice(b"192.0.2.8 - - ["),
            _ => {
                self.write_client(line);
                line.extend_from_slice(b" - - [");
                write_time(line, self.time_ms);
                line.extend_from_slice(b"] \"GET /cut/off/in/the/middle");
            }
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.next_u64() % bound
    }

    fn below_i64(&mut self, bound: u32) -> i64 {
        i64::from((self.random.next_u64() % u64::from(bound)) as u32)
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let position = self.below(choices.len() as u64);
        choices[position as usize]
    }
}

impl Lines for AccessLog {
    fn next_line(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        self.write_line(line);
        Ok(true)
    }
}

fn put(line: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    line.write_fmt(arguments).expect("memory can be written");
}

/// `01/Jan/2026:00:00:00 +0000`
fn write_time(line: &mut Vec<u8>, time_ms: i64) {
    let seconds = time_ms.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let month = MONTHS[month as usize - 1];
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    put(line, format_args!("{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000"));
}

/// Year, month and day of a day since 1970, after Howard Hinnant's `civil_from_days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START_MS: i64 = 1_767_225_600_000;

    fn lines(seed: u64, count: usize) -> Vec<String> {
        let mut generator = AccessLog::new(seed, START_MS);
        let mut line = Vec::new();
        let mut next = || {
            generator.write_line(&mut line);
            String::from_utf8(line.clone()).expect("lines are text")
        };
        (0..count).map(|_| next()).collect()
    }

    fn is_well_formed(line: &str) -> bool {
        let Some((_, rest)) = line.split_once(" [") else { return false };
        let Some((time, rest)) = rest.split_once("] \"") else { return false };
        let quotes = rest.replace("\\\"", "").matches('"').count();
        time.len() == 26 && !time.starts_with("99") && quotes == 5
    }

    #[test]
    fn malformed_lines_are_few_but_there() {
        let lines = lines(7, 100_000);
        let malformed = lines.iter().filter(|line| !is_well_formed(line)).count();
        assert!((40..250).contains(&malformed), "{malformed} of 100,000");
    }

    #[test]
    fn all_the_oddities_occur() {
        let lines = lines(1, 20_000);
        for odd in [" - \"", "2001:db8::", "\\\"", "component-59", " - alice [", "\" 304 - "] {
            assert!(lines.iter().any(|line| line.contains(odd)), "no line has {odd:?}");
        }
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        let mut line = Vec::new();
        for (time_ms, text) in [
            (START_MS, "01/Jan/2026:00:00:00 +0000"),
            (951_782_399_999, "28/Feb/2000:23:59:59 +0000"),
            (951_782_400_000, "29/Feb/2000:00:00:00 +0000"),
            (-1000, "31/Dec/1969:23:59:59 +0000"),
        ] {
            line.clear();
            write_time(&mut line, time_ms);
            assert_eq!(String::from_utf8_lossy(&line), text);
        }
    }

    proptest! {
        #[test]
        fn a_seed_gives_the_same_lines_again(seed in any::<u64>()) {
            prop_assert_eq!(lines(seed, 50), lines(seed, 50));
            prop_assert_ne!(lines(seed, 50), lines(seed.wrapping_add(1), 50));
        }

        #[test]
        fn days_are_those_of_the_calendar(days in -100_000_i64..2_000_000) {
            let (year, month, day) = civil(days);
            let zoned = jiff::civil::date(1970, 1, 1)
                .checked_add(jiff::Span::new().days(days))
                .expect("within the calendar");
            prop_assert_eq!(
                (year, month, day),
                (i64::from(zoned.year()), i64::from(zoned.month()), i64::from(zoned.day()))
            );
        }
    }
}
