use lucid_model::time::HOUR_MS;

use super::*;

const LIMITS: SpoolLimits =
    SpoolLimits { bytes_max: 1 << 20, age_max: Duration::from_secs(24 * 3600) };

fn sample(uptime: u64) -> SampleRequest {
    SampleRequest { uptime: Some(uptime), ..SampleRequest::default() }
}

fn open(dir: &tempfile::TempDir, limits: SpoolLimits) -> Spool {
    Spool::open(dir.path().to_owned(), limits, 0, ClockReading::now()).unwrap()
}

fn append(spool: &mut Spool, uptimes: impl IntoIterator<Item = u64>) {
    uptimes.into_iter().for_each(|uptime| spool.append(sample(uptime), Instant::now()));
}

fn drain(spool: &mut Spool) -> Vec<u64> {
    let mut uptimes = Vec::new();
    while let Some((id, samples)) = spool.take_oldest() {
        uptimes.extend(samples.into_iter().filter_map(|s| s.uptime));
        if let Some(id) = id {
            spool.remove(id);
        }
    }
    uptimes
}

#[test]
fn the_newest_samples_survive_a_restart_and_the_oldest_give_way_and_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let limits = SpoolLimits { bytes_max: 800, ..LIMITS };
    let mut spool = open(&dir, limits);
    append(&mut spool, 1..=50);
    assert!(spool.bytes() <= 800);
    let (kept, dropped) = (spool.len(), spool.dropped());
    assert_eq!(kept + dropped, 50);
    assert!(kept >= 5, "{kept}");
    drop(spool);
    let mut spool = open(&dir, limits);
    assert_eq!(spool.len(), kept);
    assert_eq!(drain(&mut spool), (dropped + 1..=50).collect::<Vec<_>>());
    assert_eq!((spool.len(), spool.bytes()), (0, 0));
}

/// A clock that goes right from hour 0 on.
fn clock(hours: i64) -> ClockReading {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    ClockReading {
        wall: TimeMs(hours * HOUR_MS),
        steady: *START + Duration::from_secs(3600 * u64::try_from(hours).unwrap()),
    }
}

fn sample_at(hours: i64) -> SampleRequest {
    SampleRequest {
        timestamp: Some(TimeMs(hours * HOUR_MS).to_string()),
        ..sample(u64::try_from(hours).unwrap())
    }
}

#[test]
fn what_is_too_old_gives_way() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(dir.path().to_owned(), LIMITS, 0, clock(1)).unwrap();
    spool.append(sample_at(1), clock(1).steady);
    assert_eq!(spool.oldest_at(), Some(TimeMs(HOUR_MS)));
    drop(spool);
    let mut spool = Spool::open(dir.path().to_owned(), LIMITS, 7, clock(25)).unwrap();
    spool.append(sample_at(25), clock(25).steady);
    assert_eq!((spool.len(), spool.dropped()), (2, 7), "a day old, and no older");
    spool.append(sample_at(26), clock(26).steady);
    assert_eq!((spool.dropped(), spool.oldest_at()), (8, Some(TimeMs(25 * HOUR_MS))));
    assert_eq!(drain(&mut spool), [25, 26]);
}

#[test]
fn a_clock_that_was_ahead_holds_up_nothing_that_is_too_old() {
    let dir = tempfile::tempdir().unwrap();
    for at in [5_000, 2] {
        Spool::open(dir.path().to_owned(), LIMITS, 0, clock(1))
            .unwrap()
            .append(sample_at(at), clock(2).steady);
    }
    let mut spool = Spool::open(dir.path().to_owned(), LIMITS, 0, clock(26)).unwrap();
    assert_eq!(spool.len(), 2);
    spool.append(sample_at(27), clock(27).steady);
    assert_eq!((spool.dropped(), drain(&mut spool)), (2, vec![27]));
}

#[test]
fn a_sample_of_the_future_ages_from_when_it_was_found() {
    let dir = tempfile::tempdir().unwrap();
    open(&dir, LIMITS).append(sample_at(5_000), Instant::now());
    let mut spool = Spool::open(dir.path().to_owned(), LIMITS, 0, clock(1)).unwrap();
    spool.append(sample_at(25), clock(25).steady);
    assert_eq!(spool.dropped(), 0);
    spool.append(sample_at(26), clock(26).steady);
    assert_eq!(spool.dropped(), 1);
}

#[test]
fn a_clock_that_jumps_while_the_agent_runs_drops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(dir.path().to_owned(), LIMITS, 0, clock(1)).unwrap();
    spool.append(sample_at(1), clock(1).steady);
    // A year ahead, for an hour.
    spool.append(sample_at(8_760), clock(2).steady);
    spool.append(sample_at(3), clock(3).steady);
    assert_eq!((spool.dropped(), drain(&mut spool)), (0, vec![1, 8_760, 3]));
}

#[test]
fn a_line_that_a_crash_cut_off_costs_only_itself() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(&dir, LIMITS);
    append(&mut spool, [1]);
    let path = spool.path(1);
    drop(spool);
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"{\"cpu_us").unwrap();
    let mut spool = open(&dir, LIMITS);
    append(&mut spool, [2]);
    assert_eq!(drain(&mut spool), [1, 2]);
}

#[test]
fn samples_that_come_while_a_report_is_made_are_not_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(&dir, LIMITS);
    append(&mut spool, [1, 2]);
    let (id, samples) = spool.take_oldest().unwrap();
    append(&mut spool, [3]);
    spool.remove(id.unwrap());
    assert_eq!(samples.len(), 2);
    assert_eq!(drain(&mut spool), [3]);
}

/// The kernel's own full disk: what is written to it fails for want of room.
#[cfg(target_os = "linux")]
mod full_disk {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_full_disk_is_told_of_and_costs_nothing_while_memory_has_room() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = open(&dir, LIMITS);
        symlink("/dev/full", spool.path(1)).unwrap();
        append(&mut spool, 1..=20);
        assert!(
            spool.trouble().is_some_and(|trouble| trouble.contains("No space left")),
            "{:?}",
            spool.trouble()
        );
        assert_eq!((spool.len(), spool.dropped(), spool.bytes()), (20, 0, 0));
        fs::remove_file(spool.path(1)).unwrap();
        append(&mut spool, [21]);
        assert_eq!((spool.trouble(), spool.len()), (None, 21));
        drop(spool);
        assert_eq!(
            drain(&mut open(&dir, LIMITS)),
            (1..=21).collect::<Vec<_>>(),
            "they are on disk now"
        );
    }

    #[test]
    fn on_a_disk_that_stays_full_the_oldest_give_way_and_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = open(&dir, LIMITS);
        append(&mut spool, 1..=3);
        assert!(
            spool.take_oldest().is_some_and(|(id, samples)| id == Some(1) && samples.len() == 3),
            "the next one goes into another segment"
        );
        symlink("/dev/full", spool.path(2)).unwrap();
        let most = u64::try_from(UNWRITTEN_MAX).unwrap();
        append(&mut spool, 4..=3 + most);
        assert_eq!((spool.len(), spool.dropped()), (most + 3, 0));
        append(&mut spool, [4 + most]);
        assert_eq!(
            (spool.len(), spool.dropped()),
            (most, 4),
            "the segment on disk makes room first"
        );
        append(&mut spool, [5 + most, 6 + most]);
        assert_eq!((spool.len(), spool.dropped()), (most, 6), "then what is in memory");
        assert_eq!(drain(&mut spool), (7..=6 + most).collect::<Vec<_>>());
    }
}
