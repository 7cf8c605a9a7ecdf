//! Who may come in.
//!
//! With a token: whoever shows it. Without one the server listens on a loopback address only, and the danger
//! is the browser on this machine, which runs other people's pages: a page can send requests to a loopback
//! address, and by DNS rebinding read the answers too. What it can't do is to leave out `Origin`, or to send a
//! `Host` other than the name that the page came from. So both are looked at.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, Uri, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::error::Error;
use super::model::Refusal;
use super::server::Rejection;
use crate::config::Secret;

/// Characters that a token has at the least: 16 of a hexadecimal text are 64 random bits.
pub const TOKEN_CHARACTERS: usize = 16;

/// A token that callers have to show. Kept as its digest, so that it can't be printed.
#[derive(Clone)]
pub(super) struct Token([u8; 32]);

impl Token {
    fn new(secret: &Secret) -> Result<Self, Error> {
        let text = secret.reveal();
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::TokenUnfit);
        }
        if text.len() < TOKEN_CHARACTERS {
            return Err(Error::TokenShort { characters: text.len() });
        }
        Ok(Self(Sha256::digest(text).into()))
    }

    /// Whether `shown` is the token, in a time that says nothing of where the two part: the digests are
    /// compared whole, and a digest says nothing of its text's beginning.
    fn matches(&self, shown: &[u8]) -> bool {
        let shown: [u8; 32] = Sha256::digest(shown).into();
        shown.ct_eq(&self.0).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// Lets requests in, or not.
#[derive(Clone, Debug)]
pub(super) struct Door {
    token: Option<Token>,
}

impl Door {
    /// The door of a server on `address`.
    pub(super) fn new(address: SocketAddr, token: Option<&Secret>) -> Result<Self, Error> {
        let token = token.map(Token::new).transpose()?;
        if token.is_none() && !address.ip().to_canonical().is_loopback() {
            return Err(Error::TokenMissing { address });
        }
        Ok(Self { token })
    }

    /// Whether a request may come in. `open`: it asks for what anybody may know.
    pub(super) fn admit(&self, uri: &Uri, headers: &HeaderMap, open: bool) -> Result<(), Rejection> {
        match &self.token {
            Some(_) if open => Ok(()),
            Some(token) => show_token(token, headers),
            None => come_from_here(uri, headers),
        }
    }
}

fn show_token(token: &Token, headers: &HeaderMap) -> Result<(), Rejection> {
    let mut shown = headers.get_all(header::AUTHORIZATION).iter();
    let (first, further) = (shown.next(), shown.next());
    let hint = "send `Authorization: Bearer …` with the value of `[host] control_token`; commands take it from \
                the environment variable VANNE_CONTROL_TOKEN";
    let (Some(value), None) = (first, further) else {
        let missing =
            if first.is_none() { "the request shows no token" } else { "the request shows two tokens" };
        return Err(Rejection::unauthorized(Refusal::new("token-missing", missing).hint(hint)));
    };
    match bearer(value.as_bytes()) {
        Some(shown) if token.matches(shown) => Ok(()),
        _ => Err(Rejection::unauthorized(
            Refusal::new("token-wrong", "the token is not this host's").hint(hint),
        )),
    }
}

/// The token of an `Authorization` header, where it is of that scheme.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let (scheme, token) = value.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then(|| token.trim_ascii())
}

