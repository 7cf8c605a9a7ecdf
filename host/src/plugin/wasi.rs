//! WASI 0.2 for a plugin: what it was granted is real, the rest is virtual, empty or refused.
//!
//! Owns the virtual clock (it stands at the first record's time, moves a little with each reading, and
//! jumps where the guest sleeps), the seeded random numbers, and what is linked at all; `network` has who
//! may be spoken to. Everything else is wasmtime-wasi's own with the context that the grants make. Invariant: without
//! grants, what a guest reads here depends only on its calls since it was made, never on the host's time
//! or entropy, and no call can block.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt;
use wasmtime::component::{HasData, HasSelf, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::clocks::WasiClocksView;
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random, sockets, sync};
use wasmtime_wasi::p2::{DynOutputStream, DynPollable, Pollable, subscribe};
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView};
use wasmtime_wasi_io::bindings::wasi::io as async_io;

use super::bindings::Transform;
use super::component::fits;
use super::output::{Identity, Origin};
use super::state::State;
use crate::clock::Random;
use crate::record::RecordRef;

/// Interfaces that a plugin may import, without their versions; those; and what answers each.
pub(super) const OFFERED: &[(&str, &str, &str)] = &[
    ("vanne:transform/types", "0.1.", "types only"),
    ("vanne:transform/log", "0.1.", "the host's log, within `limits.log_lines`"),
    ("vanne:transform/context", "0.1.", "names of pipeline, transform, topic and partition"),
    ("wasi:io/error", "0.2.", "errors of streams"),
    ("wasi:io/poll", "0.2.", "waiting; over at once unless `clock`, `files` or `network` is granted"),
    ("wasi:io/streams", "0.2.", "streams of what is open"),
    ("wasi:clocks/wall-clock", "0.2.", "virtual clock; real with the grant `clock`"),
    ("wasi:clocks/monotonic-clock", "0.2.", "virtual clock; real with the grant `clock` or `network`"),
    ("wasi:random/random", "0.2.", "seeded by the record; the system's with the grant `random`"),
    ("wasi:random/insecure", "0.2.", "seeded by the record; the system's with the grant `random`"),
    ("wasi:random/insecure-seed", "0.2.", "seeded by the record; the system's with the grant `random`"),
    ("wasi:cli/environment", "0.2.", "no arguments; variables with the grant `env`"),
    ("wasi:cli/exit", "0.2.", "ends the call as a trap"),
    ("wasi:cli/stdin", "0.2.", "at its end"),
    ("wasi:cli/stdout", "0.2.", "lines in the host's log"),
    ("wasi:cli/stderr", "0.2.", "lines in the host's log"),
    ("wasi:cli/terminal-input", "0.2.", "no terminal"),
    ("wasi:cli/terminal-output", "0.2.", "no terminal"),
    ("wasi:cli/terminal-stdin", "0.2.", "no terminal"),
    ("wasi:cli/terminal-stdout", "0.2.", "no terminal"),
    ("wasi:cli/terminal-stderr", "0.2.", "no terminal"),
    ("wasi:filesystem/types", "0.2.", "no files; read only with the grant `files`"),
    ("wasi:filesystem/preopens", "0.2.", "no folders; those of the grant `files`"),
    ("wasi:sockets/network", "0.2.", "types only"),
    ("wasi:sockets/instance-network", "0.2.", "reaches nobody; peers of the grant `network`"),
    ("wasi:sockets/ip-name-lookup", "0.2.", "refused; names of the grant `network`"),
    ("wasi:sockets/tcp", "0.2.", "refused; connections to peers of the grant `network`"),
    ("wasi:sockets/tcp-create-socket", "0.2.", "refused; connections to peers of the grant `network`"),
    ("wasi:sockets/udp", "0.2.", "refused"),
    ("wasi:sockets/udp-create-socket", "0.2.", "refused"),
];

/// What answers an import; `None`: nothing does.
pub(super) fn answer(name: &str) -> Option<&'static str> {
    let found = OFFERED.iter().find(|(wanted, versions, _)| fits(name, wanted, versions));
    found.map(|(_, _, answer)| *answer)
}

type Own = HasSelf<State>;

