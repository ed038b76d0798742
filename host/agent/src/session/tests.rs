use proptest::prelude::*;
use tokio::time::Instant;

use super::*;

/// A wall clock that can be set, beside one that cannot.
struct Clocks(ClockReading);

impl Clocks {
    fn new() -> Self {
        Self(ClockReading { wall: TimeMs::from_unix_s(1_000_000), steady: Instant::now() })
    }
    fn pass(&mut self, ms: u64) -> ClockReading {
        self.0.steady += Duration::from_millis(ms);
        self.set(i64::try_from(ms).unwrap())
    }
    /// Sets the wall clock forward, or back; to the agent a suspended machine is the same as the
    /// former.
    fn set(&mut self, by_ms: i64) -> ClockReading {
        self.0.wall = self.0.wall.plus_ms(by_ms);
        self.0
    }
}

/// What is claimed, in milliseconds since the clocks' beginning.
fn claimed(sessions: &Sessions) -> Vec<(i64, i64)> {
    let all = sessions
        .closed
        .iter()
        .chain(sessions.open.as_ref().map(|open| &open.session))
        .filter(|session| session.to > session.from);
    all.map(|session| (session.from.0 - 1_000_000_000, session.to.0 - 1_000_000_000)).collect()
}

#[test]
fn a_session_grows_and_is_followed_by_one_that_starts_where_it_ended() {
    let (mut sessions, mut clocks) = (Sessions::new(Duration::from_secs(60)), Clocks::new());
    for pause_ms in [0, 30_000, 30_000, 30_000] {
        sessions.advance(clocks.pass(pause_ms), true);
    }
    assert_eq!(claimed(&sessions), [(0, 60_000), (60_000, 90_000)]);
    let (report, closed) = sessions.report().unwrap();
    assert_eq!((report.observations.len(), closed), (2, 1));
    assert_ne!(report.observations[0].session_id, report.observations[1].session_id);
    sessions.reported(closed);
    assert_eq!(sessions.report().unwrap().0.observations.len(), 1);
}

#[test]
fn a_node_that_is_not_active_has_no_session() {
    let (mut sessions, mut clocks) = (Sessions::new(Duration::from_secs(60)), Clocks::new());
    sessions.advance(clocks.pass(0), false);
    assert!(sessions.report().is_none() && sessions.active() == 0);
    sessions.advance(clocks.pass(1), true);
    assert!(sessions.report().is_none(), "an empty session is not reported");
    sessions.advance(clocks.pass(1), true);
    sessions.advance(clocks.pass(1), false);
    assert_eq!((sessions.report().unwrap().1, sessions.active()), (1, 0));
}

#[test]
fn a_clock_that_is_set_back_an_hour_begins_a_session_and_claims_no_time_to_come() {
    let (mut sessions, mut clocks) = (Sessions::new(Duration::from_secs(900)), Clocks::new());
    clocks.set(3_600_000);
    (0..4).for_each(|_| sessions.advance(clocks.pass(30_000), true));
    clocks.set(-3_600_000);
    sessions.advance(clocks.pass(30_000), true);
    assert_eq!(
        (claimed(&sessions), sessions.active()),
        (vec![], 1),
        "what is an hour ahead would be refused"
    );
    sessions.advance(clocks.pass(30_000), true);
    assert_eq!(claimed(&sessions), [(150_000, 180_000)]);
}

#[test]
fn a_clock_that_is_set_back_a_minute_leaves_what_is_over_of_a_session() {
    let (mut sessions, mut clocks) = (Sessions::new(Duration::from_secs(900)), Clocks::new());
    (0..5).for_each(|_| sessions.advance(clocks.pass(30_000), true));
    let before = sessions.report().unwrap().0.observations.remove(0);
    clocks.set(-60_000);
    sessions.advance(clocks.pass(30_000), true);
    assert_eq!(claimed(&sessions), [(30_000, 120_000)]);
    assert_ne!(
        sessions.report().unwrap().0.observations[0].session_id,
        before.session_id,
        "the service lets none shrink"
    );
    sessions.advance(clocks.pass(30_000), true);
    assert_eq!(claimed(&sessions), [(30_000, 120_000), (120_000, 150_000)]);
}

