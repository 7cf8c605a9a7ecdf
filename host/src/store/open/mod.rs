//! From a location in the configuration to a store.
//!
//! Owns which urls and options there are, time-outs, retries, and how a place is written. Stores are
//! opened at the root of their bucket or container, or at the folder of a `file:` url; what a cloud url
//! holds after its bucket is the caller's prefix ([`split`]). Opening does no request.
//!
//! Credentials come from the options, else from the environment (`AWS_*`, `GOOGLE_*`, `AZURE_*`), else
//! from where the cloud's own machines keep them.

mod options;
mod place;

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::list::PaginatedListStore;
use object_store::path::Path as ObjectPath;
use object_store::{ClientConfigKey, RetryConfig};
use url::Url;

use self::options::is_true;
use super::answer::Said;
use super::cloud::{Clients, Cloud, LabelRules};
use super::local::Local;
use super::{Error, ErrorKind, Result, Store};
use crate::config::Location;

/// Time-out of requests that are small both ways.
const SMALL_TIMEOUT: &str = "10s";

/// Time-out of requests that carry a part or copy an object: 5 MiB at 45 kB/s, or 1 GiB within a store.
const LARGE_TIMEOUT: &str = "120s";

/// Time-out of making a connection.
const CONNECT_TIMEOUT: &str = "5s";

/// What the client itself tries again; beyond it, the caller decides.
fn retries() -> RetryConfig {
    RetryConfig { max_retries: 3, retry_timeout: Duration::from_secs(20), ..RetryConfig::default() }
}

/// Opens the store of a location, at its root.
///
/// # Errors
/// `Refused` where the url or an option is wrong; for a folder, what making it said.
pub fn open(location: &Location) -> Result<Arc<dyn Store>> {
    check_url(location)?;
    match location.url.scheme() {
        "file" => open_folder(location),
        "s3" | "s3a" => open_s3(location),
        "gs" => open_gcs(location),
        "az" | "azure" | "adl" | "abfs" | "abfss" => open_azure(location),
        other => {
            let why = format!("`{other}:` is no store; expected s3://, gs://, az:// or file:///");
            Err(refused(location, why))
        }
    }
}

/// The location of the store's root, and the prefix in it: empty, or ending in `/`.
///
/// # Errors
/// `Refused` where the url's path holds what no store takes.
pub fn split(location: &Location) -> Result<(Location, String)> {
    if location.url.scheme() == "file" {
        return Ok((location.clone(), String::new()));
    }
    let path = ObjectPath::from_url_path(location.url.path())
        .map_err(|error| refused(location, Said::of(&error).to_string()))?;
    let mut prefix = String::from(path);
    if let Some(why) = super::path::prefix_fault(&prefix) {
        return Err(refused(location, why.to_owned()));
    }
    if !prefix.is_empty() {
        prefix.push('/');
    }
    let mut root = location.clone();
    root.url.set_path("");
    Ok((root, prefix))
}

/// The url as it may be shown: without user, password and query.
fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    format!("{}://{host}{}", url.scheme(), url.path())
}

fn refused(location: &Location, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Refused, "open", location.url.path(), &shown(&location.url), why)
}

fn built<T>(location: &Location, answer: object_store::Result<T>) -> Result<T> {
    answer.map_err(|answer| refused(location, Said::of(&answer)))
}

fn check_url(location: &Location) -> Result<()> {
    let url = &location.url;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused(location, "a url of a store has no `?` and no `#`; use `options`"));
    }
    let user_is_container = matches!(url.scheme(), "az" | "abfs" | "abfss");
    if url.password().is_some() || (!url.username().is_empty() && !user_is_container) {
        return Err(refused(location, "a url of a store holds no user and no password; use `options`"));
    }
    if url.scheme() != "file" && url.host_str().is_none_or(str::is_empty) {
        return Err(refused(location, "the url names no bucket; expected for example `s3://bucket/path`"));
    }
    Ok(())
}

