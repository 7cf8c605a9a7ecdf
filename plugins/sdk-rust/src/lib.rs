//! Write a transform for Vanne in Rust: implement [`Transform`] for a type, and [`export!`] it.
//!
//! ```
//! #![forbid(unsafe_code)]
//! use vanne_plugin::{Message, NoConfig, Outcome, Transform};
//!
//! struct Upper;
//!
//! impl Transform for Upper {
//!     type Config = NoConfig;
//!
//!     fn configure(_: NoConfig) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!
//!     fn process<'a>(&'a mut self, message: Message<'a>) -> Outcome<'a> {
//!         match message.value() {
//!             Some(value) => Outcome::replace(value.to_ascii_uppercase()),
//!             None => Outcome::drop(),
//!         }
//!     }
//! }
//!
//! vanne_plugin::export!(Upper);
//! # fn main() {}
//! ```
//!
//! Built with `cargo build --release --target wasm32-wasip2` and `crate-type = ["cdylib", "rlib"]`, that
//! is a plugin. Built for the machine it is an ordinary library, whose logic [`testing`] can run.
//!
//! **What an author sees is a view.** [`Message`] has methods that give slices, and [`Outcome`] may
//! borrow from the plugin or from the message, rather than being the structures that the contract's
//! bindings generate. The contract says the same thing in two shapes: a list of messages, and one buffer
//! with offsets beside it, which costs a tenth. A view is free in both, and so the same source is a plugin
//! of either shape: [`export!`] makes one of the cheaper shape unless it is told otherwise. An outcome that
//! borrows is copied once, straight to where it has to lie: a plugin that answers from a buffer of its own
//! allocates nothing per record.
//!
//! This crate owns the binding to the contract, the state between calls, and the reading of the
//! configuration. It owns no logic of any plugin. Invariant: an author writes no `unsafe`.
#![cfg_attr(test, allow(clippy::unwrap_used))] // a test that unwraps says what it expects

mod columns;
mod config;
mod glue;
mod message;
mod outcome;
mod plan;
mod results;
mod sys;
pub mod testing;
mod writer;

#[doc(hidden)]
#[allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unsafe_code
)]
#[allow(clippy::all, dead_code)]
pub mod bindings {
    //! What the contract's text becomes: what both worlds have in common here, and in two modules what
    //! each has for itself. A component is put together of two of the three. `unsafe` is what calls across
    //! the component's border consist of; all of it is generated.
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package vanne:sdk;

            world lifecycle {
                import vanne:transform/log@0.1.0;
                import vanne:transform/context@0.1.0;
                export vanne:transform/lifecycle@0.1.0;
            }
        ",
        generate_all,
        generate_unused_types: true,
        pub_export_macro: true,
        export_macro_name: "export_lifecycle",
        default_bindings_module: "vanne_plugin::bindings",
        additional_derives: [PartialEq, Eq, Clone],
    });

    pub mod transformer {
        wit_bindgen::generate!({
            path: "../../wit",
            inline: "
                package vanne:sdk;

                world transformer {
                    export vanne:transform/transformer@0.1.0;
                }
            ",
            pub_export_macro: true,
            export_macro_name: "export_transformer",
            default_bindings_module: "vanne_plugin::bindings::transformer",
            additional_derives: [PartialEq, Eq, Clone],
            with: { "vanne:transform/types@0.1.0": crate::bindings::vanne::transform::types },
        });
    }

    pub mod columnar {
        wit_bindgen::generate!({
            path: "../../wit",
            inline: "
                package vanne:sdk;

                world columnar {
                    export vanne:transform/columnar@0.1.0;
                }
            ",
            pub_export_macro: true,
            export_macro_name: "export_columnar",
            default_bindings_module: "vanne_plugin::bindings::columnar",
            additional_derives: [PartialEq, Eq, Clone],
            with: { "vanne:transform/types@0.1.0": crate::bindings::vanne::transform::types },
        });
    }
}

#[doc(hidden)]
pub mod __private {
    //! What [`export!`](crate::export) expands to; nothing for authors.
    pub use crate::glue::{Slot, configure, describe, process, process_columns};
}

pub use config::NoConfig;
pub use message::{Batch, Header, Message, PartitionKey};
pub use outcome::{
    Annotation, BatchError, Emission, Failure, Outcome, Outcomes, Output, Postponement,
};
pub use plan::{PURE, Plan};
pub use serde;
pub use sys::{Level, context, log};

/// The guide's example is compiled, so that it can't go stale.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Guide;

