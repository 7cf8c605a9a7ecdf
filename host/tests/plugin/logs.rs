//! What a plugin says, in the log of the host.

use super::*;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn captured(work: impl FnOnce()) -> String {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, work);
    let bytes = captured.0.lock().expect("not poisoned").clone();
    String::from_utf8(bytes).expect("text")
}

#[test]
fn what_a_plugin_says_is_in_the_log_with_its_place() {
    let plugin = load("test-guest", "");
    let log = captured(|| {
        let batch = batch(&["log hello", "stderr over there", "stdout here", "log bye"]);
        lane(vec![Arc::clone(&plugin)]).process(&batch, 0).expect("runs");
    });
    for (level, stream, text) in [
        ("INFO", "log", "hello"),
        ("WARN", "stderr", "over there"),
        ("INFO", "stdout", "here"),
        ("INFO", "log", "bye"),
    ] {
        let fields = format!(
            "pipeline=\"web\" transform=\"test\" topic=\"clicks\" partition=3 stream=\"{stream}\" text=\"{text}\""
        );
        let line = log.lines().find(|line| line.contains(&fields));
        assert!(line.is_some_and(|line| line.contains(level)), "{fields} not in:\n{log}");
    }
}

#[test]
fn a_flood_of_lines_is_cut_off_and_counted() {
    let plugin = load("test-guest", "");
    let log = captured(|| {
        let batch = batch(&["log x"; 5_000]);
        let result = lane(vec![Arc::clone(&plugin)]).process(&batch, 0).expect("runs");
        assert_eq!(result.outputs.len(), 5_000);
    });
    let said = log.lines().filter(|line| line.contains("plugin says")).count();
    let counts = log.lines().filter_map(|line| line.split_once(" lines=")).map(|(_, count)| {
        count.split_whitespace().next().expect("a number").parse::<usize>().expect("a number")
    });
    assert!((100..=1_000).contains(&said), "{said} lines");
    assert_eq!(said + counts.sum::<usize>(), 5_000);
}
