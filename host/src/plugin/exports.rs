//! What a component exports: whether it is a transform of this contract, and where its functions are.
//!
//! Owns the names of the contract's exports and the choice between its worlds. Invariant: `Exports` that
//! exist name functions that the component has; whether they are of the contract's types is checked when
//! an instance is made.

use wasmtime::component::{Component, ComponentExportIndex};

use super::component::{fits, quoted};
use super::engine::Engine;
use super::error::Error;

const LIFECYCLE: &str = "vanne:transform/lifecycle";
const TRANSFORMER: &str = "vanne:transform/transformer";
const COLUMNAR: &str = "vanne:transform/columnar";
/// Versions of the contract that this host calls.
const VERSIONS: &str = "0.1.";

/// Where the functions of a transform are.
pub(super) struct Exports {
    pub(super) describe: ComponentExportIndex,
    pub(super) configure: ComponentExportIndex,
    pub(super) process: Process,
}

/// The function that does the work, by the world that it is of.
pub(super) enum Process {
    Ergonomic(ComponentExportIndex),
    Columnar(ComponentExportIndex),
}

impl Exports {
    /// Finds them. Of both worlds the columnar one wins: it says the same for less.
    pub(super) fn find(engine: &Engine, component: &Component, origin: &str) -> Result<Self, Error> {
        let kind = component.component_type();
        let names: Vec<_> = kind.exports(engine.wasmtime()).map(|(name, _)| name).collect();
        let Some((lifecycle, world)) = choose(&names) else { return Err(no_contract(&names, origin)) };
        let function = |interface: &str, name: &str| {
            let instance = component.get_export_index(None, interface);
            instance.and_then(|instance| component.get_export_index(Some(&instance), name)).ok_or_else(|| {
                let text = format!("`{interface}` has no function `{name}`");
                Error::Link { origin: origin.to_owned(), text }
            })
        };
        Ok(Self {
            describe: function(lifecycle, "describe")?,
            configure: function(lifecycle, "configure")?,
            process: match world {
                World::Columnar(interface) => Process::Columnar(function(interface, "process")?),
                World::Ergonomic(interface) => Process::Ergonomic(function(interface, "process")?),
            },
        })
    }
}

/// A world, by the name of the interface that does its work.
#[derive(Debug, PartialEq, Eq)]
enum World<'a> {
    Columnar(&'a str),
    Ergonomic(&'a str),
}

/// The names of the interfaces to call among those that a component exports.
fn choose<'a>(names: &[&'a str]) -> Option<(&'a str, World<'a>)> {
    let named = |wanted| names.iter().copied().find(|name| fits(name, wanted, VERSIONS));
    let world = named(COLUMNAR).map(World::Columnar).or_else(|| named(TRANSFORMER).map(World::Ergonomic));
    named(LIFECYCLE).zip(world)
}

/// The contract's interfaces among a component's exports, as it names them.
pub(super) fn contract(engine: &Engine, component: &Component) -> Vec<String> {
    let kind = component.component_type();
    let names = kind.exports(engine.wasmtime()).map(|(name, _)| name);
    names.filter(|name| name.starts_with("vanne:transform/")).map(str::to_owned).collect()
}

/// The worlds of these exports, as `wit/` names them.
pub(super) fn worlds(exports: &[String]) -> Vec<&'static str> {
    let has = |interface| exports.iter().any(|name| fits(name, interface, VERSIONS));
    let worlds = [(TRANSFORMER, "transform"), (COLUMNAR, "columnar-transform")];
    worlds.into_iter().filter(|(interface, _)| has(*interface)).map(|(_, world)| world).collect()
}

fn no_contract(names: &[&str], origin: &str) -> Error {
    let origin = origin.to_owned();
    let expected =
        format!("{LIFECYCLE}@{VERSIONS}x` and `{COLUMNAR}@{VERSIONS}x` or `{TRANSFORMER}@{VERSIONS}x");
    let ours: Vec<_> = names.iter().copied().filter(|name| name.starts_with("vanne:transform/")).collect();
    if ours.is_empty() {
        Error::NoContract { origin, expected, found: quoted(names) }
    } else {
        Error::ContractVersion { origin, expected, found: quoted(&ours) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_both_worlds_the_columnar_one_is_called() {
        let lifecycle = "vanne:transform/lifecycle@0.1.0";
        let (columnar, transformer) = ("vanne:transform/columnar@0.1.2", "vanne:transform/transformer@0.1.0");
        let both = choose(&[transformer, lifecycle, columnar]);
        assert_eq!(both, Some((lifecycle, World::Columnar(columnar))));
        assert_eq!(choose(&[lifecycle, transformer]), Some((lifecycle, World::Ergonomic(transformer))));
        assert_eq!(choose(&[columnar, transformer]), None);
        assert_eq!(choose(&[lifecycle]), None);
        assert_eq!(choose(&[lifecycle, "vanne:transform/columnar@0.2.0"]), None);
    }
}
