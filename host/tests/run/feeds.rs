//! What goes in comes out: from a file and from standard input, whatever the bytes.

use super::host::{Pipeline, Workspace, together};
use super::lake::Lake;

/// Lines that are not nice, a few long ones, and no newline at the end.
fn awkward() -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut lines: Vec<Vec<u8>> = vec![
        b"plain".to_vec(),
        Vec::new(),
        b"\xff\xfe not UTF-8 \x80".to_vec(),
        b"with a carriage return".to_vec(),
        b"\rnot at the end".to_vec(),
        b"zero \0 byte".to_vec(),
        Vec::new(),
        vec![b'x'; 900_000],
        b"${NOT_EXPANDED} !{timestamp:yyyy}".to_vec(),
        "\u{1F980} and \u{202E}".as_bytes().to_vec(),
    ];
    lines.extend((0..5_000).map(|number| format!("line {number}").into_bytes()));
    lines.extend((0..8).map(|number| vec![b'a' + number; 700_000]));
    lines.push(b"the last one has no end".to_vec());
    let mut input = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        input.extend_from_slice(line);
        let end: &[u8] = if number == 3 { b"\r\n" } else { b"\n" };
        input.extend_from_slice(if number + 1 == lines.len() { b"" } else { end });
    }
    (input, lines)
}

/// Each line once, in its partition, in order.
fn check(lake: &Lake, lines: &[Vec<u8>], partitions: usize) {
    for partition in 0..partitions {
        let expected: Vec<_> = lines.iter().skip(partition).step_by(partitions).collect();
        let found = lake.lines("", i32::try_from(partition).expect("few"));
        assert_eq!(found.len(), expected.len(), "partition {partition}");
        for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!(found == expected, "line {number} of partition {partition} is another one");
        }
    }
    assert_eq!(lake.sum("read"), lines.len() as u64);
    assert_eq!(lake.letters().len(), 0);
}

#[test]
fn every_line_arrives_once_and_in_order() {
    let (input, lines) = awkward();
    together([
        &|| {
            let workspace = Workspace::with(&Pipeline::default().partitions(3), &input);
            let (run, lake) = workspace.deliver();
            check(&lake, &lines, 3);
            assert_eq!(run.number("records_written"), lines.len() as u64);
        },
        &|| {
            let pipeline = Pipeline::default().feed("file = \"-\"");
            let workspace = Workspace::with(&pipeline, b"");
            let mut process = workspace.start(&["run", "--until-end", "--json", "pipeline.toml"], &[]);
            process.say(&input);
            process.input = None;
            let run = process.end();
            assert_eq!(run.code, Some(0), "{run}");
            check(&workspace.lake(), &lines, 2);
        },
        &|| {
            // More than the embedded broker keeps: the feeder has to wait for the lanes.
            let line = |number: usize| format!("{number:09} {}", "y".repeat(990)).into_bytes();
            let lines: Vec<_> = (0..25_000).map(line).collect();
            let input = lines.join(&b'\n');
            let workspace = Workspace::with(&Pipeline::default(), &input);
            let (_, lake) = workspace.deliver();
            check(&lake, &lines, 2);
        },
    ]);
}

#[test]
fn feeds_end_where_they_are_told_to() {
    together([
        &|| {
            let pipeline = Pipeline::default().feed("file = \"in.log\"\nrecords = 3");
            let (_, lake) = Workspace::with(&pipeline, b"a\nb\nc\nd\ne\n").deliver();
            check(&lake, &[b"a".to_vec(), b"b".to_vec(), b"c".to_vec()], 2);
        },
        &|| {
            let workspace = Workspace::with(&Pipeline::default(), b"");
            let (run, lake) = workspace.deliver();
            assert_eq!((run.number("records_read"), run.number("objects"), run.number("entries")), (0, 0, 0));
            check(&lake, &[], 2);
        },
        &|| {
            let input = [b"a\nb\n".to_vec(), vec![b'z'; 2 << 20]].concat();
            Workspace::with(&Pipeline::default(), &input)
                .run()
                .expect(2, &["in.log", "source.feed", "a line has more than 900000 bytes"]);
        },
    ]);
}
