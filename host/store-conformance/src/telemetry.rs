pub mod series;

use lucid_model::{
    epochs::score::Ppm,
    id::Digest,
    telemetry::{
        metric::{Sample, UsageSummary},
        observation::{Observation, Observer, Verdict},
    },
    time::TimeMs,
};
use lucid_ports::{LiveState, Report, ReportOutcome, SessionOutcome, Store};

use crate::{Backend, examples::*, fifty};

async fn store_report(store: &dyn Store, report: Report) -> ReportOutcome {
    store.store_report(report).await.unwrap()
}

async fn sessions(store: &dyn Store, node: u32) -> Vec<Observation> {
    store.observed(&[node_id(node)], span(0, i64::MAX)).await.unwrap().remove(0).sessions
}

fn stored(sessions: usize) -> ReportOutcome {
    ReportOutcome::Stored(vec![SessionOutcome::Stored; sessions])
}

pub async fn a_report_is_stored_once(backend: &mut dyn Backend) {
    let store = backend.store();
    let numbered = |number, body: &[u8], at| Report {
        sequence: Some((number, Digest::of(body))),
        samples: vec![sample(1, at, u64::MAX), sample(1, at + 1, 7)],
        presence: Some(span(0, at)),
        ..report(1, at)
    };
    assert_eq!(store_report(&*store, numbered(5, b"a", 100)).await, stored(0));
    assert_eq!(store_report(&*store, numbered(5, b"a", 900)).await, ReportOutcome::Repeated);
    assert_eq!(
        store_report(&*store, numbered(5, b"b", 900)).await,
        ReportOutcome::SequenceTaken { highest: 5 }
    );
    assert_eq!(
        store_report(&*store, numbered(4, b"c", 900)).await,
        ReportOutcome::SequenceTaken { highest: 5 }
    );
    let live = store.live_states(&[node_id(2), node_id(1)]).await.unwrap();
    assert_eq!(
        live,
        [None, Some(LiveState { last_seen: TimeMs(100), sample: Some(sample(1, 101, 7)) })]
    );
    assert_eq!(
        store_report(&*store, numbered(9, b"d", 200)).await,
        stored(0),
        "numbers may be left out"
    );
    assert_eq!(
        store_report(&*store, Report { samples: vec![late_sample(50, 1)], ..report(1, 300) }).await,
        stored(0)
    );
    let live = store.live_states(&[node_id(1)]).await.unwrap()[0].unwrap();
    assert_eq!(
        (live.last_seen, live.sample.unwrap().at),
        (TimeMs(300), TimeMs(201)),
        "a late sample is not the newest"
    );
    assert_eq!(
        store_report(&*store, report(1, 300)).await,
        stored(0),
        "a heartbeat has nothing in it"
    );
    assert_eq!(
        store.live_states(&[node_id(1)]).await.unwrap()[0].unwrap().sample.unwrap().at,
        TimeMs(201)
    );
    assert_eq!(store.usage(node_id(1), span(0, 1_000)).await.unwrap().samples, 5);
    // A clock that was ahead, and is set right.
    for at in [900_000, 400] {
        assert_eq!(
            store_report(&*store, Report { samples: vec![sample(1, at, 1)], ..report(1, 410) })
                .await,
            stored(0)
        );
        assert_eq!(
            store.live_states(&[node_id(1)]).await.unwrap()[0].unwrap().sample.unwrap().at,
            TimeMs(at),
            "what arrived last is the newest"
        );
    }
}

/// A sample that arrives long after it was measured.
fn late_sample(at: i64, bytes_sent: u64) -> Sample {
    Sample { arrived_at: TimeMs(at + 100_000), ..sample(1, at, bytes_sent) }
}

pub async fn reports_of_one_number_are_stored_once(backend: &mut dyn Backend) {
    let store = backend.store();
    let outcomes = fifty(|i| {
        let store = store.clone();
        let sequence = Some((1, Digest::of(&i.to_le_bytes())));
        async move {
            store_report(
                &*store,
                Report { sequence, samples: vec![sample(1, i64::from(i), 1)], ..report(1, 5) },
            )
            .await
        }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|o| **o == stored(0)).count(), 1);
    assert_eq!(
        outcomes.iter().filter(|o| **o == ReportOutcome::SequenceTaken { highest: 1 }).count(),
        49
    );
    assert_eq!(store.usage(node_id(1), span(0, 100)).await.unwrap().samples, 1);
}

