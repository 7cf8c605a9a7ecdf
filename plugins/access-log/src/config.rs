//! What may be chosen: which statuses pass, which fields an object has, and what they are called.
//!
//! Invariant: an [`Options`] has at least one column, no two of one name, and a status filter that some
//! status can pass.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};

use crate::json;
use crate::text::Text;

/// The configuration as it is written.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Only lines with one of these statuses pass; all do where this is left out.
    pub keep_status: Option<Vec<StatusPattern>>,
    /// Lines with one of these statuses are dropped, even if `keep_status` names them.
    pub drop_status: Vec<StatusPattern>,
    /// The fields of an object, in this order; where this is left out, those that the README lists.
    pub fields: Option<Vec<Field>>,
    /// Other names for fields.
    pub rename: BTreeMap<Field, String>,
}

/// A field that an object can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Field {
    /// The address or name of the client.
    Client,
    /// What `identd` said of the client.
    Identity,
    /// The user that logged in.
    User,
    /// The time, RFC 3339.
    Time,
    /// The method of the request.
    Method,
    /// What was asked for, with its query.
    Path,
    /// The protocol of the request.
    Protocol,
    /// The status that was answered, a number.
    Status,
    /// The size of the answer, a number.
    Bytes,
    /// Where the client came from.
    Referrer,
    /// The client's program.
    Agent,
    /// The request as it was sent.
    Request,
    /// Whether the line ends within the agent.
    Truncated,
    /// What follows the agent.
    Rest,
}

/// The fields of every object, unless `fields` says otherwise.
const ALWAYS: [Field; 11] = [
    Field::Client,
    Field::Identity,
    Field::User,
    Field::Time,
    Field::Method,
    Field::Path,
    Field::Protocol,
    Field::Status,
    Field::Bytes,
    Field::Referrer,
    Field::Agent,
];

/// The fields of an object about a line that is odd in that way, unless `fields` says otherwise.
const IF_ODD: [Field; 2] = [Field::Request, Field::Truncated];

impl Field {
    fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Identity => "identity",
            Self::User => "user",
            Self::Time => "time",
            Self::Method => "method",
            Self::Path => "path",
            Self::Protocol => "protocol",
            Self::Status => "status",
            Self::Bytes => "bytes",
            Self::Referrer => "referrer",
            Self::Agent => "agent",
            Self::Request => "request",
            Self::Truncated => "truncated",
            Self::Rest => "rest",
        }
    }
}

/// A class of statuses such as `2xx`, or one such as `404`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusPattern {
    first: u16,
    last: u16,
}

impl StatusPattern {
    /// A class is its digit and `xx`, a status its three digits.
    fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 3] = text.as_bytes().try_into().ok()?;
        if let [class @ b'1'..=b'9', b'x' | b'X', b'x' | b'X'] = bytes {
            let first = u16::from(class - b'0') * 100;
            return Some(Self {
                first,
                last: first + 99,
            });
        }
        let is_number = bytes.iter().all(u8::is_ascii_digit);
        is_number
            .then(|| text.parse().ok())
            .flatten()
            .map(|status| Self {
                first: status,
                last: status,
            })
    }
}

impl fmt::Display for StatusPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{:03}", self.first),
            false => write!(f, "{}xx", self.first / 100),
        }
    }
}

impl<'de> Deserialize<'de> for StatusPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pattern;

        impl Visitor<'_> for Pattern {
            type Value = StatusPattern;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a class of statuses such as \"2xx\", or a status such as \"404\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<StatusPattern, E> {
                StatusPattern::parse(text)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<StatusPattern, E> {
                StatusPattern::parse(&number.to_string())
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), &self))
            }
        }

        deserializer.deserialize_any(Pattern)
    }
}

/// A set of statuses, one bit for each of three digits.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Statuses([u64; 16]);

impl Statuses {
    fn of(patterns: &[StatusPattern]) -> Self {
        let mut bits = [0; 16];
        for status in patterns
            .iter()
            .flat_map(|pattern| pattern.first..=pattern.last)
        {
            bits[usize::from(status / 64)] |= 1 << (status % 64);
        }
        Self(bits)
    }

    fn holds(&self, status: u16) -> bool {
        self.0
            .get(usize::from(status / 64))
            .is_some_and(|bits| bits >> (status % 64) & 1 == 1)
    }
}

/// A field of the object to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) field: Field,
    /// The name as JSON, and a colon.
    pub(crate) prefix: Vec<u8>,
    /// Written only about lines that are odd in this way.
    pub(crate) only_if_odd: bool,
}

/// The configuration, ready for use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    keep: Option<Statuses>,
    drop: Statuses,
    pub(crate) columns: Vec<Column>,
    /// Whether what follows the agent has a place.
    pub(crate) takes_rest: bool,
}

impl Options {
    pub(crate) fn new(config: Config) -> Result<Self, String> {
        let keep = config.keep_status.as_deref();
        if keep.is_some_and(<[_]>::is_empty) {
            return Err(
                "config key `keep_status`: the list is empty, so that every line would be \
                        dropped; name a status, or remove the key"
                    .to_owned(),
            );
        }
        let both = config
            .drop_status
            .iter()
            .find(|pattern| keep.is_some_and(|keep| keep.contains(pattern)));
        if let Some(pattern) = both {
            return Err(format!(
                "config key `drop_status`: `{pattern}` stands in `keep_status` too; remove it from one"
            ));
        }
        let columns = columns(config.fields.as_deref(), &config.rename)?;
        Ok(Self {
            keep: keep.map(Statuses::of),
            drop: Statuses::of(&config.drop_status),
            takes_rest: columns.iter().any(|column| column.field == Field::Rest),
            columns,
        })
    }

