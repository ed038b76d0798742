use proptest::prelude::*;

use super::*;
use crate::{
    id::{NodeId, PayoutId, RunId, UserId},
    money::{
        MicroUsdt,
        payout::{Deadlines, Pace},
    },
    time::HOUR_MS,
};

const DEADLINES: Deadlines = Deadlines { unknown_ms: 6 * HOUR_MS, accepted_ms: 24 * HOUR_MS };
const PACE: Pace = Pace {
    send_first_ms: 5_000,
    send_max_ms: 900_000,
    look_first_ms: 1_000,
    look_max_ms: 60_000,
    manual_look_ms: 600_000,
};
const FULL: Capabilities = Capabilities {
    dedupes_by_key: true,
    queries_by_key: true,
    key_retention_ms: 24 * HOUR_MS,
    failed_is_final: true,
};
const NONE: Capabilities = Capabilities {
    dedupes_by_key: false,
    queries_by_key: false,
    key_retention_ms: 0,
    failed_is_final: false,
};
const QUERY_ONLY: Capabilities = Capabilities { queries_by_key: true, ..NONE };

fn reserved() -> Payout {
    let id = uuid::Uuid::from_u128(1);
    Payout {
        id: PayoutId(id),
        run: RunId(id),
        node: NodeId(id),
        owner: UserId(id),
        cycle: 0,
        attempt: 0,
        amount: MicroUsdt(10),
        address: "TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HC".parse().unwrap(),
        wallet_version: 1,
        state: PayoutState::Reserved,
        sends: 0,
        ambiguous: false,
        request: None,
        external_id: None,
        txid: None,
        reason: None,
        created_at: TimeMs(0),
        updated_at: TimeMs(0),
        submitted_at: None,
        processed_at: None,
        next_attempt_at: TimeMs(0),
        next_send_at: TimeMs(0),
        blind_ms: 0,
        found: None,
        closed: false,
        score: None,
        observed_s: 0,
        period_start_s: 0,
        period_end_s: 0,
        plan: 1,
        version: 0,
    }
}

fn rules(can: Capabilities) -> Rules {
    Rules { can, deadlines: DEADLINES, pace: PACE, may_send: true }
}

/// Applies events one after another, each when the payout is due; the payout at the end, all
/// effects, and when that was.
fn run_at(can: Capabilities, events: Vec<Event>) -> (Payout, Vec<Effect>, TimeMs) {
    events.into_iter().fold(
        (reserved(), Vec::new(), TimeMs(0)),
        |(payout, mut effects, now), event| {
            let now = if matches!(event, Event::Answered(_)) {
                now
            } else {
                now.max(payout.next_attempt_at)
            };
            let (next, more) = step(&payout, event, &rules(can), now).unwrap();
            effects.extend(more);
            (next, effects, now)
        },
    )
}
fn run(can: Capabilities, events: Vec<Event>) -> (Payout, Vec<Effect>) {
    let (payout, effects, _) = run_at(can, events);
    (payout, effects)
}
fn answered(answer: Answer) -> Event {
    Event::Answered(answer.into())
}
fn looked(reported: Reported) -> Event {
    Event::Looked(reported.into())
}
fn submit() -> Event {
    Event::Submit { request: b"bytes".to_vec() }
}
fn ambiguous() -> Event {
    answered(Answer::Ambiguous("time-out".into()))
}

#[test]
fn a_payout_is_sent_accepted_and_confirmed() {
    let (payout, effects) = run(
        FULL,
        vec![
            submit(),
            answered(Answer::Accepted { external_id: Some("x".into()) }),
            looked(Reported::Confirmed { external_id: None, txid: "t".into() }),
        ],
    );
    assert_eq!(
        (payout.state, payout.sends, payout.external_id.as_deref()),
        (PayoutState::Confirmed, 1, Some("x"))
    );
    assert_eq!(effects, [Effect::Send, Effect::Close(Closing::Settle)]);
}

