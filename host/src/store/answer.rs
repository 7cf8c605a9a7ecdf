//! What the `object_store` crate's errors mean here, and what of their text may be shown.
//!
//! Owns the mapping to [`ErrorKind`]. Decides on variants, never on text; the text is for people only,
//! and is cut short and freed of query strings, where signatures and tokens travel.

use std::error::Error as StdError;
use std::fmt;

use super::ErrorKind;

/// Longest text of a store that is kept: an error page can be long.
const TEXT_BYTES_MAX: usize = 1000;

/// What an error says about what happened.
pub(super) fn kind(error: &object_store::Error) -> ErrorKind {
    use object_store::Error as Answer;
    match error {
        Answer::NotFound { .. } => ErrorKind::NotFound,
        Answer::PermissionDenied { .. } | Answer::Unauthenticated { .. } => ErrorKind::Denied,
        Answer::NotImplemented { .. }
        | Answer::NotSupported { .. }
        | Answer::InvalidPath { .. }
        | Answer::UnknownConfigurationKey { .. } => ErrorKind::Refused,
        _ => ErrorKind::Unknown,
    }
}

/// What a store said, fit to be shown.
#[derive(Debug)]
pub(super) struct Said(String);

impl fmt::Display for Said {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl StdError for Said {}

impl Said {
    /// The text of an error with that of its causes, each once.
    pub(super) fn of(error: &(dyn StdError + 'static)) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            let more = inner.to_string();
            if !text.contains(&more) {
                text.push_str(": ");
                text.push_str(&more);
            }
            cause = inner.source();
        }
        Self(shorten(&without_queries(&code_and_message(&text))))
    }
}

/// Replaces an S3, GCS or Azure error document by its code and message.
fn code_and_message(text: &str) -> String {
    let Some(start) = text.find("<?xml").or_else(|| text.find("<Error>")) else { return text.to_owned() };
    let document = &text[start..];
    let (Some(code), Some(message)) = (element(document, "Code"), element(document, "Message")) else {
        return text.to_owned();
    };
    let end = document.rfind("</Error>").map_or(document.len(), |at| at + "</Error>".len());
    format!("{}{code}: {message}{}", &text[..start], &document[end..])
}

fn element<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    let (inner, _) = rest.split_once(&format!("</{name}>"))?;
    Some(inner.trim())
}

/// Cuts the query string off every URL.
fn without_queries(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(scheme) = rest.find("://") {
        let (before, url_and_rest) = rest.split_at(scheme + 3);
        let end = url_and_rest
            .find(|letter: char| letter.is_whitespace() || "\"'`<>()".contains(letter))
            .unwrap_or(url_and_rest.len());
        let (url, after) = url_and_rest.split_at(end);
        clean.push_str(before);
        match url.split_once('?') {
            Some((plain, _)) => {
                clean.push_str(plain);
                clean.push_str("?…");
            }
            None => clean.push_str(url),
        }
        rest = after;
    }
    clean.push_str(rest);
    clean
}

fn shorten(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let mut end = TEXT_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_do_not_pass_into_what_is_shown() {
        let text = "error sending https://a.b/c?sig=SECRET&x=1 (twice: \"http://h/p?token=SECRET\") what?";
        let clean = without_queries(text);
        assert_eq!(clean, "error sending https://a.b/c?… (twice: \"http://h/p?…\") what?");
    }

    #[test]
    fn an_error_document_becomes_its_code_and_message() {
        let text = "403 Forbidden: <?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code>\
                    <Message>Access Denied.</Message><HostId>x</HostId></Error>";
        assert_eq!(code_and_message(text), "403 Forbidden: AccessDenied: Access Denied.");
        assert_eq!(code_and_message("<Error>odd"), "<Error>odd");
    }

    #[test]
    fn long_texts_are_cut_between_letters() {
        let shown = shorten(&"ü".repeat(2000));
        assert!(shown.len() <= TEXT_BYTES_MAX + "…".len() && shown.ends_with('…'));
    }
}
