//! Two versions side by side, case by case.

use super::*;

#[test]
fn a_batch_goes_to_one_version_as_a_whole() {
    let mode = share(5_000, SplitBy::Batches);
    let (stable, tried) = (forwards(), forwards());
    let mut versions = LaneVersions::new(one(&stable, &patient()), Some((one(&tried, &patient()), mode)));
    let mut taken = 0;
    for nth in 0..40 {
        let batch = keyed(nth * 100, 10);
        let processed = versions.process(&batch, 0, NOW).expect("nothing stops it");
        let parts: Vec<_> = processed.parts().collect();
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0].1.outputs.len(), 10);
        taken += u32::from(processed.candidate.is_some());
        // And the same one, however often a part of it comes again.
        let again = versions.process(&batch, 7, NOW).expect("nothing stops it");
        assert_eq!(again.candidate.is_some(), processed.candidate.is_some());
    }
    assert!((8..32).contains(&taken), "{taken}");
    assert!(stable.calls() > 0 && tried.calls() > 0);
}

#[test]
fn a_candidate_that_hangs_makes_only_its_own_calls_smaller() {
    let by_keys = share(5_000, SplitBy::Keys);
    let Mode::Share(split) = by_keys else { panic!("a share") };
    let batch = keyed(0, 200);
    let is_taken = |nth: &usize| split.takes_record(&batch.records, *nth);
    let bad = (0..200).find(is_taken).expect("some of 200") as u64;
    let (stable, tried) = (forwards(), Arc::new(poison([bad], timeout())));
    let mut versions = LaneVersions::new(one(&stable, &patient()), Some((one(&tried, &patient()), by_keys)));
    let first = versions.process(&batch, 0, NOW).expect("nothing stops it");
    assert_eq!(first.until(200) as u64, bad, "both end before what hangs");
    assert!(versions.is_slowed());
    // A stretch that is the stable version's alone is done at one go.
    let records: Vec<_> = (0..200_usize).filter(|nth| !is_taken(nth)).collect();
    let given: Vec<_> = records.iter().map(|nth| Given { key: Some(*nth as u8), matches: true }).collect();
    let other = batch_of(1_000, &given);
    let processed = versions.process(&other, 0, NOW).expect("nothing stops it");
    assert_eq!((processed.rest, processed.candidate.is_none()), (None, true));
}

#[test]
fn a_wait_for_one_version_costs_the_other_no_retries() {
    let by_keys = share(5_000, SplitBy::Keys);
    let Mode::Share(split) = by_keys else { panic!("a share") };
    let batch = keyed(0, 200);
    let taken: Vec<bool> = (0..200).map(|nth| split.takes_record(&batch.records, nth)).collect();
    let first = |from: usize, whose: bool| (from..200).find(|nth| taken[*nth] == whose).expect("some") as u64;
    for stable_first in [true, false] {
        let early = first(0, !stable_first);
        let late = first(early as usize, stable_first);
        let asks = |offset| Arc::new(wishes(offset));
        let (stable, tried) =
            if stable_first { (asks(early), asks(late)) } else { (asks(late), asks(early)) };
        let mut versions =
            LaneVersions::new(one(&stable, &patient()), Some((one(&tried, &patient()), by_keys)));
        for expected in [(early, 1), (early, 2), (early, 3), (late, 1), (late, 2)] {
            let processed = versions.process(&batch, 0, NOW).expect("nothing stops it");
            let rest = processed.rest.expect("one of them waits");
            let Wait::Wish { attempt, .. } = rest.wait else { panic!("it waits for a wish") };
            assert_eq!((u64::from(rest.from), attempt), expected);
        }
    }
}

fn wishes(offset: u64) -> Factory {
    Factory::new(move |record| {
        Ok(if record.offset == offset { Answer::Retry(wish("Busy")) } else { Answer::Forward })
    })
}

