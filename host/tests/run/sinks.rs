//! Formats, compressions, prefixes, cuts and buffers, as a reader of the lake sees them.

use super::host::{Pipeline, Workspace, sink, together};
use super::lake::{Lake, number, text};

fn numbered(lines: usize) -> Vec<u8> {
    (0..lines).map(|number| format!("{{\"number\": {number}}}\n")).collect::<String>().into_bytes()
}

#[test]
fn formats_and_compressions_decode_to_the_same_lines() {
    let jobs = [
        ("raw", "none", "txt"),
        ("raw", "gzip", "txt.gz"),
        ("json-lines", "gzip", "jsonl.gz"),
        ("json-lines", "zstd", "jsonl.zst"),
    ];
    // Past 1 MiB a sink compresses as it goes.
    let input = numbered(120_000);
    let expected: Vec<_> = (0..120_000).map(|number| format!("{{\"number\": {number}}}")).collect();
    let job = |(format, compression, extension): (&str, &str, &str)| {
        let keys = format!("format = {format:?}\ncompression = {compression:?}");
        let workspace =
            Workspace::with(&Pipeline::default().partitions(1).sinks(&[sink("lake", &keys)]), &input);
        let (_, lake) = workspace.deliver();
        assert!(lake.texts("", 0) == expected, "{format} {compression}");
        assert!(
            lake.objects.iter().all(|object| object.path.ends_with(&format!(".{extension}"))),
            "{extension}"
        );
    };
    together([&|| job(jobs[0]), &|| job(jobs[1]), &|| job(jobs[2]), &|| job(jobs[3])]);
}

#[test]
fn values_that_are_no_json_become_dead_letters_of_their_sink() {
    let input = b"{\"a\": 1}\nnot json\n[1,\n\xff\n\n  {\"b\": 2}  \nnull\n";
    let json = sink("json", "prefix = \"json/\"\ncompression = \"none\"");
    let raw = sink("raw", "prefix = \"raw/\"\nformat = \"raw\"\ncompression = \"none\"");
    let workspace = Workspace::with(&Pipeline::default().partitions(1).sinks(&[json, raw]), input);
    let (run, lake) = workspace.deliver();
    assert_eq!(lake.texts("json/", 0), ["{\"a\": 1}", "{\"b\": 2}", "null"]);
    assert_eq!(
        lake.lines("raw/", 0),
        input[..input.len() - 1].split(|byte| *byte == b'\n').collect::<Vec<_>>()
    );
    let code = |offset| (0, offset, String::from("NotJson"));
    assert_eq!(lake.codes(), [code(1), code(2), code(3), code(4)]);
    let letters = lake.letters();
    assert!(letters.iter().all(|letter| text(letter, "sink") == "json"), "{letters:?}");
    assert_eq!((text(&letters[0], "value"), text(&letters[2], "value_base64")), ("not json", "/w=="));
    assert!(text(&letters[1], "detail").contains("not JSON at byte 3"), "{}", letters[1]);
    assert_eq!((run.number("records_written"), run.number("dead_letters"), lake.sum("kept")), (10, 4, 7));
    assert_eq!(lake.all_entries().map(|entry| number(&entry["sinks"]["json"], "failed")).sum::<u64>(), 4);
}

#[test]
fn objects_lie_where_the_configuration_says() {
    together([
        &|| {
            let prefix =
                "prefix = \"!{topic}/p!{partition}/!{timestamp:'year='yyyy/'month='MM/dd-HH-mm-ss}_\"";
            let keys = format!("{prefix}\nformat = \"raw\"\ncompression = \"none\"");
            let workspace = Workspace::with(&Pipeline::default().sinks(&[sink("lake", &keys)]), b"a\nb\n");
            let (_, lake) = workspace.deliver();
            for (object, partition) in lake.objects.iter().zip(0..) {
                let rest = object.path.strip_prefix(&format!("t/p{partition}/year=20")).expect("the prefix");
                let shape: String =
                    rest.chars().map(|sign| if sign.is_ascii_digit() { '0' } else { sign }).collect();
                let expected = "00/month=00/00-00-00-00_t-0-00000000000000000000-0000-";
                assert!(shape.starts_with(expected), "{}", object.path);
            }
            assert_eq!(lake.objects.len(), 2);
        },
        &|| {
            // Two places, the ledger in a third and dead letters in a fourth.
            let pipeline = Pipeline::default().partitions(1).guest("test-guest", "").sinks(&[
                sink("a", "prefix = \"a/\"\nformat = \"raw\"\ncompression = \"none\""),
                sink("b", "prefix = \"b/\"\nformat = \"raw\"").replace("\"out\"", "\"elsewhere\""),
            ]);
            let pipeline = pipeline.rest("[ledger]\nurl = \"ledger\"\n[dead_letter]\nurl = \"letters\"\n");
            let workspace = Workspace::with(&pipeline, b"one\nfail Bad because\ntwo\n");
            let run = workspace.run();
            assert_eq!(run.code, Some(0), "{run}");
            let places = ["ledger", "out", "elsewhere"].map(|place| workspace.runs_in(place).remove(0));
            let entries = Lake::entries_of(&places[0]);
            let path = text(&entries[0]["sinks"]["dead_letter"]["objects"][0], "path").to_owned();
            assert!(
                workspace.runs_in("letters")[0].join(&path).is_file() && path.starts_with("t/t-0-"),
                "{path}"
            );
            for (place, name) in [(&places[1], "a"), (&places[2], "b")] {
                let object = text(&entries[0]["sinks"][name]["objects"][0], "path").to_owned();
                assert!(object.starts_with(&format!("{name}/")) && place.join(&object).is_file(), "{object}");
            }
            assert!(
                !places[1].join("_vanne/p").join("t@embedded/0/00000000000000").exists(),
                "entries lie in the ledger's place alone"
            );
        },
    ]);
}

