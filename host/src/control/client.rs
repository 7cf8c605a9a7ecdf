//! What talks to a running host: the commands, and whoever uses this library.
//!
//! Asks and says what came back; decides nothing. Answers are bounded in bytes and in time. Nothing goes
//! through a proxy of the environment, which would see the token, and no redirection is followed.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::model::{
    Health, Lanes, PipelineStatus, Pipelines, Refusal, ReloadOptions, Revisions, RevisionsOptions,
    RollbackOptions, SwapOptions, SwapReport, WaitOptions, WeightsOptions,
};
use crate::config::Secret;

/// Where a host on this machine answers, as long as its file does not say otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:7464";

/// Bytes of an answer: 100,000 lanes.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// How long a connection may take to come about.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How long to wait for an answer to what is only looked at; the server gives up after 30 seconds.
const READ_LIMIT: Duration = Duration::from_secs(40);

/// How long a change may take beside its wait for partitions: sending, compiling and trying a component.
const CHANGE_LIMIT: Duration = Duration::from_secs(200);

/// Why there is no answer, or none that is a success.
#[derive(Debug, Error)]
pub enum Error {
    /// The address is none.
    #[error("`{url}` is no address of a host: {reason}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A name can't stand in a path.
    #[error("`{name}` is no name")]
    Name {
        /// What was given.
        name: String,
    },

    /// The token can't stand in a header.
    #[error("the token holds characters that no token has")]
    Token,

    /// This process can't ask anybody.
    #[error("requests can't be made")]
    Unable(#[source] reqwest::Error),

    /// No connection comes about.
    #[error("no host answers at {url}")]
    Away {
        /// Where.
        url: String,
        /// Why not.
        #[source]
        source: reqwest::Error,
    },

    /// The connection broke, or the answer took too long.
    #[error("the host at {url} did not answer to the end")]
    Broken {
        /// Where.
        url: String,
        /// What happened.
        #[source]
        source: reqwest::Error,
    },

    /// The answer is too large.
    #[error("the answer of the host at {url} is larger than {ANSWER_BYTES_MAX} bytes")]
    TooLarge {
        /// Where.
        url: String,
    },

    /// Whatever answers there is no host, or one of another version.
    #[error("what answers at {url} with status {status} is not understood: {reason}")]
    NotUnderstood {
        /// Where.
        url: String,
        /// The answer's status.
        status: u16,
        /// What is wrong.
        reason: String,
    },

    /// The host refuses.
    #[error("{refusal}")]
    Refused {
        /// The answer's status.
        status: u16,
        /// What it says.
        refusal: Refusal,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Refused { refusal, .. } => return refusal.hint.clone(),
            Self::Url { .. } => "write it like http://127.0.0.1:7464",
            Self::Name { .. } => "`host status` lists the pipelines",
            Self::Token => "look at the environment variable VANNE_CONTROL_TOKEN",
            Self::Away { .. } => {
                "is `host run` running? its log tells the address that it listens on (`[host] control`); \
                 `--control URL` or VANNE_CONTROL names another"
            }
            Self::Broken { .. } => {
                "`host status` tells whether it is still there, `host revisions` what it did"
            }
            Self::NotUnderstood { .. } => "`--control` has to name a host's `[host] control`",
            Self::Unable(_) | Self::TooLarge { .. } => return None,
        };
        Some(String::from(text))
    }
}

/// An answer: what it says, and its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<T> {
    /// What it says.
    pub value: T,
    /// The JSON that was sent, with whatever a newer host may have added.
    pub json: String,
}

/// A result of the client.
pub type Result<T> = std::result::Result<Answer<T>, Error>;

/// Talks to one host.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    /// Marked sensitive, so that it is printed nowhere.
    token: Option<HeaderValue>,
}