#[test]
fn a_candidate_is_lost_for_good_and_the_lane_is_never_held_for_it() {
    let bad = || Arc::new(Factory::new(|_| Ok(Answer::Fail(failure()))));
    let broken = || Arc::new(Factory { fails: 0..usize::MAX, ..Factory::new(|_| Ok(Answer::Forward)) });
    let stopping = Policy { on_error: OnError::Stop, ..Policy::default() };
    let table = [
        (bad(), Policy::default(), "fails too often: 1000 of 1000 records failed"),
        (bad(), stopping, "its `on_error` is \"stop\""),
        (Arc::new(poison([0], CallError::Fatal(String::from("no licence")))), on_fatal_stop(), "no licence"),
        (broken(), Policy::default(), "cannot be made: the WebAssembly engine cannot start: no memory"),
    ];
    for (factory, policy, why) in table {
        for mode in [share(10_000, SplitBy::Keys), share(10_000, SplitBy::Batches), Mode::Shadow] {
            let stable = forwards();
            let mut versions =
                LaneVersions::new(one(&stable, &patient()), Some((one(&factory, &policy), mode)));
            let batch = keyed(0, 1_000);
            let processed = versions.process(&batch, 0, NOW).expect("a candidate stops nothing");
            let lost = processed.lost.expect("it is lost");
            assert!(lost.contains(why), "{lost}");
            assert_eq!((versions.mode(), processed.rest, processed.candidate.is_none()), (None, None, true));
            assert_eq!(processed.stable.expect("a stable part").outputs.len(), 1_000);
            let (made, calls) = (factory.made(), factory.calls());
            let after = versions.process(&batch, 0, NOW).expect("nothing stops it");
            assert_eq!((after.lost, after.compared), (None, None));
            assert_eq!((factory.made(), factory.calls()), (made, calls), "it is not asked again");
        }
    }
}

fn on_fatal_stop() -> Policy {
    Policy { on_fatal: OnFatal::Stop, ..Policy::default() }
}

#[test]
fn a_stop_of_the_stable_version_is_the_lanes_and_leaves_the_candidate() {
    let stable = Arc::new(Factory::new(|_| Ok(Answer::Fail(failure()))));
    let policy = Policy { on_error: OnError::Stop, ..Policy::default() };
    for mode in [share(5_000, SplitBy::Keys), Mode::Shadow] {
        let tried = forwards();
        let mut versions = LaneVersions::new(one(&stable, &policy), Some((one(&tried, &patient()), mode)));
        let batch = keyed(0, 200);
        let (mut from, mut stop) = (0, None);
        while stop.is_none() {
            match versions.process(&batch, from, NOW) {
                Ok(processed) => from = processed.until(200),
                Err(error) => stop = Some(error),
            }
        }
        assert!(stop.is_some_and(|stop| stop.is_final()));
        assert_eq!(versions.mode(), Some(mode));
    }
}

#[test]
fn that_a_candidate_was_lost_is_told_even_if_the_stable_version_stops_in_the_same_batch() {
    let stable = Arc::new(Factory { fails: 0..1, ..Factory::new(|_| Ok(Answer::Forward)) });
    let tried = Arc::new(Factory { fails: 0..1, ..Factory::new(|_| Ok(Answer::Forward)) });
    let mode = share(10_000, SplitBy::Keys);
    let mut versions = LaneVersions::new(one(&stable, &patient()), Some((one(&tried, &patient()), mode)));
    let batch = keyed(0, 3);
    assert!(matches!(versions.process(&batch, 0, NOW), Err(Stop::Instance { .. })));
    let processed = versions.process(&batch, 0, NOW).expect("now it can be made");
    assert!(processed.lost.is_some() && processed.candidate.is_none());
    assert_eq!(versions.process(&batch, 0, NOW).expect("nothing stops it").lost, None, "told once");
}

