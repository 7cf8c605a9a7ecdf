//! The OpenAPI document against the server: what it promises is what comes, and nothing else comes.

use std::collections::{BTreeMap, BTreeSet};

use host::control::model::{PipelineState, Refusal};
use host::control::{DOCUMENT, Declined};
use serde_json::Value;

use super::fake::{Behaviour, PIPELINE, Running, start};
use super::schema::Checker;
use super::wire::Answer;

const LOCAL: &str = "Host: localhost";
const WASM: &str = "Content-Type: application/wasm";
const TOKEN: &str = "0123456789abcdef";

/// Statuses that take seconds to come about: `limits.rs` sees them.
const SLOW: &str = "408";

fn document() -> Value {
    serde_json::from_str(DOCUMENT).expect("the document is JSON")
}

/// Method, path and description of every operation.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let mut found = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("a path's methods") {
            found.push((method.to_uppercase(), path.clone(), operation));
        }
    }
    found
}

fn filled(path: &str) -> String {
    path.replace("{pipeline}", PIPELINE).replace("{transform}", "parse")
}

/// Options without which an operation makes no sense.
fn needed(operation: &Value) -> &'static str {
    if operation["operationId"] == "weights" { "share_percent=10" } else { "" }
}

fn path_and_query(path: &str, query: &[&str]) -> String {
    let query: Vec<_> = query.iter().filter(|part| !part.is_empty()).copied().collect();
    if query.is_empty() { filled(path) } else { format!("{}?{}", filled(path), query.join("&")) }
}

#[test]
fn routes_and_document_name_the_same() {
    let document = document();
    let documented: BTreeSet<_> =
        operations(&document).into_iter().map(|(method, path, _)| (method, path)).collect();
    let served: BTreeSet<_> =
        host::control::routes().map(|(method, path)| (method.to_owned(), path.to_owned())).collect();
    assert_eq!(documented, served);
    let names: BTreeSet<_> =
        operations(&document).iter().map(|(_, _, it)| it["operationId"].to_string()).collect();
    assert_eq!(names.len(), served.len(), "operations have names of their own");
}

#[test]
fn every_reference_leads_somewhere_and_everything_is_used() {
    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str));
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    let mut defined = BTreeSet::new();
    for kind in ["parameters", "responses", "schemas"] {
        let components = document["components"][kind].as_object().expect("components");
        defined.extend(components.keys().map(|name| format!("#/components/{kind}/{name}")));
    }
    assert_eq!(found.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), defined);
}

