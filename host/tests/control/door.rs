//! Who comes in, over TCP.

use std::sync::Arc;

use host::config::Secret;
use host::control::{Error, Operate, Server};

use super::fake::{Fake, PIPELINE, start};

const TOKEN: &str = "0123456789abcdef";
const BEARER: &str = "Authorization: Bearer 0123456789abcdef";

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_no_loopback_needs_a_good_token() {
    let bind = async |address: &str, token: Option<&str>| {
        let operate: Arc<dyn Operate> = Arc::new(Fake::default());
        Server::bind(address.parse().expect("an address"), token.map(Secret::new).as_ref(), operate).await
    };
    for address in ["0.0.0.0:0", "[::]:0"] {
        let error = bind(address, None).await.expect_err("no token");
        assert!(matches!(error, Error::TokenMissing { .. }), "{error}");
        assert!(error.to_string().contains(address) && error.hint().contains("control_token"), "{error}");
    }
    let error = bind("0.0.0.0:0", Some("0123456789abcde")).await.expect_err("a short token");
    assert!(matches!(error, Error::TokenShort { .. }) && !error.to_string().contains("0123"), "{error}");
    let server = bind("0.0.0.0:0", Some(TOKEN)).await.expect("a token of 16 characters");
    assert!(!format!("{server:?}").contains(TOKEN));
    let taken = bind(&format!("0.0.0.0:{}", server.local_address().port()), Some(TOKEN)).await;
    assert!(matches!(taken, Err(Error::Bind { .. })), "{taken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_token_everything_but_health_asks_for_it() {
    let running = start(Some(TOKEN)).await;
    for (method, path) in host::control::routes() {
        let path = path.replace("{pipeline}", PIPELINE).replace("{transform}", "parse");
        for headers in
            [&["Host: localhost"][..], &["Host: localhost", "Authorization: Bearer 0123456789abcdeF"]]
        {
            let answer = running.host.ask(method, &path, headers, b"").await;
            if path == "/v1/health" {
                assert_eq!(answer.status, 200);
                continue;
            }
            let code = if headers.len() == 1 { "token-missing" } else { "token-wrong" };
            assert_eq!((answer.status, &*answer.code()), (401, code), "{method} {path}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            assert!(
                answer.body.contains("VANNE_CONTROL_TOKEN") && !answer.body.contains("0123"),
                "{answer:?}"
            );
        }
    }
    assert!(running.fake.begun().iter().all(|call| call == "pipelines"), "only health reached the pipelines");
    for host in ["Host: localhost", "Host: lake.example"] {
        let answer = running.host.ask("GET", "/v1/pipelines", &[host, BEARER], b"").await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    for path in ["/nowhere", "/v1//health", "/v1/health/", "/v1/HEALTH", "/v1/./health"] {
        assert_eq!(running.host.get(path).await.status, 401, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_no_page_of_a_browser_comes_in() {
    let running = start(None).await;
    for (method, path) in host::control::routes() {
        let path = path.replace("{pipeline}", PIPELINE).replace("{transform}", "parse");
        for headers in [
            &["Host: lake.example"][..],
            &[],
            &["Host: localhost", "Origin: http://lake.example"],
            &["Host: localhost", "Origin: http://localhost:7464"],
            &["Host: localhost", "Origin: null"],
            &["Host: localhost", "Sec-Fetch-Site: cross-site"],
        ] {
            let answer = running.host.ask(method, &path, headers, b"").await;
            let refused = (answer.status, &*answer.code());
            assert_eq!(refused, (403, "not-from-here"), "{method} {path} {headers:?}");
        }
    }
    assert_eq!(running.fake.begun(), Vec::<String>::new(), "nothing reached the pipelines");
    let here = format!("Host: {}", running.host.0);
    assert_eq!(running.host.ask("GET", "/v1/pipelines", &[&here], b"").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_while_sending_gets_the_answer_all_the_same() {
    let running = start(Some(TOKEN)).await;
    let component = vec![0_u8; 8 << 20];
    let path = format!("/v1/pipelines/{PIPELINE}/transforms/parse");
    let headers = ["Host: localhost", "Content-Type: application/wasm"];
    let answer = running.host.ask("PUT", &path, &headers, &component).await;
    assert_eq!((answer.status, &*answer.code()), (401, "token-missing"));
}