impl Client {
    /// For the host at `url`; nothing is asked yet.
    ///
    /// # Errors
    /// The address or the token is none.
    pub fn new(url: &str, token: Option<&Secret>) -> std::result::Result<Self, Error> {
        let wrong = |reason: &str| Error::Url { url: without_login(url), reason: reason.to_owned() };
        let base = Url::parse(url).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(wrong("expected http:// or https://, and a name"));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(wrong("it holds a user or a password"));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(wrong("it holds a query or a fragment"));
        }
        let token = token.map(|token| {
            let mut value =
                HeaderValue::try_from(format!("Bearer {}", token.reveal())).map_err(|_| Error::Token)?;
            value.set_sensitive(true);
            Ok(value)
        });
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_LIMIT)
            .build()
            .map_err(Error::Unable)?;
        Ok(Self { http, base, token: token.transpose()? })
    }

    /// Whether every pipeline runs. A host that is not well answers with a success here.
    ///
    /// # Errors
    /// As of every request.
    pub async fn health(&self) -> Result<Health> {
        self.send(self.request(Method::GET, &["health"], READ_LIMIT)?).await
    }

    /// All pipelines.
    ///
    /// # Errors
    /// As of every request.
    pub async fn pipelines(&self) -> Result<Pipelines> {
        self.send(self.request(Method::GET, &["pipelines"], READ_LIMIT)?).await
    }

    /// One of them.
    ///
    /// # Errors
    /// As of every request.
    pub async fn pipeline(&self, name: &str) -> Result<PipelineStatus> {
        self.send(self.request(Method::GET, &["pipelines", name], READ_LIMIT)?).await
    }

    /// Its lanes.
    ///
    /// # Errors
    /// As of every request.
    pub async fn lanes(&self, name: &str) -> Result<Lanes> {
        self.send(self.request(Method::GET, &["pipelines", name, "lanes"], READ_LIMIT)?).await
    }

    /// Its revisions.
    ///
    /// # Errors
    /// As of every request.
    pub async fn revisions(&self, name: &str, options: RevisionsOptions) -> Result<Revisions> {
        let request = self.request(Method::GET, &["pipelines", name, "revisions"], READ_LIMIT)?;
        self.send(request.query(&options)).await
    }

    /// Swaps a transform's code.
    ///
    /// # Errors
    /// As of every request.
    pub async fn swap(
        &self,
        name: &str,
        transform: &str,
        component: Bytes,
        options: &SwapOptions,
    ) -> Result<SwapReport> {
        let path = ["pipelines", name, "transforms", transform];
        let request = self.request(Method::PUT, &path, change_limit(options.timeout_ms))?.query(options);
        self.send(request.header(CONTENT_TYPE, "application/wasm").body(component)).await
    }

    /// Makes the candidate the stable version.
    ///
    /// # Errors
    /// As of every request.
    pub async fn promote(&self, name: &str, options: WaitOptions) -> Result<SwapReport> {
        self.change(name, "promote", &options, options.timeout_ms).await
    }

    /// Gives the candidate up.
    ///
    /// # Errors
    /// As of every request.
    pub async fn abort(&self, name: &str, options: WaitOptions) -> Result<SwapReport> {
        self.change(name, "abort", &options, options.timeout_ms).await
    }

    /// Goes back to an older revision's content.
    ///
    /// # Errors
    /// As of every request.
    pub async fn rollback(&self, name: &str, options: RollbackOptions) -> Result<SwapReport> {
        self.change(name, "rollback", &options, options.timeout_ms).await
    }

    /// Changes the share of a running rollout.
    ///
    /// # Errors
    /// As of every request.
    pub async fn weights(&self, name: &str, options: WeightsOptions) -> Result<SwapReport> {
        self.change(name, "weights", &options, options.timeout_ms).await
    }

    /// Reads the pipeline's file again.
    ///
    /// # Errors
    /// As of every request.
    pub async fn reload(&self, name: &str, options: ReloadOptions) -> Result<SwapReport> {
        self.change(name, "reload", &options, options.timeout_ms).await
    }

    /// Stops reading.
    ///
    /// # Errors
    /// As of every request.
    pub async fn pause(&self, name: &str) -> Result<PipelineStatus> {
        self.send(self.request(Method::POST, &["pipelines", name, "pause"], READ_LIMIT)?).await
    }

    /// Ends a pause.
    ///
    /// # Errors
    /// As of every request.
    pub async fn resume(&self, name: &str) -> Result<PipelineStatus> {
        self.send(self.request(Method::POST, &["pipelines", name, "resume"], READ_LIMIT)?).await
    }

    /// Ends the pipeline.
    ///
    /// # Errors
    /// As of every request.
    pub async fn drain(&self, name: &str) -> Result<PipelineStatus> {
        self.send(self.request(Method::POST, &["pipelines", name, "drain"], READ_LIMIT)?).await
    }

    async fn change<O: Serialize + Sync>(
        &self,
        name: &str,
        operation: &str,
        options: &O,
        timeout_ms: u64,
    ) -> Result<SwapReport> {
        let path = ["pipelines", name, operation];
        self.send(self.request(Method::POST, &path, change_limit(timeout_ms))?.query(options)).await
    }

    fn request(
        &self,
        method: Method,
        path: &[&str],
        limit: Duration,
    ) -> std::result::Result<RequestBuilder, Error> {
        // A URL swallows these: another path would be asked.
        if let Some(name) = path.iter().find(|name| matches!(**name, "" | "." | "..")) {
            return Err(Error::Name { name: String::from(*name) });
        }
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        let request = self.http.request(method, url).timeout(limit);
        Ok(match &self.token {
            Some(token) => request.header(AUTHORIZATION, token.clone()),
            None => request,
        })
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let url = || self.base.as_str().trim_end_matches('/').to_owned();
        let response = request.send().await.map_err(|error| {
            let source = error.without_url();
            if source.is_connect() {
                Error::Away { url: url(), source }
            } else {
                Error::Broken { url: url(), source }
            }
        })?;
        let status = response.status();
        let json = text(response, &url).await?;
        let not_understood = |error: serde_json::Error| Error::NotUnderstood {
            url: url(),
            status: status.as_u16(),
            reason: error.to_string(),
        };
        match serde_json::from_str(&json) {
            Ok(refusal) if !status.is_success() => Err(Error::Refused { status: status.as_u16(), refusal }),
            // The one answer that is no refusal in spite of its status is that of a host that is not well.
            _ => serde_json::from_str(&json).map(|value| Answer { value, json }).map_err(not_understood),
        }
    }
}

