//! Texts that are JSON and texts that are not; `serde_json` is the judge where it can be.

use super::*;
use proptest::prelude::*;
use serde_json::value::Value as Judge;

fn whole(text: &str) -> Result<Value<'_>, Error> {
    let mut cursor = Cursor::new(text);
    let value = cursor.value()?;
    cursor.finish()?;
    Ok(value)
}

fn written(text: &str) -> String {
    let mut out = Vec::new();
    whole(text).unwrap().write_into(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn json_passes_as_it_is_written() {
    for text in [
        "null",
        "true",
        "-0",
        "0.10",
        "1e400",
        "123456789012345678901234567890",
        "1E-07",
        r#""""#,
        r#""\ud800 \/""#,
        "[]",
        "{}",
        r#"[1,[2,{"a":{}}],"] }"]"#,
        r#"{"":{"a":[[],{}]},"a":1,"a":2}"#,
    ] {
        let value = whole(text).unwrap();
        assert_eq!((value.raw, value.start), (text, 0));
        assert_eq!(written(text), text);
        assert_eq!(written(&format!(" \r\n{text}\t")), text);
    }
}

#[test]
fn white_space_is_noticed_wherever_it_stands_and_left_out() {
    let plain = r#"{"a":[1,{"b c":" \" "}],"d":{}}"#;
    assert!(whole(plain).unwrap().is_plain);
    let tokens = [
        "{",
        "\"a\"",
        ":",
        "[",
        "1",
        ",",
        "{",
        "\"b c\"",
        ":",
        "\" \\\" \"",
        "}",
        "]",
        ",",
        "\"d\"",
        ":",
        "{",
        "}",
        "}",
    ];
    assert_eq!(tokens.concat(), plain);
    for at in 1..tokens.len() {
        let text = format!("{}\n{}", tokens[..at].concat(), tokens[at..].concat());
        assert!(!whole(&text).unwrap().is_plain, "{text}");
        assert_eq!(written(&text), plain);
    }
}

#[test]
fn what_is_not_json_is_found_by_its_place() {
    // `¦` marks the place, and is no part of the text.
    for marked in [
        "¦",
        " ¦",
        "¦x",
        "¦nul",
        "¦tru",
        "-¦",
        "0¦1",
        "1.¦",
        "1.¦e3",
        "1e¦",
        "1e+¦",
        "¦+1",
        "¦.5",
        "¦\"a",
        r#""a¦\x""#,
        r#""¦\u12g4""#,
        r#""¦\u123"#,
        "\"a¦\n\"",
        "[¦",
        "[1¦",
        "[1¦}",
        "[1,¦]",
        "[¦,1]",
        "[1 ¦2]",
        "{¦",
        "{¦a:1}",
        "{¦1:1}",
        r#"{"a"¦}"#,
        r#"{"a"¦ 1}"#,
        r#"{"a":¦}"#,
        r#"{"a":1¦"#,
        r#"{"a":1¦]"#,
        r#"{"a":1,¦}"#,
        r#"{"a":1¦ "b":2}"#,
        "[] ¦[]",
        "1 ¦2",
        "¦\u{feff}1",
        "¦NaN",
        "¦'a'",
        "[1¦/**/]",
    ] {
        let marked = marked
            .replace("a\"¦ 1", "a\" ¦1")
            .replace("1¦ \"b", "1 ¦\"b");
        let text = marked.replace('¦', "");
        let error = whole(&text).expect_err(&text);
        assert_eq!(error.kind, ErrorKind::Syntax, "{text}");
        assert_eq!(Some(error.at), marked.find('¦'), "{marked}: {error:?}");
    }
}

#[test]
fn nesting_is_bounded_and_costs_no_stack() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nest = |depth| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        assert!(whole(&nest(DEPTH_MAX)).is_ok());
        assert!(serde_json::from_str::<Judge>(&nest(DEPTH_MAX)).is_ok());
        let error = whole(&nest(DEPTH_MAX + 1)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::TooDeep);
        assert_eq!(
            whole(&open.repeat(1_000_000)).unwrap_err().kind,
            ErrorKind::TooDeep
        );
        assert!(Cursor::within(&nest(100), 27).value().is_ok());
        assert!(Cursor::within(&nest(100), 28).value().is_err());
    }
}

#[test]
fn objects_and_arrays_are_walked() {
    let mut cursor = Cursor::new(r#" { "a" : [ 1 , 2 ] , "b" : { } } "#);
    cursor.enter().unwrap();
    assert!(cursor.member(true).unwrap().unwrap().means("a"));
    cursor.enter().unwrap();
    assert_eq!(cursor.depth(), 2);
    assert!(cursor.element(true).unwrap());
    assert_eq!(cursor.value().unwrap().raw, "1");
    assert!(cursor.element(false).unwrap());
    assert_eq!(cursor.value().unwrap().raw, "2");
    assert!(!cursor.element(false).unwrap());
    assert!(cursor.member(false).unwrap().unwrap().means("b"));
    cursor.enter().unwrap();
    assert!(cursor.member(true).unwrap().is_none());
    assert!(cursor.member(false).unwrap().is_none());
    cursor.finish().unwrap();
    assert_eq!(cursor.depth(), 0);
    assert!(Cursor::new("1").enter().is_err());
}

#[test]
fn numbers_are_told_from_other_texts() {
    for text in ["0", "-1.50", "1e400"] {
        assert!(is_number(text), "{text}");
    }
    for text in ["", " 1", "1 ", "+1", "0x1", "01", "1.", "NaN", "١"] {
        assert!(!is_number(text), "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_judged_like_another_reader_does(text in r#"[\[\]{},:"0-9eE+.\-\\u \ntrufalsn]{0,12}"#) {
        // Unlike a value, `IgnoredAny` passes numbers of any size, and lone surrogates.
        let judged = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        prop_assert_eq!(whole(&text).is_ok(), judged, "{}", text);
    }

    #[test]
    fn a_change_in_a_text_is_judged_like_another_reader_does(
        at in 0..60_usize, gone in 0..3_usize, put in r#"[\[\]{},:"0-9e.\-\\ ]{0,3}"#,
    ) {
        let mut text = r#"{"a":[1,-2.5e3,{"b\n":"c"}],"d":{"e":null,"f":[true,false]}}"#.to_owned();
        let end = (at + gone).min(text.len());
        text.replace_range(at.min(end)..end, &put);
        let judged = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        prop_assert_eq!(whole(&text).is_ok(), judged, "{}", text);
        if judged && let Ok(meant) = serde_json::from_str::<Judge>(&text) {
            prop_assert_eq!(serde_json::from_str::<Judge>(&written(&text)).unwrap(), meant);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text: String) {
        if let Err(error) = whole(&text) {
            prop_assert!(error.at <= text.len());
            prop_assert!(error.describe(text.as_bytes()).starts_with("byte "));
        }
    }
}