pub async fn fifty_first_reports_of_a_node_are_all_stored(backend: &mut dyn Backend) {
    let store = backend.store();
    // Several nodes: their documents are made while the others' are.
    for first in (1..=8).map(|node| node * 4) {
        let outcomes = fifty(|i| {
            let (store, node) = (store.clone(), first + i % 4);
            async move {
                store
                    .store_report(Report {
                        samples: vec![sample(node, i64::from(i), 1)],
                        ..report(node, 5)
                    })
                    .await
            }
        })
        .await;
        for outcome in outcomes {
            assert_eq!(outcome.unwrap(), stored(0));
        }
        for (node, samples) in [(0, 13), (1, 13), (2, 12), (3, 12)] {
            assert_eq!(
                store.usage(node_id(first + node), span(0, 100)).await.unwrap().samples,
                samples
            );
        }
    }
}

pub async fn a_session_belongs_to_one_node(backend: &mut dyn Backend) {
    let store = backend.store();
    assert_eq!(
        store_report(&*store, Report { sessions: vec![session(1, 1, 0, 10)], ..report(1, 10) })
            .await,
        stored(1)
    );
    let foreign =
        Report { sessions: vec![session(1, 2, 0, 99), session(2, 2, 0, 10)], ..report(2, 10) };
    assert_eq!(
        store_report(&*store, foreign).await,
        ReportOutcome::Stored(vec![SessionOutcome::OfAnotherNode, SessionOutcome::Stored])
    );
    assert_eq!(sessions(&*store, 1).await, [session(1, 1, 0, 10)]);
    assert_eq!(sessions(&*store, 2).await, [session(2, 2, 0, 10)]);
}

pub async fn a_session_grows_and_never_shrinks(backend: &mut dyn Backend) {
    let store = backend.store();
    let send = async |session: Observation| {
        store_report(&*store, Report { sessions: vec![session], ..report(1, 10) }).await
    };
    send(session(1, 1, 100, 200)).await;
    send(Observation {
        quality: Ppm(1),
        usage: None,
        verdict: Verdict::Unverified,
        ..session(1, 1, 50, 300)
    })
    .await;
    let grown = sessions(&*store, 1).await.remove(0);
    assert_eq!(
        (grown.span, grown.quality, grown.usage, grown.verdict),
        (span(100, 300), Ppm(1), None, Verdict::Unverified)
    );
    send(session(1, 1, 100, 150)).await;
    let less = sessions(&*store, 1).await.remove(0);
    assert_eq!((less.span, less.verdict), (span(100, 300), Verdict::Unverified), "of less of it");
    send(session(1, 1, 100, 300)).await;
    assert_eq!(sessions(&*store, 1).await[0].verdict, Verdict::Accepted);
    let rejected = Verdict::Rejected("ends in the future".into());
    send(Observation { verdict: rejected, ..session(1, 1, 100, 9_000) }).await;
    send(session(1, 1, 110, 310)).await;
    let anew = sessions(&*store, 1).await.remove(0);
    assert_eq!(
        (anew.span, anew.verdict),
        (span(110, 310), Verdict::Accepted),
        "not what was rejected"
    );
    let observed =
        Observation { by: Observer::Observer, quality: Ppm(200_000), ..session(1, 1, 110, 310) };
    send(observed.clone()).await;
    assert_eq!(send(session(1, 1, 100, 900)).await, stored(1));
    assert_eq!(
        sessions(&*store, 1).await,
        [observed],
        "the node's own claim does not replace an observer's"
    );
}

pub async fn presence_grows_from_its_start(backend: &mut dyn Backend) {
    let store = backend.store();
    for (from, to) in [(0, 30), (0, 60), (0, 40), (100, 130)] {
        store_report(&*store, Report { presence: Some(span(from, to)), ..report(1, to) }).await;
    }
    let observed = store.observed(&[node_id(1)], span(0, 1_000)).await.unwrap().remove(0);
    assert_eq!(observed.presence, [span(0, 60), span(100, 130)]);
}

