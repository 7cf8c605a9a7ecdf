//! The configuration, checked as a whole and ready for use.
//!
//! Invariant: no two keys of an [`Options`] contradict each other: each field that passes has one place, no
//! two have the same, and nothing is asked of a field that does not pass.

use json_text::{Path, PathTree, escape};

use crate::config::{Cast, Config, Flatten, Missing, OnCastError, Tombstone};
use crate::tree::{Name, Source, Text};

/// Where a field shall stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The path as a detail names it.
    pub(crate) shown: String,
    pub(crate) parents: Vec<Name>,
    pub(crate) name: Name,
}

/// What is asked of the field of one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rule {
    pub(crate) is_selected: bool,
    pub(crate) is_dropped: bool,
    pub(crate) cast: Option<Cast>,
    /// Its new name, where it stays in the object that it stands in.
    pub(crate) new_name: Option<Name>,
    /// The number of its new place, where that is in another object.
    pub(crate) new_place: Option<usize>,
}

/// A field that has to be there, or else `missing` decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) branch: usize,
    /// The path by which it is read.
    pub(crate) shown: String,
    pub(crate) place: Place,
}

/// A constant that stands among the fixed texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Set {
    pub(crate) place: Place,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The configuration, ready for use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) paths: PathTree,
    /// By branch of the paths.
    pub(crate) rules: Vec<Rule>,
    /// Whether only what is selected passes.
    pub(crate) selects: bool,
    pub(crate) places: Vec<Place>,
    pub(crate) wanted: Vec<Wanted>,
    pub(crate) sets: Vec<Set>,
    pub(crate) flatten: Option<Flatten>,
    /// The separator as it stands between quotes.
    pub(crate) separator: Vec<u8>,
    pub(crate) missing: Missing,
    pub(crate) on_cast_error: OnCastError,
    pub(crate) tombstone: Tombstone,
    /// Names and constants. It begins with `null`.
    pub(crate) fixed: Vec<u8>,
}

/// The text `null` among the fixed texts.
pub(crate) fn null() -> Text {
    Text::new(Source::Fixed, 0, 4)
}

impl Options {
    pub(crate) fn new(config: Config) -> Result<Self, String> {
        let plan = Fields::read(&config)?;
        plan.check()?;
        check_flatten(config.flatten.as_ref())?;
        check_policies(&config)?;
        let mut options = Self {
            paths: PathTree::new(),
            rules: Vec::new(),
            selects: config.select.is_some(),
            places: Vec::new(),
            wanted: Vec::new(),
            sets: Vec::new(),
            separator: Vec::new(),
            flatten: config.flatten,
            missing: config.missing.unwrap_or_default(),
            on_cast_error: config.on_cast_error.unwrap_or_default(),
            tombstone: config.tombstone,
            fixed: b"null".to_vec(),
        };
        if let Some(flatten) = &options.flatten {
            escape(&mut options.separator, &flatten.separator);
        }
        options.add(&plan);
        for (place, constant) in plan.set.iter().zip(config.set.values()) {
            let start = options.fixed.len();
            let text = constant.as_json().as_bytes();
            options.fixed.extend_from_slice(text);
            let end = options.fixed.len();
            let place = options.place(place);
            options.sets.push(Set { place, start, end });
        }
        Ok(options)
    }

    fn add(&mut self, plan: &Fields) {
        for path in plan.select.iter().flatten() {
            self.rule(path).is_selected = true;
        }
        for path in &plan.drop {
            self.rule(path).is_dropped = true;
        }
        for (path, cast) in &plan.cast {
            self.rule(path).cast = Some(*cast);
        }
        for (path, to) in &plan.rename {
            let place = self.place(to);
            if path.parents() == to.parents() {
                self.rule(path).new_name = Some(place.name);
            } else {
                self.rule(path).new_place = Some(self.places.len());
                self.places.push(place);
            }
        }
        // Objects that something is put into are taken apart.
        for path in plan.rename.iter().map(|(_, to)| to).chain(&plan.set) {
            self.rule(path);
        }
        let named = plan.select.iter().flatten();
        let named = named.chain(plan.cast.iter().map(|(path, _)| path));
        for path in named.chain(plan.rename.iter().map(|(path, _)| path)) {
            let branch = self.branch(path);
            if self.wanted.iter().all(|wanted| wanted.branch != branch) {
                let renamed = plan.rename.iter().find(|(from, _)| from == path);
                let place = self.place(renamed.map_or(path, |(_, to)| to));
                let shown = path.to_string();
                self.wanted.push(Wanted {
                    branch,
                    shown,
                    place,
                });
            }
        }
    }