async fn text(mut response: Response, url: &impl Fn() -> String) -> std::result::Result<String, Error> {
    let mut bytes = Vec::new();
    loop {
        let chunk = response.chunk().await;
        let chunk = chunk.map_err(|error| Error::Broken { url: url(), source: error.without_url() })?;
        let Some(chunk) = chunk else { break };
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Error::TooLarge { url: url() });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn change_limit(timeout_ms: u64) -> Duration {
    CHANGE_LIMIT + Duration::from_millis(timeout_ms)
}

/// An address that is told in an error, without a password that may stand in it.
fn without_login(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_none_are_refused_without_their_password() {
        for url in [
            "",
            "127.0.0.1:7464",
            "ftp://127.0.0.1",
            "http://",
            "http://user:hunter2@127.0.0.1",
            "http://127.0.0.1/?a=b",
            "http://127.0.0.1/#a",
            "ftp://user:hunter2@127.0.0.1",
            "http://u:hunter2@:x",
        ] {
            let error = Client::new(url, None).expect_err(url);
            let told = format!("{error} {error:?}");
            assert!(matches!(error, Error::Url { .. }) && !told.contains("hunter2"), "{told}");
        }
        for url in [DEFAULT_URL, "http://localhost:7464/", "https://lake.example/vanne", "http://[::1]:1"] {
            assert!(Client::new(url, None).is_ok(), "{url}");
        }
    }

    #[test]
    fn paths_are_below_the_address_and_names_stay_names() {
        let path = |base: &str, path: &[&str]| {
            let request = Client::new(base, None).unwrap().request(Method::GET, path, READ_LIMIT);
            request
                .map(|request| request.build().unwrap().url().to_string())
                .map_err(|error| error.to_string())
        };
        assert_eq!(path(DEFAULT_URL, &["pipelines"]), Ok(format!("{DEFAULT_URL}/v1/pipelines")));
        assert_eq!(
            path("https://lake.example/vanne/", &["pipelines", "a/b?c#d%2e"]),
            Ok(String::from("https://lake.example/vanne/v1/pipelines/a%2Fb%3Fc%23d%252e"))
        );
        for name in ["", ".", ".."] {
            assert_eq!(path(DEFAULT_URL, &["pipelines", name]), Err(format!("`{name}` is no name")));
        }
    }

    #[test]
    fn the_token_is_never_printed() {
        let token = Secret::new("hunter2hunter2hunter2");
        let client = Client::new(DEFAULT_URL, Some(&token)).unwrap();
        assert!(!format!("{client:?}").contains("hunter2"));
        assert!(matches!(Client::new(DEFAULT_URL, Some(&Secret::new("a\nb"))), Err(Error::Token)));
    }
}