fn open_folder(location: &Location) -> Result<Arc<dyn Store>> {
    options::check(location, &[], |_| false)?;
    let folder = location
        .url
        .to_file_path()
        .map_err(|()| refused(location, "expected an absolute path, as in `file:///data/lake`"))?;
    Ok(Arc::new(Local::open(&folder)?))
}

fn needs_https(location: &Location, endpoint: Option<&str>, allow_http: Option<&str>) -> Result<()> {
    let plain = endpoint.is_some_and(|endpoint| endpoint.to_ascii_lowercase().starts_with("http://"));
    if plain && !allow_http.is_some_and(is_true) {
        let why = "the endpoint is not encrypted: use https, or set the option `allow_http = true`";
        return Err(refused(location, why));
    }
    Ok(())
}

fn s3_builder(location: &Location, timeout: &str) -> Result<AmazonS3Builder> {
    let bucket = location.url.host_str().unwrap_or_default();
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_retry(retries())
        .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::ConnectTimeout), CONNECT_TIMEOUT)
        .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), timeout)
        // One plain DELETE is in every S3; the bulk request is not, and signs and digests a document.
        .with_config(AmazonS3ConfigKey::DisableBulkDelete, "true");
    // SHA-256 of the body is some 40 % of the CPU time of an upload. The transport is protected by TLS,
    // or by a network that its owner trusts, and a checksum of each object stands in its entry.
    if std::env::var_os("AWS_UNSIGNED_PAYLOAD").is_none() {
        builder = builder.with_unsigned_payload(true);
    }
    for (name, value) in options::given(location, timeout) {
        let key = name.parse().map_err(|error| refused(location, Said::of(&error)))?;
        match (key, value.reveal()) {
            (AmazonS3ConfigKey::ConditionalPut, text) if text.eq_ignore_ascii_case("disabled") => {
                return Err(refused(location, "option `conditional_put`: the ledger can't do without"));
            }
            (AmazonS3ConfigKey::S3Express, text) if is_true(text) => {
                let why =
                    "option `s3_express`: directory buckets don't list in order, which the ledger needs";
                return Err(refused(location, why));
            }
            (key, text) => builder = builder.with_config(key, text),
        }
    }
    Ok(builder)
}

fn open_s3(location: &Location) -> Result<Arc<dyn Store>> {
    options::check(location, options::S3, |name| name.parse::<AmazonS3ConfigKey>().is_ok())?;
    let builder = s3_builder(location, SMALL_TIMEOUT)?;
    let value = |key| builder.get_config_value(&key);
    let endpoint = value(AmazonS3ConfigKey::S3Endpoint).or_else(|| value(AmazonS3ConfigKey::Endpoint));
    let allow_http = value(AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp));
    needs_https(location, endpoint.as_deref(), allow_http.as_deref())?;
    let bucket = location.url.host_str().unwrap_or_default();
    let place = place::s3(bucket, endpoint.as_deref());
    let place = place.map_err(|error| refused(location, format!("option `endpoint`: {error}")))?;
    let small = Arc::new(built(location, builder.build())?);
    let large = Arc::new(built(location, s3_builder(location, LARGE_TIMEOUT)?.build())?);
    let clients = Clients { small: small.clone(), large: large.clone(), parts: large, pages: Some(small) };
    Ok(Arc::new(Cloud::new(place, clients, LabelRules { on_uploads: true, underscores: false })))
}

fn gcs_builder(location: &Location, timeout: &str) -> Result<GoogleCloudStorageBuilder> {
    let bucket = location.url.host_str().unwrap_or_default();
    let mut builder = GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(bucket)
        .with_retry(retries())
        .with_config(GoogleConfigKey::Client(ClientConfigKey::ConnectTimeout), CONNECT_TIMEOUT)
        .with_config(GoogleConfigKey::Client(ClientConfigKey::Timeout), timeout);
    for (name, value) in options::given(location, timeout) {
        let key: GoogleConfigKey = name.parse().map_err(|error| refused(location, Said::of(&error)))?;
        builder = builder.with_config(key, value.reveal());
    }
    Ok(builder)
}

