//! The contract in Rust, generated from `wit/`. Nothing else belongs here.
//!
//! Parameters borrow, so that a message is lowered straight from the batch's arena.

#![allow(missing_docs, reason = "generated; the documentation stands in wit/")]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "vanne:transform/transform",
    ownership: Borrowing { duplicate_if_necessary: true },
});