#[test]
fn a_definite_refusal_of_the_only_send_frees_the_money() {
    let (payout, effects) =
        run(FULL, vec![submit(), answered(Answer::Rejected("bad address".into()))]);
    assert_eq!(
        (payout.state, effects.last()),
        (PayoutState::Failed, Some(&Effect::Close(Closing::Release)))
    );
}

#[test]
fn a_refusal_after_an_ambiguous_send_frees_nothing() {
    let (payout, _) = run(FULL, vec![submit(), ambiguous()]);
    let now = payout.next_send_at;
    let (payout, sent) = step(&payout, looked(Reported::NotFound), &rules(FULL), now).unwrap();
    assert_eq!(sent, [Effect::Send], "its time has come");
    let (payout, effects) =
        step(&payout, answered(Answer::Rejected("duplicate".into())), &rules(FULL), now).unwrap();
    assert_eq!(
        (payout.state, payout.sends, payout.request.as_deref()),
        (PayoutState::Unknown, 2, Some(&b"bytes"[..]))
    );
    assert!(!effects.contains(&Effect::Close(Closing::Release)));
}

#[test]
fn a_rail_that_does_not_dedupe_is_never_sent_to_twice() {
    let (payout, effects) =
        run(QUERY_ONLY, vec![submit(), ambiguous(), Event::Tick, looked(Reported::NotFound)]);
    assert_eq!(
        (payout.state, effects),
        (PayoutState::Manual, vec![Effect::Send, Effect::Look, Effect::Alert])
    );
    assert_eq!(run(NONE, vec![submit(), ambiguous()]).0.state, PayoutState::Manual);
}

#[test]
fn failed_after_a_transaction_is_no_proof() {
    let accepted = answered(Answer::Accepted { external_id: None });
    let seen = looked(Reported::Accepted { external_id: None, txid: Some("t".into()) });
    let failed = || looked(Reported::Failed { reason: "reverted".into(), txid: None });
    assert_eq!(
        run(FULL, vec![submit(), accepted.clone(), seen, failed()]).0.state,
        PayoutState::Manual
    );
    assert_eq!(run(FULL, vec![submit(), accepted.clone(), failed()]).0.state, PayoutState::Failed);
    assert_eq!(run(QUERY_ONLY, vec![submit(), accepted, failed()]).0.state, PayoutState::Manual);
}

#[test]
fn a_request_that_never_left_is_sent_again_with_the_same_bytes() {
    let (payout, _) = run(
        FULL,
        vec![
            submit(),
            answered(Answer::NotSent("refused".into())),
            Event::Submit { request: b"other".to_vec() },
        ],
    );
    assert_eq!(
        (payout.state, payout.sends, payout.request.as_deref()),
        (PayoutState::Submitting, 2, Some(&b"bytes"[..]))
    );
}

#[test]
fn a_crash_in_flight_is_doubt_and_asks_first() {
    let (payout, effects) = run(FULL, vec![submit(), Event::Recovered]);
    assert_eq!((payout.state, effects), (PayoutState::Unknown, vec![Effect::Send]));
    assert_eq!(
        step(&payout, Event::Tick, &rules(FULL), payout.next_attempt_at).unwrap().1,
        [Effect::Look]
    );
    let (again, none) = step(&payout, Event::Recovered, &rules(FULL), TimeMs(0)).unwrap();
    assert_eq!((again, none), (payout, vec![]));
}

/// The payout asked about whenever it is due, until it waits for a person or so much time is over:
/// when each send and each look-up was.
fn followed(
    can: Capabilities,
    may_send: bool,
    until_ms: i64,
    mut tell: impl FnMut(i64) -> Reported,
) -> (Payout, Vec<i64>, Vec<i64>) {
    let rules = Rules { may_send, ..rules(can) };
    let (mut payout, _) = run(can, vec![submit(), ambiguous()]);
    let (mut sends, mut looks) = (vec![0], Vec::new());
    while payout.next_attempt_at.0 < until_ms
        && !matches!(
            payout.state,
            PayoutState::Manual | PayoutState::Confirmed | PayoutState::Failed
        )
    {
        let now = payout.next_attempt_at;
        let mut next = Some(Event::Tick);
        while let Some(event) = next.take() {
            let (after, effects) = step(&payout, event, &rules, now).unwrap();
            payout = after;
            for effect in effects {
                match effect {
                    Effect::Send => {
                        sends.push(now.0);
                        next = Some(ambiguous());
                    }
                    Effect::Look => {
                        looks.push(now.0);
                        next = Some(looked(tell(now.0)));
                    }
                    Effect::Close(_) | Effect::Alert => {}
                }
            }
        }
    }
    (payout, sends, looks)
}

