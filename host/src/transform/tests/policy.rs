//! What a policy makes of failures: retries, age, `on_error`, time-outs, the circuit breaker.

use super::*;

#[test]
fn fatal_stops_the_pipeline_only_before_anything_succeeded_or_by_policy() {
    let factory = poison([1], CallError::Fatal(String::from("no key")));
    let mut lane = factory.lane(Policy::default());
    lane.proven = AtomicBool::new(false);
    let stop = lane.run(&batch(3)).expect_err("the first batch");
    assert!(matches!(stop, Stop::Fatal { text, .. } if text == "no key"));
    lane.run(&batch(1)).expect("a good batch");
    let result = lane.run(&batch(3)).expect("a later batch");
    assert_eq!(failed(&result), [1]);
    assert_eq!(
        (&*result.failed[0].failure.code, result.failed[0].condition),
        ("PluginFatal", Condition::Fatal)
    );
    lane.policy.on_fatal = OnFatal::Stop;
    assert!(matches!(lane.run(&batch(3)), Err(Stop::Fatal { .. })));
}

/// The first input that comes again, and how often it was wished.
fn wished(result: &Transformed) -> Option<(u32, u32)> {
    match &result.rest {
        Some(Rest { from, wait: Wait::Wish { attempt, .. } }) => Some((*from, *attempt)),
        _ => None,
    }
}

#[test]
fn a_call_that_wants_a_retry_postpones_what_is_left() {
    // 0..2 succeed once the poison at 3 has split the batch; 5 asks for a retry.
    let factory = Factory::new(|record| match record.offset {
        3 => Err(trap()),
        5 => Err(CallError::Retry(wish("Later"))),
        _ => Ok(Answer::Forward),
    });
    let result = factory.run(&batch(8), None).expect("runs");
    assert_eq!(inputs(&result.outputs), [0, 1, 2]);
    assert_eq!(failed(&result), [3]);
    assert_eq!(wished(&result), Some((4, 1)));
}

#[test]
fn a_retry_of_the_first_record_postpones_the_batch() {
    let whole = Factory::new(|_| Err(CallError::Retry(wish("Call"))));
    let first = Factory::new(|_| Ok(Answer::Retry(wish("Record"))));
    for factory in [whole, first] {
        let result = factory.run(&batch(3), None).expect("postponed");
        assert_eq!((wished(&result), result.outputs.len()), (Some((0, 1)), 0));
    }
}

#[test]
fn a_record_that_always_wants_a_retry_runs_out_of_them_and_the_others_go_on() {
    for is_whole_call in [false, true] {
        let factory = Factory::new(move |record| match record.offset {
            1 if is_whole_call => Err(CallError::Retry(wish("Busy"))),
            1 => Ok(Answer::Retry(wish("Busy"))),
            _ => Ok(Answer::Forward),
        });
        let mut lane = factory.lane(Policy { retries: Some(2), ..Policy::default() });
        let batch = batch(4);
        let mut from = 0;
        let mut delivered = Vec::new();
        let mut wishes = 0;
        let last = loop {
            let (result, _) = lane.run_part(&batch, from..4).expect("runs");
            delivered.extend(inputs(&result.outputs));
            match wished(&result) {
                Some((again, _)) => (from, wishes) = (again, wishes + 1),
                None => break result,
            }
            assert!(wishes < 10, "it comes to an end");
            lane.pass(Duration::from_secs(1));
        };
        assert_eq!(delivered, [0, 2, 3], "in order, each once");
        let [failed] = &last.failed[..] else { panic!("{:?}", last.failed) };
        assert_eq!((failed.input, failed.condition), (1, Condition::RetryAttemptsExhausted));
        assert_eq!(&*failed.failure.code, "Busy");
        if !is_whole_call {
            assert_eq!((failed.attempts, wishes), (3, 2));
            assert_eq!(failed.first_attempt_ms, Some(NOW.wall_ms), "the first of the three");
        }
    }
}

#[test]
fn with_retries_without_end_nothing_runs_out() {
    let factory = Factory::new(|_| Ok(Answer::Retry(wish("Busy"))));
    let mut lane = factory.lane(Policy { retries: None, ..Policy::default() });
    for nth in 1..50 {
        assert_eq!(wished(&lane.run(&batch(2)).expect("runs")), Some((0, nth)));
    }
}

#[test]
fn records_that_are_too_old_are_not_asked_about() {
    let mut arena = Arena::default();
    let times = [NOW.wall_ms - 60_001, NOW.wall_ms - 59_000, -1, 0, NOW.wall_ms];
    for (offset, timestamp_ms) in (0..).zip(times) {
        assert!(arena.push(NewRecord { timestamp_ms, offset, ..NewRecord::default() }, []));
    }
    let factory = Factory::new(|_| Ok(Answer::Forward));
    let age = Some(Duration::from_secs(60));
    let result = factory.lane(Policy { max_record_age: age, ..Policy::default() }).run(&arena).expect("runs");
    assert_eq!((failed(&result), inputs(&result.outputs)), (vec![0, 3], vec![1, 2, 4]));
    assert!(result.failed.iter().all(|failed| failed.condition == Condition::RecordAgeExceeded));
    assert_eq!(result.failed[0].attempts, 0, "nobody was asked");
}