/// Everything that can be brought about at an operation, and the answer to it.
async fn answers(
    method: &str,
    path: &str,
    operation: &Value,
    free: &Running,
    locked: &Running,
) -> Vec<Answer> {
    let is_put = method == "PUT";
    let url = path_and_query(path, &[needed(operation)]);
    let (headers, body): (&[&str], &[u8]) = if is_put { (&[LOCAL, WASM], b"\0asm") } else { (&[LOCAL], b"") };
    let mut answers = Vec::new();
    let refusal = || Refusal::new("as-wanted", "as the test wants it").hint("a hint");
    let mut behaviours = vec![Behaviour::Succeed, Behaviour::Pend, Behaviour::Panic];
    for declined in
        [Declined::NotFound, Declined::Refused, Declined::Conflict, Declined::Unavailable, Declined::Timeout]
    {
        behaviours.push(Behaviour::Decline(declined(refusal())));
    }
    let asks_for_all = matches!(path, "/v1/health" | "/v1/openapi.json" | "/v1/pipelines");
    for behaviour in behaviours {
        // A list of all can't be declined: the trait has no room for it. What only looks refuses nothing.
        let impossible = match &behaviour {
            Behaviour::Decline(Declined::Refused(_) | Declined::Conflict(_)) => method == "GET",
            Behaviour::Decline(_) => asks_for_all,
            _ => false,
        };
        if !impossible {
            free.fake.behave(behaviour);
            answers.push(free.host.ask(method, &url, headers, body).await);
        }
    }
    free.fake.behave(Behaviour::Succeed);
    for state in
        [PipelineState::Paused, PipelineState::Draining, PipelineState::Unable, PipelineState::Running]
    {
        free.fake.set_state(state);
        answers.push(free.host.ask(method, &url, headers, body).await);
    }
    let unknown = path_and_query(path, &[needed(operation), "speed=fast"]);
    answers.push(free.host.ask(method, &unknown, headers, body).await);
    answers.push(free.host.ask(method, &url, &["Host: lake.example", WASM], body).await);
    answers.push(
        free.host
            .ask(method, &url, &[LOCAL, WASM, "Content-Length: 100000000", "Expect: 100-continue"], b"")
            .await,
    );
    answers.push(locked.host.ask(method, &url, headers, body).await);
    if is_put {
        answers.push(free.host.ask(method, &url, &[LOCAL], body).await);
    } else {
        answers.push(free.host.ask(method, &url, &[LOCAL], b"{}").await);
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_what_the_document_promises() {
    let document = document();
    let (free, locked) = (start(None).await, start(Some(TOKEN)).await);
    let mut checker = Checker::new(&document);
    let mut promised: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (method, path, operation) in operations(&document) {
        let responses = operation["responses"].as_object().expect("responses");
        for (status, response) in responses {
            let described = checker.resolve(response)["description"].as_str();
            assert!(described.is_some_and(|text| !text.is_empty()), "{method} {path} {status}");
            promised.entry(status).or_default().insert(format!("{method} {path}"));
        }
        for answer in answers(&method, &path, operation, &free, &locked).await {
            let status = answer.status.to_string();
            let Some((status, response)) = responses.get_key_value(&status) else {
                wrong.push(format!("{method} {path}: {status} is not in the document: {}", answer.body));
                continue;
            };
            assert_eq!(
                answer.header("content-type"),
                Some("application/json"),
                "{method} {path}: {answer:?}"
            );
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{method} {path}: {answer:?}");
            let schema = &checker.resolve(response)["content"]["application/json"]["schema"];
            let at = format!("{method} {path} {status}");
            wrong.extend(checker.check(schema, &answer.json(), &at));
            if let Some(left) = promised.get_mut(status.as_str()) {
                left.remove(&format!("{method} {path}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // What did not come: the slow one anywhere, and at the lists of all what they can't be.
    promised.remove(SLOW);
    for lists in ["GET /v1/health", "GET /v1/openapi.json", "GET /v1/pipelines"] {
        for status in ["500", "503", "504"] {
            promised.get_mut(status).map(|left| left.remove(lists));
        }
    }
    promised.retain(|_, left| !left.is_empty());
    assert!(promised.is_empty(), "promised, and never came: {promised:?}");
    every_property_was_seen(&document, &checker);
}

fn every_property_was_seen(document: &Value, checker: &Checker<'_>) {
    let mut unseen = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        for key in schema["properties"].as_object().into_iter().flat_map(|properties| properties.keys()) {
            let property = format!("{name}.{key}");
            if !checker.met.contains(&property) {
                unseen.push(property);
            }
        }
    }
    assert!(unseen.is_empty(), "no answer had {unseen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_parameter_is_taken_and_arrives() {
    let document = document();
    let checker = Checker::new(&document);
    let running = start(None).await;
    for (method, path, operation) in operations(&document) {
        let body: &[u8] = if method == "PUT" { b"\0asm" } else { b"" };
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let parameter = checker.resolve(parameter);
            let name = parameter["name"].as_str().expect("a name");
            if parameter["in"] == "path" {
                assert!(path.contains(&format!("{{{name}}}")), "{method} {path}: {name}");
                continue;
            }
            let (option, companion, arrives) = match name {
                "share_percent" => ("share_percent=12.34", "", "1234"),
                "by" => ("by=keys", "share_percent=10", "Keys"),
                "shadow" => ("shadow=true", "", "Shadow"),
                "promote_after" => ("promote_after=77", "shadow=true", "Some(77)"),
                "timeout_ms" => ("timeout_ms=4321", needed(operation), "4"),
                "force" => ("force=true", "", "force=true"),
                "limit" => ("limit=7", "", " 7"),
                "to" => ("to=5", "", "Some(5)"),
                unknown => panic!("{method} {path}: `{unknown}` is not tried"),
            };
            let url = path_and_query(&path, &[option, companion]);
            let answer = running.host.ask(&method, &url, &[LOCAL, WASM], body).await;
            let last = running.fake.ended().pop().unwrap_or_default();
            assert!(answer.status == 200 && last.contains(arrives), "{method} {url}: {answer:?} {last}");
            let twice = path_and_query(&path, &[option, option, companion]);
            let answer = running.host.ask(&method, &twice, &[LOCAL, WASM], body).await;
            assert_eq!(
                (answer.status, answer.code()),
                (400, String::from("bad-request")),
                "{method} {twice}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_refused_as_json() {
    let running = start(None).await;
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v2/pipelines",
        "/v1/pipelines/",
        "/v1/pipelines/a/b/c/d",
        "/v1/%ff",
        "/V1/health",
    ] {
        let answer = running.host.get(path).await;
        assert_eq!(
            (answer.status, answer.code()),
            (404, String::from("unknown-route")),
            "{path}: {answer:?}"
        );
    }
    for (method, path, allowed) in [
        ("DELETE", "/v1/pipelines", "GET"),
        ("GET", "/v1/pipelines/a/promote", "POST"),
        ("POST", "/v1/pipelines/a/transforms/b", "PUT"),
        ("OPTIONS", "/v1/pipelines/a/drain", "POST"),
    ] {
        let answer = running.host.ask(method, path, &[LOCAL], b"").await;
        assert_eq!(
            (answer.status, answer.code()),
            (405, String::from("method-not-allowed")),
            "{method} {path}"
        );
        assert!(answer.header("allow").is_some_and(|allow| allow.contains(allowed)), "{answer:?}");
    }
    let answer = running.host.get("/v1/pipelines/other").await;
    assert_eq!((answer.status, answer.code()), (404, String::from("no-pipeline")));
    assert!(answer.body.contains(PIPELINE), "the pipelines that there are: {answer:?}");
    let answer = running.host.get("/v1/pipelines/%ff").await;
    assert_eq!((answer.status, answer.code()), (400, String::from("bad-request")), "{answer:?}");
    for query in [
        "share_percent=10%25",
        "share_percent=0",
        "share_percent=NaN",
        "share_percent=1&shadow=true",
        "timeout_ms=600001",
        "timeout_ms=-1",
        "force=yes",
    ] {
        let url = format!("/v1/pipelines/{PIPELINE}/transforms/parse?{query}");
        let answer = running.host.ask("PUT", &url, &[LOCAL, WASM], b"\0asm").await;
        assert_eq!((answer.status, answer.code()), (400, String::from("bad-request")), "{query}: {answer:?}");
    }
    assert_eq!(
        running.fake.begun(),
        vec![String::from("pipeline other")],
        "nothing else reached the pipelines"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_nothing_that_not_anybody_may_know() {
    let running = start(Some(TOKEN)).await;
    let answer = running.host.get("/v1/health").await;
    assert_eq!((answer.status, answer.json()["healthy"].as_bool()), (200, Some(true)), "{answer:?}");
    assert!(answer.body.contains("1 of 3 lanes are held"), "{answer:?}");
    running.fake.set_state(PipelineState::Unable);
    let answer = running.host.get("/v1/health").await;
    assert_eq!((answer.status, answer.json()["healthy"].as_bool()), (503, Some(false)), "{answer:?}");
    assert!(answer.body.contains("it can't run here"), "{answer:?}");
    for hidden in ["secret", "sha256", "parse", "lake-1"] {
        assert!(!answer.body.contains(hidden), "{hidden}: {answer:?}");
    }
}