#[test]
fn a_rail_that_answers_503_for_ever_is_sent_to_twelve_times_an_hour_at_most() {
    for (retention_ms, can) in
        [(24 * HOUR_MS, FULL), (24 * HOUR_MS, Capabilities { queries_by_key: false, ..FULL })]
    {
        let (_, sends, looks) = followed(can, true, 5 * HOUR_MS, |_| Reported::NotFound);
        for (place, at) in sends.iter().enumerate() {
            let within = sends[place..].iter().take_while(|other| **other < at + HOUR_MS).count();
            assert!(
                within <= 12,
                "{within} sends from {at} on: {sends:?}, kept for {retention_ms}"
            );
        }
        assert!(sends.len() > 20, "{sends:?}");
        assert!(looks.windows(2).all(|pair| pair[1] - pair[0] >= PACE.look_first_ms), "{looks:?}");
    }
}

#[test]
fn not_found_right_after_a_send_sends_nothing() {
    let (payout, effects) = run(FULL, vec![submit(), ambiguous()]);
    let (payout, more) =
        step(&payout, looked(Reported::NotFound), &rules(FULL), payout.next_attempt_at).unwrap();
    assert_eq!(
        (effects, more, payout.state, payout.sends),
        (vec![Effect::Send], vec![], PayoutState::Unknown, 1)
    );
}

#[test]
fn the_wait_that_a_rail_asks_for_is_kept() {
    let wish = |said| Event::Answered(Reply { said, retry_after_ms: Some(1_000_000) });
    let (payout, _) = run(FULL, vec![submit(), wish(Answer::NotSent("429".into()))]);
    assert_eq!(
        (payout.next_attempt_at, payout.next_send_at),
        (TimeMs(1_000_000), TimeMs(1_000_000))
    );
    let (payout, _) = run(FULL, vec![submit(), wish(Answer::Ambiguous("503".into()))]);
    assert_eq!(payout.next_send_at, TimeMs(1_000_000));
    assert!(payout.next_attempt_at < TimeMs(2_000), "it is looked up all the same");
    let (payout, _) = run(
        FULL,
        vec![
            submit(),
            Event::Answered(Reply {
                said: Answer::NotSent(String::new()),
                retry_after_ms: Some(i64::MAX),
            }),
        ],
    );
    assert_eq!(payout.next_send_at, TimeMs(RETRY_AFTER_MS_MAX));
}

#[test]
fn nothing_is_sent_while_payments_are_frozen_and_looking_goes_on() {
    let (payout, sends, looks) = followed(FULL, false, 5 * HOUR_MS, |_| Reported::NotFound);
    assert_eq!((payout.state, payout.sends, sends.len()), (PayoutState::Unknown, 1, 1));
    assert!(looks.len() > 100, "{}", looks.len());
    let frozen = Rules { may_send: false, ..rules(FULL) };
    assert_eq!(step(&reserved(), submit(), &frozen, TimeMs(0)).unwrap(), (reserved(), vec![]));
    let (waits, _) = run(FULL, vec![submit(), answered(Answer::NotSent("refused".into()))]);
    assert_eq!(step(&waits, Event::Tick, &frozen, waits.next_attempt_at).unwrap(), (waits, vec![]));
}

#[test]
fn past_its_deadline_a_payout_is_a_person_s_after_a_look_up() {
    let (payout, _, looks) =
        followed(FULL, true, 12 * HOUR_MS, |_| Reported::Unclear("500".into()));
    assert_eq!(payout.state, PayoutState::Manual);
    assert!(
        (DEADLINES.unknown_ms..DEADLINES.unknown_ms + 120_000).contains(looks.last().unwrap()),
        "{looks:?}"
    );
}

