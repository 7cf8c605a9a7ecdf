//! The kept configuration: what it holds, and that another host can run it.

use std::collections::BTreeSet;
use std::path::Path;

use host::config::{self, Pipeline, Sink};

use super::{SECRET, environment, parse};

/// What holds for the kept text of every pipeline: it shows nothing that was put in, and stands for all
/// that a revision fixes.
pub(crate) fn stands_for(pipeline: &Pipeline) {
    let kept = &pipeline.kept;
    assert!(!kept.text.contains(SECRET), "{}", kept.text);
    let again = pipeline.with_kept_and(&kept.text, &environment);
    let again = again.unwrap_or_else(|error| panic!("{error}\n{}", kept.text));
    assert_eq!(&again.kept, kept);
    let plan = config::plan(pipeline, &again, &BTreeSet::new());
    assert!(plan.is_empty(), "{plan}\n{}", kept.text);
}

/// A host of a group: its own folder, and what its own file adds to the sink's options.
fn host(folder: &str, options: &str, rest: &str) -> Pipeline {
    let text = format!(
        "version = 1\nname = \"p\"\n[source]\ntype = \"kafka\"\nbrokers = \"a\"\ntopics = [\"t\"]\n\
         [sinks.a]\ntype = \"object-store\"\nurl = \"s3://lake/a\"\noptions = {{ {options} }}\n{rest}"
    );
    let read = config::parse(&text, Path::new(folder), "p.toml", &environment);
    read.unwrap_or_else(|error| panic!("{error}"))
}

fn error(own: &Pipeline, kept: &str) -> String {
    own.with_kept_and(kept, &environment).expect_err("refused").to_string()
}

#[test]
fn one_meaning_has_one_text() {
    let one = "version = 1\nname = 'p'\nsource = { type = \"kafka\", brokers = \"a\", topics = [\"t\"] }\n\
               [[transforms]]\nname = \"t\"\nplugin = \"a.wasm\"\nconfig = { n = 16, x = 0.5, s = \"a\\\\b\" }\n\
               [sinks]\nb = { type = \"object-store\", url = \"s3://lake/b\" }\n\
               a = { type = \"object-store\", url = \"s3://lake/a\", buffer = { size = \"1MiB\" } }\n";
    let other = "# a comment\nversion = 1\nsinks.a.buffer.size = '1MiB'\nsinks.a.type = \"object-store\"\n\
                 sinks.a.url = 's3://lake/a'\nname = \"p\"\n[sinks.b]\nurl = \"s3://lake/b\"\n\
                 type = \"\"\"object-store\"\"\"\n[[transforms]]\nplugin = \"elsewhere/b.wasm\"\n\
                 config.s = 'a\\b'\nconfig.x = 5e-1\nconfig.n = 0x1_0\nname = \"t\"\nbuild.command = \"make\"\n\
                 [source]\ntype = \"kafka\"\nbrokers = \"elsewhere\"\ntopics = [\"t\"]\n[host]\nthreads = 3\n";
    let read = |text| parse(text, "p.toml").unwrap_or_else(|error| panic!("{error}"));
    let (one, other) = (read(one), read(other));
    assert_eq!(one.kept.text, other.kept.text);
    assert_eq!(one.digest, other.digest);
}

#[test]
fn the_order_of_transforms_has_a_meaning() {
    let transform = |name: &str| format!("[[transforms]]\nname = \"{name}\"\nplugin = \"p.wasm\"\n");
    let one = host("/a", "", &(transform("x") + &transform("y")));
    let other = host("/a", "", &(transform("y") + &transform("x")));
    assert_ne!(one.digest, other.digest);
    let plan = config::plan(&one, &other, &BTreeSet::new());
    assert!(plan.to_string().contains("\ntransforms: swap at next cut (order)\n"), "{plan}");
}

#[test]
fn withheld_options_come_from_the_hosts_own_file() {
    let maker = host("/a", "secret_access_key = \"first-literal\", region = \"eu\"", "");
    assert!(!maker.kept.text.contains("first-literal") && maker.kept.text.contains("region = \"eu\""));

    let other = host("/b", "AWS_SECRET_ACCESS_KEY = \"${SECRET}\", region = \"us\"", "");
    let run = other.with_kept_and(&maker.kept.text, &environment).unwrap_or_else(|error| panic!("{error}"));
    let Sink::ObjectStore(sink) = &run.sinks["a"];
    assert_eq!(sink.location.options["secret_access_key"].reveal(), SECRET);
    assert_eq!(sink.location.options["region"].reveal(), "eu");
    assert_eq!(run.digest, maker.digest);
    assert!(!format!("{run:?}").contains(SECRET));

    let without = host("/c", "region = \"us\"", "");
    let refused = error(&without, &maker.kept.text);
    let place = format!("kept configuration {}:", maker.digest);
    assert!(refused.starts_with(&place), "{refused}");
    assert!(refused.contains("sinks.a.options.secret_access_key: was withheld from the ledger"), "{refused}");
    assert!(refused.contains("as a reference, such as `\"${NAME}\"`"), "{refused}");

    // A secret that was changed is another value, though the text is the same.
    let changed = host("/a", "secret_access_key = \"second-literal\", region = \"eu\"", "");
    assert_eq!(changed.digest, maker.digest);
    let plan = config::plan(&maker, &changed, &BTreeSet::new());
    assert!(plan.to_string().contains("sink `a`: cut and rebuild (options)"), "{plan}");
    assert!(!plan.to_string().contains("literal"), "{plan}");
}

