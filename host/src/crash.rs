//! Named points at which a test can have the process killed.
//!
//! Owns nothing in a usual build: without the feature `crash-points` every call is empty. With it,
//! `VANNE_CRASH_POINT=name` (or `name:nth`) makes the process kill itself, as SIGKILL does, when it
//! reaches that point the n-th time (the first by default). The crash tests go through every name in
//! [`POINTS`].

/// Every crash point, in the order in which a range passes them.
pub const POINTS: [&str; 9] = [
    "lane:taken-over",
    "stage:part-uploaded",
    "stage:finished",
    "entry:before-create",
    "entry:created",
    "publish:object-placed",
    "publish:done",
    "commit:sent",
    "lane:closed",
];

/// Passes the point `name`, one of [`POINTS`].
#[cfg(not(feature = "crash-points"))]
#[inline]
pub fn point(_name: &'static str) {}

/// Passes the point `name`, one of [`POINTS`]; the process ends here when it is the one asked for.
#[cfg(feature = "crash-points")]
pub fn point(name: &'static str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    debug_assert!(POINTS.contains(&name), "`{name}` is not in POINTS");
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("VANNE_CRASH_POINT").ok()?;
        // Names hold a colon themselves, so a count is what follows the last one, if it is a number.
        match text.rsplit_once(':') {
            Some((point, nth)) if nth.parse::<u64>().is_ok() => Some((point.to_owned(), nth.parse().ok()?)),
            _ => Some((text, 1)),
        }
    });
    if let Some((point, nth)) = wanted
        && point == name
        && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *nth
    {
        kill_self();
    }
}

/// Ends the process as SIGKILL does: no destructor, no flush, no answer to anybody.
#[cfg(feature = "crash-points")]
fn kill_self() -> ! {
    let pid = std::process::id().to_string();
    let _killed = std::process::Command::new("kill").args(["-KILL", &pid]).status();
    std::process::abort()
}
