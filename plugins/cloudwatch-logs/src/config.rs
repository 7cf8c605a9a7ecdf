//! What may be chosen: the fields of an object and their names, the key, the headers, the limit.
//!
//! Invariant: an [`Options`] has at least one column, no two of one name, and a limit that fits into the
//! memory that a guest has by default.

use std::collections::BTreeMap;

/// Thirty times the largest payload that CloudWatch Logs sends.
const MAX_BYTES_DEFAULT: usize = 32 << 20;

/// Payload and records together take up to three times this, and a guest has 256 MiB by default.
const MAX_BYTES_MOST: usize = 64 << 20;

/// The configuration as it is written.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The fields of an object, in this order; where this is left out, those that the README lists.
    pub fields: Option<Vec<Field>>,
    /// Other names for fields.
    pub rename: BTreeMap<Field, String>,
    /// Whether a message that is a JSON object or array is nested as such.
    pub parse_message: bool,
    /// How the time of an event is written.
    pub time: TimeForm,
    /// The key of the records.
    pub key: Key,
    /// Fields to write as headers, too.
    pub headers: Vec<Field>,
    /// Whether the headers of the payload's record are taken over.
    pub keep_headers: bool,
    /// How large a payload may be, unpacked.
    pub max_bytes: Option<usize>,
}

/// A field that an object can have, by the name that AWS gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Field {
    /// The id of the event.
    Id,
    /// The time of the event.
    Timestamp,
    /// What was logged.
    Message,
    /// What the subscription filter took out of the message.
    ExtractedFields,
    /// The account.
    Owner,
    /// The log group.
    LogGroup,
    /// The log stream.
    LogStream,
    /// The names of the subscription filters.
    SubscriptionFilters,
}

/// The fields of every object, unless `fields` says otherwise; `extractedFields` only where there are any.
const DEFAULT: [Field; 7] = [
    Field::Id,
    Field::Timestamp,
    Field::Message,
    Field::ExtractedFields,
    Field::Owner,
    Field::LogGroup,
    Field::LogStream,
];

impl Field {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Timestamp => "timestamp",
            Self::Message => "message",
            Self::ExtractedFields => "extractedFields",
            Self::Owner => "owner",
            Self::LogGroup => "logGroup",
            Self::LogStream => "logStream",
            Self::SubscriptionFilters => "subscriptionFilters",
        }
    }
}

/// How the time of an event is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeForm {
    /// A text, in UTC.
    #[default]
    Rfc3339,
    /// A number, as AWS has it.
    EpochMs,
}

/// The key of the records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Key {
    /// That of the payload's record.
    #[default]
    Keep,
    /// The log group.
    LogGroup,
    /// The log stream.
    LogStream,
    /// The id of the event.
    Id,
    /// A null.
    None,
}

/// A field of the object to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) field: Field,
    /// The name as JSON, and a colon.
    pub(crate) prefix: String,
    /// Left out where there is no value.
    pub(crate) only_if_there: bool,
}

/// The configuration, ready for use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) columns: Vec<Column>,
    pub(crate) parse_message: bool,
    pub(crate) time: TimeForm,
    pub(crate) key: Key,
    /// Fields, and the names of their headers.
    pub(crate) headers: Vec<(Field, String)>,
    pub(crate) keep_headers: bool,
    pub(crate) max_bytes: usize,
}

impl Options {
    pub(crate) fn new(config: Config) -> Result<Self, String> {
        let max_bytes = config.max_bytes.unwrap_or(MAX_BYTES_DEFAULT);
        if !(1..=MAX_BYTES_MOST).contains(&max_bytes) {
            return Err(format!(
                "config key `max_bytes`: expected 1 to {MAX_BYTES_MOST}, found {max_bytes}"
            ));
        }
        let columns = columns(config.fields.as_deref(), &config.rename)?;
        let headers = headers(&config.headers, &config.rename)?;
        let is_used = |field: &Field| {
            columns.iter().any(|column| column.field == *field) || config.headers.contains(field)
        };
        if let Some(field) = config.rename.keys().find(|field| !is_used(field)) {
            let name = field.name();
            return Err(format!(
                "config key `rename.{name}`: `{name}` is not among the fields; add it to `fields`"
            ));
        }
        Ok(Self {
            columns,
            parse_message: config.parse_message,
            time: config.time,
            key: config.key,
            headers,
            keep_headers: config.keep_headers,
            max_bytes,
        })
    }
}