#[test]
fn a_clock_that_is_set_forward_and_a_suspension_are_in_no_session() {
    let (mut sessions, mut clocks) = (Sessions::new(Duration::from_secs(900)), Clocks::new());
    (0..3).for_each(|_| sessions.advance(clocks.pass(30_000), true));
    clocks.set(600_000);
    (0..2).for_each(|_| sessions.advance(clocks.pass(30_000), true));
    assert_eq!(claimed(&sessions), [(30_000, 90_000), (720_000, 750_000)]);
}

#[test]
fn ntp_cuts_no_session_and_one_that_never_ends_its_slewing_does_at_last() {
    let (mut sessions, mut clocks) = (Sessions::new(Duration::from_secs(900)), Clocks::new());
    for by_ms in [0, -400, 300, -900, 700, -1_000] {
        clocks.set(by_ms);
        sessions.advance(clocks.pass(30_000), true);
    }
    assert_eq!(claimed(&sessions), [(30_000, 178_700)]);
    let mut sessions = Sessions::new(Duration::from_secs(900));
    for _ in 0..10 {
        clocks.set(-1_500);
        sessions.advance(clocks.pass(1_000), true);
    }
    let (_, to) = claimed(&sessions).pop().unwrap_or_default();
    assert!(to - (clocks.0.wall.0 - 1_000_000_000) <= SLEW_MS_MAX, "{to}");
}

#[test]
fn a_session_after_a_slew_begins_where_the_one_before_ended() {
    let (mut sessions, mut clocks) = (Sessions::new(Duration::from_secs(900)), Clocks::new());
    (0..2).for_each(|_| sessions.advance(clocks.pass(30_000), true));
    sessions.advance(clocks.set(-1_500), false);
    sessions.advance(clocks.pass(500), true);
    sessions.advance(clocks.pass(30_000), true);
    assert_eq!(claimed(&sessions), [(30_000, 60_000), (60_000, 89_000)]);
}

#[derive(Debug, Clone)]
struct Step {
    pause_ms: u64,
    set_ms: i64,
    active: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let set = prop_oneof![5 => Just(0), 3 => -1_500_i64..1_500, 1 => -7_200_000_i64..-2_001, 1 => 2_001_i64..7_200_000];
    (0_u64..120_000, set, prop::bool::weighted(0.9)).prop_map(|(pause_ms, set_ms, active)| Step {
        pause_ms,
        set_ms,
        active,
    })
}

proptest! {
    #[test]
    fn sessions_never_overlap_nor_claim_time_to_come(steps in prop::collection::vec(step(), 1..60), length_s in 1_u64..1_200) {
        let (mut sessions, mut clocks) = (Sessions::new(Duration::from_secs(length_s)), Clocks::new());
        for Step { pause_ms, set_ms, active } in steps {
            let (before, was_open) = (clocks.0, sessions.open.as_ref().map(|open| (open.session.id, open.opened)));
            clocks.set(set_ms);
            let now = clocks.pass(pause_ms);
            sessions.advance(now, active);
            prop_assert_eq!(sessions.active(), u32::from(active));
            let claimed = claimed(&sessions);
            prop_assert!(claimed.windows(2).all(|two| two[0].1 <= two[1].0), "{:?} overlap", claimed);
            let now_ms = now.wall.0 - 1_000_000_000;
            prop_assert!(claimed.iter().all(|(_, to)| *to <= now_ms + SLEW_MS_MAX), "{:?} at {}", claimed, now_ms);
            let was_set = was_open.is_some_and(|(_, opened)| now.was_set_since(opened)) || (set_ms.abs() > 2 * SLEW_MS_MAX && now.was_set_since(before));
            if let (true, Some((id, _)), Some(open)) = (was_set, was_open, &sessions.open) {
                prop_assert_ne!(open.session.id, id, "a session spans a step");
                prop_assert!(open.session.from.ms_since(now.wall) <= SLEW_MS_MAX);
            }
        }
    }
}
