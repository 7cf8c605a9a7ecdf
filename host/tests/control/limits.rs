//! Nothing that a caller does is unbounded: bytes, time, how many at once.

use std::time::{Duration, Instant};

use host::control::Declined;
use host::control::model::Refusal;
use tokio::io::AsyncWriteExt;

use super::fake::{Behaviour, PIPELINE, start};
use super::wire::{read, request, until_closed};

const LOCAL: &str = "Host: localhost";
const WASM: &str = "Content-Type: application/wasm";

/// Longer than the limits on a head and on a body, which are five seconds, on a slow machine.
const CUT_OFF: Duration = Duration::from_secs(20);

fn swap() -> String {
    format!("/v1/pipelines/{PIPELINE}/transforms/parse")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_half_a_head_is_cut_off() {
    let running = start(None).await;
    for trickles in [false, true] {
        let mut stream = running.host.connect().await;
        stream.write_all(b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n").await.expect("half a head");
        let begun = Instant::now();
        if trickles {
            let (mut reader, mut writer) = stream.into_split();
            let trickle = tokio::spawn(async move {
                // A header line a second: each read of the server gets something.
                while writer.write_all(b"X-More: 1\r\n").await.is_ok() && begun.elapsed() < CUT_OFF {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            });
            let mut bytes = Vec::new();
            let _closed_or_reset = tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut bytes).await;
            trickle.abort();
        } else {
            until_closed(&mut stream).await;
        }
        assert!(begun.elapsed() < CUT_OFF, "trickles: {trickles}, {:?}", begun.elapsed());
    }
    assert_eq!(running.fake.begun(), Vec::<String>::new());
    assert_eq!(running.host.get("/v1/health").await.status, 200, "the others are served");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let running = start(None).await;
    let mut stream = running.host.connect().await;
    let path = format!("/v1/pipelines/{PIPELINE}/promote");
    let head = request("POST", &path, &[LOCAL, "Content-Length: 100"], b"");
    let begun = Instant::now();
    stream.write_all(&[&head[..], b"{"].concat()).await.expect("a head");
    let answer = read(&mut stream).await;
    assert_eq!((answer.status, &*answer.code()), (408, "body-slow"));
    assert!(begun.elapsed() < CUT_OFF, "{:?}", begun.elapsed());
    assert_eq!(running.fake.begun(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_bounded() {
    let running = start(None).await;
    let post = format!("/v1/pipelines/{PIPELINE}/promote");
    let large = vec![b' '; (64 << 10) + 1];
    let announced = running.host.ask("POST", &post, &[LOCAL], &large).await;
    assert_eq!((announced.status, &*announced.code()), (413, "too-large"));
    let mut chunked = request("POST", &post, &[LOCAL, "Transfer-Encoding: chunked"], b"");
    chunked.extend_from_slice(format!("{:x}\r\n", large.len()).as_bytes());
    chunked.extend_from_slice(&large);
    chunked.extend_from_slice(b"\r\n0\r\n\r\n");
    let answer = running.host.send(&chunked).await;
    assert_eq!((answer.status, &*answer.code()), (413, "too-large"));
    let component = [LOCAL, WASM, "Content-Length: 67108865", "Expect: 100-continue"];
    let answer = running.host.ask("PUT", &swap(), &component, b"").await;
    assert_eq!((answer.status, &*answer.code()), (413, "too-large"));
    assert_eq!(running.fake.begun(), Vec::<String>::new());

    let whole = vec![1_u8; 64 << 20];
    let answer = running.host.ask("PUT", &swap(), &[LOCAL, WASM], &whole).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(running.fake.ended()[0].contains("67108864"), "{:?}", running.fake.ended());
    let broken = [&request("PUT", &swap(), &[LOCAL, WASM, "Content-Length: 100"], b"")[..], b"half"].concat();
    let mut stream = running.host.connect().await;
    stream.write_all(&broken).await.expect("half a body");
    drop(stream);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(running.fake.begun().len(), 1, "half a component is none");
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_bounded() {
    let running = start(None).await;
    let long = format!("X-Long: {}", "x".repeat(100_000));
    let answer = running.host.ask("GET", "/v1/health", &[LOCAL, &long], b"").await;
    assert_eq!(answer.status, 431);
    let many: Vec<_> = (0..200).map(|number| format!("X-{number}: 1")).collect();
    let many: Vec<_> = std::iter::once(LOCAL).chain(many.iter().map(String::as_str)).collect();
    assert_eq!(running.host.ask("GET", "/v1/health", &many, b"").await.status, 431);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_are_busy_the_next_is_told_so_and_health_still_answers() {
    const REQUESTS: usize = 64;
    let running = start(None).await;
    running.fake.behave(Behaviour::Wait);
    let path = format!("/v1/pipelines/{PIPELINE}");
    let host = running.host;
    let ask = |path: String| tokio::spawn(async move { host.get(&path).await });
    let waiting: Vec<_> = (0..REQUESTS).map(|_| ask(path.clone())).collect();
    running.fake.until_begun(REQUESTS).await;
    let answer = running.host.get(&path).await;
    assert_eq!((answer.status, &*answer.code()), (503, "busy"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    running.fake.behave(Behaviour::Succeed);
    assert_eq!(running.host.get("/v1/health").await.status, 200);
    running.fake.released.notify_waiters();
    for answer in waiting {
        assert_eq!(answer.await.expect("an answer").status, 200);
    }
    assert_eq!(running.host.get(&path).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_say_nothing_keep_nobody_out_for_long() {
    const CONNECTIONS: usize = 128;
    let running = start(None).await;
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS {
        idle.push(running.host.connect().await);
    }
    let answer = tokio::time::timeout(CUT_OFF, running.host.get("/v1/health")).await;
    assert_eq!(answer.expect("the idle ones are cut off").status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn few_components_are_held_at_once() {
    const UPLOADS: usize = 4;
    let running = start(None).await;
    running.fake.behave(Behaviour::Wait);
    let host = running.host;
    let put = || tokio::spawn(async move { host.ask("PUT", &swap(), &[LOCAL, WASM], b"\0asm").await });
    let waiting: Vec<_> = (0..UPLOADS).map(|_| put()).collect();
    running.fake.until_begun(UPLOADS).await;
    let answer = put().await.expect("an answer");
    assert_eq!((answer.status, &*answer.code()), (503, "busy"));
    running.fake.released.notify_waiters();
    for answer in waiting {
        assert_eq!(answer.await.expect("an answer").status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_hangs_up_takes_nothing_back() {
    let running = start(None).await;
    running.fake.behave(Behaviour::Wait);
    let mut stream = running.host.connect().await;
    stream.write_all(&request("PUT", &swap(), &[LOCAL, WASM], b"\0asm")).await.expect("a request");
    running.fake.until_begun(1).await;
    drop(stream);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(running.fake.ended(), Vec::<String>::new());
    running.fake.released.notify_waiters();
    let begun = Instant::now();
    while running.fake.ended().is_empty() {
        assert!(begun.elapsed() < CUT_OFF, "the swap was given up with its caller");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_answers_what_is_under_way_and_waits_for_nobody() {
    let running = start(None).await;
    let (fake, host) = (&running.fake, running.host);
    fake.behave(Behaviour::Wait);
    let path = format!("/v1/pipelines/{PIPELINE}");
    let ask = || {
        tokio::spawn({
            let path = path.clone();
            async move { host.get(&path).await }
        })
    };
    let (first, idle) = (ask(), host.connect().await);
    fake.until_begun(1).await;
    running.stop.cancel();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(tokio::net::TcpStream::connect(host.0).await.is_err(), "nobody comes in any more");
    fake.released.notify_waiters();
    assert_eq!(first.await.expect("an answer").status, 200);
    tokio::time::timeout(CUT_OFF, running.served).await.expect("it ends").expect("without a panic");
    drop(idle);

    let stuck = start(None).await;
    stuck.fake.behave(Behaviour::Wait);
    let path = format!("/v1/pipelines/{PIPELINE}");
    let waiting = tokio::spawn(async move { stuck.host.get(&path).await });
    stuck.fake.until_begun(1).await;
    stuck.stop.cancel();
    tokio::time::timeout(CUT_OFF, stuck.served).await.expect("it ends").expect("without a panic");
    assert_eq!(stuck.fake.ended(), Vec::<String>::new());
    waiting.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_an_answer_and_the_next_request_is_served() {
    let running = start(None).await;
    let path = format!("/v1/pipelines/{PIPELINE}");
    running.fake.behave(Behaviour::Panic);
    let answer = running.host.get(&path).await;
    assert_eq!((answer.status, &*answer.code()), (500, "internal"));
    running.fake.behave(Behaviour::Decline(Declined::Conflict(Refusal::new("other", "another swap runs"))));
    assert_eq!(running.host.get(&path).await.status, 409);
    running.fake.behave(Behaviour::Succeed);
    assert_eq!(running.host.get(&path).await.status, 200);
}
