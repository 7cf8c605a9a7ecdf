//! What a pattern asks of a text: equality, beginning, end, wildcards, letters of any case, networks.
//!
//! Invariant: nothing is allocated, and the time is linear in the text but for wildcards with several
//! stars, which search each piece once.

use std::net::IpAddr;

use memchr::memmem;

/// One question about a text.
#[derive(Clone, Debug)]
pub(super) enum TextMatcher {
    Equals(Box<[u8]>),
    Prefix(Box<[u8]>),
    Suffix(Box<[u8]>),
    EqualsIgnoreCase(Folded),
    PrefixIgnoreCase(Folded),
    SuffixIgnoreCase(Folded),
    Wildcard(Wildcard),
    Cidr(Network),
}

impl TextMatcher {
    pub(super) fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::Equals(expected) => **expected == *text,
            Self::Prefix(prefix) => text.starts_with(prefix),
            Self::Suffix(suffix) => text.ends_with(suffix),
            Self::EqualsIgnoreCase(folded) => folded.equals(text),
            Self::PrefixIgnoreCase(folded) => folded.begins(text),
            Self::SuffixIgnoreCase(folded) => folded.ends(text),
            Self::Wildcard(wildcard) => wildcard.matches(text),
            Self::Cidr(network) => network.contains(text),
        }
    }
}

/// A text in lower case, each character for itself (so `ß` is not `SS`).
#[derive(Clone, Debug)]
pub(super) struct Folded {
    lower: Box<str>,
    ascii: bool,
}

impl Folded {
    pub(super) fn new(text: &str) -> Self {
        Self { lower: text.chars().flat_map(char::to_lowercase).collect(), ascii: text.is_ascii() }
    }

    fn equals(&self, text: &[u8]) -> bool {
        if self.ascii && text.is_ascii() {
            return text.eq_ignore_ascii_case(self.lower.as_bytes());
        }
        let Ok(text) = std::str::from_utf8(text) else { return false };
        text.chars().flat_map(char::to_lowercase).eq(self.lower.chars())
    }

    fn begins(&self, text: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(text) else { return false };
        let mut lower = text.chars().flat_map(char::to_lowercase);
        self.lower.chars().all(|expected| lower.next() == Some(expected))
    }

    fn ends(&self, text: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(text) else { return false };
        let mut lower = text.chars().flat_map(char::to_lowercase).rev();
        self.lower.chars().rev().all(|expected| lower.next() == Some(expected))
    }
}

/// Texts with anything between them.
#[derive(Clone, Debug)]
pub(super) struct Wildcard {
    /// At least one; a star stands between two of them, so at the ends are the beginning and the end.
    pieces: Vec<Box<[u8]>>,
}

impl Wildcard {
    /// Reads `*` for anything, `\*` and `\\` for the characters; or says what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut pieces = vec![Vec::new()];
        let mut characters = text.bytes().peekable();
        while let Some(byte) = characters.next() {
            let last = pieces.len() - 1;
            match byte {
                b'*' if characters.peek() == Some(&b'*') => return Err("two stars in a row"),
                b'*' => pieces.push(Vec::new()),
                b'\\' => match characters.next() {
                    Some(escaped @ (b'*' | b'\\')) => pieces[last].push(escaped),
                    _ => return Err("a `\\` before something else than `*` and `\\`"),
                },
                other => pieces[last].push(other),
            }
        }
        Ok(Self { pieces: pieces.into_iter().map(Vec::into_boxed_slice).collect() })
    }

    fn matches(&self, text: &[u8]) -> bool {
        let Some((first, rest)) = self.pieces.split_first() else { return false };
        let Some((last, middle)) = rest.split_last() else { return **first == *text };
        let Some(mut text) = text.strip_prefix(&**first) else { return false };
        // The leftmost place of each piece leaves the most for those after it.
        for piece in middle {
            let Some(at) = memmem::find(text, piece) else { return false };
            text = &text[at + piece.len()..];
        }
        text.ends_with(last)
    }
}

/// A block of addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    /// Reads `10.0.0.0/8` or `2001:db8::/32`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        if bits.is_empty() || bits.len() > 3 || !bits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let bits = bits.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        (bits <= most).then_some(Self { address, bits })
    }

    fn contains(&self, text: &[u8]) -> bool {
        let address = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        match (self.address, address) {
            (IpAddr::V4(ours), Some(IpAddr::V4(theirs))) => {
                (ours.to_bits() ^ theirs.to_bits()).checked_shr(32 - self.bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(ours), Some(IpAddr::V6(theirs))) => {
                (ours.to_bits() ^ theirs.to_bits()).checked_shr(128 - self.bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}
