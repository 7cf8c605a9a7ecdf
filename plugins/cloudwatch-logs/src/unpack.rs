//! From the bytes of a record to the text of its payloads: base64, the envelope of a Lambda call, gzip.
//!
//! What a value is shows in its first bytes: gzip begins with 1f 8b, JSON with a brace, and what does
//! neither is base64. Invariant: no step gives more bytes than the limit.

use std::borrow::Cow;
use std::io::{self, Read};

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flate2::bufread::MultiGzDecoder;

use crate::failure::{Code, Failure};

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Bridges pad, or don't.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The text of the payloads of a record.
pub(crate) fn unpack(value: &[u8], max_bytes: usize) -> Result<Cow<'_, str>, Failure> {
    if begins_like_json(value) {
        let text = text(Cow::Borrowed(value), max_bytes)?;
        return match lambda_data(&text) {
            Some(data) => unpack_base64(data.as_bytes(), max_bytes).map(Cow::Owned),
            None => Ok(text),
        };
    }
    if value.starts_with(&GZIP) {
        return gunzip(value, max_bytes).map(Cow::Owned);
    }
    unpack_base64(value, max_bytes).map(Cow::Owned)
}

fn begins_like_json(value: &[u8]) -> bool {
    value.trim_ascii_start().starts_with(b"{")
}

fn text(bytes: Cow<'_, [u8]>, max_bytes: usize) -> Result<Cow<'_, str>, Failure> {
    if bytes.len() > max_bytes {
        return Err(too_large(max_bytes));
    }
    let refuse = |error: std::str::Utf8Error| {
        let detail = format!(
            "byte {} of the payload: expected UTF-8",
            error.valid_up_to()
        );
        Failure::new(Code::NotUtf8, detail)
    };
    match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes)
            .map(Cow::Borrowed)
            .map_err(refuse),
        Cow::Owned(bytes) => String::from_utf8(bytes)
            .map(Cow::Owned)
            .map_err(|error| refuse(error.utf8_error())),
    }
}

fn too_large(max_bytes: usize) -> Failure {
    let detail = format!("the payload has more than {max_bytes} bytes (`max_bytes`)");
    Failure::new(Code::TooLarge, detail)
}

/// What CloudWatch Logs passes to a Lambda function, which people forward as it is.
fn lambda_data(text: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Envelope {
        awslogs: Inner,
    }
    #[derive(serde::Deserialize)]
    struct Inner {
        data: String,
    }
    // The name comes first in it; looking for more would read each payload twice.
    let begin = text.trim_start().strip_prefix('{')?.trim_start();
    let is_envelope = begin.starts_with("\"awslogs\"");
    let envelope: Option<Envelope> = is_envelope.then(|| serde_json::from_str(text).ok())?;
    envelope.map(|envelope| envelope.awslogs.data)
}

fn unpack_base64(encoded: &[u8], max_bytes: usize) -> Result<String, Failure> {
    let unknown = || {
        Failure::new(
            Code::UnknownEncoding,
            "expected gzip, JSON, or base64 of one of them",
        )
    };
    let encoded: Cow<'_, [u8]> = match encoded.iter().any(u8::is_ascii_whitespace) {
        true => encoded
            .iter()
            .copied()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect(),
        false => Cow::Borrowed(encoded),
    };
    let is_url_safe = encoded.iter().any(|byte| matches!(byte, b'-' | b'_'));
    let engine = if is_url_safe { &URL_SAFE } else { &STANDARD };
    let decoded = engine.decode(&encoded).map_err(|_| unknown())?;
    if decoded.starts_with(&GZIP) {
        gunzip(&decoded, max_bytes)
    } else if begins_like_json(&decoded) {
        text(Cow::Owned(decoded), max_bytes).map(Cow::into_owned)
    } else {
        Err(unknown())
    }
}

/// All members, one after the other.
fn gunzip(packed: &[u8], max_bytes: usize) -> Result<String, Failure> {
    // The size at the end is of the last member, and may be a lie: it only spares growing.
    let size = packed
        .last_chunk()
        .map_or(0, |size| u32::from_le_bytes(*size));
    let expected = usize::try_from(size).unwrap_or(0);
    // Logs are packed to a tenth or so; a lie takes no more memory than 32 times the bytes that are there.
    let most = packed.len().saturating_mul(32).min(max_bytes);
    let mut unpacked = Vec::with_capacity(expected.min(most));
    let limit = u64::try_from(max_bytes)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let read = MultiGzDecoder::new(packed)
        .take(limit)
        .read_to_end(&mut unpacked);
    match read {
        Ok(_) => text(Cow::Owned(unpacked), max_bytes).map(Cow::into_owned),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Failure::new(
            Code::TruncatedGzip,
            format!(
                "{} bytes of gzip end after {} bytes unpacked",
                packed.len(),
                unpacked.len()
            ),
        )),
        Err(error) => Err(Failure::new(
            Code::BadGzip,
            format!("after {} bytes unpacked: {error}", unpacked.len()),
        )),
    }
}