    fn branch(&mut self, path: &Path) -> usize {
        let branch = self.paths.insert(path.names());
        self.rules.resize(self.paths.branches(), Rule::default());
        branch
    }

    fn rule(&mut self, path: &Path) -> &mut Rule {
        let branch = self.branch(path);
        &mut self.rules[branch]
    }

    fn place(&mut self, path: &Path) -> Place {
        Place {
            shown: path.to_string(),
            parents: path.parents().iter().map(|name| self.name(name)).collect(),
            name: self.name(path.last()),
        }
    }

    fn name(&mut self, name: &str) -> Name {
        let start = self.fixed.len();
        escape(&mut self.fixed, name);
        let middle = self.fixed.len();
        self.fixed.extend_from_slice(name.as_bytes());
        Name {
            raw: Text::new(Source::Fixed, start, middle),
            meant: Text::new(Source::Fixed, middle, self.fixed.len()),
        }
    }
}

fn check_flatten(flatten: Option<&Flatten>) -> Result<(), String> {
    let Some(flatten) = flatten else {
        return Ok(());
    };
    if flatten.separator.is_empty() {
        return Err(
            "config key `flatten.separator`: it is empty; write what shall stand between two names"
                .to_owned(),
        );
    }
    if flatten.depth == Some(0) {
        return Err(
            "config key `flatten.depth`: expected 1 or more, found 0; remove `flatten` to join \
                    nothing"
                .to_owned(),
        );
    }
    Ok(())
}

/// A policy without anything that it is about is a mistake.
fn check_policies(config: &Config) -> Result<(), String> {
    let names_none = config.select.is_none() && config.cast.is_empty() && config.rename.is_empty();
    if config.missing.is_some() && names_none {
        return Err(
            "config key `missing`: no field is named that could be missing; name some by `select`, \
             `cast` or `rename`, or remove the key"
                .to_owned(),
        );
    }
    if config.on_cast_error.is_some() && config.cast.is_empty() {
        return Err(
            "config key `on_cast_error`: nothing is cast; add `cast`, or remove the key".to_owned(),
        );
    }
    Ok(())
}

/// The paths of the configuration.
struct Fields {
    select: Option<Vec<Path>>,
    drop: Vec<Path>,
    cast: Vec<(Path, Cast)>,
    rename: Vec<(Path, Path)>,
    /// In the order of the constants.
    set: Vec<Path>,
}

impl Fields {
    fn read(config: &Config) -> Result<Self, String> {
        let path = |key: &str, text: &String| {
            Path::parse(text).map_err(|error| format!("config key `{key}`: {error}"))
        };
        let list = |key: &str, texts: &[String]| -> Result<Vec<Path>, String> {
            let texts = texts.iter().enumerate();
            texts
                .map(|(at, text)| path(&format!("{key}[{at}]"), text))
                .collect()
        };
        let cast = config.cast.iter();
        let rename = config.rename.iter();
        let set = config.set.keys();
        Ok(Self {
            select: match &config.select {
                Some(select) => Some(list("select", select)?),
                None => None,
            },
            drop: list("drop", &config.drop)?,
            cast: cast
                .map(|(text, cast)| Ok((path("cast", text)?, *cast)))
                .collect::<Result<_, String>>()?,
            rename: rename
                .map(|(from, to)| Ok((path("rename", from)?, path(&format!("rename.{from}"), to)?)))
                .collect::<Result<_, String>>()?,
            set: set
                .map(|text| path("set", text))
                .collect::<Result<_, String>>()?,
        })
    }

    fn check(&self) -> Result<(), String> {
        if self.select.as_ref().is_some_and(Vec::is_empty) {
            return Err(
                "config key `select`: the list is empty, so that no field would pass; name one, or remove \
                 the key"
                    .to_owned(),
            );
        }
        apart("select", self.select.iter().flatten())?;
        apart("drop", &self.drop)?;
        apart("cast", self.cast.iter().map(|(path, _)| path))?;
        apart("rename", self.rename.iter().map(|(path, _)| path))?;
        self.check_drop()?;
        self.check_passing()?;
        self.check_below_cast()?;
        self.check_places()
    }

