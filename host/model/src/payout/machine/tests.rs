use proptest::prelude::*;

use super::*;
use crate::{
    id::{NodeId, PayoutId, RunId, UserId},
    money::MicroUsdt,
};

const DEADLINES: Deadlines = Deadlines { unknown_ms: 10_000, accepted_ms: 20_000, retry_first_ms: 100, retry_max_ms: 1_000, poll_ms: 100 };
const FULL: Capabilities = Capabilities { dedupes_by_key: true, queries_by_key: true, key_retention_ms: 65_000, failed_is_final: true };
const NONE: Capabilities = Capabilities { dedupes_by_key: false, queries_by_key: false, key_retention_ms: 0, failed_is_final: false };
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
        closed: false,
        score: None,
        observed_s: 0,
        period_start_s: 0,
        period_end_s: 0,
        plan: 1,
        version: 0,
    }
}

/// Applies events one after another; the payout at the end and all effects.
fn run(can: Capabilities, events: Vec<Event>) -> (Payout, Vec<Effect>) {
    events.into_iter().fold((reserved(), Vec::new()), |(payout, mut effects), event| {
        let (next, more) = step(&payout, event, can, DEADLINES, TimeMs(0)).unwrap();
        effects.extend(more);
        (next, effects)
    })
}
fn submit() -> Event {
    Event::Submit { request: b"bytes".to_vec() }
}
fn ambiguous() -> Event {
    Event::Answered(Answer::Ambiguous("time-out".into()))
}

#[test]
fn a_payout_is_sent_accepted_and_confirmed() {
    let (payout, effects) = run(
        FULL,
        vec![
            submit(),
            Event::Answered(Answer::Accepted { external_id: Some("x".into()) }),
            Event::Looked(Reported::Confirmed { external_id: None, txid: "t".into() }),
        ],
    );
    assert_eq!((payout.state, payout.sends, payout.external_id.as_deref()), (PayoutState::Confirmed, 1, Some("x")));
    assert_eq!(effects, [Effect::Send, Effect::Close(Closing::Settle)]);
}

#[test]
fn a_definite_refusal_of_the_only_send_frees_the_money() {
    let (payout, effects) = run(FULL, vec![submit(), Event::Answered(Answer::Rejected("bad address".into()))]);
    assert_eq!((payout.state, effects.last()), (PayoutState::Failed, Some(&Effect::Close(Closing::Release))));
}

#[test]
fn a_refusal_after_an_ambiguous_send_frees_nothing() {
    let (payout, effects) =
        run(FULL, vec![submit(), ambiguous(), Event::Looked(Reported::NotFound), Event::Answered(Answer::Rejected("duplicate".into()))]);
    assert_eq!((payout.state, payout.sends, payout.request.as_deref()), (PayoutState::Unknown, 2, Some(&b"bytes"[..])));
    assert!(!effects.contains(&Effect::Close(Closing::Release)));
}

#[test]
fn a_rail_that_does_not_dedupe_is_never_sent_to_twice() {
    let (payout, effects) = run(QUERY_ONLY, vec![submit(), ambiguous(), Event::Looked(Reported::NotFound)]);
    assert_eq!((payout.state, effects), (PayoutState::Manual, vec![Effect::Send, Effect::Look, Effect::Alert]));
    assert_eq!(run(NONE, vec![submit(), ambiguous()]).0.state, PayoutState::Manual);
}

#[test]
fn failed_after_a_transaction_is_no_proof() {
    let accepted = Event::Answered(Answer::Accepted { external_id: None });
    let seen = Event::Looked(Reported::Accepted { external_id: None, txid: Some("t".into()) });
    let failed = || Event::Looked(Reported::Failed { reason: "reverted".into(), txid: None });
    assert_eq!(run(FULL, vec![submit(), accepted.clone(), seen, failed()]).0.state, PayoutState::Manual);
    assert_eq!(run(FULL, vec![submit(), accepted.clone(), failed()]).0.state, PayoutState::Failed);
    assert_eq!(run(QUERY_ONLY, vec![submit(), accepted, failed()]).0.state, PayoutState::Manual);
}