#[test]
fn facts_of_a_host_stay_its_own() {
    let transforms = "[[transforms]]\nname = \"both\"\nplugin = \"both.wasm\"\n\
                      grants = { files = { \"/geo\" = \"geo\" } }\n\
                      [[transforms]]\nname = \"theirs\"\nplugin = \"theirs.wasm\"\n";
    let maker = host("/a", "", &format!("{transforms}[batch]\nrecords = 5\n[cut]\nrecords = 7\n"));
    let own = "[[transforms]]\nname = \"both\"\nplugin = \"mine.wasm\"\nbuild = { command = \"make\" }\n\
               [[transforms]]\nname = \"mine\"\nplugin = \"gone.wasm\"\n\
               [batch]\nrecords = 9\n[swap]\nprobe = 3\n[host]\nthreads = 2\n";
    let own = host("/b", "", own);
    let run = own.with_kept_and(&maker.kept.text, &environment).unwrap_or_else(|error| panic!("{error}"));
    let names: Vec<_> = run.transforms.iter().map(|transform| transform.name.as_str()).collect();
    assert_eq!(names, ["both", "theirs"]);
    assert_eq!(run.transforms[0].plugin, Path::new("/b/mine.wasm"));
    assert!(run.transforms[0].build.is_some());
    assert_eq!(run.transforms[0].grants.files["/geo"], Path::new("/b/geo"));
    assert_eq!(run.transforms[1].plugin, Path::new(""));
    assert!(config::summary(&run).contains("theirs: its component in the ledger"));
    let missing = config::check_files(&run).expect_err("its own file is not there").to_string();
    assert!(missing.contains("transforms[0].plugin") && !missing.contains("transforms[1]"), "{missing}");
    assert_eq!((run.batch.records.get(), run.cut.records, run.swap.probe), (9, Some(7), 3));
    assert_eq!((run.source, run.host), (own.source, own.host));
}

#[test]
fn the_ledger_stays_when_the_sinks_move() {
    let own = host("/a", "", "");
    let elsewhere = host(
        "/a",
        "",
        "[sinks.b]\ntype = \"object-store\"\nurl = \"gs://pond/b\"\n[ledger]\nurl = \"s3://lake/_vanne\"\n",
    );
    let run = own.with_kept_and(&elsewhere.kept.text, &environment).unwrap_or_else(|error| panic!("{error}"));
    let place = |pipeline: &Pipeline| pipeline.ledger_location().map(|location| location.url.to_string());
    assert_eq!(place(&run), place(&own));
    assert!(config::plan(&own, &run, &BTreeSet::new()).refusal().is_none());
}

#[test]
fn what_a_host_cannot_run_is_refused_with_its_place() {
    let own = host("/a", "", "");
    let renamed = own.kept.text.replace("name = \"p\"", "name = \"q\"");
    let refused = error(&own, &renamed);
    assert!(refused.contains(":2:8: name: is another pipeline's than `p`"), "{refused}");
    let later = own.kept.text.replace("version = 1", "version = 2");
    assert!(error(&own, &later).contains("version 2 is not known to this host"));
    let unset = own.kept.text.replace("s3://lake/a", "s3://${NOWHERE}/a");
    assert!(error(&own, &unset).contains("sinks.a.url: the environment variable `NOWHERE` is not set"));
    for table in ["[source]\n", "[batch]\n", "[ledger]\n", "[host]\n", "[swap]\n"] {
        let refused = error(&own, &format!("{}{table}", own.kept.text));
        assert!(refused.contains("unknown key"), "{table} is taken");
    }
    let component = format!("{}[[transforms]]\nname = \"t\"\nplugin = \"x.wasm\"\n", own.kept.text);
    assert!(error(&own, &component).contains("transforms[0].plugin: unknown key"));
    assert!(error(&own, &"#".repeat((1 << 20) + 1)).contains("is larger than 1MiB"));
    let large = format!("{}[[transforms]]\nname = \"t\"\nlimits = {{ memory = \"2GiB\" }}\n", own.kept.text);
    assert!(error(&own, &large).contains("`limits.memory` (2GiB) is more than `host.memory` (1GiB)"));
}
