//! Why the control API can't be served.

use std::net::SocketAddr;

use thiserror::Error;

use super::auth::TOKEN_CHARACTERS;

/// The control API can't be served like this.
#[derive(Debug, Error)]
pub enum Error {
    /// The address can't be listened on.
    #[error("the control API can't listen on `{address}`")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },

    /// Others than this machine's own programs could come in, and nothing keeps them out.
    #[error(
        "the control API does not listen on `{address}` without a token, since it is not a loopback address"
    )]
    TokenMissing {
        /// The address.
        address: SocketAddr,
    },

    /// The token could be guessed.
    #[error("the token of the control API has {characters} characters, of {TOKEN_CHARACTERS} that it needs")]
    TokenShort {
        /// Its length.
        characters: usize,
    },

    /// The token can't stand in a header, so that nobody could ever send it.
    #[error(
        "the token of the control API holds something else than printable ASCII characters without spaces"
    )]
    TokenUnfit,
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        const TOKEN: &str = "set `[host] control_token` to a reference like \"${VANNE_CONTROL_TOKEN}\", \
                             to a random text (`openssl rand -hex 32`)";
        match self {
            Self::Bind { .. } => String::from(
                "is another host running? set `[host] control` to another address, or to \"off\"",
            ),
            Self::TokenMissing { .. } => format!("{TOKEN}, or `[host] control` to a loopback address"),
            Self::TokenShort { .. } | Self::TokenUnfit => String::from(TOKEN),
        }
    }
}