#[test]
fn a_request_that_never_left_is_sent_again_with_the_same_bytes() {
    let (payout, _) = run(FULL, vec![submit(), Event::Answered(Answer::NotSent("refused".into())), Event::Submit { request: b"other".to_vec() }]);
    assert_eq!((payout.state, payout.sends, payout.request.as_deref()), (PayoutState::Submitting, 2, Some(&b"bytes"[..])));
}

#[test]
fn a_crash_in_flight_is_doubt_and_asks_first() {
    let (payout, effects) = run(FULL, vec![submit(), Event::Recovered]);
    assert_eq!((payout.state, effects), (PayoutState::Unknown, vec![Effect::Send, Effect::Look]));
    let (again, none) = step(&payout, Event::Recovered, FULL, DEADLINES, TimeMs(0)).unwrap();
    assert_eq!((again, none), (payout, vec![]));
}

#[test]
fn nothing_stays_in_doubt_past_its_deadline() {
    let (payout, _) = run(FULL, vec![submit(), ambiguous()]);
    assert_eq!(step(&payout, Event::Tick, FULL, DEADLINES, TimeMs(10_000)).unwrap().0.state, PayoutState::Manual);
}

#[test]
fn what_was_sent_cannot_be_cancelled() {
    assert!(step(&run(FULL, vec![submit()]).0, Event::Cancel { reason: String::new() }, FULL, DEADLINES, TimeMs(0)).is_err());
    assert_eq!(run(FULL, vec![Event::Cancel { reason: String::new() }]).1, [Effect::Close(Closing::Release)]);
}

fn any_event() -> impl Strategy<Value = Event> {
    let text = || Just(String::from("x"));
    let txid = || prop::option::of(text());
    prop_oneof![
        Just(Event::Submit { request: b"first".to_vec() }),
        Just(Event::Submit { request: b"second".to_vec() }),
        text().prop_map(|t| Event::Answered(Answer::NotSent(t))),
        text().prop_map(|t| Event::Answered(Answer::Rejected(t))),
        text().prop_map(|t| Event::Answered(Answer::RailRefusesUs(t))),
        text().prop_map(|t| Event::Answered(Answer::Ambiguous(t))),
        txid().prop_map(|external_id| Event::Answered(Answer::Accepted { external_id })),
        Just(Event::Recovered),
        txid().prop_map(|txid| Event::Looked(Reported::Accepted { external_id: None, txid })),
        text().prop_map(|txid| Event::Looked(Reported::Confirmed { external_id: None, txid })),
        txid().prop_map(|txid| Event::Looked(Reported::Failed { reason: String::new(), txid })),
        Just(Event::Looked(Reported::NotFound)),
        text().prop_map(|t| Event::Looked(Reported::Unclear(t))),
        Just(Event::Tick),
        Just(Event::Cancel { reason: String::new() }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]
    #[test]
    fn money_is_freed_only_by_proof_and_bytes_never_change(
        events in prop::collection::vec((any_event(), 0_i64..3_000), 1..30),
        (dedupes_by_key, queries_by_key, failed_is_final) in any::<(bool, bool, bool)>(),
    ) {
        let can = Capabilities { dedupes_by_key, queries_by_key, key_retention_ms: 65_000, failed_is_final };
        let (mut payout, mut now, mut bytes, mut in_doubt, mut txid_seen, mut sends) = (reserved(), TimeMs(0), None, false, false, 0);
        for (event, wait) in events {
            now = now.plus_ms(wait);
            let proof = match &event {
                Event::Looked(Reported::Failed { txid, .. }) => failed_is_final && txid.is_none() && !txid_seen,
                Event::Answered(Answer::Rejected(_)) => sends == 1 && !in_doubt,
                Event::Cancel { .. } => sends == 0,
                _ => payout.state.is_final(),
            };
            in_doubt |= matches!(&event, Event::Answered(Answer::Ambiguous(_))) && payout.state == PayoutState::Submitting;
            in_doubt |= event == Event::Recovered && payout.state == PayoutState::Submitting;
            if let Ok((next, effects)) = step(&payout, event.clone(), can, DEADLINES, now) {
                if let Event::Looked(Reported::Accepted { txid: Some(_), .. } | Reported::Failed { txid: Some(_), .. }) = &event {
                    txid_seen = true;
                }
                if effects.contains(&Effect::Send) {
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
