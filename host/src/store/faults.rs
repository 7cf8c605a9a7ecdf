//! A store that misbehaves by plan: what networks, proxies and servers do to requests.
//!
//! Owns the plan: scripted faults (the next so many calls of an operation on paths that hold a text) and
//! random ones (rates, from a seed). Never invents bytes: what it does to the inner store is what was
//! asked for, earlier, later, or not at all.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Created, Error, ErrorKind, Labels, Listed, Result, Store, Upload};
use crate::clock::Random;

/// An operation of a store or of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the method of its name")]
pub enum Operation {
    Create,
    Put,
    Get,
    GetRange,
    Head,
    Upload,
    Part,
    Finish,
    Abort,
    Publish,
    Delete,
    List,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not done; the answer is `Unknown` (503, connection refused, a 409 that lasts).
    Unsent,
    /// It is done; the answer is `Unknown` (500 after success, connection lost, time-out).
    AnswerLost,
    /// The answer is `Unknown`; it is done so much later (for parts and finishes: never).
    Late(Duration),
    /// It is done; a create's answer is `Exists` (412 to the client's own retry). For other operations it
    /// is `AnswerLost`.
    Echo,
    /// It is not done, and the answer is that all went well (a copy that goes on in the background, and
    /// fails there). Puts, publishes and deletes only; for other operations it is `Unsent`.
    Hollow,
    /// It is not done; 403.
    Denied,
    /// It is not done; 501.
    Refused,
}

#[derive(Debug)]
struct Script {
    operation: Operation,
    path_part: String,
    fault: Fault,
    times: u64,
}

#[derive(Debug, Default)]
struct Plan {
    scripts: Vec<Script>,
    rates: Option<Rates>,
    calls: BTreeMap<Operation, u64>,
}

/// How often random faults strike, in calls of a thousand each.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    /// [`Fault::Unsent`].
    pub unsent: u64,
    /// [`Fault::AnswerLost`].
    pub answer_lost: u64,
    /// [`Fault::Late`], by up to `late_by`.
    pub late: u64,
    /// [`Fault::Echo`].
    pub echo: u64,
    /// Bound on a late call.
    pub late_by: Duration,
}

/// A store with a plan of faults.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn Store>,
    plan: Arc<Mutex<Plan>>,
    random: Arc<Random>,
}

impl Faulty {
    /// Wraps a store; without a plan it behaves.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, seed: u64) -> Arc<Self> {
        Arc::new(Self { inner, plan: Arc::default(), random: Arc::new(Random::seeded(seed)) })
    }

    /// The store inside.
    #[must_use]
    pub fn inner(&self) -> &Arc<dyn Store> {
        &self.inner
    }

    /// Has the next `times` calls of `operation` on paths that hold `path_part` struck by `fault`.
    pub fn script(&self, operation: Operation, path_part: &str, fault: Fault, times: u64) {
        let script = Script { operation, path_part: path_part.to_owned(), fault, times };
        self.plan().scripts.push(script);
    }

    /// Has random calls struck from now on; `None` ends it.
    pub fn random(&self, rates: Option<Rates>) {
        self.plan().rates = rates;
    }

    /// How often an operation was called so far.
    #[must_use]
    pub fn calls(&self, operation: Operation) -> u64 {
        self.plan().calls.get(&operation).copied().unwrap_or_default()
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does a call as its fault has it; `echo` and `hollow` are the good answers of those faults.
    async fn strike<T: Send + 'static>(
        &self,
        operation: Operation,
        path: &str,
        call: BoxFuture<'static, Result<T>>,
        (echo, hollow): (Option<T>, Option<T>),
    ) -> Result<T> {
        let fails = |kind| Err(planned(kind, operation, path, self.inner.place()));
        let unknown = || fails(ErrorKind::Unknown);
        match (draw(&self.plan, &self.random, operation, path), echo) {
            (None, _) => call.await,
            (Some(Fault::Echo), Some(echo)) => call.await.map(|_| echo),
            (Some(Fault::AnswerLost | Fault::Echo), _) => {
                // The loss hides whatever the inner store says, good or bad.
                drop(call.await);
                unknown()
            }
            (Some(Fault::Late(wait)), _) => {
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    drop(call.await);
                });
                unknown()
            }
            (Some(Fault::Unsent), _) => unknown(),
            (Some(Fault::Hollow), _) => hollow.map_or_else(unknown, Ok),
            (Some(Fault::Denied), _) => fails(ErrorKind::Denied),
            (Some(Fault::Refused), _) => fails(ErrorKind::Refused),
        }
    }
}

fn draw(plan: &Mutex<Plan>, random: &Random, operation: Operation, path: &str) -> Option<Fault> {
    let mut plan = plan.lock().unwrap_or_else(PoisonError::into_inner);
    *plan.calls.entry(operation).or_default() += 1;
    let scripted = plan
        .scripts
        .iter_mut()
        .find(|script| script.times > 0 && script.operation == operation && path.contains(&script.path_part));
    if let Some(script) = scripted {
        script.times -= 1;
        return Some(script.fault);
    }
    let rates = plan.rates?;
    let mut dice = random.next_u64() % 1000;
    let late_ms = u64::try_from(rates.late_by.as_millis()).unwrap_or(u64::MAX).max(1);
    let late = Fault::Late(Duration::from_millis(random.next_u64() % late_ms));
    let choices = [
        (rates.unsent, Fault::Unsent),
        (rates.answer_lost, Fault::AnswerLost),
        (rates.late, late),
        (rates.echo, Fault::Echo),
    ];
    for (rate, fault) in choices {
        if dice < rate {
            return Some(fault);
        }
        dice -= rate;
    }
    None
}