/// Puts everything that a plugin may import into the linker, for calls that never wait.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    add_own(linker)?;
    add_shared(linker)?;
    sync::io::poll::add_to_linker::<_, Own>(linker, |state| state)?;
    sync::io::streams::add_to_linker::<_, Own>(linker, |state| state)?;
    sync::filesystem::types::add_to_linker::<_, WasiFilesystem>(linker, State::filesystem)?;
    sync::sockets::tcp::add_to_linker::<_, WasiSockets>(linker, State::sockets)?;
    sync::sockets::udp::add_to_linker::<_, WasiSockets>(linker, State::sockets)
}

/// The same for calls that may wait, for a clock, a disk or a peer that was granted.
pub(super) fn add_waiting_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    add_own(linker)?;
    add_shared(linker)?;
    async_io::poll::add_to_linker::<_, Own>(linker, |state| state)?;
    async_io::streams::add_to_linker::<_, Table>(linker, |state| &mut state.table)?;
    filesystem::types::add_to_linker::<_, WasiFilesystem>(linker, State::filesystem)?;
    sockets::tcp::add_to_linker::<_, WasiSockets>(linker, State::sockets)?;
    sockets::udp::add_to_linker::<_, WasiSockets>(linker, State::sockets)
}

/// What is ours: time, random numbers, output, and who may be spoken to.
fn add_own(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    Transform::add_to_linker::<_, Own>(linker, |state| state)?;
    clocks::wall_clock::add_to_linker::<_, Own>(linker, |state| state)?;
    clocks::monotonic_clock::add_to_linker::<_, Own>(linker, |state| state)?;
    random::random::add_to_linker::<_, Own>(linker, |state| state)?;
    random::insecure::add_to_linker::<_, Own>(linker, |state| state)?;
    random::insecure_seed::add_to_linker::<_, Own>(linker, |state| state)?;
    cli::stdout::add_to_linker::<_, Own>(linker, |state| state)?;
    cli::stderr::add_to_linker::<_, Own>(linker, |state| state)?;
    sockets::ip_name_lookup::add_to_linker::<_, Own>(linker, |state| state)?;
    sockets::tcp_create_socket::add_to_linker::<_, Own>(linker, |state| state)?;
    sync::sockets::udp_create_socket::add_to_linker::<_, Own>(linker, |state| state)
}

/// What wasmtime-wasi answers from the context that the grants make, which is empty without them: then
/// no file is open, no socket can be made, and standard input is at its end.
fn add_shared(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    async_io::error::add_to_linker::<_, Table>(linker, |state| &mut state.table)?;
    cli::environment::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::exit::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::stdin::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    filesystem::preopens::add_to_linker::<_, WasiFilesystem>(linker, State::filesystem)?;
    let options = sockets::network::LinkOptions::default();
    sockets::network::add_to_linker::<_, WasiSockets>(linker, &options, State::sockets)?;
    sockets::instance_network::add_to_linker::<_, WasiSockets>(linker, State::sockets)
}

struct Table;

impl HasData for Table {
    type Data<'a> = &'a mut ResourceTable;
}

/// How far a reading moves the clock, so that a guest that waits by looking at it comes to an end.
const TICK_NS: u64 = 1_000;
const NS_PER_MS: u64 = 1_000_000;
const NEVER: u64 = u64::MAX;
/// A timer beyond this (292 years) never rings, so that the clock cannot pass its end.
const LATEST_NS: u64 = u64::MAX / 2;
/// Random bytes that one call may ask for; it bounds what the host makes of a guest's number.
const RANDOM_BYTES_MAX: u64 = 1024 * 1024;

/// Time and random numbers of an instance.
#[derive(Debug)]
pub(super) struct Virtual {
    time: Arc<Time>,
    /// Wall time at `elapsed_ns` 0, so that the call began at its first record's time.
    wall_base_ns: u64,
    random: Random,
}

/// Nanoseconds since the instance was made, and the next time that somebody waits for.
#[derive(Debug)]
struct Time {
    elapsed_ns: AtomicU64,
    awaited_ns: AtomicU64,
}

impl Default for Virtual {
    fn default() -> Self {
        let time = Time { elapsed_ns: AtomicU64::new(0), awaited_ns: AtomicU64::new(NEVER) };
        Self { time: Arc::new(time), wall_base_ns: 0, random: Random::seeded(0) }
    }
}

