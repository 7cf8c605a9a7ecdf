//! Nothing that a secret holds is ever said, whatever is refused and however much is logged.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::super::guests::guest;
use super::host::{Workspace, together};

const SECRETS: [(&str, &str); 4] = [
    ("STORE_KEY", "s3cr3t-of-the-store"),
    ("PASSWORD", "s3cr3t-of-kafka"),
    ("TOKEN", "s3cr3t-of-the-plugin"),
    ("VANNE_LOG", "trace"),
];

/// A store that refuses everybody; its address.
fn refusing_store() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            std::thread::spawn(move || {
                let mut request = [0; 65_536];
                let body = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
                let answer =
                    format!("HTTP/1.1 403 Forbidden\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                while stream.read(&mut request).is_ok_and(|bytes| bytes > 0)
                    && stream.write_all(answer.as_bytes()).is_ok()
                {}
            });
        }
    });
    address
}

fn check(text: &str, words: &[&str]) {
    let workspace = Workspace::new();
    workspace.write("pipeline.toml", text.as_bytes());
    for arguments in [
        &["run", "--until-end", "pipeline.toml"][..],
        &["run", "--until-end", "--json", "pipeline.toml"],
        &["validate", "--connect", "pipeline.toml"],
        &["ledger", "new-chain", "--at", "earliest", "pipeline.toml"],
    ] {
        let run = workspace.host_with(arguments, &SECRETS);
        run.expect(1, if arguments[0] == "ledger" { &[] } else { words });
        assert!(!run.said().contains("s3cr3t"), "{arguments:?}: {run}");
    }
}

#[test]
fn no_secret_is_ever_said() {
    together([
        &|| {
            let address = refusing_store();
            let options = format!(
                "options = {{ endpoint = \"http://{address}\", allow_http = true, region = \"us-east-1\", \
                 access_key_id = \"someone\", secret_access_key = \"${{STORE_KEY}}\" }}"
            );
            check(
                &pipeline("s3://lake/x", &options, ""),
                &["sinks.lake", "the credentials must allow", "403 Forbidden"],
            );
        },
        &|| check(&pipeline("out", "", ""), &["127.0.0.1:1", "source.brokers"]),
        &|| {
            let path = guest("test-guest").display().to_string();
            let transform = format!(
                "[[transforms]]\nname = \"t\"\nplugin = {path:?}\nconfig = {{ token = \"${{TOKEN}}\" }}\n"
            );
            check(&pipeline("out", "", &transform), &["transform `t`"]);
        },
        &|| {
            // Options that no store knows, with the secret in their values.
            let options = "options = { secret_acess_key = \"${STORE_KEY}\" }";
            check(&pipeline("s3://lake/x", options, ""), &["sinks.lake", "secret_acess_key"]);
        },
    ]);
}

fn pipeline(url: &str, options: &str, transforms: &str) -> String {
    format!(
        "version = 1\nname = \"p\"\n[source]\ntype = \"kafka\"\nbrokers = \"127.0.0.1:1\"\ntopics = [\"t\"]\n\
         [source.properties]\n\"security.protocol\" = \"sasl_plaintext\"\n\"sasl.mechanism\" = \"PLAIN\"\n\
         \"sasl.username\" = \"someone\"\n\"sasl.password\" = \"${{PASSWORD}}\"\n\
         {transforms}[sinks.lake]\ntype = \"object-store\"\nurl = {url:?}\n{options}\n"
    )
}
