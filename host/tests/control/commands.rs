//! The commands, as processes, against a server in this one.

use std::path::Path;
use std::process::{Command, Output};

use host::control::model::{PipelineState, Refusal};
use host::control::{Client, Declined, client};

use super::fake::{Behaviour, PIPELINE, Running, start};

const TOKEN: &str = "0123456789abcdef";

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl std::fmt::Display for Ran {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "exit {:?}\n{}\n{}", self.code, self.stdout, self.stderr)
    }
}

/// `host <arguments>` in `folder`, with an environment of its own.
async fn host(folder: &Path, environment: &[(&str, String)], arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_host"));
    command.args(arguments).current_dir(folder).env_remove("VANNE_CONTROL").env_remove("VANNE_CONTROL_TOKEN");
    // A proxy would see the token.
    command.env("http_proxy", "http://127.0.0.1:1").env("HTTP_PROXY", "http://127.0.0.1:1");
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let output: Output = tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("it is waited for")
        .expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Running {
    async fn command(&self, arguments: &[&str]) -> Ran {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("new.wasm"), b"\0asm").expect("a file");
        host(folder.path(), &[("VANNE_CONTROL", self.host.url())], arguments).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_asks_what_it_says() {
    let running = start(None).await;
    let all = "Share { share: 1250, by: Keys }";
    for (arguments, asked) in [
        (
            &["swap", "access-logs/parse", "new.wasm"][..],
            String::from("swap access-logs/parse 4 All 30000 force=false"),
        ),
        (
            &[
                "swap",
                "access-logs/parse",
                "new.wasm",
                "--share",
                "12.5%",
                "--by",
                "keys",
                "--timeout",
                "1m",
                "--force",
            ],
            format!("swap access-logs/parse 4 {all} 60000 force=true"),
        ),
        (
            &["swap", "access-logs/parse", "new.wasm", "--shadow", "--promote-after", "9"],
            String::from("swap access-logs/parse 4 Shadow { promote_after: Some(9) } 30000 force=false"),
        ),
        (&["promote", PIPELINE, "--timeout", "2s"], String::from("promote access-logs 2s")),
        (&["abort", PIPELINE], String::from("abort access-logs 30s")),
        (&["weights", PIPELINE, "--share", "25%"], String::from("weights access-logs 2500 None 30s")),
        (
            &["weights", PIPELINE, "--share", "0.01%", "--by", "batches"],
            String::from("weights access-logs 1 Some(Batches) 30s"),
        ),
        (&["rollback", PIPELINE], String::from("rollback access-logs None 30s")),
        (&["rollback", PIPELINE, "--to", "5"], String::from("rollback access-logs Some(5) 30s")),
        (&["revisions", PIPELINE, "--limit", "7"], String::from("revisions access-logs 7")),
        (&["reload", PIPELINE], String::from("reload access-logs 30s")),
        (&["pause", PIPELINE], String::from("pause access-logs")),
        (&["resume", PIPELINE], String::from("resume access-logs")),
        (&["drain", PIPELINE], String::from("drain access-logs")),
        (&["status"], String::from("pipelines")),
        (&["status", PIPELINE], String::from("lanes access-logs")),
    ] {
        let ran = running.command(arguments).await;
        assert!(ran.code == Some(0) && ran.stderr.is_empty(), "{arguments:?}: {ran}");
        assert_eq!(running.fake.ended().pop(), Some(asked), "{arguments:?}");
        let ran = running.command(&[&["--json"], arguments].concat()).await;
        let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran}"));
        assert!(ran.code == Some(0) && json.is_object(), "{arguments:?}: {ran}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_tables() {
    let running = start(None).await;
    let ran = running.command(&["swap", "access-logs/parse", "new.wasm"]).await;
    assert_eq!(
        ran.stdout,
        "access-logs: revision 8, before it 7\n  transform `parse`: swap at next cut\n  \
         tried on 100 kept records: none failed that did not before\n    90 outputs are equal\n\n\
         topic        partition  last old  first new   pause   waited\n\
         access-logs          0     12345      12346  3.1 ms  41.0 ms\n\
         access-logs          1  idle, new from 12346\n\n\
         1 of 2 partitions swapped, 1 idle; pause p50 3.1 ms, p99 3.1 ms, max 3.1 ms; \
         waited for a staged cut 41.0 ms at the most\n"
    );
    let ran = running.command(&["status"]).await;
    assert_eq!(
        ran.stdout,
        "pipeline     state    revision  lanes  held  halted  transforms              candidate\n\
         access-logs  running         7      3     1       0  parse 1.2.0 (aaaaaaaa)  12.5% of keys parse 1.2.0 (bbbbbbbb)\n"
    );
    let ran = running.command(&["status", PIPELINE]).await;
    for line in [
        "access-logs: running, revision 7",
        "  candidate  12.5% of keys parse 1.2.0 (bbbbbbbb)",
        "candidate       10      100       1        3       96               2   9600  2.00 ms",
        "access-logs          3  halted           90         80         7",
    ] {
        assert!(ran.stdout.lines().any(|printed| printed == line), "{line}\n{ran}");
    }
    let ran = running.command(&["revisions", PIPELINE]).await;
    assert!(
        ran.stdout
            .lines()
            .nth(1)
            .is_some_and(|line| line.starts_with("*         7") && line.contains("rollback to 5")),
        "{ran}"
    );
    assert!(ran.stdout.contains("shadow until 1000 records did not differ"), "{ran}");
    assert_eq!(running.command(&["pause", PIPELINE]).await.stdout, "access-logs: running\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_tell_a_refusal_from_a_wait_in_vain() {
    let running = start(None).await;
    running.fake.behave(Behaviour::Pend);
    for arguments in [
        &["swap", "access-logs/parse", "new.wasm"][..],
        &["rollback", PIPELINE],
        &["--json", "promote", PIPELINE],
    ] {
        let ran = running.command(arguments).await;
        assert_eq!(ran.code, Some(4), "{ran}");
        assert!(ran.stdout.contains("pending"), "{ran}");
        assert!(
            ran.stderr.starts_with("error: 1 of 3 partitions have not shown revision 8 within 30s\nhint: "),
            "{ran}"
        );
    }
    let refusal = || Refusal::new("trap", "it traps on record 7 of 100").hint("the old version goes on");
    for (declined, code) in [
        (Declined::NotFound(refusal()), 1),
        (Declined::Refused(refusal()), 1),
        (Declined::Conflict(refusal()), 1),
        (Declined::Unavailable(refusal()), 1),
        (Declined::Timeout(refusal()), 4),
    ] {
        running.fake.behave(Behaviour::Decline(declined));
        let ran = running.command(&["swap", "access-logs/parse", "new.wasm"]).await;
        assert_eq!((ran.code, &*ran.stdout), (Some(code), ""), "{ran}");
        assert_eq!(ran.stderr, "error: it traps on record 7 of 100\nhint: the old version goes on\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_said_with_what_to_do() {
    let running = start(Some(TOKEN)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let url = ("VANNE_CONTROL", running.host.url());
    let run = async |environment: &[(&str, String)], arguments: &[&str]| {
        let ran = host(folder.path(), environment, arguments).await;
        assert!(ran.code == Some(1) && ran.stdout.is_empty() && !ran.stderr.contains(TOKEN), "{ran}");
        ran.stderr
    };
    let said = run(std::slice::from_ref(&url), &["status"]).await;
    assert!(said.contains("shows no token") && said.contains("VANNE_CONTROL_TOKEN"), "{said}");
    let wrong = [url.clone(), ("VANNE_CONTROL_TOKEN", String::from("0123456789abcdeX"))];
    let said = run(&wrong, &["status"]).await;
    assert!(said.contains("not this host's") && said.contains("VANNE_CONTROL_TOKEN"), "{said}");
    let right = [url, ("VANNE_CONTROL_TOKEN", String::from(TOKEN))];
    let said = run(&right, &["promote", "other"]).await;
    assert!(said.contains("no pipeline `other`") && said.contains("`access-logs`"), "{said}");
    let said = run(&right, &["swap", "access-logs/parse", "none.wasm"]).await;
    assert!(said.contains("none.wasm"), "{said}");
    let said = run(&[], &["status", "--control", "http://127.0.0.1:1"]).await;
    assert!(
        said.contains("no host answers at http://127.0.0.1:1") && said.contains("is `host run` running?"),
        "{said}"
    );
    let said = run(&[], &["status", "--control", "http://user:hunter2@127.0.0.1:1"]).await;
    assert!(said.contains("holds a user or a password") && !said.contains("hunter2"), "{said}");
    for arguments in [
        &["swap", "access-logs", "new.wasm"][..],
        &["swap", "access-logs/parse", "new.wasm", "--share", "10"],
        &["swap", "access-logs/parse", "new.wasm", "--share", "10%", "--shadow"],
        &["swap", "access-logs/parse", "new.wasm", "--by", "keys"],
        &["swap", "access-logs/parse", "new.wasm", "--promote-after", "5"],
        &["swap", "access-logs/parse", "new.wasm", "--timeout", "1h"],
        &["weights", PIPELINE],
        &["rollback", PIPELINE, "--to", "0"],
        &["status", "--token", TOKEN],
    ] {
        let ran = host(folder.path(), &right, arguments).await;
        assert!(ran.code == Some(1) && ran.stdout.is_empty(), "{arguments:?}: {ran}");
    }
    assert_eq!(running.fake.ended(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_well_says_so_to_the_library() {
    let running = start(Some(TOKEN)).await;
    let client = Client::new(&running.host.url(), None).expect("an address");
    assert!(client.health().await.expect("an answer").value.healthy);
    running.fake.set_state(PipelineState::Unable);
    let health = client.health().await.expect("an answer as well").value;
    assert!(!health.healthy && !health.pipelines[0].healthy, "{health:?}");
    let error = client.pipelines().await.expect_err("no token");
    assert!(
        matches!(&error, client::Error::Refused { status: 401, .. }) && error.hint().is_some(),
        "{error}"
    );
}

/// A server that is no host: it answers everything with a page.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_host_is_told_apart() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _whatever = stream.read(&mut head).await;
            let page = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n<html></html>";
            let _whatever = stream.write_all(page).await;
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let ran = host(folder.path(), &[], &["status", "--control", &url]).await;
    assert!(ran.code == Some(1) && ran.stderr.contains("not understood"), "{ran}");
}
