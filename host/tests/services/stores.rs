//! The host's store contract on every server there is, and what the host says of a store that can't be used.

use std::error::Error as _;

use host::config::{Location, Secret};
use host::store::{self, conformance};

use crate::support::process::Signal;
use crate::support::stores::{Kind, Store};
use crate::support::{location, unique, wait};

#[test]
fn minio_passes_the_conformance_suite() {
    passes(Kind::Minio);
}

#[test]
fn versitygw_passes_the_conformance_suite() {
    passes(Kind::Versitygw);
}

#[test]
fn azurite_passes_the_conformance_suite() {
    // Where it can't be had, `.ci/servers` has said so aloud.
    if Kind::Azurite.unavailable().is_none() {
        passes(Kind::Azurite);
    }
}

#[test]
fn a_missing_bucket_is_told() {
    for kind in [Kind::Minio, Kind::Versitygw] {
        let missing = unique("missing");
        let said = refusal(&converted(&Store::shared(kind).location(&missing)));
        assert!(said.contains(&missing), "{kind:?} said: {said}");
    }
}

#[test]
fn wrong_credentials_are_told_without_being_shown() {
    for kind in [Kind::Minio, Kind::Versitygw] {
        let mut place = Store::shared(kind).bucket("closed");
        place.options.insert("secret_access_key".to_owned(), "a-wrong-secret".to_owned());
        let said = refusal(&converted(&place));
        assert!(said.contains("credentials must allow"), "{kind:?} said: {said}");
        assert!(!said.contains("a-wrong-secret"), "{kind:?} said: {said}");
    }
}

#[test]
fn a_store_that_is_down_is_told() {
    let store = Store::start(Kind::Versitygw);
    let place = converted(&store.bucket("down"));
    store.server().signal(Signal::Kill);
    store.server().stop();
    let said = refusal(&place);
    assert!(said.contains("127.0.0.1"), "it said: {said}");
}

/// The start probe, then every promise of the contract.
fn passes(kind: Kind) {
    let place = converted(&Store::shared(kind).bucket("conformance").under("lake"));
    let opened = store::open(&place).expect("the location is right");
    wait(store::probe(opened.as_ref(), "probe/_vanne", "0.0.0")).expect("the probe passes");
    wait(conformance::run(opened, "suite"));
}

/// What the start probe says, with its causes.
fn refusal(place: &Location) -> String {
    let opened = store::open(place).expect("the location is right");
    let error = wait(store::probe(opened.as_ref(), "probe/_vanne", "0.0.0")).expect_err("it can't be used");
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    let advice = error.advice().to_owned();
    std::iter::once(error.to_string())
        .chain(causes.map(ToString::to_string))
        .chain([advice])
        .collect::<Vec<_>>()
        .join(": ")
}

/// As the host's configuration holds it.
fn converted(place: &location::Location) -> Location {
    let options = place.options.iter().map(|(name, value)| (name.clone(), Secret::new(value.clone())));
    Location { url: place.url.parse().expect("a url"), options: options.collect() }
}
