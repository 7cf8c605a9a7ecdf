//! How a place is written: one text for one set of objects.
//!
//! Claims in the ledger hash these texts, so that they must never change. The clouds' own endpoints are
//! left out (a bucket is named the same from every region); others stand as host and port, without
//! scheme, which does not tell objects apart.

use url::Url;

/// `s3://bucket`, or `s3://host:port/bucket`.
pub(super) fn s3(bucket: &str, endpoint: Option<&str>) -> Result<String, url::ParseError> {
    let Some(endpoint) = endpoint else { return Ok(format!("s3://{bucket}")) };
    let authority = authority(endpoint)?;
    let host = authority.split([':', '/']).next().unwrap_or_default();
    if host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn") {
        return Ok(format!("s3://{bucket}"));
    }
    // A virtual-hosted endpoint holds the bucket's name.
    let plain = authority.strip_prefix(&format!("{bucket}.")).unwrap_or(&authority);
    Ok(format!("s3://{plain}/{bucket}"))
}

/// `gs://bucket`, or `gs://host:port/bucket`.
pub(super) fn gcs(bucket: &str, endpoint: Option<&str>) -> Result<String, url::ParseError> {
    match endpoint.map(authority).transpose()? {
        None => Ok(format!("gs://{bucket}")),
        Some(authority) if authority == "storage.googleapis.com:443" => Ok(format!("gs://{bucket}")),
        Some(authority) => Ok(format!("gs://{authority}/{bucket}")),
    }
}

/// `az://account/container`, or `az://host:port/account/container`.
pub(super) fn azure(
    url: &Url,
    account: Option<&str>,
    endpoint: Option<&str>,
    emulator: bool,
) -> Result<String, url::ParseError> {
    let host = url.host_str().unwrap_or_default();
    // abfss://container@account.dfs.core.windows.net
    let (container, account) = match (url.username(), host.split_once('.')) {
        ("", _) | (_, None) => (host, account.unwrap_or_default()),
        (container, Some((account, _))) => (container, account),
    };
    if emulator {
        let endpoint = std::env::var("AZURITE_BLOB_STORAGE_URL");
        let authority = authority(endpoint.as_deref().unwrap_or("http://127.0.0.1:10000"))?;
        let account = if account.is_empty() { "devstoreaccount1" } else { account };
        return Ok(format!("az://{authority}/{account}/{container}"));
    }
    match endpoint.map(authority).transpose()? {
        None => Ok(format!("az://{account}/{container}")),
        Some(own) if own == format!("{account}.blob.core.windows.net:443") => {
            Ok(format!("az://{account}/{container}"))
        }
        Some(authority) => Ok(format!("az://{authority}/{account}/{container}")),
    }
}

/// Host, port and path of an endpoint, without a last `/`.
fn authority(endpoint: &str) -> Result<String, url::ParseError> {
    let url = Url::parse(endpoint)?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(url::ParseError::EmptyHost)?;
    let port = url.port_or_known_default().ok_or(url::ParseError::InvalidPort)?;
    Ok(format!("{host}:{port}{}", url.path().trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bucket_has_one_place() {
        let same = |endpoints: &[Option<&str>], place: &str| {
            for endpoint in endpoints {
                assert_eq!(s3("lake", *endpoint).as_deref(), Ok(place), "{endpoint:?}");
            }
        };
        same(&[None, Some("https://s3.eu-west-1.amazonaws.com/")], "s3://lake");
        same(
            &[
                Some("https://minio.example"),
                Some("https://MINIO.example:443/"),
                Some("https://lake.minio.example"),
            ],
            "s3://minio.example:443/lake",
        );
        same(&[Some("http://host:9000")], "s3://host:9000/lake");
        assert!(s3("lake", Some("minio:x")).is_err());
        assert_eq!(gcs("lake", Some("https://storage.googleapis.com")).as_deref(), Ok("gs://lake"));
    }

    #[test]
    fn azure_urls_of_both_kinds_are_one_place() {
        let fsspec = Url::parse("az://lake/a").unwrap();
        let hadoop = Url::parse("abfss://lake@acc.dfs.core.windows.net/a").unwrap();
        let own = Some("https://acc.blob.core.windows.net/");
        assert_eq!(azure(&fsspec, Some("acc"), None, false).as_deref(), Ok("az://acc/lake"));
        assert_eq!(azure(&fsspec, Some("acc"), own, false).as_deref(), Ok("az://acc/lake"));
        assert_eq!(azure(&hadoop, None, None, false).as_deref(), Ok("az://acc/lake"));
    }
}
