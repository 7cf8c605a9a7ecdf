//! The configuration as it is written. What it means together is the business of `options`.

use std::collections::BTreeMap;

use crate::constant::Constant;

/// The configuration as it is written; the README explains each key.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The fields that pass; all do where this is left out.
    pub select: Option<Vec<String>>,
    /// Fields that don't pass.
    pub drop: Vec<String>,
    /// What fields shall be.
    pub cast: BTreeMap<String, Cast>,
    /// Where fields shall stand, by where they stand.
    pub rename: BTreeMap<String, String>,
    /// Fields of a constant value, by where they shall stand.
    pub set: BTreeMap<String, Constant>,
    /// Joins the names of nested fields.
    pub flatten: Option<Flatten>,
    /// What a field becomes that `select`, `cast` or `rename` names and the record does not have.
    pub missing: Option<Missing>,
    /// What a field becomes that can't be cast.
    pub on_cast_error: Option<OnCastError>,
    /// What a record becomes that has a null value.
    pub tombstone: Tombstone,
}

/// What a field shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cast {
    /// A whole number from -2^63 to 2^64 - 1, written in digits.
    Integer,
    /// A number, as it was written.
    Number,
    /// A string.
    String,
    /// `true` or `false`.
    Boolean,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    TimestampMs,
    /// What a string holds as JSON.
    Json,
}

/// How nested fields become fields of the outermost object.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Flatten {
    /// What stands between the names.
    pub separator: String,
    /// How many levels are joined; all are where this is left out.
    pub depth: Option<u32>,
    /// Whether elements of arrays become fields, named by their numbers from 0.
    pub arrays: bool,
}

impl Default for Flatten {
    fn default() -> Self {
        Self {
            separator: ".".to_owned(),
            depth: None,
            arrays: false,
        }
    }
}

/// What a field becomes that is named and not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// Nothing.
    #[default]
    Skip,
    /// A null.
    Null,
    /// A failure of the record.
    Fail,
}

/// What a field becomes that can't be cast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnCastError {
    /// A failure of the record.
    #[default]
    Fail,
    /// A null.
    Null,
    /// What it was.
    Keep,
}

/// What a record becomes that has a null value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tombstone {
    /// It goes on.
    #[default]
    Forward,
    /// It is filtered out.
    Drop,
    /// It goes to the dead letters.
    Fail,
}
