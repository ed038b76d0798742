use super::*;

const START: TimeMs = TimeMs(1_790_000_000_000);
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn begun(newest: Option<TimeMs>, mark: Option<&ClockMark>) -> ClockWatch {
    let mut watch = ClockWatch::default();
    watch.begin(newest, mark, "boot", 1_000);
    watch
}

/// One whose clocks agree at [`START`].
fn running() -> ClockWatch {
    let mut watch = begun(None, None);
    assert_eq!(watch.read(START, 1_000), Reading { now: START, fault: None, is_exact: true });
    watch
}

fn mark(wall: TimeMs, boot: &str) -> ClockMark {
    ClockMark { boot: boot.into(), since_boot_ms: 500, wall, records_accepted: None }
}

#[test]
fn a_wall_clock_that_is_moved_is_not_the_time_until_it_agrees_again() {
    for by_ms in [HOUR, 2 * DAY, -HOUR, -6 * 365 * DAY, STEP_MAX_MS + 1, -STEP_MAX_MS - 1] {
        let mut watch = running();
        let moved = watch.read(START.plus_ms(5_000 + by_ms), 6_000);
        let fault = Some(ClockFault::Moved { by_ms });
        assert_eq!(
            moved,
            Reading { now: START.plus_ms(5_000), fault, is_exact: true },
            "time goes on where it was"
        );
        assert_eq!(
            watch.mark("boot", START.plus_ms(5_000 + by_ms), 6_000),
            None,
            "nobody is told of it as of a good clock"
        );
        let still = watch.read(START.plus_ms(2 * HOUR + by_ms), 1_000 + 2 * HOUR);
        assert_eq!(
            (still.now, still.fault),
            (START.plus_ms(2 * HOUR), fault),
            "it does not become right by waiting"
        );
        let back = watch.read(START.plus_ms(3 * HOUR), 1_000 + 3 * HOUR);
        assert_eq!((back.now, back.fault), (START.plus_ms(3 * HOUR), None));
    }
}

#[test]
fn corrections_of_ntp_are_followed_however_many_there_are() {
    let (mut watch, mut wall) = (running(), START);
    for minute in 1..=10_000 {
        wall = wall.plus_ms(FOLLOWED_EVERY_MS + 9_000);
        let reading = watch.read(wall, 1_000 + minute * FOLLOWED_EVERY_MS);
        assert_eq!((reading.now, reading.fault), (wall, None));
    }
    // The same nine seconds each second are no correction.
    let faults = (1..=60)
        .filter(|second| {
            watch.read(wall.plus_ms(second * 10_000), 600_001_000 + second * 1_000).fault.is_some()
        })
        .count();
    assert!(faults > 50, "{faults}");
}

#[test]
fn who_accepts_the_wall_clock_ends_the_fault_and_begins_a_new_line() {
    let mut watch = running();
    let late = START.plus_ms(2 * DAY);
    assert!(watch.read(late, 2_000).fault.is_some());
    watch.accept(late, 2_000);
    assert_eq!(
        watch.read(late.plus_ms(10), 2_010),
        Reading { now: late.plus_ms(10), fault: None, is_exact: true }
    );
    let fault = watch.read(START, 3_000).fault;
    assert_eq!(
        fault,
        Some(ClockFault::Moved { by_ms: -2 * DAY - 1_000 }),
        "what it showed before is wrong now"
    );
}

#[test]
fn a_start_in_the_past_is_known_by_the_newest_record() {
    let mut watch = begun(Some(START), None);
    let past = TimeMs(1_577_836_800_000);
    let reading = watch.read(past, 2_000);
    let fault = Some(ClockFault::Behind { least: START });
    assert_eq!(
        reading,
        Reading { now: START.plus_ms(1_000), fault, is_exact: false },
        "it is at least that late"
    );
    assert_eq!(
        watch.read(START.plus_ms(5 * DAY), 3_000),
        Reading { now: START.plus_ms(5 * DAY), fault: None, is_exact: true },
        "NTP was there"
    );
    assert_eq!(
        watch.read(START.plus_ms(6 * DAY), 4_000).fault,
        Some(ClockFault::Moved { by_ms: DAY - 1_000 }),
        "and from now on it is exact"
    );
}

#[test]
fn a_new_store_does_not_begin_in_2020() {
    let mut watch = begun(None, None);
    let fault = Some(ClockFault::Behind { least: EARLIEST });
    assert_eq!(watch.read(TimeMs(1_577_836_800_000), 2_000).fault, fault);
    assert_eq!(watch.read(START, 3_000).fault, None);
}

#[test]
fn a_start_after_days_off_is_no_fault_and_one_after_a_year_is_asked_about() {
    for days in [0, 2, 365] {
        assert_eq!(
            begun(Some(START), Some(&mark(START, "another")))
                .read(START.plus_ms(days * DAY), 1_000)
                .fault,
            None,
            "{days}"
        );
    }
    let mut watch = begun(Some(START), None);
    let reading = watch.read(START.plus_ms(400 * DAY), 1_000);
    assert_eq!(
        reading,
        Reading { now: START, fault: Some(ClockFault::Ahead { last: START }), is_exact: false }
    );
    watch.accept(START.plus_ms(400 * DAY), 1_000);
    assert_eq!(watch.read(START.plus_ms(400 * DAY), 1_000).fault, None);
}

#[test]
fn a_start_in_the_same_boot_knows_what_time_it_is() {
    let before = mark(START, "boot");
    for by_ms in [HOUR, 2 * DAY, -HOUR] {
        let mut watch = begun(Some(START), Some(&before));
        let reading = watch.read(START.plus_ms(500 + by_ms), 1_000);
        assert_eq!(
            reading,
            Reading {
                now: START.plus_ms(500),
                fault: Some(ClockFault::Moved { by_ms }),
                is_exact: true
            }
        );
    }
    assert_eq!(begun(Some(START), Some(&before)).read(START.plus_ms(500), 1_000).fault, None);
}

#[test]
fn an_epoch_that_ends_in_the_future_is_a_fault_until_then_or_until_it_is_accepted() {
    let end = START.plus_ms(2 * HOUR);
    let mut watch = running();
    watch.note_epoch(end);
    let reading = watch.read(START.plus_ms(1_000), 2_000);
    assert_eq!(
        reading,
        Reading {
            now: START.plus_ms(1_000),
            fault: Some(ClockFault::EpochAhead { end }),
            is_exact: true
        }
    );
    assert_eq!(watch.read(end, 1_000 + 2 * HOUR).fault, None);
    let mut watch = running();
    watch.note_epoch(end);
    watch.accept(START, 1_000);
    assert_eq!(watch.read(START.plus_ms(1_000), 2_000).fault, None);
    // The next start knows it as well, also after a reboot.
    let kept = watch.mark("boot", START.plus_ms(1_000), 2_000).unwrap();
    let mut next = ClockWatch::default();
    next.begin(Some(end), Some(&kept), "reboot", 10);
    next.note_epoch(end);
    assert_eq!(next.read(START.plus_ms(60_000), 20).fault, None);
}