fn come_from_here(uri: &Uri, headers: &HeaderMap) -> Result<(), Rejection> {
    let refused = |message: &str, hint: &str| {
        Err(Rejection::forbidden(Refusal::new("not-from-here", message).hint(hint)))
    };
    let from_page = headers.get("sec-fetch-site").is_some_and(|site| site.as_bytes() != b"none");
    if headers.contains_key(header::ORIGIN) || from_page {
        return refused(
            "the request comes from a page in a browser, which could be anybody's",
            "use the commands or curl, or set `[host] control_token`",
        );
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let named = hosts.next().and_then(|host| host.to_str().ok()).is_some_and(is_here);
    let addressed = uri.authority().is_none_or(|authority| is_here(authority.as_str()));
    if !named || !addressed || hosts.next().is_some() {
        return refused(
            "the request's `Host` is not a loopback address",
            "ask `http://127.0.0.1` or `http://localhost`, or set `[host] control_token`",
        );
    }
    Ok(())
}

/// Whether a `Host` header, with a port or without, names this machine's loopback.
fn is_here(host: &str) -> bool {
    let without_port = |text: &str| match text.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name.to_owned(),
        _ => text.to_owned(),
    };
    let address = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((inner, after)) if after.is_empty() || without_port(after).is_empty() => inner.to_owned(),
            _ => return false,
        },
        None => without_port(host),
    };
    address.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "0123456789abcdef";

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    fn door(address: &str, token: Option<&str>) -> Result<Door, Error> {
        Door::new(address.parse().unwrap(), token.map(Secret::new).as_ref())
    }

    fn admitted(door: &Door, pairs: &[(&str, &str)]) -> Result<(), String> {
        door.admit(&Uri::from_static("/v1/pipelines"), &headers(pairs), false)
            .map_err(|rejection| format!("{} {}", rejection.status().as_u16(), rejection.refusal().code))
    }

    #[test]
    fn only_loopback_goes_without_a_token() {
        for address in ["127.0.0.1:0", "127.9.9.9:1", "[::1]:0", "[::ffff:127.0.0.1]:0"] {
            assert!(door(address, None).is_ok(), "{address}");
        }
        for address in ["0.0.0.0:0", "10.0.0.1:0", "[::]:0", "[2001:db8::1]:0"] {
            assert!(matches!(door(address, None), Err(Error::TokenMissing { .. })), "{address}");
            assert!(door(address, Some(SECRET)).is_ok(), "{address}");
        }
    }

    #[test]
    fn a_token_is_long_and_can_be_sent() {
        for address in ["127.0.0.1:0", "0.0.0.0:0"] {
            assert!(matches!(
                door(address, Some("0123456789abcde")),
                Err(Error::TokenShort { characters: 15 })
            ));
            assert!(matches!(door(address, Some("")), Err(Error::TokenShort { characters: 0 })));
            for unfit in ["0123456789abcdef\n", "0123456789 abcdef", "0123456789abcdéf"] {
                assert!(matches!(door(address, Some(unfit)), Err(Error::TokenUnfit)), "{unfit}");
            }
        }
    }

    #[test]
    fn the_token_comes_in_and_nothing_else_does() {
        let door = door("0.0.0.0:0", Some(SECRET)).unwrap();
        let with = |value: &str| admitted(&door, &[("authorization", value), ("host", "lake.example")]);
        assert_eq!(with("Bearer 0123456789abcdef"), Ok(()));
        assert_eq!(with("bearer  0123456789abcdef "), Ok(()));
        for wrong in [
            "0123456789abcdef",
            "Bearer",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            "Basic 0123456789abcdef",
        ] {
            assert_eq!(with(wrong), Err(String::from("401 token-wrong")), "{wrong}");
        }
        let twice =
            [("authorization", "Bearer 0123456789abcdef"), ("authorization", "Bearer 0123456789abcdef")];
        for missing in [&[][..], &twice, &[("host", "127.0.0.1")]] {
            assert_eq!(admitted(&door, missing), Err(String::from("401 token-missing")));
        }
        assert!(!format!("{door:?}").contains(SECRET));
    }

    #[test]
    fn what_anybody_may_know_needs_no_token_but_no_page_either() {
        let uri = Uri::from_static("/v1/health");
        let page = headers(&[("host", "localhost"), ("origin", "http://localhost")]);
        assert!(door("0.0.0.0:0", Some(SECRET)).unwrap().admit(&uri, &HeaderMap::new(), true).is_ok());
        assert!(door("127.0.0.1:0", None).unwrap().admit(&uri, &page, true).is_err());
    }

    #[test]
    fn without_a_token_only_this_machine_is_named() {
        let door = door("127.0.0.1:0", None).unwrap();
        for host in [
            "127.0.0.1",
            "127.0.0.1:7464",
            "127.1.2.3:1",
            "localhost",
            "LocalHost:7464",
            "[::1]",
            "[::1]:7464",
        ] {
            assert_eq!(admitted(&door, &[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "",
            "lake.example",
            "lake.example:7464",
            "127.0.0.1.lake.example",
            "localhost.lake.example",
            "10.0.0.1",
            "0.0.0.0:7464",
            "localhost:7464:1",
            "[::1",
            "[::1]x",
            "[::2]:1",
            "localhost@lake.example",
            ":7464",
            "127.0.0.1:x",
        ] {
            assert_eq!(admitted(&door, &[("host", host)]), Err(String::from("403 not-from-here")), "{host}");
        }
        let refused = Err(String::from("403 not-from-here"));
        assert_eq!(admitted(&door, &[]), refused);
        assert_eq!(admitted(&door, &[("host", "localhost"), ("host", "localhost")]), refused);
        for page in
            [("origin", "http://localhost:7464"), ("origin", "null"), ("sec-fetch-site", "cross-site")]
        {
            assert_eq!(admitted(&door, &[("host", "localhost"), page]), refused, "{page:?}");
        }
        assert_eq!(admitted(&door, &[("host", "localhost"), ("sec-fetch-site", "none")]), Ok(()));
        let absolute = Uri::from_static("http://lake.example/v1/pipelines");
        assert!(door.admit(&absolute, &headers(&[("host", "localhost")]), false).is_err());
    }

    proptest! {
        #[test]
        fn tokens_match_only_themselves(one in "[!-~]{16,40}", other in "[!-~]{0,40}", cut in 0_usize..16) {
            let token = Token::new(&Secret::new(one.clone())).unwrap();
            prop_assert!(token.matches(one.as_bytes()));
            prop_assert_eq!(token.matches(other.as_bytes()), one == other);
            prop_assert!(!token.matches(&one.as_bytes()[..cut]));
        }
    }
}
