//! `wasi:io/streams` without a runtime behind it: what could wait is asked once.
//!
//! All streams of a plugin are its own output, which is always ready, and a standard input at its end.
//! wasmtime-wasi's own functions for synchronous hosts do the same on a hidden tokio runtime, with
//! threads that nobody counts. Invariant: no function here waits.

use futures::FutureExt;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sync::io::streams::{
    Host, HostInputStream, HostOutputStream, StreamError as Answer,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, StreamError, StreamResult};
use wasmtime_wasi_io::bindings::wasi::io::streams as io;

use super::state::State;

type Input = Resource<DynInputStream>;
type Output = Resource<DynOutputStream>;

/// What an operation answers that would have to wait for something that cannot happen.
fn stuck<T>(answer: Option<StreamResult<T>>) -> StreamResult<T> {
    answer.unwrap_or_else(|| Err(StreamError::trap("the plugin waits for a stream that never gets ready")))
}

impl Host for State {
    fn convert_stream_error(&mut self, error: StreamError) -> wasmtime::Result<Answer> {
        Ok(io::Host::convert_stream_error(&mut self.table, error)?.into())
    }
}

impl HostOutputStream for State {
    fn drop(&mut self, stream: Output) -> wasmtime::Result<()> {
        io::HostOutputStream::drop(&mut self.table, stream).now_or_never().unwrap_or(Ok(()))
    }

    fn check_write(&mut self, stream: Output) -> StreamResult<u64> {
        io::HostOutputStream::check_write(&mut self.table, stream)
    }

    fn write(&mut self, stream: Output, bytes: Vec<u8>) -> StreamResult<()> {
        io::HostOutputStream::write(&mut self.table, stream, bytes)
    }

    fn blocking_write_and_flush(&mut self, stream: Output, bytes: Vec<u8>) -> StreamResult<()> {
        stuck(io::HostOutputStream::blocking_write_and_flush(&mut self.table, stream, bytes).now_or_never())
    }

    fn write_zeroes(&mut self, stream: Output, length: u64) -> StreamResult<()> {
        io::HostOutputStream::write_zeroes(&mut self.table, stream, length)
    }

    fn blocking_write_zeroes_and_flush(&mut self, stream: Output, length: u64) -> StreamResult<()> {
        let answer = io::HostOutputStream::blocking_write_zeroes_and_flush(&mut self.table, stream, length);
        stuck(answer.now_or_never())
    }

    fn subscribe(&mut self, stream: Output) -> wasmtime::Result<Resource<DynPollable>> {
        io::HostOutputStream::subscribe(&mut self.table, stream)
    }

    fn flush(&mut self, stream: Output) -> StreamResult<()> {
        io::HostOutputStream::flush(&mut self.table, stream)
    }

    fn blocking_flush(&mut self, stream: Output) -> StreamResult<()> {
        stuck(io::HostOutputStream::blocking_flush(&mut self.table, stream).now_or_never())
    }

    fn splice(&mut self, to: Output, from: Input, length: u64) -> StreamResult<u64> {
        io::HostOutputStream::splice(&mut self.table, to, from, length)
    }

    fn blocking_splice(&mut self, to: Output, from: Input, length: u64) -> StreamResult<u64> {
        stuck(io::HostOutputStream::blocking_splice(&mut self.table, to, from, length).now_or_never())
    }
}

impl HostInputStream for State {
    fn drop(&mut self, stream: Input) -> wasmtime::Result<()> {
        io::HostInputStream::drop(&mut self.table, stream).now_or_never().unwrap_or(Ok(()))
    }

    fn read(&mut self, stream: Input, length: u64) -> StreamResult<Vec<u8>> {
        io::HostInputStream::read(&mut self.table, stream, length)
    }

    fn blocking_read(&mut self, stream: Input, length: u64) -> StreamResult<Vec<u8>> {
        stuck(io::HostInputStream::blocking_read(&mut self.table, stream, length).now_or_never())
    }

    fn skip(&mut self, stream: Input, length: u64) -> StreamResult<u64> {
        io::HostInputStream::skip(&mut self.table, stream, length)
    }

    fn blocking_skip(&mut self, stream: Input, length: u64) -> StreamResult<u64> {
        stuck(io::HostInputStream::blocking_skip(&mut self.table, stream, length).now_or_never())
    }

    fn subscribe(&mut self, stream: Input) -> wasmtime::Result<Resource<DynPollable>> {
        io::HostInputStream::subscribe(&mut self.table, stream)
    }
}
