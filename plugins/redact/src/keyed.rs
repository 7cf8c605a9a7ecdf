//! HMAC-SHA-256 (RFC 2104) under the key of the configuration, and how a hash is written.
//!
//! Owns the key from the configuration on. Invariant: no error and no `Debug` shows any of it.
//!
//! It is written out here because the crate `hmac` would switch on a feature of `digest`, which the host has too.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use sha2::{Digest, Sha256};

/// The block of SHA-256, to which a key is padded.
const BLOCK: usize = 64;

/// A key shorter than this can be guessed, and with it each hash of a short text.
pub(crate) const KEY_BYTES_MIN: usize = 16;

/// How many bytes of a hash are kept unless the rule says otherwise.
pub(crate) const LENGTH_DEFAULT: usize = 16;

/// A key as it is configured.
#[derive(Clone)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    /// By hand: the errors that serde makes quote the value.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Text {
            fn refuse<T, E: de::Error>() -> Result<T, E> {
                Err(E::custom("expected a text; put the key in quotes"))
            }
        }

        impl Visitor<'_> for Text {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret(text.to_owned()))
            }

            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Secret, E> {
                Self::refuse()
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secret, E> {
                Self::refuse()
            }

            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Secret, E> {
                Self::refuse()
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Secret, E> {
                Self::refuse()
            }
        }

        deserializer.deserialize_any(Text)
    }
}

/// How the bytes of a hash are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Two digits a byte, in lower case.
    #[default]
    Hex,
    /// RFC 4648, section 5, without padding.
    Base64url,
}

/// A key, ready for use: the states after its two blocks.
#[derive(Clone)]
pub(crate) struct Keyed {
    inner: Sha256,
    outer: Sha256,
}

impl fmt::Debug for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyed(..)")
    }
}

impl Keyed {
    /// Refuses a key that is too short. The end of line that a key file mostly has is no part of the key.
    pub(crate) fn new(secret: &Secret) -> Result<Self, String> {
        let key = secret.0.trim_end_matches(['\r', '\n']).as_bytes();
        if key.len() < KEY_BYTES_MIN {
            return Err(format!(
                "config key `key`: expected at least {KEY_BYTES_MIN} bytes, found {}; make one with \
                 `openssl rand -hex 32`",
                key.len()
            ));
        }
        Ok(Self::of(key))
    }

    fn of(key: &[u8]) -> Self {
        let mut block = [0; BLOCK];
        match key.len() > BLOCK {
            true => block[..32].copy_from_slice(&Sha256::digest(key)),
            false => block[..key.len()].copy_from_slice(key),
        }
        Self {
            inner: Sha256::new_with_prefix(block.map(|byte| byte ^ 0x36)),
            outer: Sha256::new_with_prefix(block.map(|byte| byte ^ 0x5c)),
        }
    }

    fn hash(&self, text: &[u8]) -> [u8; 32] {
        let inner = self.inner.clone().chain_update(text).finalize();
        self.outer.clone().chain_update(inner).finalize().into()
    }

    /// Appends the first `length` bytes of the hash of a text.
    pub(crate) fn write(&self, out: &mut String, text: &[u8], length: usize, encoding: Encoding) {
        let hash = self.hash(text);
        let kept = &hash[..length.min(hash.len())];
        match encoding {
            Encoding::Hex => hex(out, kept),
            Encoding::Base64url => base64url(out, kept),
        }
    }
}

fn hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            out.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
}

fn base64url(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..=three.len() {
            let index = bits >> (18 - 6 * digit) & 63;
            out.push(char::from(DIGITS[index as usize]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(keyed: &Keyed, text: &str, length: usize, encoding: Encoding) -> String {
        let mut out = String::new();
        keyed.write(&mut out, text.as_bytes(), length, encoding);
        out
    }

    /// RFC 4231, test cases 1, 2 and 6.
    #[test]
    fn hashes_are_those_of_the_standard() {
        for (key, text, expected) in [
            (
                vec![0x0b; 20],
                "Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe".to_vec(),
                "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                vec![0xaa; 131],
                "Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            assert_eq!(written(&Keyed::of(&key), text, 32, Encoding::Hex), expected);
        }
    }

    #[test]
    fn a_hash_is_cut_and_written_as_asked() {
        let keyed = Keyed::of(&[0x0b; 20]);
        let write = |length, encoding| written(&keyed, "Hi There", length, encoding);
        assert_eq!(write(16, Encoding::Hex), "b0344c61d8db38535ca8afceaf0bf12b");
        assert_eq!(write(16, Encoding::Base64url), "sDRMYdjbOFNcqK_OrwvxKw");
        assert_eq!(
            write(17, Encoding::Base64url).len(),
            23,
            "17 bytes are 136 bits"
        );
        assert_eq!(write(18, Encoding::Base64url).len(), 24);
    }

    #[test]
    fn nothing_shows_the_key() {
        let secret = Secret("hunter2-hunter2-hunter2".to_owned());
        let keyed = Keyed::new(&secret).unwrap();
        assert_eq!(format!("{secret:?} {keyed:?}"), "Secret(..) Keyed(..)");
        let error = Keyed::new(&Secret("hunter2\n".to_owned())).unwrap_err();
        assert!(
            error.starts_with("config key `key`: expected at least 16 bytes, found 7;"),
            "{error}"
        );
        for json in ["7", "-7", "7.5", "true", "[\"hunter2\"]"] {
            let error = serde_json::from_str::<Secret>(json)
                .unwrap_err()
                .to_string();
            assert!(
                !error.contains('7') && !error.contains("hunter"),
                "{json}: {error}"
            );
        }
    }
}
