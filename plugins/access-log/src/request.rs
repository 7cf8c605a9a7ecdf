//! The request line: `GET /path HTTP/1.1`, or anything else that a client sent.

/// The parts of a request that is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) protocol: &'a str,
}

impl<'a> Request<'a> {
    /// Splits at the first and at the last space, so that a path may hold some. `None` unless there is a
    /// method, a path and a version of HTTP.
    pub(crate) fn split(text: &'a str) -> Option<Self> {
        let (method, rest) = text.split_once(' ')?;
        let (path, protocol) = rest.rsplit_once(' ')?;
        let is_request = !method.is_empty()
            && method.bytes().all(is_token)
            && !path.is_empty()
            && is_http(protocol);
        is_request.then_some(Self {
            method,
            path,
            protocol,
        })
    }
}

/// What HTTP allows in a method.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_http(protocol: &str) -> bool {
    let Some(version) = protocol.strip_prefix("HTTP/") else {
        return false;
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match version.split_once('.') {
        Some((major, minor)) => is_number(major) && is_number(minor),
        None => is_number(version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_split() {
        for (text, method, path, protocol) in [
            ("GET / HTTP/1.1", "GET", "/", "HTTP/1.1"),
            ("M-SEARCH * HTTP/1.1", "M-SEARCH", "*", "HTTP/1.1"),
            ("PRI * HTTP/2.0", "PRI", "*", "HTTP/2.0"),
            (
                "CONNECT a.example:443 HTTP/2",
                "CONNECT",
                "a.example:443",
                "HTTP/2",
            ),
            (
                "GET /a file with spaces HTTP/1.0",
                "GET",
                "/a file with spaces",
                "HTTP/1.0",
            ),
            (
                r#"GET /?q=\"x\" HTTP/1.1"#,
                "GET",
                r#"/?q=\"x\""#,
                "HTTP/1.1",
            ),
        ] {
            assert_eq!(
                Request::split(text),
                Some(Request {
                    method,
                    path,
                    protocol
                }),
                "{text}"
            );
        }
    }

    #[test]
    fn anything_else_is_not() {
        for text in [
            "",
            "-",
            " ",
            "GET",
            "GET /",
            "GET  HTTP/1.1",
            " / HTTP/1.1",
            "GET / HTTP/",
            "GET / HTTP/1.",
            "GET / HTTP/1.1 ",
            "GET / HTTP/x",
            "GET / RTSP/1.0",
            r"\x16\x03\x01 \x00 HTTP/1.1",
            "GET /a HTTP/1.1x",
        ] {
            assert_eq!(Request::split(text), None, "{text}");
        }
    }
}
