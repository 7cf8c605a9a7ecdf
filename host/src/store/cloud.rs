//! Stores that the `object_store` crate speaks to: S3 and its like, GCS, Azure, memory.
//!
//! Owns the translation of each operation and of its answers. Does not know how clients are made
//! (`open`). Invariant: a create is `Exists` only after something was seen in place, for stores also say
//! so of a conflict in which nobody wrote (S3's 409).

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    Attribute, AttributeValue, Attributes, CopyOptions, GetOptions, GetRange, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions,
};

use super::answer::{Said, kind};
use super::path::{fault, prefix_fault};
use super::{Created, Error, ErrorKind, Labels, Listed, Result, Store, Upload};
use crate::clock::{self, Random};
use crate::retry::Backoff;

/// How often a create is sent again that met a conflict in which nobody wrote.
const CONFLICT_TRIES: u32 = 8;

/// Objects in a page of a listing: S3's bound.
const PAGE_OBJECTS: usize = 1000;

/// Parts of an upload: S3's bound.
const PARTS_MAX: usize = 10_000;

/// Bytes up to which a put counts as small, and has the short time-out.
const SMALL_BYTES: usize = 1 << 20;

/// The handles of one store.
#[derive(Clone)]
pub(super) struct Clients {
    /// With the time-out of small requests.
    pub(super) small: Arc<dyn ObjectStore>,
    /// With the time-out of requests that carry a part, or let the store copy an object.
    pub(super) large: Arc<dyn ObjectStore>,
    /// Uploads in parts, over `large`.
    pub(super) parts: Arc<dyn MultipartStore>,
    /// Listings a page at a time, over `small`; `None` where the store has none.
    pub(super) pages: Option<Arc<dyn PaginatedListStore>>,
}

/// How a store takes labels.
#[derive(Clone, Copy, Debug)]
pub(super) struct LabelRules {
    /// An upload in parts takes them (not through the client for Azure).
    pub(super) on_uploads: bool,
    /// Names of metadata hold `_` for `-` (Azure: they are C# identifiers).
    pub(super) underscores: bool,
}

/// A store behind the `object_store` crate.
pub(super) struct Cloud {
    place: String,
    clients: Clients,
    labels: LabelRules,
    random: Random,
}

impl fmt::Debug for Cloud {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Cloud").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Cloud {
    pub(super) fn new(place: String, clients: Clients, labels: LabelRules) -> Self {
        let random = Random::from_system().unwrap_or_else(|_| Random::seeded(clock::now_ms().unsigned_abs()));
        Self { place, clients, labels, random }
    }

    fn failed(&self, operation: &'static str, path: &str, answer: &object_store::Error) -> Error {
        Error::new(kind(answer), operation, path, &self.place, Said::of(answer))
    }

    fn location(&self, operation: &'static str, path: &str) -> Result<Path> {
        let refused = |why: String| Error::new(ErrorKind::Refused, operation, path, &self.place, why);
        if let Some(why) = fault(path) {
            return Err(refused(why.to_owned()));
        }
        Path::parse(path).map_err(|error| refused(error.to_string()))
    }

    fn attributes(&self, labels: &Labels) -> Attributes {
        let mut attributes = Attributes::new();
        if let Some(text) = labels.content_type {
            attributes.insert(Attribute::ContentType, AttributeValue::from(text));
        }
        if let Some(text) = labels.content_encoding {
            attributes.insert(Attribute::ContentEncoding, AttributeValue::from(text));
        }
        for (name, value) in &labels.metadata {
            let name = if self.labels.underscores { name.replace('-', "_") } else { (*name).to_owned() };
            attributes.insert(Attribute::Metadata(name.into()), AttributeValue::from(value.clone()));
        }
        attributes
    }

