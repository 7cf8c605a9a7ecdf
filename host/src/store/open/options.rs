//! The options that a location takes: `object_store`'s own names.
//!
//! Owns the lists that 'did you mean' draws from. Names with the prefix `aws_`, `google_` or `azure_` work
//! as well; what is accepted the crate decides.

use crate::config::{Location, Secret};
use crate::store::Result;

/// Names for S3.
pub(super) const S3: &[&str] = &[
    "access_key_id",
    "checksum_algorithm",
    "conditional_put",
    "container_authorization_token_file",
    "container_credentials_full_uri",
    "container_credentials_relative_uri",
    "default_region",
    "endpoint",
    "imdsv1_fallback",
    "metadata_endpoint",
    "region",
    "request_payer",
    "role_arn",
    "role_session_name",
    "secret_access_key",
    "server_side_encryption",
    "session_token",
    "skip_signature",
    "sse_bucket_key_enabled",
    "sse_customer_key_base64",
    "sse_kms_key_id",
    "unsigned_payload",
    "virtual_hosted_style_request",
    "web_identity_token_file",
];

/// Names for GCS.
pub(super) const GCS: &[&str] = &[
    "application_credentials",
    "base_url",
    "bearer_token",
    "service_account",
    "service_account_key",
    "skip_signature",
];

/// Names for Azure.
pub(super) const AZURE: &[&str] = &[
    "access_key",
    "account_name",
    "authority_host",
    "bearer_token",
    "client_id",
    "client_secret",
    "credential_type",
    "encryption_key",
    "endpoint",
    "federated_token_file",
    "msi_endpoint",
    "msi_resource_id",
    "object_id",
    "sas_token",
    "skip_signature",
    "tenant_id",
    "use_azure_cli",
    "use_emulator",
    "use_fabric_endpoint",
];

/// Names for the HTTP client, in every cloud store.
pub(super) const CLIENT: &[&str] = &[
    "allow_http",
    "allow_invalid_certificates",
    "connect_timeout",
    "disable_system_certificates",
    "http1_only",
    "http2_only",
    "pool_idle_timeout",
    "pool_max_idle_per_host",
    "proxy_ca_certificate",
    "proxy_excludes",
    "proxy_url",
    "randomize_addresses",
    "timeout",
    "user_agent",
];

/// Names that say what the url says.
const IN_THE_URL: &[&str] = &[
    "bucket",
    "bucket_name",
    "container_name",
    "aws_bucket",
    "aws_bucket_name",
    "google_bucket",
    "google_bucket_name",
    "azure_container_name",
];

/// Least likeness of a name that is offered instead (0 to 1).
const LIKENESS_MIN: f64 = 0.8;

/// Whether a text means yes, as `object_store` reads it.
pub(super) fn is_true(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "1" | "true" | "on" | "yes" | "y")
}

/// Refuses the first option that the store does not know.
pub(super) fn check(location: &Location, names: &[&str], known: impl Fn(&str) -> bool) -> Result<()> {
    for name in location.options.keys() {
        let lower = name.to_ascii_lowercase();
        if IN_THE_URL.contains(&lower.as_str()) {
            let why = format!("option `{name}` stands in the url: remove it");
            return Err(super::refused(location, why));
        }
        if known(&lower) {
            continue;
        }
        let why = if names.is_empty() {
            format!("unknown option `{name}`: a folder takes no options")
        } else {
            format!("unknown option `{name}`{}", instead(&lower, names))
        };
        return Err(super::refused(location, why));
    }
    Ok(())
}

fn instead(name: &str, names: &[&str]) -> String {
    let likeness = |candidate: &&&str| strsim::jaro_winkler(name, candidate);
    let best = names
        .iter()
        .chain(CLIENT)
        .max_by(|left, right| likeness(left).total_cmp(&likeness(right)))
        .filter(|best| likeness(best) >= LIKENESS_MIN);
    match best {
        Some(best) => format!("; did you mean `{best}`?"),
        None => format!("; expected one of {}", names.join(", ")),
    }
}

/// The given options, in lower case. A given `timeout` is for large requests only: the ledger's small
/// ones must not wait as long.
pub(super) fn given<'a>(
    location: &'a Location,
    timeout: &'a str,
) -> impl Iterator<Item = (String, &'a Secret)> {
    let small = timeout == super::SMALL_TIMEOUT;
    location
        .options
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .filter(move |(name, _)| !(small && name.ends_with("timeout") && !name.ends_with("_timeout")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::aws::AmazonS3ConfigKey;
    use object_store::azure::AzureConfigKey;
    use object_store::gcp::GoogleConfigKey;

    #[test]
    fn every_name_that_is_offered_is_known_to_the_crate() {
        for name in S3.iter().chain(CLIENT) {
            assert!(name.parse::<AmazonS3ConfigKey>().is_ok(), "{name}");
        }
        for name in GCS.iter().chain(CLIENT) {
            assert!(name.parse::<GoogleConfigKey>().is_ok(), "{name}");
        }
        for name in AZURE.iter().chain(CLIENT) {
            assert!(name.parse::<AzureConfigKey>().is_ok(), "{name}");
        }
    }
}
