//! One object: its name and its records.

use std::io::Read as _;

use serde::Deserialize;

/// One output record, as it was produced: partition, number, and which of the outputs of that input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) number: u64,
    pub(crate) index: u32,
}

#[derive(Deserialize)]
struct Line {
    p: i32,
    n: u64,
    #[serde(default)]
    i: u32,
    #[serde(default)]
    stamp: Option<u32>,
}

/// One object: where it lies, what its name says, and its records in order.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) path: String,
    /// The start offset of its entry, from the name.
    pub(crate) start: Option<u64>,
    /// Which object of its entry it is, from the name.
    pub(crate) piece: Option<u64>,
    pub(crate) records: Vec<Record>,
    /// What the plugin `stamp` wrote into each of them, if it did.
    pub(crate) stamps: Vec<Option<u32>>,
}

/// Whether a name is one of a temporary file in a local folder: hidden, as most readers understand it, or object_store's.
pub(crate) fn is_temporary(path: &str) -> bool {
    if path.rsplit('/').next().is_some_and(|name| name.starts_with('.')) {
        return true;
    }
    path.rsplit_once('#')
        .is_some_and(|(_, digits)| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Decompresses by the extension, splits lines, reads the name.
pub(super) fn parse(path: &str, content: &[u8]) -> Result<Object, String> {
    let text = decompress(path, content).map_err(|error| format!("can't be decompressed: {error}"))?;
    if !text.is_empty() && !text.ends_with(b"\n") {
        return Err("ends in the middle of a line".to_owned());
    }
    let (mut records, mut stamps) = (Vec::new(), Vec::new());
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let line: Line = serde_json::from_slice(line).map_err(|error| {
            format!("has a line that is not a numbered record, {error}: {}", String::from_utf8_lossy(line))
        })?;
        records.push(Record { partition: line.p, number: line.n, index: line.i });
        stamps.push(line.stamp);
    }
    let (start, piece) = numbers_of_name(path);
    Ok(Object { path: path.to_owned(), start, piece, records, stamps })
}

/// Decompresses by the extension of the name.
pub(super) fn decompress(path: &str, content: &[u8]) -> std::io::Result<Vec<u8>> {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("gz") => {
            let mut text = Vec::new();
            flate2::read::MultiGzDecoder::new(content).read_to_end(&mut text)?;
            Ok(text)
        }
        Some("zst") => zstd::stream::decode_all(content),
        _ => Ok(content.to_vec()),
    }
}

/// The start offset and the piece of `<topic>-<partition>-<start, 20 digits>-<piece>-<nonce>.<extension>`.
fn numbers_of_name(path: &str) -> (Option<u64>, Option<u64>) {
    let name = path.rsplit('/').next().unwrap_or(path);
    // A topic may hold dots and dashes, so the parts count from the end, and the extension starts after the nonce.
    let parts: Vec<_> = name.split('-').collect();
    let place =
        parts.iter().rposition(|part| part.len() == 20 && part.bytes().all(|byte| byte.is_ascii_digit()));
    let start = place.and_then(|place| parts[place].parse().ok());
    let piece = place.and_then(|place| parts.get(place + 1)).and_then(|piece| piece.parse().ok());
    (start, piece)
}
