//! What is not taken: the old version goes on, and whoever asked is told why.

use super::stage::{FIRST, Stage, keyed};
use crate::crash::dice::Dice;
use crate::crash::load;
use crate::stamps::{Mode, stamped, write};

#[test]
fn a_component_that_is_no_good_is_refused_and_the_old_one_goes_on() {
    let name = "swap-refused";
    let dice = Dice::for_test(name);
    let stage = Stage::new(name, 2, 1, &dice, |pipeline| pipeline);
    let mut counts = load::none(2);
    load::add(&stage.scene.topic, &mut counts, 60, keyed);
    let mut host = stage.host_with_lanes(0, 2);
    // So that there are records to try a version on.
    stage.await_records(&mut host, 120);
    let before = stage.await_status(0, &mut host, |_| true);

    let refused: [(&str, Vec<u8>, &[&str]); 6] = [
        ("text.wasm", b"no component".to_vec(), &["WebAssembly"]),
        ("module.wasm", b"\0asm\x01\0\0\0".to_vec(), &["component"]),
        ("cut.wasm", stamped(2, Mode::Good)[..5000].to_vec(), &["compile"]),
        ("refuses.wasm", stamped(3, Mode::Refuses), &["every configuration"]),
        ("traps.wasm", stamped(4, Mode::TrapsWhenConfigured), &["configure"]),
        ("later.wasm", stamped(5, Mode::Traps), &["fails on", "Trap"]),
    ];
    for (file, component, reasons) in refused {
        let path = write(stage.folder(), file, &component).to_string_lossy().into_owned();
        let answer = stage.ask(0, &["swap", &stage.transform(), &path]);
        assert_eq!(answer.code, 1, "`{file}` is refused: {answer:?}");
        let said = answer.said.lines().find(|line| line.starts_with("error: "));
        let said = said.unwrap_or_else(|| panic!("`{file}`: no error is told: {answer:?}"));
        for reason in reasons {
            assert!(answer.said.contains(reason), "`{file}`: `{reason}` is not in: {said}");
        }
        let status = stage.await_status(0, &mut host, |_| true);
        assert_eq!(status["revision"], before["revision"], "`{file}` changed nothing");
        assert_eq!(status["transforms"], before["transforms"], "`{file}` changed nothing");
    }

    let missing = stage.ask(0, &["swap", &stage.transform(), "nowhere.wasm"]);
    assert!(missing.code == 1 && missing.said.contains("nowhere.wasm"), "{missing:?}");
    let file = stage.folder().join("later.wasm").to_string_lossy().into_owned();
    let other = stage.ask(0, &["swap", &format!("{}/other", stage.name()), &file]);
    assert!(other.code == 1 && other.said.contains("other"), "{other:?}");

    load::add(&stage.scene.topic, &mut counts, 60, keyed);
    stage.await_records(&mut host, 240);
    stage.end(host);
    let versions = stage.judge(&counts);
    assert_eq!(versions.records.into_iter().collect::<Vec<_>>(), [(FIRST, 240)]);
    assert_eq!(versions.revisions.len(), 1, "what is refused is no revision: {:?}", versions.revisions);
}
