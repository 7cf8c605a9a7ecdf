//! What no plugin should do, or may do only if it is granted.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::hint::black_box;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
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
        "write" => Some(tried(
            fs::write(argument, "text").map(|()| b"written".to_vec()),
        )),
        "connect" => Some(tried(
            TcpStream::connect(argument).map(|_| b"connected".to_vec()),
        )),
        "ask" => Some(tried(ask(argument))),
        "listen" => Some(tried(
            TcpListener::bind(argument).map(|_| b"listening".to_vec()),
        )),
        "send" => Some(tried(send(argument))),
        "time" => Some(Outcome::replace(time().into_bytes())),
        "random" => Some(Outcome::replace(random().into_bytes())),
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

/// What a peer answers to `ping`, which may be never.
fn ask(address: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"ping\n")?;
    let mut answer = Vec::new();
    BufReader::new(stream).read_until(b'\n', &mut answer)?;
    Ok(answer)
}

fn send(address: &str) -> io::Result<Vec<u8>> {
    UdpSocket::bind("0.0.0.0:0")?.send_to(b"ping", address)?;
    Ok(b"sent".to_vec())
}

/// Milliseconds since 1970.
fn time() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis()).to_string()
}

/// A number that the standard library seeds by the system's random numbers, once an instance.
fn random() -> String {
    RandomState::new().build_hasher().finish().to_string()
}

fn tried<'a>(result: Result<Vec<u8>, impl std::fmt::Display>) -> Outcome<'a> {
    Outcome::replace(result.unwrap_or_else(|error| format!("denied: {error}").into_bytes()))
}