pub async fn usage_is_summed_over_the_range(backend: &mut dyn Backend) {
    let store = backend.store();
    let counters = [(10, 100), (20, 150), (30, 30), (40, 40)];
    // Sent out of order: what counts is when it was measured.
    let samples = counters.iter().rev().map(|(at, sent)| sample(1, *at, *sent)).collect();
    store_report(&*store, Report { samples, ..report(1, 50) }).await;
    store_report(
        &*store,
        Report { samples: vec![sample(2, 15, 5), sample(2, 25, 9)], ..report(2, 50) },
    )
    .await;
    let summary = store.usage(node_id(1), span(10, 41)).await.unwrap();
    assert_eq!((summary.samples, summary.network.bytes_sent, summary.cpu), (4, 90, Ppm(500_000)));
    assert_eq!(store.usage(node_id(1), span(11, 40)).await.unwrap().network.bytes_sent, 30);
    assert_eq!(store.usage(node_id(9), span(0, 99)).await.unwrap(), UsageSummary::default());
    let ats = |samples: Vec<lucid_model::telemetry::metric::Sample>| {
        samples.iter().map(|s| s.at.0).collect::<Vec<_>>()
    };
    assert_eq!(
        ats(store.samples(node_id(1), span(10, 40), 2).await.unwrap()),
        [20, 30],
        "the newest, oldest first"
    );
    let all = store.samples(node_id(1), span(10, 41), 10).await.unwrap();
    assert_eq!((ats(all.clone()), all[1]), (vec![10, 20, 30, 40], sample(1, 20, 150)));
    let (fleet, open) = store.fleet_usage(None, span(0, 99)).await.unwrap();
    assert_eq!((fleet.samples, fleet.network.bytes_sent, open), (6, 94, 6));
    let (own, open) =
        store.fleet_usage(Some(&[node_id(2), node_id(9)]), span(0, 99)).await.unwrap();
    assert_eq!((own.samples, open), (2, 3));
    assert_eq!(
        store.fleet_usage(Some(&[]), span(0, 99)).await.unwrap(),
        (UsageSummary::default(), 0)
    );
}

/// A day of a node and more: however a backend packs what is old, it is all there, in order and
/// once.
pub async fn many_reports_are_kept_in_order(backend: &mut dyn Backend) {
    let store = backend.store();
    for i in 0..500_i64 {
        let at = 10 * i;
        let sequence = Some((i.unsigned_abs() + 1, Digest::of(&i.to_le_bytes())));
        let sessions = if i % 50 == 0 {
            vec![session(u128::from(i.unsigned_abs()), 1, at, at + 5)]
        } else {
            Vec::new()
        };
        let samples = vec![sample(1, at, i.unsigned_abs())];
        let sent = Report {
            sequence,
            samples,
            presence: Some(span(0, at)),
            sessions: sessions.clone(),
            ..report(1, at)
        };
        assert_eq!(store_report(&*store, sent).await, stored(sessions.len()), "{i}");
    }
    let again =
        Report { sequence: Some((500, Digest::of(&499_i64.to_le_bytes()))), ..report(1, 9_999) };
    assert_eq!(store_report(&*store, again).await, ReportOutcome::Repeated);
    let late = Report { samples: vec![late_sample(1_005, 7)], ..report(1, 5_000) };
    assert_eq!(store_report(&*store, late).await, stored(0), "a sample of long ago");
    drop(store);
    backend.reopen();
    let store = backend.store();
    let found = store.samples(node_id(1), span(0, 5_000), 1_000).await.unwrap();
    let mut expected: Vec<_> = (0..500_i64).map(|i| sample(1, 10 * i, i.unsigned_abs())).collect();
    expected.insert(101, late_sample(1_005, 7));
    assert_eq!(found.len(), 501);
    assert_eq!(found, expected);
    let newest = store.samples(node_id(1), span(0, 5_000), 3).await.unwrap();
    assert_eq!(newest, expected[498..], "the newest, oldest first");
    assert_eq!(store.usage(node_id(1), span(0, 5_000)).await.unwrap().samples, 501);
    assert_eq!(store.usage(node_id(1), span(1_000, 1_011)).await.unwrap().samples, 3);
    let observed = store.observed(&[node_id(1)], span(0, 5_000)).await.unwrap().remove(0);
    assert_eq!(
        (observed.sessions.len(), observed.presence.as_slice(), observed.usage.samples),
        (10, &[span(0, 4_990)][..], 501)
    );
    assert_eq!(
        store.live_states(&[node_id(1)]).await.unwrap()[0].unwrap().sample.unwrap().at,
        TimeMs(4_990)
    );
}