fn open_gcs(location: &Location) -> Result<Arc<dyn Store>> {
    options::check(location, options::GCS, |name| name.parse::<GoogleConfigKey>().is_ok())?;
    let builder = gcs_builder(location, SMALL_TIMEOUT)?;
    let endpoint = builder.get_config_value(&GoogleConfigKey::BaseUrl);
    let allow_http = builder.get_config_value(&GoogleConfigKey::Client(ClientConfigKey::AllowHttp));
    needs_https(location, endpoint.as_deref(), allow_http.as_deref())?;
    let bucket = location.url.host_str().unwrap_or_default();
    let place = place::gcs(bucket, endpoint.as_deref());
    let place = place.map_err(|error| refused(location, format!("option `base_url`: {error}")))?;
    let small = Arc::new(built(location, builder.build())?);
    let large = Arc::new(built(location, gcs_builder(location, LARGE_TIMEOUT)?.build())?);
    let clients = Clients { small: small.clone(), large: large.clone(), parts: large, pages: Some(small) };
    Ok(Arc::new(Cloud::new(place, clients, LabelRules { on_uploads: true, underscores: false })))
}

fn azure_builder(location: &Location, timeout: &str) -> Result<MicrosoftAzureBuilder> {
    let mut builder = MicrosoftAzureBuilder::from_env()
        .with_url(location.url.as_str())
        .with_retry(retries())
        .with_config(AzureConfigKey::Client(ClientConfigKey::ConnectTimeout), CONNECT_TIMEOUT)
        .with_config(AzureConfigKey::Client(ClientConfigKey::Timeout), timeout);
    for (name, value) in options::given(location, timeout) {
        let key: AzureConfigKey = name.parse().map_err(|error| refused(location, Said::of(&error)))?;
        builder = builder.with_config(key, value.reveal());
    }
    Ok(builder)
}

