use lucid_model::{
    id::NodeId,
    telemetry::{
        credit::Interval,
        metric::{Resolution, Rollup, Sample, merge_all, roll_up},
    },
    time::TimeMs,
};
use lucid_ports::{Report, SeriesKept, Store};

use crate::{Backend, examples::*};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// In the middle of a day, an hour and five minutes.
const START: i64 = 20_000 * DAY + 6 * HOUR + 100_000;

fn measured(node: u32, i: i64) -> Sample {
    Sample {
        uptime_s: i.unsigned_abs() * 30,
        active_sessions: u32::try_from(i % 7).unwrap(),
        ..sample(node, START + 30_000 * i, i.unsigned_abs() * 999)
    }
}

/// Reports of a hundred samples each.
async fn report_all(store: &dyn Store, node: u32, samples: &[Sample]) {
    for some in samples.chunks(100) {
        let arrived = some.iter().map(|s| s.at.0).max().unwrap();
        store
            .store_report(Report { samples: some.to_vec(), ..report(node, arrived) })
            .await
            .unwrap();
    }
}

/// Rolls everything up, two nodes a step; how much there was to do.
async fn roll_all_up(store: &dyn Store, before: i64) -> u64 {
    let mut done = 0;
    loop {
        let (mut after, mut pass) = (None, 0);
        loop {
            let walked = store.roll_up(after, TimeMs(before), 2).await.unwrap();
            pass += walked.done;
            after = walked.next;
            if after.is_none() {
                break;
            }
        }
        if pass == 0 {
            return done;
        }
        done += pass;
    }
}

fn points(samples: &[Sample], range: Interval, resolution: Resolution) -> Vec<Rollup> {
    let is_in =
        |rollup: &Rollup| (range.from..range.to).contains(&resolution.floor(rollup.first.at));
    roll_up(samples, resolution).into_iter().filter(is_in).collect()
}

async fn says_what_the_samples_say(store: &dyn Store, node: NodeId, samples: &[Sample]) {
    let ranges = [
        span(0, i64::MAX),
        span(START, START + 9 * HOUR),
        span(START + HOUR / 2 + 1, START + 2 * HOUR + 7),
        span(START + 60_000, START + 90_000),
    ];
    for range in ranges {
        for resolution in Resolution::ALL {
            assert_eq!(
                store.series(node, range, resolution).await.unwrap(),
                points(samples, range, resolution),
                "{range:?} {resolution:?}"
            );
        }
        // Long ranges are cut at five minutes.
        let is_long = range.length_ms() > 6 * HOUR;
        let parts: Vec<_> =
            if is_long { points(samples, range, Resolution::FiveMinutes) } else { Vec::new() };
        let within = samples
            .iter()
            .filter(|s| !is_long && range.from <= s.at && s.at < range.to)
            .map(Rollup::of);
        let all = merge_all(parts.into_iter().chain(within)).unwrap();
        let summary = store.usage(node, range).await.unwrap();
        assert_eq!(
            (summary.samples, summary.network, summary.cpu),
            (all.samples, all.network, all.mean_floor(&all.cpu)),
            "{range:?}"
        );
    }
    let kept = store.samples(node, span(0, i64::MAX), 10_000).await.unwrap();
    assert_eq!(kept, samples);
}

pub async fn rollups_say_what_the_samples_say(backend: &mut dyn Backend) {
    let store = backend.store();
    let of = |node| (0..1_200).map(|i| measured(node, i)).collect::<Vec<_>>();
    for node in 1..=3 {
        report_all(&*store, node, &of(node)).await;
        says_what_the_samples_say(&*store, node_id(node), &of(node)).await;
    }
    let end = START + 1_200 * 30_000 + 2 * HOUR;
    // Some of it first, as the hours go by.
    roll_all_up(&*store, START + 3 * HOUR).await;
    says_what_the_samples_say(&*store, node_id(1), &of(1)).await;
    roll_all_up(&*store, end).await;
    assert_eq!(roll_all_up(&*store, end).await, 0, "what is rolled up is not done again");
    drop(store);
    backend.reopen();
    let store = backend.store();
    for node in 1..=3 {
        says_what_the_samples_say(&*store, node_id(node), &of(node)).await;
    }
    let (fleet, open) = store.fleet_usage(None, span(START, end)).await.unwrap();
    let whole = points(&of(1), span(START, end), Resolution::FiveMinutes)
        .iter()
        .map(|five| five.samples)
        .sum::<u64>();
    assert_eq!(
        (fleet.samples, fleet.samples_expected, open),
        (3 * whole, 3 * whole, 3 * u64::from(measured(1, 1_199).active_sessions))
    );
    assert_eq!(
        store.live_states(&[node_id(2)]).await.unwrap()[0].unwrap().sample,
        Some(measured(2, 1_199))
    );
}