#[test]
fn time_in_which_nobody_could_look_counts_for_no_deadline() {
    let accepted = || vec![submit(), answered(Answer::Accepted { external_id: Some("x".into()) })];
    // The process was down for two days.
    let (payout, _) = run(FULL, accepted());
    let back = TimeMs(48 * HOUR_MS);
    let (payout, effects) = step(&payout, Event::Tick, &rules(FULL), back).unwrap();
    assert_eq!(effects, [Effect::Look], "it looks first");
    let pending = looked(Reported::Accepted { external_id: None, txid: None });
    let (payout, _) = step(&payout, pending.clone(), &rules(FULL), back).unwrap();
    assert_eq!(payout.state, PayoutState::Accepted, "and the two days do not count");
    let paid = looked(Reported::Confirmed { external_id: None, txid: "t".into() });
    assert_eq!(step(&payout, paid, &rules(FULL), back).unwrap().0.state, PayoutState::Confirmed);
    // A rail that does not answer is no such time: a person has to be able to end it.
    let (payout, _, looks) =
        followed(FULL, true, 100 * HOUR_MS, |_| Reported::Unavailable("refused".into()));
    assert_eq!(payout.state, PayoutState::Manual);
    assert!(*looks.last().unwrap() < 7 * HOUR_MS, "{:?}", looks.last());
}

#[test]
fn a_payout_that_waits_for_a_person_is_looked_up_slowly_and_what_is_found_is_offered() {
    let (payout, _, _) = followed(FULL, true, 12 * HOUR_MS, |_| Reported::Unclear("500".into()));
    let due = payout.next_attempt_at;
    assert!(due >= payout.updated_at.plus_ms(PACE.manual_look_ms));
    assert_eq!(
        step(&payout, Event::Tick, &rules(FULL), due).unwrap(),
        (payout.clone(), vec![Effect::Look])
    );
    let paid = || looked(Reported::Confirmed { external_id: None, txid: "t".into() });
    let (found, effects) = step(&payout, paid(), &rules(FULL), due).unwrap();
    assert_eq!(
        (found.state, effects),
        (PayoutState::Manual, vec![Effect::Alert]),
        "a person decides"
    );
    assert_eq!(found.found, Some(Found { outcome: Outcome::Paid { txid: "t".into() }, at: due }));
    let (again, effects) = step(&found, paid(), &rules(FULL), found.next_attempt_at).unwrap();
    assert_eq!((again.found, effects), (found.found, vec![]), "once");
    let (nobody_to_ask, _) = run(NONE, vec![submit(), ambiguous()]);
    assert_eq!(
        step(&nobody_to_ask, Event::Tick, &rules(NONE), TimeMs(48 * HOUR_MS)).unwrap(),
        (nobody_to_ask, vec![])
    );
}

#[test]
fn another_payout_s_transaction_is_a_person_s() {
    let (payout, _) = run(FULL, vec![submit(), answered(Answer::Accepted { external_id: None })]);
    let reason = "transaction t is that of payout 7".to_owned();
    let (payout, effects) =
        step(&payout, Event::Contradicted { reason: reason.clone() }, &rules(FULL), TimeMs(5))
            .unwrap();
    assert_eq!(
        (payout.state, payout.reason, effects),
        (PayoutState::Manual, Some(reason), vec![Effect::Alert])
    );
}

#[test]
fn what_was_sent_cannot_be_cancelled() {
    assert!(
        step(
            &run(FULL, vec![submit()]).0,
            Event::Cancel { reason: String::new() },
            &rules(FULL),
            TimeMs(0)
        )
        .is_err()
    );
    assert_eq!(
        run(FULL, vec![Event::Cancel { reason: String::new() }]).1,
        [Effect::Close(Closing::Release)]
    );
}