    fn is_selected(&self, path: &Path) -> bool {
        let select = self.select.as_ref();
        select.is_none_or(|select| select.iter().any(|selected| path.is_within(selected)))
    }

    fn check_drop(&self) -> Result<(), String> {
        for path in &self.drop {
            let mut select = self.select.iter().flatten();
            if let Some(selected) = select.find(|selected| selected.is_within(path)) {
                return Err(format!(
                    "config key `drop`: `{path}` is dropped, but `select` names `{selected}`; remove one"
                ));
            }
            if !self.is_selected(path) {
                return Err(format!(
                    "config key `drop`: `{path}` is not within what `select` names and does not pass \
                     anyway; remove it"
                ));
            }
        }
        Ok(())
    }

    /// What is cast or renamed passes.
    fn check_passing(&self) -> Result<(), String> {
        let cast = self.cast.iter().map(|(path, _)| ("cast", path));
        let rename = self.rename.iter().map(|(path, _)| ("rename", path));
        for (key, path) in cast.chain(rename) {
            if !self.is_selected(path) {
                return Err(format!(
                    "config key `{key}.{path}`: `{path}` is not within what `select` names; add it there"
                ));
            }
            if let Some(dropped) = self.drop.iter().find(|dropped| path.is_within(dropped)) {
                return Err(format!(
                    "config key `{key}.{path}`: `{dropped}` is dropped; remove it from `drop`, or remove \
                     this key"
                ));
            }
        }
        Ok(())
    }

    /// What is cast is one value: nothing within it can be named.
    fn check_below_cast(&self) -> Result<(), String> {
        let drop = self.drop.iter().map(|path| ("drop", path));
        let from = self.rename.iter().map(|(path, _)| ("rename", path));
        let to = self.rename.iter().map(|(_, path)| ("rename", path));
        let set = self.set.iter().map(|path| ("set", path));
        for (key, path) in drop.chain(from).chain(to).chain(set) {
            let mut cast = self.cast.iter().map(|(cast, _)| cast);
            if let Some(cast) = cast.find(|cast| path != *cast && path.is_within(cast)) {
                return Err(format!(
                    "config key `{key}`: `{path}` is within `{cast}`, which is cast as a whole; use a \
                     second transform for what is within"
                ));
            }
        }
        Ok(())
    }

    /// No two fields get one place.
    fn check_places(&self) -> Result<(), String> {
        let renamed = self
            .rename
            .iter()
            .map(|(from, to)| (format!("rename.{from}"), to));
        let set = self.set.iter().map(|path| (format!("set.{path}"), path));
        let places: Vec<_> = renamed.chain(set).collect();
        for (at, (key, path)) in places.iter().enumerate() {
            for (other, before) in &places[..at] {
                if path == before {
                    return Err(format!(
                        "config key `{key}`: `{other}` makes a field `{path}` too; give one another name"
                    ));
                }
                if path.is_within(before) || before.is_within(path) {
                    return Err(format!(
                        "config key `{key}`: `{path}` and `{before}` of `{other}` lie within each other; \
                         give one another name"
                    ));
                }
            }
        }
        for (from, to) in &self.rename {
            let mut staying = self.select.iter().flatten().filter(|selected| {
                let mut renamed = self.rename.iter().map(|(from, _)| from);
                !renamed.any(|renamed| renamed == *selected)
            });
            if from == to || staying.any(|selected| selected == to) {
                return Err(format!(
                    "config key `rename.{from}`: there is a field `{to}` already; give it another name"
                ));
            }
        }
        Ok(())
    }
}

/// No path of a list lies within another.
fn apart<'a>(key: &str, paths: impl IntoIterator<Item = &'a Path>) -> Result<(), String> {
    let paths: Vec<_> = paths.into_iter().collect();
    for (at, path) in paths.iter().enumerate() {
        for before in &paths[..at] {
            if path == before {
                return Err(format!(
                    "config key `{key}`: `{path}` stands there twice; remove one"
                ));
            }
            if path.is_within(before) || before.is_within(path) {
                return Err(format!(
                    "config key `{key}`: `{before}` and `{path}` lie within each other; remove one"
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
