//! What no plugin should do, or may do only if it is granted.

use std::hint::black_box;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use std::{env, fs, process, thread};

use vanne_plugin::Outcome;

/// Commits the deed that the command names; `None` if it names none, or if nothing came of it.
pub(crate) fn commit<'a>(command: &str, argument: &str) -> Option<Outcome<'a>> {
    match command {
        "panic" => panic!("{argument}"),
        "trap" => trap(),
        "exit" => process::exit(1),
        "loop" => spin(),
        "alloc" => hoard(),
        "recurse" => {
            recurse(0);
            None
        }
        "sleep" => {
            thread::sleep(Duration::from_millis(argument.parse().unwrap_or(0)));
            None
        }
        "log" => {
            vanne_plugin::info!("{argument}");
            None
        }
        "stderr" | "stdout" => {
            speak(command, argument);
            None
        }
        "file" => Some(tried(fs::read(argument))),
        "connect" => Some(tried(connect(argument).map(|()| b"connected".to_vec()))),
        "env" => Some(tried(env::var(argument).map(String::into_bytes))),
        "output" => Some(Outcome::replace(vec![b'x'; argument.parse().unwrap_or(0)])),
        _ => None,
    }
}

/// Ends in a trap, without a message first.
pub(crate) fn trap() -> ! {
    #[cfg(target_family = "wasm")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_family = "wasm"))]
    process::abort()
}

fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

fn hoard() -> ! {
    let mut hoard = Vec::new();
    loop {
        hoard.push(black_box(vec![1_u8; 1 << 20]));
    }
}

/// Deep enough for any stack; what it returns is of no use.
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if black_box(depth) == u64::MAX {
        return frame[0];
    }
    recurse(depth + 1).wrapping_add(frame[black_box(1)])
}

#[allow(clippy::print_stderr, clippy::print_stdout)] // the streams are what is tested
fn speak(stream: &str, text: &str) {
    match stream {
        "stderr" => eprintln!("{text}"),
        _ => println!("{text}"),
    }
}

fn connect(address: &str) -> Result<(), String> {
    let address: SocketAddr = address
        .parse()
        .map_err(|_| format!("`{address}` is no address"))?;
    TcpStream::connect(address)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

fn tried<'a>(result: Result<Vec<u8>, impl std::fmt::Display>) -> Outcome<'a> {
    Outcome::replace(result.unwrap_or_else(|error| format!("denied: {error}").into_bytes()))
}
