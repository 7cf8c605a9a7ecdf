//! The kept configuration: the part of pipeline.toml that a revision fixes, as it stands in the ledger.
//!
//! Owns which values are withheld from it, and the way back: a pipeline of this host with the kept part of
//! a revision. How the text is spelled is `raw::canonical`'s. Invariant: no text of this kind holds what
//! `${}` became, nor a literal value of an option that might be a secret.

use std::fmt;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::error::Error;
use super::model::Pipeline;
use super::{raw, units};

/// What stands in the text for a value that is withheld; no value of a file, since it names no variable.
pub(super) const WITHHELD: &str = "${withheld:}";

/// Bytes of a kept configuration at the most: four times a file, since escapes may make it longer.
pub(super) const KEPT_BYTES: u64 = 1 << 20;

/// Options of stores whose literal values are no secrets, and which another host needs to find the place.
const HARMLESS: [&str; 27] = [
    "account_name",
    "allow_http",
    "allow_invalid_certificates",
    "checksum_algorithm",
    "connect_timeout",
    "default_region",
    "disable_tagging",
    "endpoint",
    "http1_only",
    "http2_keep_alive_interval",
    "http2_keep_alive_timeout",
    "http2_keep_alive_while_idle",
    "http2_max_frame_size",
    "http2_only",
    "imdsv1_fallback",
    "pool_idle_timeout",
    "pool_max_idle_per_host",
    "randomize_addresses",
    "region",
    "request_payer",
    "s3_express",
    "skip_signature",
    "timeout",
    "unsigned_payload",
    "use_emulator",
    "use_fabric_endpoint",
    "virtual_hosted_style_request",
];

/// What of a configuration a revision fixes.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
    /// The text: TOML, the same bytes for the same meaning.
    pub text: String,
    /// `sha256:` and the digest of the text.
    pub digest: String,
}

impl fmt::Debug for Kept {
    /// Only the digest: a transform's `config` may hold a secret that was written out.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text: _, digest } = self;
        formatter.debug_struct("Kept").field("digest", digest).finish_non_exhaustive()
    }
}

impl Kept {
    /// A text with its digest.
    pub(super) fn new(text: String) -> Self {
        let digest = Sha256::digest(text.as_bytes());
        let digest = digest.iter().fold(String::from("sha256:"), |text, byte| text + &format!("{byte:02x}"));
        Self { text, digest }
    }
}

impl Pipeline {
    /// The pipeline of a revision on this host, with the process's environment: its own source, batch,
    /// swap, host and the place of its ledger, and the rest from a kept configuration.
    ///
    /// Withheld options are taken from this host's own sink of that name. A transform has the `plugin` and
    /// `build` of this host's own transform of that name, or an empty path and none.
    ///
    /// # Errors
    /// Everything in the text that this host can't run, under the name of the kept configuration.
    pub fn with_kept(&self, kept: &str) -> Result<Self, Error> {
        self.with_kept_and(kept, &|name| std::env::var(name).ok())
    }

    /// As [`with_kept`](Self::with_kept), with the environment that `env` knows.
    ///
    /// # Errors
    /// As there.
    pub fn with_kept_and(&self, kept: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let name = format!("kept configuration {}", Kept::new(kept.to_owned()).digest);
        if kept.len() as u64 > KEPT_BYTES {
            let message = format!("is larger than {}", units::show_size(KEPT_BYTES));
            return Err(Error::of_file(
                &name,
                message,
                "no host writes one of that size: look at the ledger",
            ));
        }
        let folder: &Path = &self.folder;
        raw::read(kept, &name, &raw::Outside { folder, environment: env, own: Some(self) })
    }
}

/// Whether a text consists of references alone, so that nothing of the value stands in it.
pub(super) fn is_reference(written: &str) -> bool {
    let mut rest = written;
    while let Some((_, after)) = rest.strip_prefix("${").and_then(|rest| rest.split_once('}')) {
        rest = after;
    }
    rest.is_empty() && !written.is_empty()
}