impl Virtual {
    /// Sets the wall clock and the seed by a call's first record.
    pub(super) fn begin_call(&mut self, identity: &Identity, first: Option<&RecordRef<'_>>) {
        let Some(first) = first else { return };
        let record_ns = u64::try_from(first.timestamp_ms).unwrap_or(0).saturating_mul(NS_PER_MS);
        let elapsed_ns = self.time.elapsed_ns.load(Ordering::Relaxed);
        self.wall_base_ns = record_ns.saturating_sub(elapsed_ns);
        self.random = Random::seeded(seed(identity, first));
    }

    /// Monotonic time.
    fn read_ns(&self) -> u64 {
        self.time.elapsed_ns.fetch_add(TICK_NS, Ordering::Relaxed)
    }

    fn wait_until(&self, when_ns: u64) -> Wait {
        let when_ns = if when_ns > LATEST_NS { NEVER } else { when_ns };
        Wait { time: Arc::clone(&self.time), when_ns }
    }

    fn bytes(&self, length: u64) -> wasmtime::Result<Vec<u8>> {
        if length > RANDOM_BYTES_MAX {
            wasmtime::bail!("{length} random bytes asked for, at most {RANDOM_BYTES_MAX} are given at once");
        }
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 8);
        while (bytes.len() as u64) < length {
            bytes.extend_from_slice(&self.random.next_u64().to_le_bytes());
        }
        bytes.truncate(usize::try_from(length).unwrap_or(0));
        Ok(bytes)
    }
}

/// FNV-1a over what names the record, which is all that a repeated call has in common.
fn seed(identity: &Identity, first: &RecordRef<'_>) -> u64 {
    let topic = identity.topic.as_deref().unwrap_or_default().as_bytes();
    let partition = identity.partition.unwrap_or(-1).to_le_bytes();
    let numbers = [first.offset.to_le_bytes(), u64::from(first.index).to_le_bytes()].concat();
    let bytes = topic.iter().chain(&partition).chain(&numbers);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A timer: ready once the virtual clock is there; until then it says what it waits for.
struct Wait {
    time: Arc<Time>,
    when_ns: u64,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Wait {
    async fn ready(&mut self) {
        if self.time.elapsed_ns.load(Ordering::Relaxed) < self.when_ns {
            self.time.awaited_ns.fetch_min(self.when_ns, Ordering::Relaxed);
            std::future::pending::<()>().await;
        }
    }
}

impl State {
    /// Asks `attempt` once, and once more after the clock jumped to the first timer that it waits for.
    /// Waiting for something else would be for ever, since nothing happens while a guest waits.
    fn wait<T>(
        &mut self,
        attempt: impl Fn(&mut ResourceTable) -> Option<wasmtime::Result<T>>,
    ) -> wasmtime::Result<T> {
        let time = Arc::clone(&self.clocks.time);
        time.awaited_ns.store(NEVER, Ordering::Relaxed);
        if let Some(result) = attempt(&mut self.table) {
            return result;
        }
        let awaited_ns = time.awaited_ns.load(Ordering::Relaxed);
        if awaited_ns != NEVER {
            time.elapsed_ns.fetch_max(awaited_ns, Ordering::Relaxed);
        }
        attempt(&mut self.table)
            .unwrap_or_else(|| wasmtime::bail!("the plugin waits for something that cannot happen"))
    }
}

impl sync::io::poll::Host for State {
    fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        self.wait(|table| {
            let pollables = pollables.iter().map(|pollable| Resource::new_borrow(pollable.rep())).collect();
            async_io::poll::Host::poll(table, pollables).now_or_never()
        })
    }
}

impl sync::io::poll::HostPollable for State {
    fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        let ready = async_io::poll::HostPollable::ready(&mut self.table, pollable).now_or_never();
        ready.unwrap_or(Ok(false))
    }

    fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.wait(|table| {
            async_io::poll::HostPollable::block(table, Resource::new_borrow(pollable.rep())).now_or_never()
        })
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        async_io::poll::HostPollable::drop(&mut self.table, pollable)
    }
}

/// For calls that may wait. Where timers are virtual nevertheless (only files are granted), the clock jumps
/// to the first of them unless something is ready already.
impl State {
    fn jump(&mut self) {
        let awaited_ns = self.clocks.time.awaited_ns.swap(NEVER, Ordering::Relaxed);
        if awaited_ns != NEVER {
            self.clocks.time.elapsed_ns.fetch_max(awaited_ns, Ordering::Relaxed);
        }
    }
}

