//! Named points at which a test can have the process killed, or made to stand still.
//!
//! Owns nothing in a usual build: without the feature `crash-points` every call is empty. With it,
//! `VANNE_CRASH_POINT=name` (or `name:nth`) makes the process kill itself, as SIGKILL does, when it
//! reaches that point the n-th time (the first by default); `VANNE_PAUSE_POINT` makes it stop itself
//! there, as SIGSTOP does, until somebody sends SIGCONT. The crash tests go through every name in
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

/// Passes the point `name`, one of [`POINTS`]; the process ends or stands still here when it is the one asked for.
#[cfg(feature = "crash-points")]
pub fn point(name: &'static str) {
    static KILLED: Wish = Wish::new("VANNE_CRASH_POINT");
    static PAUSED: Wish = Wish::new("VANNE_PAUSE_POINT");
    debug_assert!(POINTS.contains(&name), "`{name}` is not in POINTS");
    if PAUSED.comes_true(name) {
        signal_self("-STOP");
    }
    if KILLED.comes_true(name) {
        signal_self("-KILL");
        std::process::abort()
    }
}

/// What a test wants to happen, and how often its point was passed.
#[cfg(feature = "crash-points")]
struct Wish {
    variable: &'static str,
    wanted: std::sync::OnceLock<Option<(String, u64)>>,
    passed: std::sync::atomic::AtomicU64,
}

#[cfg(feature = "crash-points")]
impl Wish {
    const fn new(variable: &'static str) -> Self {
        let wanted = std::sync::OnceLock::new();
        Self { variable, wanted, passed: std::sync::atomic::AtomicU64::new(0) }
    }

    fn comes_true(&self, name: &str) -> bool {
        let wanted = self.wanted.get_or_init(|| {
            let text = std::env::var(self.variable).ok()?;
            // Names hold a colon themselves, so a count is what follows the last one, if it is a number.
            match text.rsplit_once(':') {
                Some((point, nth)) if nth.parse::<u64>().is_ok() => {
                    Some((point.to_owned(), nth.parse().ok()?))
                }
                _ => Some((text, 1)),
            }
        });
        wanted.as_ref().is_some_and(|(point, nth)| {
            point == name && self.passed.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1 == *nth
        })
    }
}

/// Sends this process a signal: SIGKILL leaves no destructor, no flush, no answer to anybody.
#[cfg(feature = "crash-points")]
fn signal_self(signal: &str) {
    let pid = std::process::id().to_string();
    let _sent = std::process::Command::new("kill").args([signal, &pid]).status();
}