#[test]
fn what_fails_is_dropped_where_the_policy_says_so() {
    let factory = Factory::new(|record| match record.offset {
        0 => Err(trap()),
        1 => Ok(Answer::Fail(failure())),
        2 => Ok(Answer::Emit(vec![None], 1)),
        3 => Ok(Answer::Emit(Vec::new(), 1)),
        _ => Ok(Answer::Forward),
    });
    let policy = Policy { on_error: OnError::Drop, ..Policy::default() };
    let result = factory.lane(policy).run(&batch(5)).expect("runs");
    assert_eq!((result.dropped, result.failed.len(), result.partial.len()), (3, 0, 0));
    assert_eq!(inputs(&result.outputs), [2, 4]);
}

#[test]
fn a_failure_stops_the_pipeline_after_what_was_before_it_where_the_policy_says_so() {
    for error in [Some(trap()), None] {
        let factory = Factory::new(move |record| match (&error, record.offset) {
            (Some(error), 2) => Err(error.clone()),
            (None, 2) => Ok(Answer::Fail(failure())),
            _ => Ok(Answer::Forward),
        });
        let mut lane = factory.lane(Policy { on_error: OnError::Stop, ..Policy::default() });
        let batch = batch(4);
        let (result, _) = lane.run_part(&batch, 0..4).expect("what stands before it");
        assert_eq!(
            (inputs(&result.outputs), result.rest),
            (vec![0, 1], Some(Rest { from: 2, wait: Wait::Not }))
        );
        let stop = lane.run_part(&batch, 2..4).expect_err("stops");
        assert!(matches!(stop, Stop::Failed { offset: 2, .. }), "{stop}");
    }
}

#[test]
fn a_call_that_takes_too_long_ends_the_run_until_one_record_is_left() {
    let factory = poison([5], timeout());
    let mut lane = factory.lane(Policy::default());
    let batch = batch(8);
    let (result, pace) = lane.run_part(&batch, 0..8).expect("runs");
    assert_eq!((pace, result.rest), (StepPace::TooSlow(8), Some(Rest { from: 0, wait: Wait::Not })));
    assert_eq!(factory.calls(), 1, "others get the thread in between");
    let (result, pace) = lane.run_part(&batch, 5..6).expect("runs");
    assert_eq!((pace, failed(&result)), (StepPace::Well, vec![5]));
    assert_eq!(result.failed[0].condition, Condition::Timeout);
}

#[test]
fn one_input_of_many_records_that_hangs_is_searched_in_place() {
    let explode = Factory::new(|_| Ok(Answer::Emit(vec![None; 8], 0)));
    let batch = batch(1);
    let before = explode.run(&batch, None).expect("runs");
    let hang = Factory::new(|record| if record.index == 3 { Err(timeout()) } else { Ok(Answer::Forward) });
    let result = hang.run(&batch, Some(before)).expect("runs");
    assert_eq!((result.outputs.len(), result.partial.len()), (7, 1));
}

#[test]
fn the_lane_is_held_when_most_of_a_thousand_records_fail_and_nothing_of_the_batch_stands() {
    let is_mended = Arc::new(AtomicBool::new(false));
    let mended = Arc::clone(&is_mended);
    let factory = Factory::new(move |_| {
        let fails = !mended.load(Ordering::Relaxed);
        Ok(if fails { Answer::Fail(failure()) } else { Answer::Forward })
    });
    let mut lane = factory.lane(Policy::default());
    let (small, large) = (batch(900), batch_at(900, 10_000));
    assert_eq!(lane.run(&small).expect("too few to tell").failed.len(), 900);
    let held = lane.run(&large).expect_err("held");
    let cause = Cause::Failures { failed: 10_900, records: 10_900 };
    assert!(matches!(&held, Stop::Held { cause: found, .. } if *found == cause), "{held}");
    lane.pass(Duration::from_secs(60));
    assert!(matches!(lane.run(&large), Err(Stop::Held { .. })), "the trial fails");
    is_mended.store(true, Ordering::Relaxed);
    assert_eq!(lane.run(&large).expect("the trial is good").outputs.len(), 10_000);
}

#[test]
fn a_batch_of_which_every_record_traps_is_given_up_early() {
    let factory = poison(0..10_000, trap());
    let mut lane = factory.lane(Policy::default());
    assert!(matches!(lane.run(&batch(10_000)), Err(Stop::Held { .. })));
    assert!(factory.calls() < 2_100, "{} calls, as for a thousand records", factory.calls());
}

#[test]
fn calls_that_hang_one_after_another_hold_the_lane_and_one_record_does_not() {
    let all = poison(0..100, timeout());
    let mut lane = all.lane(Policy::default());
    let batch = batch(100);
    let mut dead = 0;
    let held = (0..100).find_map(|nth| match lane.run_part(&batch, nth..nth + 1) {
        Ok((result, _)) => {
            dead += result.failed.len();
            None
        }
        Err(stop) => Some(stop),
    });
    assert!(matches!(held, Some(Stop::Held { cause: Cause::Timeouts { calls: 22 }, .. })), "{held:?}");
    assert_eq!(dead, 21);
    let never = CircuitBreaker { records: u64::MAX, ..CircuitBreaker::default() };
    let one = poison([0], timeout());
    let mut lane = one.lane(Policy { circuit_breaker: Some(never), ..Policy::default() });
    for _ in 0..100 {
        for part in [0..64, 0..1, 1..64] {
            lane.run_part(&batch, part).expect("one bad record holds nothing");
        }
    }
}

#[test]
fn a_batch_that_comes_again_for_a_later_transform_does_not_open_the_breaker_of_an_earlier_one() {
    let factory = Factory::new(|_| Ok(Answer::Fail(failure())));
    let mut lane = factory.lane(Policy::default());
    for _ in 0..20 {
        lane.run(&batch(300)).expect("300 bad records are too few, however often they come");
        lane.pass(Duration::from_secs(1));
    }
}
