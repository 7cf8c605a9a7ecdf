//! HTTP by hand: what goes over the connection is what a test says, and nothing else.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long any answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Host(pub(crate) SocketAddr);

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Code of a refusal.
    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().map(str::to_owned).unwrap_or_else(|| panic!("no refusal: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.headers.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

impl Host {
    pub(crate) fn url(self) -> String {
        format!("http://{}", self.0)
    }

    pub(crate) async fn connect(self) -> TcpStream {
        TcpStream::connect(self.0).await.expect("the server listens")
    }

    /// Sends a request as it is and reads all that comes.
    pub(crate) async fn send(self, request: &[u8]) -> Answer {
        let mut stream = self.connect().await;
        // The server may refuse before it has read everything.
        let _refused_early = stream.write_all(request).await;
        read(&mut stream).await
    }

    /// A request with a body and further header lines.
    pub(crate) async fn ask(self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        self.send(&request(method, path, headers, body)).await
    }

    pub(crate) async fn get(self, path: &str) -> Answer {
        self.ask("GET", path, &["Host: localhost"], b"").await
    }
}

/// The bytes of a request.
pub(crate) fn request(method: &str, path: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    for header in headers {
        text += &format!("{header}\r\n");
    }
    if !body.is_empty() {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    [text.as_bytes(), b"\r\n", body].concat()
}

/// Reads an answer to the end of the connection.
pub(crate) async fn read(stream: &mut TcpStream) -> Answer {
    let bytes = until_closed(stream).await;
    let text = String::from_utf8(bytes).expect("answers are text");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let (line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer {
        status: status.unwrap_or_else(|| panic!("no status: {line:?}")),
        headers: headers.to_owned(),
        body: body.to_owned(),
    }
}

/// All bytes until the server closes the connection.
pub(crate) async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    // A connection that is reset is closed as well; what had come before stands.
    let _closed_or_reset = read.expect("the server closes the connection");
    bytes
}