fn name(field: Field, rename: &BTreeMap<Field, String>) -> Result<&str, String> {
    match rename.get(&field).map_or(field.name(), String::as_str) {
        "" => Err(format!(
            "config key `rename.{}`: the name is empty",
            field.name()
        )),
        name => Ok(name),
    }
}

fn columns(
    fields: Option<&[Field]>,
    rename: &BTreeMap<Field, String>,
) -> Result<Vec<Column>, String> {
    if fields.is_some_and(<[_]>::is_empty) {
        return Err(
            "config key `fields`: the list is empty; name a field, or remove the key".to_owned(),
        );
    }
    let mut columns = Vec::<Column>::new();
    for field in fields.unwrap_or(&DEFAULT) {
        let name = name(*field, rename)?;
        let text = serde_json::Value::from(name);
        let prefix = format!("{text}:");
        if columns.iter().any(|column| column.prefix == prefix) {
            return Err(format!(
                "config key `fields`: two fields have the name `{name}`; rename or remove one"
            ));
        }
        columns.push(Column {
            field: *field,
            prefix,
            only_if_there: fields.is_none() && *field == Field::ExtractedFields,
        });
    }
    Ok(columns)
}

fn headers(
    fields: &[Field],
    rename: &BTreeMap<Field, String>,
) -> Result<Vec<(Field, String)>, String> {
    let mut headers = Vec::<(Field, String)>::new();
    for (index, field) in fields.iter().enumerate() {
        let is_text = matches!(
            field,
            Field::Id | Field::Owner | Field::LogGroup | Field::LogStream
        );
        if !is_text {
            return Err(format!(
                "config key `headers[{index}]`: `{}` is no short text; expected `id`, `owner`, `logGroup` \
                 or `logStream`",
                field.name()
            ));
        }
        let name = name(*field, rename)?.to_owned();
        if headers.iter().any(|(_, other)| *other == name) {
            return Err(format!(
                "config key `headers`: two headers have the name `{name}`; rename or remove one"
            ));
        }
        headers.push((*field, name));
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use crate::CloudwatchLogs;
    use vanne_plugin::testing::Harness;

    #[test]
    fn mistakes_are_refused_by_their_key() {
        for (config, expected) in [
            (
                r#"{"field": []}"#,
                "config key `field`: unknown field `field`, expected one of `fields`,",
            ),
            (
                r#"{"fields": []}"#,
                "config key `fields`: the list is empty",
            ),
            (
                r#"{"fields": ["log_group"]}"#,
                "config key `fields[0]`: unknown variant `log_group`, expected one of `id`,",
            ),
            (
                r#"{"fields": ["id", "id"]}"#,
                "config key `fields`: two fields have the name `id`",
            ),
            (
                r#"{"rename": {"id": "message"}}"#,
                "config key `fields`: two fields have the name `message`",
            ),
            (
                r#"{"rename": {"id": ""}}"#,
                "config key `rename.id`: the name is empty",
            ),
            (
                r#"{"rename": {"subscriptionFilters": "f"}}"#,
                "config key `rename.subscriptionFilters`: `subscriptionFilters` is not among",
            ),
            (
                r#"{"time": "iso"}"#,
                "config key `time`: unknown variant `iso`, expected `rfc3339` or `epoch-ms`",
            ),
            (
                r#"{"key": "logGroup"}"#,
                "config key `key`: unknown variant `logGroup`, expected one of `keep`, `log-group`,",
            ),
            (
                r#"{"headers": ["message"]}"#,
                "config key `headers[0]`: `message` is no short text",
            ),
            (
                r#"{"headers": ["id", "owner"], "rename": {"owner": "id", "id": "id"}}"#,
                "config key `fields`: two fields have the name `id`",
            ),
            (
                r#"{"headers": ["owner", "owner"]}"#,
                "config key `headers`: two headers have the name `owner`",
            ),
            (
                r#"{"max_bytes": 0}"#,
                "config key `max_bytes`: expected 1 to 67108864, found 0",
            ),
            (
                r#"{"max_bytes": 67108865}"#,
                "config key `max_bytes`: expected 1 to 67108864, found 67108865",
            ),
        ] {
            let error = Harness::<CloudwatchLogs>::new(config)
                .map(|_| ())
                .expect_err(config);
            assert!(
                error.starts_with(expected),
                "{config}\n  gave     {error}\n  expected {expected}"
            );
        }
    }
}