/// Whether a value under this name may be kept as it is written.
pub(super) fn is_harmless(name: &str, written: &str) -> bool {
    // A user's name and password, or a signature, may stand in an endpoint.
    HARMLESS.contains(&plain_option(name).as_str()) && !written.contains(['@', '?'])
}

/// An option's name without the provider and in lower case: `AWS_REGION` is `region`.
pub(super) fn plain_option(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let plain = ["aws_", "google_", "azure_"].iter().find_map(|start| name.strip_prefix(start));
    // Azure's own names repeat the service: `azure_storage_account_name`.
    let plain = plain.unwrap_or(&name);
    plain.strip_prefix("storage_").unwrap_or(plain).to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use toml::{Table, Value};

    use super::*;
    use crate::config::{parse, plan};

    const SECRET: &str = "hunter2";
    const LITERAL: &str = "literal-hunter3";

    fn environment(name: &str) -> Option<String> {
        (name == "SECRET").then(|| SECRET.to_owned())
    }

    fn read(text: &str) -> Pipeline {
        let read = parse(text, Path::new("/etc/vanne"), "p.toml", &environment);
        read.unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    #[test]
    fn references_have_nothing_of_the_value() {
        assert!(is_reference("${A}") && is_reference("${A}${file:/b}"));
        for literal in ["", "a", "${A}b", "a${A}", "$${A}", "${A", "$"] {
            assert!(!is_reference(literal), "{literal}");
        }
    }

    #[test]
    fn harmless_options_are_known_by_any_name() {
        for name in ["region", "AWS_REGION", "azure_storage_account_name", "google_endpoint"] {
            assert!(is_harmless(name, "x"), "{name}");
        }
        for name in ["secret_access_key", "aws_access_key_id", "token", "proxy_url", "regions", ""] {
            assert!(!is_harmless(name, "x"), "{name}");
        }
        assert!(!is_harmless("endpoint", "http://a:b@c") && !is_harmless("endpoint", "http://a/?sig=b"));
    }

    /// Texts with all that needs escapes, references and escaped ones.
    fn texts() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("${SECRET}".to_owned()),
            Just("$${SECRET}".to_owned()),
            "[a-z\"'\\\\ \t\n\r#={}\\[\\]$ä🦀\u{1}\u{7f}\u{85}\u{2028}]{0,6}"
        ];
        proptest::collection::vec(piece, 0..4).prop_map(|pieces| {
            // What was put together by chance is no reference.
            let text = pieces.join(" ");
            if text.matches("${").count() == text.matches("${SECRET}").count() { text } else { String::new() }
        })
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            texts().prop_map(Value::String),
            any::<i64>().prop_map(Value::Integer),
            any::<f64>().prop_filter("JSON has it", |number| number.is_finite()).prop_map(Value::Float),
            any::<bool>().prop_map(Value::Boolean),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
                proptest::collection::btree_map("[a-z. \"ä]{0,5}", inner, 0..3)
                    .prop_map(|entries| Value::Table(entries.into_iter().collect())),
            ]
        })
    }

    fn configs() -> impl Strategy<Value = Value> {
        proptest::collection::btree_map("[a-z. \"ä]{0,5}", values(), 0..4)
            .prop_map(|entries| Value::Table(entries.into_iter().collect()))
    }

    fn table<const N: usize>(entries: [(&str, Value); N]) -> Value {
        Value::Table(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    fn options() -> impl Strategy<Value = Value> {
        let value = prop_oneof![
            Just(Value::from(LITERAL)),
            Just(Value::from("${SECRET}")),
            Just(Value::from("x${SECRET}")),
        ];
        let secrets = proptest::collection::btree_map("(aws_)?(secret|token)_[a-c]", value, 0..3);
        (secrets, any::<Option<bool>>(), any::<Option<i64>>()).prop_map(|(secrets, flag, number)| {
            let mut options: Table = secrets.into_iter().collect();
            options.extend(flag.map(|flag| ("allow_http".to_owned(), Value::Boolean(flag))));
            options.extend(number.map(|number| ("timeout".to_owned(), Value::Integer(number))));
            Value::Table(options)
        })
    }

    /// A whole file.
    fn files() -> impl Strategy<Value = Table> {
        let transforms = proptest::collection::vec((configs(), any::<bool>(), 0..9_i64), 0..3);
        let sinks = proptest::collection::btree_map("[a-z][a-z.]{0,3}", (options(), any::<bool>()), 1..3);
        (transforms, sinks, proptest::option::of(options()), any::<[bool; 2]>()).prop_map(
            |(transforms, sinks, dead_letter, [cut, filter])| {
                let transform = |(nth, (config, grant, retries)): (usize, (Value, bool, i64))| {
                    let files = table([("/geo", Value::from("geo"))]);
                    let grants = if grant { table([("files", files)]) } else { table([]) };
                    table([
                        ("name", Value::from(format!("t{nth}"))),
                        ("plugin", Value::from("t.wasm")),
                        ("config", config),
                        ("grants", grants),
                        ("retries", Value::from(retries)),
                    ])
                };
                let sink = |(name, (options, zstd)): (String, (Value, bool))| {
                    let sink = table([
                        ("type", Value::from("object-store")),
                        ("url", Value::from(format!("s3://lake/{name}"))),
                        ("options", options),
                        ("compression", Value::from(if zstd { "zstd" } else { "none" })),
                    ]);
                    (name, sink)
                };
                let Value::Table(mut file) = table([
                    ("version", Value::from(1)),
                    ("name", Value::from("p")),
                    (
                        "source",
                        table([
                            ("type", Value::from("kafka")),
                            ("brokers", Value::from("a")),
                            ("topics", Value::from(vec!["t"])),
                        ]),
                    ),
                    ("ledger", table([("url", Value::from("s3://lake/_vanne"))])),
                    (
                        "transforms",
                        transforms.into_iter().enumerate().map(transform).collect::<Vec<_>>().into(),
                    ),
                    ("sinks", Value::Table(sinks.into_iter().map(sink).collect())),
                ]) else {
                    unreachable!("a table")
                };
                if let Some(options) = dead_letter {
                    let dead_letter =
                        table([("url", Value::from("s3://lake/dead-letters")), ("options", options)]);
                    file.insert("dead_letter".into(), dead_letter);
                }
                if cut {
                    file.insert("cut".into(), table([("records", Value::from(7))]));
                }
                if filter {
                    let pattern = table([("value", table([("a", Value::from(vec!["b"]))]))]);
                    file.insert("filter".into(), table([("patterns", Value::Array(vec![pattern]))]));
                }
                file
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn one_meaning_has_one_text_that_stands_for_it(file in files()) {
            let tables = toml::to_string_pretty(&file).expect("TOML");
            let line = |(key, value): (&String, &Value)| format!("{key} = {value} # a comment\n");
            let mut lines: Vec<_> = file.iter().map(line).collect();
            lines.reverse();
            let (pipeline, inline) = (read(&tables), read(&lines.concat()));
            let kept = &pipeline.kept;
            prop_assert_eq!(&kept.text, &inline.kept.text);
            prop_assert_eq!(&pipeline.digest, &kept.digest);

            // Nothing that was put in, and no literal that might be a secret.
            prop_assert!(!kept.text.contains(SECRET) && !kept.text.contains(LITERAL), "{}", kept.text);

            let again = pipeline.with_kept_and(&kept.text, &environment).expect("this host runs it");
            prop_assert_eq!(&again.kept, kept);
            prop_assert!(plan(&pipeline, &again, &BTreeSet::new()).is_empty());

            // Read and written again it is the same text: it is in the one spelling itself.
            let folder = Path::new("/");
            let outside = raw::Outside { folder, environment: &environment, own: Some(&pipeline) };
            prop_assert_eq!(&raw::canonical(&kept.text, &outside), &kept.text);
        }
    }
}
