//! Damages a configuration by a seed: the same seed, the same damage.

use host::clock::Random;

/// Values of every kind, to stand where another kind is expected.
const VALUES: [&str; 20] = [
    "0",
    "-1",
    "9223372036854775807",
    "9223372036854775808",
    "99999999999999999999999999",
    "1e400",
    "nan",
    "-inf",
    "true",
    "\"\"",
    "\"\\u0000\"",
    "\"\u{1F980}\\u202E\"",
    "\"${\"",
    "\"${file:/}\"",
    "\"18446744073709551615TiB\"",
    "\"!{timestamp:'\"",
    "[]",
    "{}",
    "[[[[[[[[{ a = [{ b = 1 }] }]]]]]]]]",
    "2026-11-24T00:00:00",
];

/// Texts that mean something to one of the notations inside values.
const FRAGMENTS: [&str; 16] =
    ["\"", "'", "\n", "=", ".", "[", "]]", "{", "}", "${X}", "!{", "://", "@", "\\", "\u{feff}", "ä"];

/// One to four kinds of damage, one after another.
pub(crate) fn damage(text: &str, seed: u64) -> String {
    let random = Random::seeded(seed);
    let mut damaged = text.to_owned();
    for _ in 0..=random.next_u64() % 4 {
        damaged = match random.next_u64() % 7 {
            0 => flip_byte(&damaged, &random),
            1 => change_line(&damaged, &random, |_, _| String::new()),
            2 => change_line(&damaged, &random, replace_value),
            3 => change_line(&damaged, &random, |line, _| format!("{line}\n{line}")),
            4 => change_line(&damaged, &random, |line, random| {
                let at = pick(random, line.chars().count() + 1);
                line.chars().take(at).collect()
            }),
            5 => insert(&damaged, &random, FRAGMENTS[pick(&random, FRAGMENTS.len())]),
            _ => insert(&damaged, &random, &"[{(a.".repeat(pick(&random, 200))),
        };
    }
    damaged
}

fn pick(random: &Random, below: usize) -> usize {
    usize::try_from(random.next_u64() % below.max(1) as u64).unwrap_or(0)
}

fn flip_byte(text: &str, random: &Random) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let at = pick(random, bytes.len());
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << pick(random, 8);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn change_line(text: &str, random: &Random, change: impl Fn(&str, &Random) -> String) -> String {
    let chosen = pick(random, text.lines().count());
    let lines = text.lines().enumerate();
    let changed = lines.map(|(nth, line)| if nth == chosen { change(line, random) } else { line.to_owned() });
    changed.collect::<Vec<_>>().join("\n")
}

fn replace_value(line: &str, random: &Random) -> String {
    let key = line.split('=').next().unwrap_or_default();
    format!("{key}= {}", VALUES[pick(random, VALUES.len())])
}

fn insert(text: &str, random: &Random, what: &str) -> String {
    let at = pick(random, text.chars().count() + 1);
    let before: String = text.chars().take(at).collect();
    let after: String = text.chars().skip(at).collect();
    before + what + &after
}
