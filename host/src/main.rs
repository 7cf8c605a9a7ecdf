//! The `host` binary: see `host --help`.

use std::process::ExitCode;

/// With glibc's allocator each batch's megabyte goes back to the kernel and is faulted in again:
/// measured at nine times the cost of handing a batch to a plugin.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    host::cli::main()
}
