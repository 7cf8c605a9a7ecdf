//! Why a payload or an event can't be taken apart: a code that stays, and a detail that says where.

/// The codes that a dead letter of this plugin can have. They don't change; new ones may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The record has a null value.
    NoValue,
    /// The value is neither gzip nor JSON nor base64 of one of them.
    UnknownEncoding,
    /// The gzip data end too early.
    TruncatedGzip,
    /// The gzip data are damaged, or something else follows them.
    BadGzip,
    /// The payload is larger than `max_bytes`, or would become more than that twice.
    TooLarge,
    /// What was unpacked is not UTF-8.
    NotUtf8,
    /// What was unpacked is not JSON objects.
    BadJson,
    /// The `messageType` is missing, or none that AWS documents.
    UnknownMessageType,
    /// A data message lacks a field, or it is of another type.
    BadPayload,
    /// One event lacks a field, or it is of another type. The other events go on.
    BadEvent,
    /// The time of one event is no time in milliseconds. The other events go on.
    BadTimestamp,
}

impl Code {
    /// The code as it stands in dead letters and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoValue => "NoValue",
            Self::UnknownEncoding => "UnknownEncoding",
            Self::TruncatedGzip => "TruncatedGzip",
            Self::BadGzip => "BadGzip",
            Self::TooLarge => "TooLarge",
            Self::NotUtf8 => "NotUtf8",
            Self::BadJson => "BadJson",
            Self::UnknownMessageType => "UnknownMessageType",
            Self::BadPayload => "BadPayload",
            Self::BadEvent => "BadEvent",
            Self::BadTimestamp => "BadTimestamp",
        }
    }
}

/// Why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) detail: String,
}

impl Failure {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { code, detail }
    }
}

impl From<Failure> for vanne_plugin::Failure {
    fn from(failure: Failure) -> Self {
        Self::new(failure.code.as_str(), failure.detail)
    }
}

/// How many characters of a value a detail quotes.
const QUOTED: usize = 40;

/// The begin of a value, as a detail quotes it.
pub(crate) fn quoted(value: &str) -> String {
    let mut shown: String = value
        .chars()
        .take(QUOTED)
        .flat_map(char::escape_debug)
        .collect();
    if value.chars().nth(QUOTED).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}