#[test]
fn a_shadow_that_hangs_in_batch_after_batch_is_given_up_and_one_record_does_not_do_it() {
    let run = |bad: Vec<u64>| {
        let (stable, shadow) = (forwards(), Arc::new(poison(bad, timeout())));
        let mut versions =
            LaneVersions::new(one(&stable, &patient()), Some((one(&shadow, &patient()), Mode::Shadow)));
        let lost = |nth: u64| {
            let processed = versions.process(&keyed(nth * 10, 10), 0, NOW).expect("a shadow stops nothing");
            let compared = processed.compared.expect("it was compared");
            assert_eq!(compared.records + compared.not_compared, 10);
            assert_eq!(processed.stable.expect("a stable part").outputs.len(), 10);
            processed.lost
        };
        (0..4).map(lost).take_while(Option::is_none).count()
    };
    assert_eq!(run(vec![0, 1, 2, 3, 4, 10, 11, 20, 30]), 2, "the third in a row loses it");
    assert_eq!(run(vec![5]), 4);
    assert_eq!(run(vec![5, 15, 35]), 4);
}

#[test]
fn differences_of_code_that_is_not_pure_are_unreliable() {
    let impure = || Arc::new(Factory { pure: false, ..Factory::new(|_| Ok(Answer::Drop)) });
    for (stable, shadow, expected) in
        [(forwards(), forwards(), false), (forwards(), impure(), true), (impure(), forwards(), true)]
    {
        let mut versions =
            LaneVersions::new(one(&stable, &patient()), Some((one(&shadow, &patient()), Mode::Shadow)));
        let processed = versions.process(&keyed(0, 3), 0, NOW).expect("nothing stops it");
        assert_eq!(processed.compared.expect("compared").unreliable, expected);
    }
}

#[test]
fn a_warm_lane_has_its_instances_and_a_released_one_has_none() {
    let (stable, tried) = (forwards(), forwards());
    let mode = share(10_000, SplitBy::Keys);
    let mut versions = LaneVersions::new(one(&stable, &patient()), Some((one(&tried, &patient()), mode)));
    for round in 1..3 {
        for _ in 0..2 {
            versions.warm().expect("both can be made");
        }
        assert_eq!((stable.made(), tried.made()), (round, round));
        versions.process(&keyed(0, 3), 0, NOW).expect("nothing stops it");
        assert_eq!((stable.made(), tried.made()), (round, round), "the first batch finds them");
        versions.release();
    }
    let broken = || Arc::new(Factory { fails: 0..usize::MAX, ..Factory::new(|_| Ok(Answer::Forward)) });
    let with = |stable: &Arc<Factory>, tried: &Arc<Factory>| {
        LaneVersions::new(one(stable, &patient()), Some((one(tried, &patient()), mode))).warm()
    };
    assert!(with(&forwards(), &broken()).is_ok(), "a candidate's instance is no reason to stop");
    assert!(matches!(with(&broken(), &forwards()), Err(Stop::Instance { .. })));
}

#[test]
fn what_the_filter_keeps_back_is_stable_and_counted_once() {
    let filter = Filter::parse(&[r#"{"value": {"a": [1]}}"#]).expect("a pattern");
    let stable = Chain::of([(forwards() as Arc<dyn Code>, patient())]).behind(Sieve::new(filter, false));
    let tried = Arc::new(wishes(1));
    let mode = share(10_000, SplitBy::Keys);
    let mut versions = LaneVersions::new(stable.lane(origin()), Some((one(&tried, &patient()), mode)));
    let given = [false, true, false].map(|matches| Given { key: None, matches });
    let batch = batch_of(0, &given);
    let first = versions.process(&batch, 0, NOW).expect("nothing stops it");
    assert_eq!((first.until(3), versions.filtered()), (1, Filtered { no_match: 2, not_json: 0 }));
    assert_eq!(first.stable.expect("the filter's").dropped, 1);
    assert_eq!(first.tallies[0].dropped, 0, "numbers are of the transforms");
    versions.process(&batch, 1, NOW).expect("nothing stops it");
    assert_eq!(versions.filtered(), Filtered::default());
}
