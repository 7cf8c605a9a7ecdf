//! E-mail addresses: `local@domain`, and `local%40domain` as it stands in URLs.
//!
//! The domain needs a dot and a last label that begins with a letter. Letters may be of any script that
//! puts spaces between words. Quoted local parts and domains in brackets are not found.

/// Scripts from here on (Chinese, Japanese, Korean) put no space between words: taking their letters in
/// would take whole sentences.
const FIRST_WITHOUT_SPACES: char = '\u{2e80}';

pub(super) fn find(text: &str, mut found: impl FnMut(usize, usize)) {
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let (width, in_url) = match byte {
            b'@' => (1, false),
            b'%' if bytes[at..].starts_with(b"%40") => (3, true),
            _ => continue,
        };
        let start = local_start(text, at, in_url);
        if start == at {
            continue;
        }
        if let Some(length) = domain_length(&text[at + width..]) {
            found(start, at + width + length);
        }
    }
}

fn is_letter(character: char) -> bool {
    match character {
        '\u{300}'..='\u{36f}' => true, // accents on the letter before
        _ => character < FIRST_WITHOUT_SPACES && character.is_alphanumeric(),
    }
}

/// Where the local part that ends at `at` begins; there, if it is empty.
fn local_start(text: &str, at: usize, in_url: bool) -> usize {
    let mut start = at;
    let mut characters = text[..at].char_indices().rev().peekable();
    while let Some((place, character)) = characters.next() {
        let is_local = match character {
            '.' | '_' | '+' | '-' => true,
            '%' => !in_url,
            // The one of O'Brien, not the one that quotes.
            '\'' => characters
                .peek()
                .is_some_and(|(_, before)| is_letter(*before)),
            _ => is_letter(character),
        };
        if !is_local {
            break;
        }
        start = place;
    }
    let local = &text[start..at];
    let is_hex = |from: usize| {
        let digits = text.as_bytes().get(from..from + 2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if in_url && text[..start].ends_with('%') && local.len() > 2 && is_hex(start) {
        start += 2;
    }
    match text[start..at].trim_start_matches('.') {
        "" => start,
        local => at - local.len(),
    }
}

/// How much of a text is a domain.
fn domain_length(text: &str) -> Option<usize> {
    let is_domain = |character: char| matches!(character, '.' | '-') || is_letter(character);
    let end = text
        .find(|character| !is_domain(character))
        .unwrap_or(text.len());
    let mut length = None;
    let mut from = 0;
    for (number, label) in text[..end].split('.').enumerate() {
        if label.is_empty() {
            break;
        }
        let word = label.split('-').next().unwrap_or_default();
        let is_punycode = label.len() > 4 && label.starts_with("xn--");
        let last = if is_punycode {
            label.trim_end_matches('-')
        } else {
            word
        };
        let is_top =
            last.chars().next().is_some_and(char::is_alphabetic) && last.chars().nth(1).is_some();
        if number > 0 && is_top {
            length = Some(from + last.len());
        }
        from += label.len() + 1;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_and_nothing_else() {
        for (text, expected) in [
            ("joe@example.com", vec!["joe@example.com"]),
            (
                "<joe.b+tag@mail.example.co.uk>,",
                vec!["joe.b+tag@mail.example.co.uk"],
            ),
            ("Write to joe@example.com.", vec!["joe@example.com"]),
            ("a@b.co@c.de", vec!["a@b.co", "b.co@c.de"]),
            (
                "mail='joe@x.org' o'brien@x.org",
                vec!["joe@x.org", "o'brien@x.org"],
            ),
            ("jörg@bücher.example", vec!["jörg@bücher.example"]),
            ("邮箱joe@example.com。", vec!["joe@example.com"]),
            ("почта@пример.рф", vec!["почта@пример.рф"]),
            ("x@xn--bcher-kva.xn--p1ai", vec!["x@xn--bcher-kva.xn--p1ai"]),
            (
                "GET /?mail=joe%40example.com&x=1",
                vec!["joe%40example.com"],
            ),
            ("q%3Djoe%40example.com%26x", vec!["joe%40example.com"]),
            ("a%b@example.com", vec!["a%b@example.com"]),
            ("...joe@example.com.99", vec!["joe@example.com"]),
            ("joe@example.com-backup", vec!["joe@example.com"]),
            (
                "joe@example.com-old.example.org",
                vec!["joe@example.com-old.example.org"],
            ),
            ("joe@10.0.0.1", vec![]),
            ("joe@localhost", vec![]),
            ("@example.com joe@ @ joe@.com joe@x.c joe@x..com", vec![]),
            ("npm i react@18.2.0 @scope/a.b", vec![]),
            ("%40%40 %4", vec![]),
            (".@example.com", vec![".@example.com"]),
        ] {
            let mut places = Vec::new();
            find(text, |start, end| places.push(&text[start..end]));
            assert_eq!(places, expected, "{text}");
        }
    }
}
