//! A place in a store, as a pipeline file names it: a url and object_store's own options.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path as ObjectPath;
use object_store::prefix::PrefixStore;
use url::Url;

/// A url and the options that go with it.
#[derive(Clone, Debug)]
pub(crate) struct Location {
    pub(crate) url: String,
    pub(crate) options: BTreeMap<String, String>,
}

impl Location {
    /// A local folder.
    pub(crate) fn folder(path: &Path) -> Self {
        let url = Url::from_directory_path(path).expect("an absolute path");
        Self { url: url.as_str().trim_end_matches('/').to_owned(), options: BTreeMap::new() }
    }

    /// The same place, a level or more below.
    pub(crate) fn under(&self, path: &str) -> Self {
        Self { url: format!("{}/{path}", self.url), options: self.options.clone() }
    }

    /// The options as an inline table, for a pipeline file.
    pub(crate) fn options_toml(&self) -> String {
        let pairs: Vec<_> = self.options.iter().map(|(key, value)| format!("{key} = {value:?}")).collect();
        format!("{{ {} }}", pairs.join(", "))
    }

    /// The local path, where the place is a folder.
    pub(crate) fn local_path(&self) -> Option<std::path::PathBuf> {
        Url::parse(&self.url).ok().filter(|url| url.scheme() == "file")?.to_file_path().ok()
    }

    /// The place through the object_store crate alone, with the place itself as the root.
    pub(crate) fn store(&self) -> Arc<dyn ObjectStore> {
        let url = Url::parse(&self.url).expect("a url");
        let (store, path): (_, ObjectPath) =
            object_store::parse_url_opts(&url, &self.options).expect("options that object_store takes");
        Arc::new(PrefixStore::new(store, path))
    }
}