/// Azure's client gives an upload in parts no labels, and names metadata as C# identifiers; the emulator
/// ignores where a listing is to start, so that there the client filters.
fn open_azure(location: &Location) -> Result<Arc<dyn Store>> {
    options::check(location, options::AZURE, |name| name.parse::<AzureConfigKey>().is_ok())?;
    let builder = azure_builder(location, SMALL_TIMEOUT)?;
    let value = |key| builder.get_config_value(&key);
    let endpoint = value(AzureConfigKey::Endpoint);
    let emulator = value(AzureConfigKey::UseEmulator).as_deref().is_some_and(is_true);
    let allow_http = value(AzureConfigKey::Client(ClientConfigKey::AllowHttp));
    if !emulator {
        needs_https(location, endpoint.as_deref(), allow_http.as_deref())?;
    }
    let account = value(AzureConfigKey::AccountName);
    let place = place::azure(&location.url, account.as_deref(), endpoint.as_deref(), emulator);
    let place = place.map_err(|error| refused(location, format!("option `endpoint`: {error}")))?;
    let small = Arc::new(built(location, builder.build())?);
    let large = Arc::new(built(location, azure_builder(location, LARGE_TIMEOUT)?.build())?);
    let pages = (!emulator).then(|| small.clone() as Arc<dyn PaginatedListStore>);
    let clients = Clients { small, large: large.clone(), parts: large, pages };
    Ok(Arc::new(Cloud::new(place, clients, LabelRules { on_uploads: false, underscores: true })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn location(url: &str, options: &[(&str, &str)]) -> Location {
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect();
        Location { url: Url::parse(url).unwrap(), options }
    }

    const MINIO: [(&str, &str); 5] = [
        ("endpoint", "http://127.0.0.1:9000"),
        ("allow_http", "true"),
        ("access_key_id", "user"),
        ("secret_access_key", "very-secret"),
        ("region", "us-east-1"),
    ];

    fn said(error: &Error) -> String {
        format!("{error}: {}", error.source)
    }

    fn refusal(url: &str, options: &[(&str, &str)]) -> String {
        let error = open(&location(url, options)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Refused);
        said(&error)
    }

    #[test]
    fn a_cloud_url_splits_into_bucket_and_prefix() {
        let split_of = |url| {
            let (root, prefix) = split(&location(url, &[])).unwrap();
            (root.url.to_string(), prefix)
        };
        assert_eq!(split_of("s3://lake"), ("s3://lake".into(), String::new()));
        assert_eq!(split_of("s3://lake/"), ("s3://lake".into(), String::new()));
        assert_eq!(split_of("s3://lake/a%20b/c/"), ("s3://lake".into(), "a b/c/".into()));
        assert_eq!(split_of("file:///a/b"), ("file:///a/b".into(), String::new()));
        assert!(split(&location("s3://lake/a//b", &[])).is_err());
        assert!(split(&location("s3://lake/a%5Cb", &[])).is_err());
    }

    #[test]
    fn equal_stores_have_equal_places_whatever_their_prefix() {
        let one = open(&location("s3://lake/a", &MINIO)).unwrap();
        let mut options = MINIO;
        options[0].1 = "http://127.0.0.1:9000/";
        let two = open(&location("s3a://lake/b/c", &options)).unwrap();
        assert_eq!(one.place(), "s3://127.0.0.1:9000/lake");
        assert_eq!(one.place(), two.place());
        assert!(!format!("{one:?}").contains("very-secret"));
    }

    #[test]
    fn a_misspelt_option_is_named_with_the_right_one() {
        let text = refusal("s3://lake", &[("enpoint", "http://x")]);
        assert!(text.contains("`enpoint`") && text.contains("did you mean `endpoint`"), "{text}");
        let text = refusal("gs://lake", &[("service_acount", "x")]);
        assert!(text.contains("did you mean `service_account`"), "{text}");
        let text = refusal("file:///tmp/x", &[("endpoint", "x")]);
        assert!(text.contains("a folder takes no options"), "{text}");
        let text = refusal("s3://lake", &[("bucket", "x")]);
        assert!(text.contains("stands in the url"), "{text}");
    }

    #[test]
    fn what_would_break_the_guarantees_or_leak_is_refused() {
        let text = refusal("s3://lake", &[("endpoint", "http://127.0.0.1:9000")]);
        assert!(text.contains("allow_http"), "{text}");
        assert!(refusal("s3://lake", &[("conditional_put", "disabled")]).contains("conditional_put"));
        assert!(refusal("s3://lake", &[("s3_express", "true")]).contains("s3_express"));
        let text = refusal("s3://key:hunter2@lake/x", &[]);
        assert!(!text.contains("hunter2"), "{text}");
        assert!(!refusal("s3://lake/x?sig=hunter2", &[]).contains("hunter2"));
        assert!(refusal("http://lake/x", &[]).contains("expected s3://"));
        assert!(
            refusal("s3://lake", &[("endpoint", "not a url"), ("allow_http", "yes")]).contains("endpoint")
        );
        assert!(
            refusal("s3://lake", &[("unsigned_payload", "perhaps"), ("region", "x")]).contains("perhaps")
        );
    }

    #[test]
    fn azure_and_gcs_open_without_a_request() {
        let options = [("account_name", "acc"), ("access_key", "c2VjcmV0")];
        let azure = open(&location("az://lake/path", &options)).unwrap();
        assert_eq!(azure.place(), "az://acc/lake");
        let emulator = open(&location("az://lake", &[("use_emulator", "true")])).unwrap();
        assert_eq!(emulator.place(), "az://127.0.0.1:10000/devstoreaccount1/lake");
        let options =
            [("base_url", "http://127.0.0.1:4443"), ("allow_http", "1"), ("skip_signature", "true")];
        let gcs = open(&location("gs://lake/path", &options)).unwrap();
        assert_eq!(gcs.place(), "gs://127.0.0.1:4443/lake");
    }
}