pub async fn a_late_sample_is_in_its_rollup(backend: &mut dyn Backend) {
    let store = backend.store();
    let mut all: Vec<_> = (0..400).map(|i| measured(1, i)).collect();
    let late: Vec<_> = [150, 20, 151].map(|i| all[i]).to_vec();
    let timely: Vec<_> = all.iter().filter(|s| !late.contains(s)).copied().collect();
    let end = START + 400 * 30_000 + 2 * HOUR;
    report_all(&*store, 1, &timely).await;
    roll_all_up(&*store, end).await;
    says_what_the_samples_say(&*store, node_id(1), &timely).await;
    // They come when their hours are over, one of them twice, and what was sent before once more
    // with other words.
    let again = Sample { arrived_at: TimeMs(end), active_sessions: 99, ..all[30] };
    let sent: Vec<_> = late.iter().chain(&late[..1]).chain([&again]).copied().collect();
    store.store_report(Report { samples: sent, ..report(1, end) }).await.unwrap();
    says_what_the_samples_say(&*store, node_id(1), &all).await;
    assert!(roll_all_up(&*store, end + DAY).await > 0);
    says_what_the_samples_say(&*store, node_id(1), &all).await;
    all.push(measured(1, 5_000));
    report_all(&*store, 1, &all[400..]).await;
    says_what_the_samples_say(&*store, node_id(1), &all).await;
}

pub async fn what_is_forgotten_is_rolled_up(backend: &mut dyn Backend) {
    let store = backend.store();
    let all: Vec<_> = (0..600).map(|i| measured(1, i)).collect();
    report_all(&*store, 1, &all).await;
    let (end, range) = (START + DAY, span(0, i64::MAX));
    let kept = |samples, fives, hours| SeriesKept {
        samples_from: TimeMs(samples),
        five_minutes_from: TimeMs(fives),
        hours_from: TimeMs(hours),
    };
    let later = START + 5 * DAY;
    let forget = async |kept| {
        let walked = store.forget_series(None, kept, 10).await.unwrap();
        assert_eq!(walked.next, Some(node_id(1)));
        walked.done
    };
    roll_all_up(&*store, end).await;
    assert_eq!(forget(kept(START, 0, 0)).await, 0, "the day of the instant is kept");
    assert_eq!(store.samples(node_id(1), range, 10_000).await.unwrap(), all);
    assert!(forget(kept(later, 0, 0)).await > 0);
    assert_eq!(forget(kept(later, 0, 0)).await, 0);
    assert_eq!(store.samples(node_id(1), range, 10_000).await.unwrap(), []);
    for resolution in [Resolution::FiveMinutes, Resolution::Hour] {
        assert_eq!(
            store.series(node_id(1), range, resolution).await.unwrap(),
            roll_up(&all, resolution)
        );
    }
    assert_eq!(store.usage(node_id(1), range).await.unwrap().samples, 600);
    assert_eq!(
        store.live_states(&[node_id(1)]).await.unwrap()[0].unwrap().sample,
        Some(all[599]),
        "the newest sample stays"
    );
    // A sample of a time whose samples are gone replaces nothing.
    store
        .store_report(Report {
            samples: vec![Sample { active_sessions: 4, ..sample(1, START + 31_000, 5) }],
            ..report(1, end)
        })
        .await
        .unwrap();
    roll_all_up(&*store, later).await;
    assert_eq!(
        store.series(node_id(1), range, Resolution::Hour).await.unwrap(),
        roll_up(&all, Resolution::Hour)
    );
    assert!(forget(kept(later, later, 0)).await > 0);
    assert_eq!(store.series(node_id(1), range, Resolution::FiveMinutes).await.unwrap(), []);
    assert_eq!(
        store.series(node_id(1), range, Resolution::Hour).await.unwrap(),
        roll_up(&all, Resolution::Hour)
    );
    assert_eq!(store.usage(node_id(1), range).await.unwrap().samples, 600);
    assert!(forget(kept(later, later, later)).await > 0);
    assert_eq!(store.usage(node_id(1), range).await.unwrap().samples, 0);
}

pub async fn lost_rollups_are_made_again(backend: &mut dyn Backend) {
    let store = backend.store();
    let of = |node| (0..600).map(|i| measured(node, i)).collect::<Vec<_>>();
    for node in 1..=3 {
        report_all(&*store, node, &of(node)).await;
    }
    roll_all_up(&*store, START + DAY).await;
    let later = TimeMs(START + 5 * DAY);
    let lost = SeriesKept { samples_from: TimeMs(0), five_minutes_from: later, hours_from: later };
    assert!(store.forget_series(None, lost, 10).await.unwrap().done > 0);
    assert_eq!(
        store.series(node_id(1), span(0, i64::MAX), Resolution::Hour).await.unwrap(),
        [],
        "they are lost"
    );
    let first = store.roll_up_again(None, 2).await.unwrap();
    assert!(first.done > 0 && first.next == Some(node_id(2)), "{first:?}");
    store.roll_up_again(first.next, 2).await.unwrap();
    for node in 1..=3 {
        says_what_the_samples_say(&*store, node_id(node), &of(node)).await;
    }
    // Again, with nothing lost, and with less packed than what the rollups are of.
    store.roll_up_again(None, 10).await.unwrap();
    says_what_the_samples_say(&*store, node_id(1), &of(1)).await;
    let samples_gone =
        SeriesKept { samples_from: later, five_minutes_from: TimeMs(0), hours_from: TimeMs(0) };
    store.forget_series(None, samples_gone, 10).await.unwrap();
    store.roll_up_again(None, 10).await.unwrap();
    assert_eq!(
        store.series(node_id(1), span(0, i64::MAX), Resolution::Hour).await.unwrap(),
        points(&of(1), span(0, i64::MAX), Resolution::Hour)
    );
}