impl async_io::poll::Host for State {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        let same = pollables.iter().map(|pollable| Resource::new_borrow(pollable.rep())).collect();
        self.clocks.time.awaited_ns.store(NEVER, Ordering::Relaxed);
        let ready = async_io::poll::Host::poll(&mut self.table, same).now_or_never();
        if let Some(ready) = ready {
            return ready;
        }
        self.jump();
        async_io::poll::Host::poll(&mut self.table, pollables).await
    }
}

impl async_io::poll::HostPollable for State {
    async fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        async_io::poll::HostPollable::ready(&mut self.table, pollable).await
    }

    async fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        let same = Resource::new_borrow(pollable.rep());
        self.clocks.time.awaited_ns.store(NEVER, Ordering::Relaxed);
        let ready = async_io::poll::HostPollable::block(&mut self.table, same).now_or_never();
        if let Some(ready) = ready {
            return ready;
        }
        self.jump();
        async_io::poll::HostPollable::block(&mut self.table, pollable).await
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        async_io::poll::HostPollable::drop(&mut self.table, pollable)
    }
}

impl clocks::wall_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<clocks::wall_clock::Datetime> {
        if self.granted.grants().clock {
            return clocks::wall_clock::Host::now(&mut WasiClocksView::clocks(self));
        }
        let now_ns = self.clocks.wall_base_ns.saturating_add(self.clocks.read_ns());
        Ok(datetime(now_ns))
    }

    fn resolution(&mut self) -> wasmtime::Result<clocks::wall_clock::Datetime> {
        if self.granted.grants().clock {
            return clocks::wall_clock::Host::resolution(&mut WasiClocksView::clocks(self));
        }
        Ok(datetime(TICK_NS))
    }
}

fn datetime(ns: u64) -> clocks::wall_clock::Datetime {
    let nanoseconds = u32::try_from(ns % 1_000_000_000).expect("less than a billion fits");
    clocks::wall_clock::Datetime { seconds: ns / 1_000_000_000, nanoseconds }
}

impl clocks::monotonic_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<u64> {
        if self.granted.real_timers() {
            return clocks::monotonic_clock::Host::now(&mut WasiClocksView::clocks(self));
        }
        Ok(self.clocks.read_ns())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        if self.granted.real_timers() {
            return clocks::monotonic_clock::Host::resolution(&mut WasiClocksView::clocks(self));
        }
        Ok(TICK_NS)
    }

    fn subscribe_instant(&mut self, when_ns: u64) -> wasmtime::Result<Resource<DynPollable>> {
        if self.granted.real_timers() {
            let mut clocks = WasiClocksView::clocks(self);
            return clocks::monotonic_clock::Host::subscribe_instant(&mut clocks, when_ns);
        }
        let wait = self.table.push(self.clocks.wait_until(when_ns))?;
        subscribe(&mut self.table, wait)
    }

    fn subscribe_duration(&mut self, duration_ns: u64) -> wasmtime::Result<Resource<DynPollable>> {
        if self.granted.real_timers() {
            let mut clocks = WasiClocksView::clocks(self);
            return clocks::monotonic_clock::Host::subscribe_duration(&mut clocks, duration_ns);
        }
        let elapsed_ns = self.clocks.time.elapsed_ns.load(Ordering::Relaxed);
        self.subscribe_instant(elapsed_ns.saturating_add(duration_ns))
    }
}

impl State {
    fn random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        if self.granted.grants().random && length <= RANDOM_BYTES_MAX {
            return random::random::Host::get_random_bytes(self.wasi.random(), length);
        }
        self.clocks.bytes(length)
    }

    fn random_number(&mut self) -> wasmtime::Result<u64> {
        if self.granted.grants().random {
            return random::random::Host::get_random_u64(self.wasi.random());
        }
        Ok(self.clocks.random.next_u64())
    }
}

impl random::random::Host for State {
    fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(length)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_number()
    }
}

impl random::insecure::Host for State {
    fn get_insecure_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(length)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_number()
    }
}

impl random::insecure_seed::Host for State {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.random_number()?, self.random_number()?))
    }
}