fn planned(kind: ErrorKind, operation: Operation, path: &str, place: &str) -> Error {
    let verb = match operation {
        Operation::Create => "create",
        Operation::Put => "put",
        Operation::Get | Operation::GetRange => "get",
        Operation::Head => "head",
        Operation::Upload => "upload",
        Operation::Part => "upload part of",
        Operation::Finish => "finish",
        Operation::Abort => "abort upload of",
        Operation::Publish => "publish",
        Operation::Delete => "delete",
        Operation::List => "list",
    };
    Error::new(kind, verb, path, place, "a planned fault")
}

#[async_trait]
impl Store for Faulty {
    fn place(&self) -> &str {
        self.inner.place()
    }

    fn domain(&self) -> &str {
        self.inner.domain()
    }

    async fn create(&self, path: &str, bytes: Bytes) -> Result<Created> {
        let (store, name) = (Arc::clone(&self.inner), path.to_owned());
        let call = async move { store.create(&name, bytes).await }.boxed();
        self.strike(Operation::Create, path, call, (Some(Created::Exists), None)).await
    }

    async fn put(&self, path: &str, bytes: Bytes, labels: &Labels) -> Result<()> {
        let (store, name, labels) = (Arc::clone(&self.inner), path.to_owned(), labels.clone());
        let call = async move { store.put(&name, bytes, &labels).await }.boxed();
        self.strike(Operation::Put, path, call, (None, Some(()))).await
    }

    async fn get(&self, path: &str) -> Result<Option<Bytes>> {
        let (store, name) = (Arc::clone(&self.inner), path.to_owned());
        let call = async move { store.get(&name).await }.boxed();
        self.strike(Operation::Get, path, call, (None, None)).await
    }

    async fn get_range(&self, path: &str, range: Range<u64>) -> Result<Option<Bytes>> {
        let (store, name) = (Arc::clone(&self.inner), path.to_owned());
        let call = async move { store.get_range(&name, range).await }.boxed();
        self.strike(Operation::GetRange, path, call, (None, None)).await
    }

    async fn head(&self, path: &str) -> Result<Option<u64>> {
        let (store, name) = (Arc::clone(&self.inner), path.to_owned());
        let call = async move { store.head(&name).await }.boxed();
        self.strike(Operation::Head, path, call, (None, None)).await
    }

    async fn upload(&self, path: &str, labels: &Labels) -> Result<Box<dyn Upload>> {
        let (store, name, labels) = (Arc::clone(&self.inner), path.to_owned(), labels.clone());
        let call = async move { store.upload(&name, &labels).await }.boxed();
        let inner = self.strike(Operation::Upload, path, call, (None, None)).await?;
        let (plan, random) = (Arc::clone(&self.plan), Arc::clone(&self.random));
        let place = self.inner.place().to_owned();
        Ok(Box::new(FaultyUpload { inner, plan, random, path: path.to_owned(), place }))
    }

    async fn publish(&self, from: &str, to: &str) -> Result<()> {
        let (store, source, target) = (Arc::clone(&self.inner), from.to_owned(), to.to_owned());
        let call = async move { store.publish(&source, &target).await }.boxed();
        self.strike(Operation::Publish, to, call, (None, Some(()))).await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        let (store, name) = (Arc::clone(&self.inner), path.to_owned());
        let call = async move { store.delete(&name).await }.boxed();
        self.strike(Operation::Delete, path, call, (None, Some(()))).await
    }

    async fn list_after(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>> {
        let (store, name, after) = (Arc::clone(&self.inner), prefix.to_owned(), after.map(str::to_owned));
        let call = async move { store.list_after(&name, after.as_deref(), limit).await }.boxed();
        self.strike(Operation::List, prefix, call, (None, None)).await
    }
}

#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn Upload>,
    plan: Arc<Mutex<Plan>>,
    random: Arc<Random>,
    path: String,
    place: String,
}

impl FaultyUpload {
    /// Whether the call is done, and what its answer is if not the inner one.
    fn fate(&self, operation: Operation) -> (bool, Option<Error>) {
        let error = |kind| Some(planned(kind, operation, &self.path, &self.place));
        match draw(&self.plan, &self.random, operation, &self.path) {
            None => (true, None),
            // A part whose answer was lost is sent again under the same number: as if it was not sent.
            Some(Fault::AnswerLost | Fault::Echo) => {
                (operation != Operation::Part, error(ErrorKind::Unknown))
            }
            Some(Fault::Unsent | Fault::Late(_) | Fault::Hollow) => (false, error(ErrorKind::Unknown)),
            Some(Fault::Denied) => (false, error(ErrorKind::Denied)),
            Some(Fault::Refused) => (false, error(ErrorKind::Refused)),
        }
    }
}

#[async_trait]
impl Upload for FaultyUpload {
    async fn part(&mut self, bytes: Bytes) -> Result<()> {
        match self.fate(Operation::Part) {
            (_, Some(error)) => Err(error),
            (_, None) => self.inner.part(bytes).await,
        }
    }

    async fn finish(&mut self) -> Result<()> {
        let (done, error) = self.fate(Operation::Finish);
        let answer = if done { self.inner.finish().await } else { Ok(()) };
        error.map_or(answer, Err)
    }

    async fn abort(&mut self) -> Result<()> {
        let (done, error) = self.fate(Operation::Abort);
        let answer = if done { self.inner.abort().await } else { Ok(()) };
        error.map_or(answer, Err)
    }
}
