//! What this process has cost so far, as the kernel counts it.

use std::fs;

/// Processor time and memory of this process. Zero where the system has no `/proc`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// Seconds of processor time, user and system.
    pub(super) cpu_seconds: f64,
    /// Largest resident memory so far, in bytes.
    pub(super) peak_memory_bytes: u64,
}

impl Usage {
    /// Reads it now.
    pub(super) fn now() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self { cpu_seconds: cpu_seconds(&stat), peak_memory_bytes: peak_memory(&status) }
    }
}

/// Fields 14 and 15 of proc(5)'s stat, in ticks of which Linux shows 100 a second on every platform.
fn cpu_seconds(stat: &str) -> f64 {
    const TICKS_A_SECOND: f64 = 100.0;
    // The second field is the program's name in brackets, which may hold anything.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / TICKS_A_SECOND
}

fn peak_memory(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.map_or(0, |kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_proc_says_even_of_odd_names() {
        let stat = "12 (a) b (c) S 1 1 1 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 100 1000 100";
        assert!((cpu_seconds(stat) - 3.0).abs() < 1e-9);
        assert_eq!(peak_memory("Name:\thost\nVmHWM:\t  2048 kB\n"), 2048 * 1024);
        assert_eq!(peak_memory(""), 0);
    }
}