    async fn length(&self, location: &Path) -> std::result::Result<Option<u64>, object_store::Error> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        match self.clients.small.get_opts(location, options).await {
            Ok(found) => Ok(Some(found.meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn read(
        &self,
        client: &Arc<dyn ObjectStore>,
        location: &Path,
        range: Option<GetRange>,
    ) -> std::result::Result<Option<Bytes>, object_store::Error> {
        let options = GetOptions { range, ..GetOptions::default() };
        match client.get_opts(location, options).await {
            Ok(found) => found.bytes().await.map(Some),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists by pages. Some servers take the start for inclusive, or ignore it, hence the filter.
    async fn list_pages(
        &self,
        pages: &Arc<dyn PaginatedListStore>,
        folder: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Listed>> {
        let mut listed: Vec<Listed> = Vec::new();
        let mut page_token = None;
        loop {
            let options = PaginatedListOptions {
                offset: after.map(str::to_owned),
                max_keys: Some(PAGE_OBJECTS.min(limit - listed.len() + 1)),
                page_token,
                ..PaginatedListOptions::default()
            };
            let prefix = (!folder.is_empty()).then_some(folder);
            let page = pages
                .list_paginated(prefix, options)
                .await
                .map_err(|answer| self.failed("list", folder, &answer))?;
            let objects = page.result.objects.into_iter().map(|object| (object.location, object.size));
            self.append(&mut listed, objects, folder, after)?;
            page_token = page.page_token;
            if listed.len() >= limit || page_token.is_none() {
                listed.truncate(limit);
                return Ok(listed);
            }
        }
    }

    async fn list_stream(&self, folder: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>> {
        let refused = |error: object_store::path::Error| {
            Error::new(ErrorKind::Refused, "list", folder, &self.place, error.to_string())
        };
        let prefix = if folder.is_empty() { None } else { Some(Path::parse(folder).map_err(refused)?) };
        let mut stream = match after.and_then(|after| Path::parse(after).ok()) {
            Some(offset) => self.clients.small.list_with_offset(prefix.as_ref(), &offset),
            None => self.clients.small.list(prefix.as_ref()),
        };
        let mut listed = Vec::new();
        while let Some(object) = stream.next().await {
            let object = object.map_err(|answer| self.failed("list", folder, &answer))?;
            self.append(&mut listed, std::iter::once((object.location, object.size)), folder, after)?;
            if listed.len() >= limit {
                break;
            }
        }
        Ok(listed)
    }

    /// Appends a page, and holds the store to its order: everything that looks for a chain's end
    /// relies on it, and a store without it (S3 Express) must not be used.
    fn append(
        &self,
        listed: &mut Vec<Listed>,
        objects: impl Iterator<Item = (Path, u64)>,
        folder: &str,
        after: Option<&str>,
    ) -> Result<()> {
        for (location, bytes) in objects {
            let path = String::from(location);
            if !path.starts_with(folder) || after.is_some_and(|after| path.as_str() <= after) {
                continue;
            }
            if listed.last().is_some_and(|last| last.path >= path) {
                let why = "the store does not list in order of names, as S3, GCS and Azure do: use another";
                return Err(Error::new(ErrorKind::Refused, "list", folder, &self.place, why));
            }
            listed.push(Listed { path, bytes });
        }
        Ok(())
    }
}

#[async_trait]
impl Store for Cloud {
    fn place(&self) -> &str {
        &self.place
    }

    /// The client copies within one bucket, so that it is the domain.
    fn domain(&self) -> &str {
        &self.place
    }

    async fn create(&self, path: &str, bytes: Bytes) -> Result<Created> {
        let location = self.location("create", path)?;
        let unknown = |why: String| Error::new(ErrorKind::Unknown, "create", path, &self.place, why);
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
        for _ in 0..CONFLICT_TRIES {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            match self.clients.small.put_opts(&location, bytes.clone().into(), options).await {
                Ok(_) => return Ok(Created::Created),
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                }
                Err(answer) => return Err(self.failed("create", path, &answer)),
            }
            // Whatever the HEAD fails with, the create may have happened in an earlier try of the client.
            let seen =
                self.length(&location).await.map_err(|answer| unknown(Said::of(&answer).to_string()))?;
            if seen.is_some() {
                return Ok(Created::Exists);
            }
            tokio::time::sleep(backoff.next_wait(&self.random)).await;
        }
        Err(unknown(format!("{CONFLICT_TRIES} conflicts, and nothing was in place after any of them")))
    }

    async fn put(&self, path: &str, bytes: Bytes, labels: &Labels) -> Result<()> {
        let location = self.location("put", path)?;
        let options = PutOptions { attributes: self.attributes(labels), ..PutOptions::default() };
        let client = if bytes.len() <= SMALL_BYTES { &self.clients.small } else { &self.clients.large };
        let answer = client.put_opts(&location, bytes.into(), options).await;
        answer.map(drop).map_err(|answer| self.failed("put", path, &answer))
    }

    async fn get(&self, path: &str) -> Result<Option<Bytes>> {
        let location = self.location("get", path)?;
        let answer = self.read(&self.clients.small, &location, None).await;
        answer.map_err(|answer| self.failed("get", path, &answer))
    }

    async fn get_range(&self, path: &str, range: Range<u64>) -> Result<Option<Bytes>> {
        let location = self.location("get", path)?;
        if range.start >= range.end {
            let why = format!("range {}..{} is empty", range.start, range.end);
            return Err(Error::new(ErrorKind::Refused, "get", path, &self.place, why));
        }
        let range = Some(GetRange::Bounded(range));
        let answer = self.read(&self.clients.large, &location, range).await;
        answer.map_err(|answer| self.failed("get", path, &answer))
    }

    async fn head(&self, path: &str) -> Result<Option<u64>> {
        let location = self.location("head", path)?;
        self.length(&location).await.map_err(|answer| self.failed("head", path, &answer))
    }

    async fn upload(&self, path: &str, labels: &Labels) -> Result<Box<dyn Upload>> {
        let location = self.location("upload", path)?;
        let mut options = PutMultipartOptions::default();
        if self.labels.on_uploads {
            options.attributes = self.attributes(labels);
        }
        let id = self
            .clients
            .parts
            .create_multipart_opts(&location, options)
            .await
            .map_err(|answer| self.failed("upload", path, &answer))?;
        let place = self.place.clone();
        let client = Arc::clone(&self.clients.parts);
        Ok(Box::new(CloudUpload { place, client, path: path.to_owned(), location, id, parts: Vec::new() }))
    }

    async fn publish(&self, from: &str, to: &str) -> Result<()> {
        let source = self.location("publish", from)?;
        let target = self.location("publish", to)?;
        let answer = self.clients.large.copy_opts(&source, &target, CopyOptions::default()).await;
        answer.map_err(|answer| self.failed("publish", from, &answer))
    }

    async fn delete(&self, path: &str) -> Result<()> {
        let location = self.location("delete", path)?;
        let one = futures::stream::once(async move { Ok(location) }).boxed();
        let mut answers = self.clients.small.delete_stream(one);
        match answers.next().await {
            None | Some(Ok(_) | Err(object_store::Error::NotFound { .. })) => Ok(()),
            Some(Err(answer)) => Err(self.failed("delete", path, &answer)),
        }
    }

    async fn list_after(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>> {
        if let Some(why) = prefix_fault(prefix) {
            return Err(Error::new(ErrorKind::Refused, "list", prefix, &self.place, why));
        }
        if limit == 0 {
            return Ok(Vec::new());
        }
        let folder = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        match &self.clients.pages {
            Some(pages) => self.list_pages(pages, &folder, after, limit).await,
            None => self.list_stream(&folder, after, limit).await,
        }
    }
}

/// An upload in parts; `parts` are those that the store has taken.
struct CloudUpload {
    place: String,
    client: Arc<dyn MultipartStore>,
    path: String,
    location: Path,
    id: String,
    parts: Vec<PartId>,
}

impl fmt::Debug for CloudUpload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("CloudUpload");
        shown.field("path", &self.path).field("parts", &self.parts.len()).finish_non_exhaustive()
    }
}

impl CloudUpload {
    fn failed(&self, operation: &'static str, answer: &object_store::Error) -> Error {
        Error::new(kind(answer), operation, &self.path, &self.place, Said::of(answer))
    }

    fn refused(&self, operation: &'static str, why: &str) -> Error {
        Error::new(ErrorKind::Refused, operation, &self.path, &self.place, why)
    }
}

#[async_trait]
impl Upload for CloudUpload {
    async fn part(&mut self, bytes: Bytes) -> Result<()> {
        if bytes.is_empty() {
            return Err(self.refused("upload part of", "a part holds at least one byte"));
        }
        if self.parts.len() == PARTS_MAX {
            return Err(self.refused("upload part of", "an object has at most 10,000 parts"));
        }
        let answer = self.client.put_part(&self.location, &self.id, self.parts.len(), bytes.into()).await;
        let part = answer.map_err(|answer| self.failed("upload part of", &answer))?;
        self.parts.push(part);
        Ok(())
    }

    async fn finish(&mut self) -> Result<()> {
        if self.parts.is_empty() {
            return Err(self.refused("finish", "an object has at least one part"));
        }
        let answer = self.client.complete_multipart(&self.location, &self.id, self.parts.clone()).await;
        answer.map(drop).map_err(|answer| match self.failed("finish", &answer) {
            // After a try whose answer was lost, the store no longer knows the upload.
            error if error.kind == ErrorKind::NotFound => Error { kind: ErrorKind::Unknown, ..error },
            error => error,
        })
    }

    async fn abort(&mut self) -> Result<()> {
        match self.client.abort_multipart(&self.location, &self.id).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(answer) => Err(self.failed("abort upload of", &answer)),
        }
    }
}