#[test]
fn a_small_buffer_makes_several_objects_of_one_cut() {
    let keys = "format = \"raw\"\ncompression = \"none\"\nbuffer = { size = \"2KiB\" }";
    let input: Vec<u8> =
        (0..2000).flat_map(|number| format!("line number {number}\n").into_bytes()).collect();
    let workspace = Workspace::with(&Pipeline::default().partitions(1).sinks(&[sink("lake", keys)]), &input);
    let (run, lake) = workspace.deliver();
    let expected: Vec<_> = (0..2000).map(|number| format!("line number {number}")).collect();
    assert_eq!(lake.texts("", 0), expected);
    assert_eq!(run.number("entries"), 1, "{run}");
    let numbers: Vec<_> = lake.objects.iter().map(|object| object.number).collect();
    assert!(numbers.len() > 10 && numbers.iter().copied().eq(0..numbers.len() as u32), "{numbers:?}");
    assert!(lake.objects.iter().all(|object| object.length < 4096), "closed soon after its size");
}

#[test]
fn the_cause_of_a_cut_stands_in_its_entry() {
    let base = || Pipeline::default().partitions(1).batch("window = \"50ms\"\nrecords = 10");
    together([
        &|| {
            let (_, lake) = Workspace::with(&base().cut("records = 20"), &numbered(90)).deliver();
            let reads: Vec<_> = lake.all_entries().map(|entry| number(entry, "read")).collect();
            assert_eq!(
                (reads, lake.causes(0)),
                (vec![20, 20, 20, 20, 10], vec!["records", "records", "records", "records", "end"])
            );
        },
        &|| {
            let (_, lake) = Workspace::with(&base().cut("size = \"1KiB\""), &numbered(500)).deliver();
            let causes = lake.causes(0);
            assert!(
                causes.len() > 4 && causes[..causes.len() - 1].iter().all(|cause| *cause == "size"),
                "{causes:?}"
            );
        },
        &|| {
            let pipeline = base().cut("interval = \"300ms\"").feed("file = \"-\"");
            let workspace = Workspace::with(&pipeline, b"");
            let mut process =
                workspace.start(&["run", "--until-end", "pipeline.toml"], &[("VANNE_LOG", "debug")]);
            process.say(b"{}\n");
            process.wait_for("committed topic");
            process.say(b"[]\n");
            process.input = None;
            let run = process.end();
            assert_eq!(run.code, Some(0), "{run}");
            assert_eq!(workspace.lake().causes(0), ["age", "end"]);
        },
        &|| {
            // A range of nothing but drops has nothing to show, and is recorded all the same.
            let cut = "interval = \"200ms\"\nmax_interval = \"400ms\"";
            let pipeline = base().cut(cut).feed("file = \"-\"").guest("test-guest", "");
            let workspace = Workspace::with(&pipeline, b"");
            let mut process =
                workspace.start(&["run", "--until-end", "pipeline.toml"], &[("VANNE_LOG", "debug")]);
            process.say(b"drop\ndrop\n");
            process.wait_for("committed topic");
            process.input = None;
            let run = process.end();
            assert_eq!(run.code, Some(0), "{run}");
            let lake = workspace.lake();
            assert_eq!((lake.objects.len(), lake.causes(0), lake.sum("dropped")), (0, vec!["dropped"], 2));
        },
    ]);
}