fn any_event() -> impl Strategy<Value = Event> {
    let text = || Just(String::from("x"));
    let txid = || prop::option::of(text());
    prop_oneof![
        Just(Event::Submit { request: b"first".to_vec() }),
        Just(Event::Submit { request: b"second".to_vec() }),
        text().prop_map(|t| answered(Answer::NotSent(t))),
        text().prop_map(|t| answered(Answer::Rejected(t))),
        text().prop_map(|t| answered(Answer::RailRefusesUs(t))),
        text().prop_map(|t| answered(Answer::Ambiguous(t))),
        txid().prop_map(|external_id| answered(Answer::Accepted { external_id })),
        Just(Event::Recovered),
        txid().prop_map(|txid| looked(Reported::Accepted { external_id: None, txid })),
        text().prop_map(|txid| looked(Reported::Confirmed { external_id: None, txid })),
        txid().prop_map(|txid| looked(Reported::Failed { reason: String::new(), txid })),
        Just(looked(Reported::NotFound)),
        text().prop_map(|t| looked(Reported::Unclear(t))),
        text().prop_map(|t| looked(Reported::Unavailable(t))),
        text().prop_map(|reason| Event::Contradicted { reason }),
        Just(Event::Tick),
        Just(Event::Cancel { reason: String::new() }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]
    #[test]
    fn money_is_freed_only_by_proof_and_bytes_never_change(
        events in prop::collection::vec((any_event(), 0_i64..20_000, any::<bool>()), 1..40),
        (dedupes_by_key, queries_by_key, failed_is_final) in any::<(bool, bool, bool)>(),
    ) {
        let can = Capabilities { dedupes_by_key, queries_by_key, key_retention_ms: 120_000, failed_is_final };
        let (mut payout, mut now, mut bytes, mut in_doubt, mut txid_seen, mut sends) = (reserved(), TimeMs(0), None, false, false, 0);
        let (mut may_be_sent_at, mut looked_up) = (TimeMs(0), false);
        for (event, wait, may_send) in events {
            now = now.plus_ms(wait);
            let rules = Rules { may_send, ..rules(can) };
            let proof = match &event {
                Event::Looked(Reply { said: Reported::Failed { txid, .. }, .. }) => failed_is_final && txid.is_none() && !txid_seen,
                Event::Answered(Reply { said: Answer::Rejected(_), .. }) => sends == 1 && !in_doubt,
                Event::Cancel { .. } => sends == 0,
                _ => payout.state.is_final(),
            };
            in_doubt |= matches!(&event, Event::Answered(Reply { said: Answer::Ambiguous(_), .. })) && payout.state == PayoutState::Submitting;
            in_doubt |= event == Event::Recovered && payout.state == PayoutState::Submitting;
            if let Ok((next, effects)) = step(&payout, event.clone(), &rules, now) {
                if let Event::Looked(Reply { said: Reported::Accepted { txid: Some(_), .. } | Reported::Failed { txid: Some(_), .. }, .. }) = &event {
                    txid_seen = true;
                }
                looked_up |= matches!(event, Event::Looked(_));
                if next.state == PayoutState::Manual && payout.state == PayoutState::Accepted && queries_by_key {
                    prop_assert!(looked_up || matches!(event, Event::Contradicted { .. }), "handed over without a look-up");
                }
                if effects.contains(&Effect::Send) {
                    prop_assert!(may_send, "sent while nothing may be");
                    let again = !matches!(event, Event::Submit { .. });
                    prop_assert!(!again || now >= may_be_sent_at, "sent before its time");
                    may_be_sent_at = next.next_send_at;
                    sends += 1;
                    prop_assert_eq!(next.state, PayoutState::Submitting, "durable before it is sent");
                    prop_assert!(!in_doubt || dedupes_by_key, "sent twice at a rail that does not dedupe");
                }
                if effects.contains(&Effect::Close(Closing::Release)) {
                    prop_assert!(proof, "freed without proof by {:?} from {:?}", event, payout.state);
                }
                prop_assert!(!payout.state.is_final() || next.state == payout.state);
                bytes = bytes.or(next.request.clone());
                prop_assert_eq!(&next.request, &bytes);
                payout = next;
            }
        }
    }
}