    /// Whether a line of this status passes. One without a status is no member of any list.
    pub(crate) fn keeps(&self, status: Option<u16>) -> bool {
        let is_in = |statuses: &Statuses| status.is_some_and(|status| statuses.holds(status));
        self.keep.as_ref().is_none_or(is_in) && !is_in(&self.drop)
    }
}

fn columns(
    fields: Option<&[Field]>,
    rename: &BTreeMap<Field, String>,
) -> Result<Vec<Column>, String> {
    let chosen: Vec<(Field, bool)> = match fields {
        Some([]) => {
            return Err(
                "config key `fields`: the list is empty; name a field, or remove the key"
                    .to_owned(),
            );
        }
        Some(fields) => fields.iter().map(|field| (*field, false)).collect(),
        None => {
            let always = ALWAYS.map(|field| (field, false));
            always
                .into_iter()
                .chain(IF_ODD.map(|field| (field, true)))
                .collect()
        }
    };
    if let Some(field) = rename
        .keys()
        .find(|field| chosen.iter().all(|(chosen, _)| chosen != *field))
    {
        let field = field.name();
        return Err(format!(
            "config key `rename.{field}`: `{field}` is not among the fields; add it to `fields`"
        ));
    }
    let mut columns = Vec::<Column>::new();
    for (field, only_if_odd) in chosen {
        let name = rename.get(&field).map_or(field.name(), String::as_str);
        if name.is_empty() {
            return Err(format!(
                "config key `rename.{}`: the name is empty",
                field.name()
            ));
        }
        let mut prefix = Vec::new();
        json::text(&mut prefix, Text::literal(name));
        prefix.push(b':');
        if columns.iter().any(|column| column.prefix == prefix) {
            return Err(format!(
                "config key `fields`: two fields have the name `{name}`; rename or remove one"
            ));
        }
        columns.push(Column {
            field,
            prefix,
            only_if_odd,
        });
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AccessLog;
    use vanne_plugin::testing::Harness;

    fn refused(config: &str) -> String {
        Harness::<AccessLog>::new(config)
            .map(|_| ())
            .expect_err(config)
    }

    #[test]
    fn mistakes_are_refused_by_their_key() {
        for (config, expected) in [
            (
                r#"{"keep": ["2xx"]}"#,
                "config key `keep`: unknown field `keep`, expected one of `keep_status`,",
            ),
            (
                r#"{"keep_status": "2xx"}"#,
                "config key `keep_status`: invalid type: string \"2xx\", expected a sequence",
            ),
            (
                r#"{"keep_status": ["2xx", "20x"]}"#,
                "config key `keep_status[1]`: invalid value: string \"20x\", expected a class",
            ),
            (
                r#"{"drop_status": [4040]}"#,
                "config key `drop_status[0]`: invalid value: integer `4040`, expected a class",
            ),
            (
                r#"{"drop_status": [true]}"#,
                "config key `drop_status[0]`: invalid type: boolean `true`, expected a class",
            ),
            (
                r#"{"keep_status": []}"#,
                "config key `keep_status`: the list is empty",
            ),
            (
                r#"{"keep_status": ["2xx", "404"], "drop_status": [404]}"#,
                "config key `drop_status`: `404` stands in",
            ),
            (
                r#"{"fields": []}"#,
                "config key `fields`: the list is empty",
            ),
            (
                r#"{"fields": ["cleint"]}"#,
                "config key `fields[0]`: unknown variant `cleint`, expected one of `client`,",
            ),
            (
                r#"{"fields": ["time", "time"]}"#,
                "config key `fields`: two fields have the name `time`",
            ),
            (
                r#"{"rename": {"time": "status"}}"#,
                "config key `fields`: two fields have the name `status`",
            ),
            (
                r#"{"rename": {"time": ""}}"#,
                "config key `rename.time`: the name is empty",
            ),
            (r#"{"rename": {"tiem": "t"}}"#, "config key `rename"),
            (
                r#"{"rename": {"rest": "r"}}"#,
                "config key `rename.rest`: `rest` is not among the fields",
            ),
        ] {
            let error = refused(config);
            assert!(
                error.starts_with(expected),
                "{config}\n  gave     {error}\n  expected {expected}"
            );
        }
    }

    #[test]
    fn statuses_are_filtered_by_class_and_by_code() {
        let read = |json: &str| Options::new(serde_json::from_str(json).unwrap()).unwrap();
        let options = read(r#"{"keep_status": ["2xx", "4XX", 999], "drop_status": ["404", 204]}"#);
        for (status, passes) in [
            (200, true),
            (299, true),
            (204, false),
            (300, false),
            (199, false),
            (400, true),
            (404, false),
            (999, true),
            (998, false),
            (0, false),
        ] {
            assert_eq!(options.keeps(Some(status)), passes, "{status}");
        }
        assert!(!options.keeps(None));
        let options = read(r#"{"drop_status": ["000"]}"#);
        assert!(options.keeps(None) && options.keeps(Some(1)) && !options.keeps(Some(0)));
        assert!(read("{}").keeps(None));
    }
}
