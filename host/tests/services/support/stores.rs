//! Object stores: MinIO, versitygw, Azurite and a GCS emulator, alone or shared by all tests of the process.
//!
//! Owns: starting them and making buckets, for which the object_store crate has no call.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use object_store::aws::AmazonS3Builder;
use object_store::signer::Signer as _;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::location::Location;
use super::process::{Server, free_port, scratch, tied, with_retries};
use super::{required, servers_folder, unique, wait};

/// The account of S3 stores: any would do.
const ACCESS_KEY: &str = "vanne-tests";
const SECRET_KEY: &str = "vanne-tests-secret";

/// Azurite's built-in account and its published key.
const AZURE_ACCOUNT: &str = "devstoreaccount1";
const AZURE_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const AZURE_VERSION: &str = "2023-11-03";

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Minio,
    Versitygw,
    Azurite,
}

impl Kind {
    /// The name of its folder, as `.ci/servers` links it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Minio => "minio",
            Self::Versitygw => "versitygw",
            Self::Azurite => "azurite",
        }
    }

    /// Why an optional store can't be had here, as `.ci/servers` found. A store that nobody tried to get is not
    /// unavailable: starting it fails.
    pub(crate) fn unavailable(self) -> Option<String> {
        std::fs::read_to_string(servers_folder().join("unavailable").join(self.name())).ok()
    }
}

/// A running store. Dropping it kills the store and removes its data.
pub(crate) struct Store {
    kind: Kind,
    server: Server,
    port: u16,
    // After the server: its folder is removed when it has ended.
    _folder: TempDir,
}

impl Store {
    /// The store of a kind that all tests of this process share. Buckets are each test's own.
    pub(crate) fn shared(kind: Kind) -> &'static Self {
        static MINIO: OnceLock<Store> = OnceLock::new();
        static VERSITYGW: OnceLock<Store> = OnceLock::new();
        static AZURITE: OnceLock<Store> = OnceLock::new();
        let slot = match kind {
            Kind::Minio => &MINIO,
            Kind::Versitygw => &VERSITYGW,
            Kind::Azurite => &AZURITE,
        };
        slot.get_or_init(|| Self::start(kind))
    }

    /// A store of one's own, for tests that stop it.
    pub(crate) fn start(kind: Kind) -> Self {
        with_retries(|| Self::try_start(kind))
    }

    fn try_start(kind: Kind) -> Result<Self, String> {
        let folder = scratch(kind.name());
        let data = folder.path().join("data");
        std::fs::create_dir(&data)
            .map_err(|error| format!("the scratch folder can't be written: {error}"))?;
        let log = folder.path().join("store.log");
        let (port, console) = (free_port(), free_port());
        let launch = move || match kind {
            Kind::Minio => minio(&data, port, console),
            Kind::Versitygw => versitygw(&data, port),
            Kind::Azurite => azurite(&data, port),
        };
        // A store may be up and still refuse: it is ready when it takes a bucket, or has it.
        let ready = move || matches!(create_bucket(kind, port, "ready"), Ok(200 | 201 | 409));
        Ok(Self { kind, server: Server::start(kind.name(), log, launch, ready)?, port, _folder: folder })
    }

    /// The process: to stop it, start it again, or make it hang.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// Makes a bucket with a name of its own.
    pub(crate) fn bucket(&self, stem: &str) -> Location {
        let name = unique(stem);
        let status = create_bucket(self.kind, self.port, &name).expect("the store answers");
        assert!(matches!(status, 200 | 201), "bucket `{name}` can't be made: status {status}");
        self.location(&name)
    }

    /// A bucket by name, there or not.
    pub(crate) fn location(&self, bucket: &str) -> Location {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        let (scheme, options): (_, BTreeMap<&str, String>) = match self.kind {
            Kind::Minio | Kind::Versitygw => (
                "s3",
                BTreeMap::from([
                    ("endpoint", endpoint),
                    ("region", "us-east-1".to_owned()),
                    ("access_key_id", ACCESS_KEY.to_owned()),
                    ("secret_access_key", SECRET_KEY.to_owned()),
                    ("allow_http", "true".to_owned()),
                ]),
            ),
            Kind::Azurite => (
                "az",
                BTreeMap::from([
                    ("endpoint", format!("{endpoint}/{AZURE_ACCOUNT}")),
                    ("account_name", AZURE_ACCOUNT.to_owned()),
                    ("account_key", AZURE_KEY.to_owned()),
                    ("allow_http", "true".to_owned()),
                ]),
            ),
        };
        Location {
            url: format!("{scheme}://{bucket}"),
            options: options.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        }
    }
}