pub async fn what_overlaps_is_observed(backend: &mut dyn Backend) {
    let store = backend.store();
    let rejected =
        Observation { verdict: Verdict::Rejected("too long".into()), ..session(3, 1, 150, 250) };
    let sessions = vec![
        session(1, 1, 0, 100),
        session(2, 1, 50, 101),
        rejected.clone(),
        session(4, 1, 200, 300),
    ];
    let samples = vec![sample(1, 99, 1), sample(1, 100, 2), sample(1, 199, 5), sample(1, 200, 9)];
    store_report(
        &*store,
        Report { sessions, samples, presence: Some(span(0, 100)), ..report(1, 300) },
    )
    .await;
    store_report(&*store, Report { presence: Some(span(150, 400)), ..report(1, 400) }).await;
    assert_eq!(store.last_presence(node_id(1)).await.unwrap(), Some(span(150, 400)));
    store_report(&*store, Report { presence: Some(span(450, 450)), ..report(1, 450) }).await;
    assert_eq!(
        store.last_presence(node_id(1)).await.unwrap(),
        Some(span(450, 450)),
        "a first report"
    );
    assert_eq!(store.last_presence(node_id(7)).await.unwrap(), None);
    let observed = store.observed(&[node_id(7), node_id(1)], span(100, 200)).await.unwrap();
    assert_eq!(
        (observed[0].node, observed[0].sessions.len(), observed[0].usage.samples),
        (node_id(7), 0, 0)
    );
    assert_eq!(
        (observed[1].node, &observed[1].sessions),
        (node_id(1), &vec![session(2, 1, 50, 101), rejected])
    );
    assert_eq!(
        (observed[1].presence.as_slice(), observed[1].usage.samples),
        (&[span(150, 400)][..], 2)
    );
}

pub async fn verdicts_replace_the_unverified(backend: &mut dyn Backend) {
    let store = backend.store();
    let open = |i: u128| Observation { verdict: Verdict::Unverified, ..session(i, 1, 0, 100) };
    store_report(
        &*store,
        Report { sessions: vec![open(3), open(1), session(2, 1, 0, 100)], ..report(1, 100) },
    )
    .await;
    assert_eq!(store.unverified(span(50, 60), 10).await.unwrap(), [open(1), open(3)]);
    assert_eq!(store.unverified(span(50, 60), 1).await.unwrap(), [open(1)]);
    assert_eq!(store.unverified(span(100, 200), 10).await.unwrap(), []);
    let judged = Observation { verdict: Verdict::Rejected("no".into()), ..open(1) };
    store.set_verdicts(vec![judged.clone(), session(3, 1, 0, 100)]).await.unwrap();
    assert_eq!(store.unverified(span(50, 60), 10).await.unwrap(), []);
    assert_eq!(sessions(&*store, 1).await, [judged, session(2, 1, 0, 100), session(3, 1, 0, 100)]);
}

pub async fn a_voided_session_stays_voided(backend: &mut dyn Backend) {
    let store = backend.store();
    store_report(
        &*store,
        Report { sessions: vec![session(1, 1, 0, 100), session(2, 1, 0, 100)], ..report(1, 100) },
    )
    .await;
    let voided =
        Observation { verdict: Verdict::Voided("made up".into()), ..session(1, 1, 0, 100) };
    store.set_verdicts(vec![voided.clone()]).await.unwrap();
    let grown = vec![session(1, 1, 0, 200), session(2, 1, 0, 200)];
    store_report(&*store, Report { sequence: None, sessions: grown, ..report(1, 200) }).await;
    assert_eq!(sessions(&*store, 1).await, [voided.clone(), session(2, 1, 0, 200)]);
    assert_eq!(store.session(voided.session).await.unwrap(), Some(voided));
    assert_eq!(store.session(session(3, 1, 0, 1).session).await.unwrap(), None);
}
