//! The contract in Rust, generated from `wit/`. Nothing else belongs here.
//!
//! Parameters borrow, so that a message is lowered straight from the batch's arena. One world that holds
//! both of the contract's, so that they share their types.

#![allow(missing_docs, reason = "generated; the documentation stands in wit/")]

wasmtime::component::bindgen!({
    path: "../wit",
    inline: "
        package vanne:host;

        world transform {
            include vanne:transform/transform@0.1.0;
            include vanne:transform/columnar-transform@0.1.0;
        }
    ",
    ownership: Borrowing { duplicate_if_necessary: true },
});