/// What a plugin's author writes.
///
/// An instance serves one partition, is configured once and then processes messages in order. Its
/// memory is a cache: it may vanish between any two calls, and no outcome may need what it held.
pub trait Transform: Sized + 'static {
    /// The configuration, read from the JSON of the pipeline's `config` table.
    ///
    /// Derive `serde::Deserialize` for it. Unknown keys are refused whether or not the type says
    /// `#[serde(deny_unknown_fields)]`; with it the message lists the keys that there are. Where the
    /// pipeline has no `config`, the type is read from `{}`. A plugin without options takes [`NoConfig`].
    type Config: serde::de::DeserializeOwned;

    /// Makes the plugin from its configuration, or refuses it.
    ///
    /// # Errors
    ///
    /// The text goes to whoever wrote the configuration: name the key, what was expected and what was
    /// found.
    fn configure(config: Self::Config) -> Result<Self, String>;

    /// Which parts of a message the plugin reads under this configuration, and what it promises.
    ///
    /// Each part left out saves the host a copy. By default everything is read and nothing promised.
    fn plan(&self) -> Plan {
        Plan::reading_everything()
    }

    /// What becomes of one message.
    ///
    /// The outcome may borrow from `self` (a buffer used again) or from the message.
    fn process<'a>(&'a mut self, message: Message<'a>) -> Outcome<'a>;

    /// What becomes of a batch: one outcome pushed for each message, in their order.
    ///
    /// Override it where work can be shared among messages, or where a batch can fail as a whole. The
    /// host may cut a batch anywhere and give parts of it again.
    ///
    /// # Errors
    ///
    /// No message of the call has an outcome then: it comes again, or the plugin gave up.
    fn process_batch(
        &mut self,
        batch: Batch<'_>,
        outcomes: &mut Outcomes,
    ) -> Result<(), BatchError> {
        for message in batch.messages() {
            outcomes.push(self.process(message));
        }
        Ok(())
    }
}

/// Makes a [`Transform`] the plugin that this crate's component is. Once per crate, at its root.
///
/// Name and version are those of the crate. `export!(Type, name = "other", version = "2.0.0")` gives
/// others.
///
/// The component is of the world `columnar-transform`, the cheaper one. `world = "transform"`, as the last
/// argument, makes one of the world `transform` out of the same source, such as for a host that does not
/// know the other.
#[macro_export]
macro_rules! export {
    ($plugin:ty $(, world = $world:tt)? $(,)?) => {
        $crate::export!(
            $plugin,
            name = env!("CARGO_PKG_NAME"),
            version = env!("CARGO_PKG_VERSION")
            $(, world = $world)?
        );
    };
    ($plugin:ty, name = $name:expr, version = $version:expr $(,)?) => {
        $crate::export!(
            $plugin,
            name = $name,
            version = $version,
            world = "columnar-transform"
        );
    };
    ($plugin:ty, name = $name:expr, version = $version:expr, world = "columnar-transform" $(,)?) => {
        const _: () = {
            $crate::__component!($plugin, $name, $version);

            impl $crate::bindings::columnar::exports::vanne::transform::columnar::Guest for Component {
                fn process(
                    info: $crate::bindings::vanne::transform::types::BatchInfo,
                    batch: $crate::bindings::columnar::exports::vanne::transform::columnar::Batch,
                ) -> ::std::result::Result<
                    $crate::bindings::columnar::exports::vanne::transform::columnar::Results,
                    $crate::bindings::vanne::transform::types::BatchError,
                > {
                    SLOT.with(|slot| $crate::__private::process_columns(slot, &info, &batch))
                }
            }

            #[cfg(target_family = "wasm")]
            $crate::bindings::columnar::export_columnar!(
                Component with_types_in $crate::bindings::columnar
            );
        };
    };
    ($plugin:ty, name = $name:expr, version = $version:expr, world = "transform" $(,)?) => {
        const _: () = {
            $crate::__component!($plugin, $name, $version);

            impl $crate::bindings::transformer::exports::vanne::transform::transformer::Guest for Component {
                fn process(
                    info: $crate::bindings::vanne::transform::types::BatchInfo,
                    messages: ::std::vec::Vec<$crate::bindings::vanne::transform::types::Message>,
                ) -> ::std::result::Result<
                    ::std::vec::Vec<$crate::bindings::vanne::transform::types::Outcome>,
                    $crate::bindings::vanne::transform::types::BatchError,
                > {
                    SLOT.with(|slot| $crate::__private::process(slot, &info, &messages))
                }
            }

            #[cfg(target_family = "wasm")]
            $crate::bindings::transformer::export_transformer!(
                Component with_types_in $crate::bindings::transformer
            );
        };
    };
}

/// What a component of either world consists of: the slot, and `lifecycle`.
#[doc(hidden)]
#[macro_export]
macro_rules! __component {
    ($plugin:ty, $name:expr, $version:expr) => {
        ::std::thread_local! {
            static SLOT: $crate::__private::Slot<$plugin> = const { $crate::__private::Slot::new() };
        }

        struct Component;

        impl $crate::bindings::exports::vanne::transform::lifecycle::Guest for Component {
            fn describe() -> $crate::bindings::vanne::transform::types::PluginInfo {
                $crate::__private::describe($name, $version)
            }

            fn configure(
                config: ::std::string::String,
            ) -> ::std::result::Result<
                $crate::bindings::vanne::transform::types::Plan,
                ::std::string::String,
            > {
                SLOT.with(|slot| $crate::__private::configure(slot, &config))
            }
        }

        // For the machine itself there is no component, only the library that tests link.
        #[cfg(target_family = "wasm")]
        $crate::bindings::export_lifecycle!(Component with_types_in $crate::bindings);
    };
}