/// Answers the status.
fn create_bucket(kind: Kind, port: u16, name: &str) -> std::io::Result<u16> {
    match kind {
        Kind::Minio | Kind::Versitygw => create_s3_bucket(port, name),
        Kind::Azurite => create_azure_container(port, name),
    }
}

fn create_s3_bucket(port: u16, name: &str) -> std::io::Result<u16> {
    let store = AmazonS3Builder::new()
        .with_endpoint(format!("http://127.0.0.1:{port}"))
        .with_region("us-east-1")
        .with_access_key_id(ACCESS_KEY)
        .with_secret_access_key(SECRET_KEY)
        .with_allow_http(true)
        .with_bucket_name(name)
        .build()
        .expect("a complete configuration");
    let root = object_store::path::Path::default();
    let url = wait(store.signed_url(http_put(), &root, Duration::from_secs(60))).expect("a signature");
    request(port, "PUT", &url[url::Position::BeforePath..], &[])
}

fn create_azure_container(port: u16, name: &str) -> std::io::Result<u16> {
    let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let to_sign = format!(
        "PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:{AZURE_VERSION}\n\
         /{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{name}\nrestype:container"
    );
    let key = BASE64_STANDARD.decode(AZURE_KEY).expect("base64");
    let signature = BASE64_STANDARD.encode(hmac_sha256(&key, to_sign.as_bytes()));
    let authorization = format!("SharedKey {AZURE_ACCOUNT}:{signature}");
    let headers =
        [("x-ms-date", &*date), ("x-ms-version", AZURE_VERSION), ("authorization", &*authorization)];
    request(port, "PUT", &format!("/{AZURE_ACCOUNT}/{name}?restype=container"), &headers)
}

fn minio(data: &Path, port: u16, console: u16) -> Command {
    let mut command = tied(required("minio", "minio"));
    command
        .args(["server", "--quiet", "--address", &format!("127.0.0.1:{port}")])
        .args(["--console-address", &format!("127.0.0.1:{console}")])
        .arg(data)
        .env("MINIO_ROOT_USER", ACCESS_KEY)
        .env("MINIO_ROOT_PASSWORD", SECRET_KEY)
        .env("MINIO_BROWSER", "off")
        .env("MINIO_UPDATE", "off");
    command
}

fn versitygw(data: &Path, port: u16) -> Command {
    let mut command = tied(required("versitygw", "versitygw"));
    command
        .args(["--quiet", "--port", &format!("127.0.0.1:{port}"), "posix"])
        .arg(data)
        .env("ROOT_ACCESS_KEY", ACCESS_KEY)
        .env("ROOT_SECRET_KEY", SECRET_KEY);
    command
}

fn azurite(data: &Path, port: u16) -> Command {
    let mut command = tied("node");
    command
        .arg(required("azurite", "node_modules/azurite/dist/src/blob/main.js"))
        .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string(), "--location"])
        .arg(data)
        .args(["--silent", "--skipApiVersionCheck", "--disableTelemetry"]);
    command
}

/// The method type is of the `http` crate, which only object_store depends on.
fn http_put<M: std::str::FromStr>() -> M {
    "PUT".parse().ok().expect("a method")
}

/// One request without a body over plain HTTP; answers the status.
fn request(port: u16, method: &str, target: &str, headers: &[(&str, &str)]) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut text = format!("{method} {target} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("content-length: 0\r\n\r\n");
    stream.write_all(text.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| std::io::Error::other(format!("not HTTP: {answer}")))
}

/// RFC 2104, over SHA-256.
fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 64;
    let mut block = [0u8; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().to_vec()
}