impl cli::stdout::Host for State {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        let stream: DynOutputStream = self.output.stream(Origin::Stdout);
        Ok(self.table.push(stream)?)
    }
}

impl cli::stderr::Host for State {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        let stream: DynOutputStream = self.output.stream(Origin::Stderr);
        Ok(self.table.push(stream)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;
    use crate::record::Headers;
    use sync::io::poll::{Host as _, HostPollable as _};

    fn state() -> State {
        let topic = Some(Arc::from("clicks"));
        let identity = Identity { topic, partition: Some(3), ..Identity::default() };
        State::new(Arc::new(identity), &Limits::default(), Arc::default()).expect("nothing is granted")
    }

    fn begin(state: &mut State, offset: u64, timestamp_ms: i64) {
        let headers = Headers::default();
        let record = RecordRef { key: None, value: None, headers, timestamp_ms, offset, index: 0 };
        state.begin_call(Some(&record));
    }

    fn wall_ns(state: &mut State) -> u64 {
        let now = clocks::wall_clock::Host::now(state).expect("a clock answers");
        now.seconds * 1_000_000_000 + u64::from(now.nanoseconds)
    }

    fn timer(state: &mut State, duration_ns: u64) -> Resource<DynPollable> {
        clocks::monotonic_clock::Host::subscribe_duration(state, duration_ns).expect("a timer")
    }

    fn same(timer: &Resource<DynPollable>) -> Resource<DynPollable> {
        Resource::new_borrow(timer.rep())
    }

    #[test]
    fn the_clock_stands_at_the_first_record_and_moves_with_each_reading() {
        let mut state = state();
        for timestamp_ms in [1_700_000_000_123, 1_600_000_000_000] {
            begin(&mut state, 1, timestamp_ms);
            let start_ns = timestamp_ms as u64 * NS_PER_MS;
            assert_eq!(wall_ns(&mut state), start_ns);
            assert_eq!(wall_ns(&mut state), start_ns + TICK_NS);
        }
        begin(&mut state, 1, -1);
        assert!(wall_ns(&mut state) < NS_PER_MS, "a record without a time is of 1970");
    }

    #[test]
    fn a_wait_ends_at_once_with_the_first_timer() {
        let mut state = state();
        begin(&mut state, 1, 1_000);
        let before_ns = wall_ns(&mut state);
        let (hour, second) = (timer(&mut state, 3_600_000_000_000), timer(&mut state, 1_000_000_000));
        assert!(!state.ready(same(&second)).expect("answers"));
        assert_eq!(state.poll(vec![same(&hour), same(&second)]).expect("one rings"), [1]);
        assert!(!state.ready(same(&hour)).expect("answers"));
        assert!(state.ready(same(&second)).expect("answers"));
        state.block(same(&hour)).expect("it rings");
        let waited_ns = wall_ns(&mut state) - before_ns;
        assert!((3_600_000_000_000..3_600_001_000_000).contains(&waited_ns), "{waited_ns}");
    }

    #[test]
    fn a_timer_beyond_all_time_is_an_error_and_leaves_the_clock() {
        let mut state = state();
        begin(&mut state, 1, 0);
        let never = timer(&mut state, u64::MAX);
        assert!(state.block(same(&never)).is_err());
        assert!(state.poll(vec![same(&never)]).is_err());
        assert!(wall_ns(&mut state) < NS_PER_MS);
    }

    #[test]
    fn handles_are_bounded() {
        let mut state = state();
        let failed =
            (0..10_000).any(|_| clocks::monotonic_clock::Host::subscribe_duration(&mut state, 1).is_err());
        assert!(failed);
    }

    #[test]
    fn random_numbers_follow_from_the_first_record() {
        let numbers = |offset| {
            let mut state = state();
            begin(&mut state, offset, 7);
            let bytes = random::random::Host::get_random_bytes(&mut state, 13).expect("few enough");
            assert_eq!(bytes.len(), 13);
            (bytes, random::random::Host::get_random_u64(&mut state).expect("answers"))
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
        assert!(random::random::Host::get_random_bytes(&mut state(), u64::MAX).is_err());
    }

    #[test]
    fn no_socket_can_be_made() {
        let mut state = state();
        let family = sockets::network::IpAddressFamily::Ipv4;
        assert!(sockets::tcp_create_socket::Host::create_tcp_socket(&mut state, family).is_err());
    }
}
