use lucid_model::{
    id::PayoutId,
    money::{
        MicroUsdt,
        payout::{Found, OpenPart, Outcome, Payout, PayoutState, PayoutStatus},
        run::{Run, RunPart, RunState},
    },
    time::TimeMs,
};
use lucid_ports::{
    AuditFilter, Due, Fence, Order, PageRequest, PayoutFilter, PayoutSort,
    PayoutUpdate::{self, Conflict, Done, FencedOff, Taken},
};
use uuid::Uuid;

use crate::{Backend, all, examples::*, fifty};

pub async fn a_run_keeps_every_field_and_changes_by_version(backend: &mut dyn Backend) {
    let store = backend.store();
    let created = fifty(|_| {
        let store = store.clone();
        async move { store.create_run(run(1), audit("payout.plan")).await.unwrap() }
    })
    .await;
    assert_eq!(created.into_iter().filter(|c| *c).count(), 1);
    assert_eq!(store.run(run(1).id).await.unwrap(), Some(run(1)));
    assert_eq!(store.open_runs().await.unwrap(), [run(1)]);
    let approved = fifty(|i| {
        let store = store.clone();
        let approver = Some(format!("treasurer {i}"));
        async move {
            store
                .update_run(
                    Run { state: RunState::Approved, approver, version: 2, ..run(1) },
                    audit("payout.approve"),
                )
                .await
                .unwrap()
        }
    })
    .await;
    let winner = approved.iter().position(|won| *won).unwrap();
    assert_eq!(approved.into_iter().filter(|won| *won).count(), 1);
    assert_eq!(store.open_runs().await.unwrap()[0].approver, Some(format!("treasurer {winner}")));
    let done = Run { state: RunState::Done, approver: None, reason: None, version: 3, ..run(1) };
    assert!(store.update_run(done.clone(), audit("payout.done")).await.unwrap());
    assert_eq!(
        (store.open_runs().await.unwrap(), store.run(done.id).await.unwrap()),
        (vec![], Some(done))
    );
    assert_eq!(
        store.audit(&AuditFilter::default(), all((), Order::Descending)).await.unwrap().total,
        3
    );
}

pub async fn a_run_that_nobody_let_go_stays_so_in_every_state(backend: &mut dyn Backend) {
    let store = backend.store();
    for (number, state) in (1..).zip(RunState::ALL) {
        for executor in [None, Some("treasurer".to_owned())] {
            let run = Run {
                state: *state,
                executor: executor.clone(),
                ..run(number * 2 + u128::from(executor.is_some()))
            };
            assert!(store.create_run(run.clone(), audit("run.create")).await.unwrap());
            assert_eq!(store.run(run.id).await.unwrap(), Some(run));
        }
    }
}

pub async fn runs_are_listed_and_their_payouts_summed(backend: &mut dyn Backend) {
    let store = backend.store();
    let later = Run {
        cycle: 172_800,
        created_at: TimeMs(1_500),
        nodes: Vec::new(),
        executor: None,
        ..run(2)
    };
    for run in [run(1), later.clone()] {
        assert!(store.create_run(run, audit("run.create")).await.unwrap());
    }
    let page = store.runs(None, all((), Order::Descending)).await.unwrap();
    assert_eq!((page.items, page.total), (vec![later.clone(), run(1)], 2));
    let nobody = Run { count: 0, total: MicroUsdt::ZERO, state: RunState::Done, ..run(3) };
    assert!(store.create_run(nobody.clone(), audit("run.create")).await.unwrap());
    assert_eq!(store.run(nobody.id).await.unwrap(), Some(nobody.clone()), "it is there by its id");
    let page = store.runs(None, all((), Order::Descending)).await.unwrap();
    assert_eq!((page.items, page.total), (vec![later.clone(), run(1)], 2), "and is not listed");
    let page = store.runs(Some(later.cycle), all((), Order::Ascending)).await.unwrap();
    assert_eq!((page.items, page.total), (vec![later], 1));
    assert_eq!(store.run_parts(run(1).id).await.unwrap(), []);
    let of = |i: u32, state| Payout {
        run: run(1).id,
        state,
        closed: false,
        amount: MicroUsdt(i64::from(i)),
        plan: 1,
        ..payout(i)
    };
    for payout in [
        of(1, PayoutState::Reserved),
        of(2, PayoutState::Reserved),
        of(4, PayoutState::Unknown),
        Payout { plan: 3, ..of(8, PayoutState::Reserved) },
    ] {
        assert!(store.create_payout(payout, audit("payout.create")).await.unwrap());
    }
    let part = |plan, state, count, micro| RunPart {
        plan,
        state,
        closed: false,
        count,
        total: MicroUsdt(micro),
    };
    assert_eq!(
        store.run_parts(run(1).id).await.unwrap(),
        [
            part(1, PayoutState::Reserved, 2, 3),
            part(1, PayoutState::Unknown, 1, 4),
            part(3, PayoutState::Reserved, 1, 8)
        ]
    );
}

pub async fn what_nobody_may_touch_keeps_no_other_out(backend: &mut dyn Backend) {
    let store = backend.store();
    let (waits, goes) = (run(1).id, run(2).id);
    let of = |i: u32, run, state| Payout {
        run,
        state,
        closed: false,
        amount: MicroUsdt(i64::from(i)),
        created_at: TimeMs(i64::from(i)),
        ..payout(i)
    };
    let all = [
        of(1, waits, PayoutState::Reserved),
        of(2, waits, PayoutState::Manual),
        of(3, waits, PayoutState::Unknown),
        of(4, goes, PayoutState::Reserved),
        of(5, goes, PayoutState::Cancelled),
        Payout { closed: true, ..of(6, goes, PayoutState::Confirmed) },
        of(7, goes, PayoutState::Submitting),
    ];
    for payout in all.clone() {
        assert!(store.create_payout(payout, audit("payout.create")).await.unwrap());
    }
    let [first, manual, unknown, reserved, cancelled, _, again] = all;
    let due = async |waiting, sends, limit| {
        let asked = Due { now: first.next_attempt_at, waiting, sends, looks: true, limit };
        store.due_payouts(asked).await.unwrap()
    };
    let all_but_waiting =
        [manual.clone(), unknown.clone(), reserved.clone(), cancelled.clone(), again.clone()];
    assert_eq!(due(vec![waits, run(9).id], true, 9).await, all_but_waiting);
    assert_eq!(
        due(vec![waits, goes], true, 9).await,
        [manual.clone(), unknown.clone(), cancelled.clone(), again.clone()]
    );
    assert_eq!(
        due(vec![waits, goes], false, 9).await,
        [manual.clone(), unknown, cancelled.clone()]
    );
    assert_eq!(due(Vec::new(), true, 2).await, [first.clone(), manual]);
    let ask_nobody = Due {
        now: first.next_attempt_at,
        waiting: vec![waits],
        sends: true,
        looks: false,
        limit: 9,
    };
    assert_eq!(store.due_payouts(ask_nobody.clone()).await.unwrap(), [reserved, cancelled, again]);
    let too_early = Due { now: first.next_attempt_at.plus_ms(-1), looks: true, ..ask_nobody };
    assert_eq!(store.due_payouts(too_early).await.unwrap(), []);
    let part = |state, count, micro, oldest| OpenPart {
        state,
        count,
        total: MicroUsdt(micro),
        oldest: TimeMs(oldest),
    };
    let mut parts = store.open_parts().await.unwrap();
    parts.sort_unstable_by_key(|part| part.oldest);
    assert_eq!(
        parts,
        [
            part(PayoutState::Reserved, 2, 5, 1),
            part(PayoutState::Manual, 1, 2, 2),
            part(PayoutState::Unknown, 1, 3, 3),
            part(PayoutState::Cancelled, 1, 5, 5),
            part(PayoutState::Submitting, 1, 7, 7)
        ]
    );
}

pub async fn payouts_are_created_each_by_itself(backend: &mut dyn Backend) {
    let store = backend.store();
    let batch = (1..=3).map(|i| (payout(i), audit("payout.create"))).collect();
    assert_eq!(store.create_payouts(batch).await.unwrap(), [true, true, true]);
    let again = (2..=5).map(|i| (payout(i), audit("payout.create"))).collect();
    assert_eq!(
        store.create_payouts(again).await.unwrap(),
        [false, false, true, true],
        "what is refused stops no other"
    );
    assert_eq!(
        store
            .payouts(&PayoutFilter::default(), all(PayoutSort::CreatedAt, Order::Ascending))
            .await
            .unwrap()
            .total,
        5
    );
    assert_eq!(
        store.audit(&AuditFilter::default(), all((), Order::Descending)).await.unwrap().total,
        5
    );
}

pub async fn a_payout_keeps_every_field(backend: &mut dyn Backend) {
    let store = backend.store();
    let bare = Payout {
        request: None,
        external_id: None,
        txid: None,
        reason: None,
        submitted_at: None,
        processed_at: None,
        score: None,
        found: Some(Found { outcome: Outcome::NotPaid, at: TimeMs(9) }),
        state: PayoutState::Reserved,
        ambiguous: false,
        ..payout(2)
    };
    for payout in [payout(1), bare] {
        assert!(store.create_payout(payout.clone(), audit("payout.create")).await.unwrap());
        assert_eq!(store.payout(payout.id).await.unwrap(), Some(payout));
    }
    let changed = Payout {
        version: 2,
        ..Payout {
            id: payout(2).id,
            node: payout(2).node,
            amount: payout(2).amount,
            score: None,
            ..payout(3)
        }
    };
    assert_eq!(
        store
            .update_payouts(Fence(1), vec![(changed.clone(), Some(audit("payout.change")))])
            .await
            .unwrap(),
        [Done]
    );
    assert_eq!(store.payout(changed.id).await.unwrap(), Some(changed));
    assert_eq!(store.payout(payout(9).id).await.unwrap(), None);
}

pub async fn a_payout_is_unique_in_every_way(backend: &mut dyn Backend) {
    let store = backend.store();
    let created = fifty(|_| {
        let store = store.clone();
        async move { store.create_payout(payout(1), audit("payout.create")).await.unwrap() }
    })
    .await;
    assert_eq!(created.into_iter().filter(|c| *c).count(), 1);
    let other = || Payout { closed: true, ..payout(2) };
    let taken = [
        ("id", Payout { id: payout(1).id, ..other() }),
        ("node, cycle and attempt", Payout { node: node_id(1), ..other() }),
        ("one open payout", Payout { node: node_id(1), attempt: 1, closed: false, ..other() }),
        ("external id", Payout { external_id: payout(1).external_id, ..other() }),
        ("transaction", Payout { txid: payout(1).txid, ..other() }),
    ];
    for (what, payout) in taken {
        assert!(!store.create_payout(payout, audit("payout.create")).await.unwrap(), "{what}");
    }
    assert!(
        store
            .create_payout(
                Payout { node: node_id(1), attempt: 1, ..other() },
                audit("payout.create")
            )
            .await
            .unwrap()
    );
    // Fifty payouts to one node at once: one is open.
    let raced = fifty(|i| {
        let store = store.clone();
        async move {
            store
                .create_payout(
                    Payout { node: node_id(99), attempt: i, ..payout(1_000 + i) },
                    audit("payout.create"),
                )
                .await
                .unwrap()
        }
    })
    .await;
    assert_eq!(raced.into_iter().filter(|c| *c).count(), 1);
}

pub async fn one_of_fifty_sends_is_written(backend: &mut dyn Backend) {
    let store = backend.store();
    store.create_payout(payout(1), audit("payout.create")).await.unwrap();
    let outcomes = fifty(|i| {
        let store = store.clone();
        let change = (Payout { sends: i, version: 2, ..payout(1) }, Some(audit("payout.change")));
        async move { store.update_payouts(Fence(1), vec![change]).await.unwrap()[0] == Done }
    })
    .await;
    let winner = u32::try_from(outcomes.iter().position(|won| *won).unwrap()).unwrap();
    assert_eq!(outcomes.into_iter().filter(|won| *won).count(), 1);
    assert_eq!(store.payout(payout(1).id).await.unwrap().unwrap().sends, winner);
}

pub async fn a_payer_that_was_replaced_changes_nothing(backend: &mut dyn Backend) {
    let store = backend.store();
    for i in 1..=2 {
        store.create_payout(payout(i), audit("payout.create")).await.unwrap();
    }
    let change = |i: u32, version| vec![(Payout { sends: 9, version, ..payout(i) }, None)];
    assert_eq!(store.begin_paying(Fence(10)).await.unwrap(), Fence(10));
    assert_eq!(store.update_payouts(Fence(10), change(1, 2)).await.unwrap(), [Done]);
    // It has read payout 2, and is stopped. Another begins.
    assert_eq!(store.begin_paying(Fence(20)).await.unwrap(), Fence(20));
    assert_eq!(store.begin_paying(Fence(20)).await.unwrap(), Fence(20), "again is the same");
    assert_eq!(store.begin_paying(Fence(10)).await.unwrap(), Fence(20), "nobody goes back");
    store.create_payout(payout(3), audit("payout.create")).await.unwrap();
    let both = [change(2, 2), change(3, 2)].concat();
    assert_eq!(
        store.update_payouts(Fence(10), both).await.unwrap(),
        [FencedOff { by: Fence(20) }; 2]
    );
    assert_eq!(store.payout(payout(2).id).await.unwrap(), Some(payout(2)));
    assert_eq!(store.payout(payout(3).id).await.unwrap(), Some(payout(3)));
    // A lost race is another thing, and who comes without having begun begins with it.
    assert_eq!(
        store.update_payouts(Fence(20), [change(1, 2), change(2, 2)].concat()).await.unwrap(),
        [Conflict, Done]
    );
    assert_eq!(store.update_payouts(Fence(30), change(3, 2)).await.unwrap(), [Done]);
    drop(store);
    backend.reopen();
    let store = backend.store();
    assert_eq!(
        store.update_payouts(Fence(20), change(2, 3)).await.unwrap(),
        [FencedOff { by: Fence(30) }],
        "after a restart too"
    );
}

pub async fn no_payer_changes_anything_once_a_later_one_has_begun(backend: &mut dyn Backend) {
    let store = backend.store();
    for i in 0..50 {
        store.create_payout(payout(i), audit("payout.create")).await.unwrap();
    }
    // Forty-nine payers, each with its own payout, and the last in the middle of them.
    let outcomes = fifty(|i| {
        let store = store.clone();
        async move {
            if i == 25 {
                assert_eq!(store.begin_paying(Fence(100)).await.unwrap(), Fence(100));
                let open = store.open_payouts(u32::MAX).await.unwrap();
                (Done, open.iter().filter(|p| p.version == 2).count())
            } else {
                (
                    store
                        .update_payouts(
                            Fence(u64::from(i)),
                            vec![(Payout { version: 2, ..payout(i) }, None)],
                        )
                        .await
                        .unwrap()[0],
                    0,
                )
            }
        }
    })
    .await;
    let seen = outcomes[25].1;
    let done = outcomes
        .iter()
        .enumerate()
        .filter(|(i, (outcome, _))| *i != 25 && *outcome == Done)
        .count();
    assert_eq!(
        done, seen,
        "what was not changed when the last one had begun was never changed: {outcomes:?}"
    );
    assert!(
        outcomes.iter().all(|(outcome, _)| !matches!(outcome, PayoutUpdate::Conflict)),
        "{outcomes:?}"
    );
}

pub async fn a_stolen_transaction_costs_only_its_own_payout(backend: &mut dyn Backend) {
    let store = backend.store();
    for i in 1..=3 {
        store.create_payout(payout(i), audit("payout.create")).await.unwrap();
    }
    let thief = Payout { txid: payout(1).txid, version: 2, ..payout(2) };
    let neighbour = Payout { sends: 7, version: 2, ..payout(3) };
    let changes = vec![(thief, Some(audit("payout.change"))), (neighbour.clone(), None)];
    assert_eq!(store.update_payouts(Fence(1), changes).await.unwrap(), [Taken, Done]);
    let owner = store.payout_of_transaction(&payout(1).txid.unwrap()).await.unwrap();
    assert_eq!(owner.map(|owner| owner.id), Some(payout(1).id));
    assert_eq!(store.payout_of_transaction("nobody's").await.unwrap(), None);
    assert_eq!(store.payout(payout(2).id).await.unwrap(), Some(payout(2)));
    assert_eq!(store.payout(payout(3).id).await.unwrap(), Some(neighbour));
}

pub async fn the_outbox_is_what_is_not_closed(backend: &mut dyn Backend) {
    let store = backend.store();
    for (i, next, created, closed) in
        [(1, 30, 1, false), (2, 10, 2, false), (3, 10, 1, false), (4, 0, 0, true)]
    {
        let times = (TimeMs(next), TimeMs(created));
        store
            .create_payout(
                Payout { next_attempt_at: times.0, created_at: times.1, closed, ..payout(i) },
                audit("payout.create"),
            )
            .await
            .unwrap();
    }
    let open = |payouts: Vec<Payout>| payouts.into_iter().map(|p| p.node).collect::<Vec<_>>();
    assert_eq!(open(store.open_payouts(10).await.unwrap()), [node_id(3), node_id(2), node_id(1)]);
    assert_eq!(open(store.open_payouts(1).await.unwrap()), [node_id(3)]);
}

pub async fn payouts_are_listed_in_every_order(backend: &mut dyn Backend) {
    let store = backend.store();
    let states = [PayoutState::Confirmed, PayoutState::Reserved, PayoutState::Unknown];
    for i in (0..15).rev() {
        let (created_at, updated_at) = (TimeMs(i64::from(i / 4)), TimeMs(i64::from(20 - i / 4)));
        // One of those that are `processing` is elsewhere than the others.
        let state =
            if i == 14 { PayoutState::Accepted } else { states[usize::try_from(i % 3).unwrap()] };
        let amount = MicroUsdt(i64::from(i / 6));
        let run = run(u128::from(i % 2)).id;
        store
            .create_payout(
                Payout {
                    created_at,
                    updated_at,
                    amount,
                    state,
                    owner: owner_id(i % 2),
                    run,
                    ..payout(i)
                },
                audit("payout.create"),
            )
            .await
            .unwrap();
    }
    for sort in
        [PayoutSort::CreatedAt, PayoutSort::UpdatedAt, PayoutSort::Amount, PayoutSort::Status]
    {
        for order in [Order::Ascending, Order::Descending] {
            let mut listed = Vec::new();
            for page in 1..=4 {
                listed.extend(
                    store
                        .payouts(
                            &PayoutFilter::default(),
                            PageRequest { page, limit: 4, sort, order },
                        )
                        .await
                        .unwrap()
                        .items,
                );
            }
            let key = |p: &Payout| match sort {
                PayoutSort::CreatedAt => (p.created_at.0, "", p.id),
                PayoutSort::UpdatedAt => (p.updated_at.0, "", p.id),
                PayoutSort::Amount => (p.amount.0, "", p.id),
                PayoutSort::Status => (0, p.state.status().name(), p.id),
            };
            let mut sorted: Vec<_> = listed.iter().map(key).collect();
            sorted.sort_unstable();
            if order == Order::Descending {
                sorted.reverse();
            }
            assert_eq!(listed.iter().map(key).collect::<Vec<_>>(), sorted, "{sort:?} {order:?}");
            assert_eq!(listed.len(), 15);
        }
    }
    let total = async |filter: PayoutFilter| {
        store.payouts(&filter, all(PayoutSort::Amount, Order::Ascending)).await.unwrap().total
    };
    assert_eq!(total(PayoutFilter { node: Some(node_id(3)), ..PayoutFilter::default() }).await, 1);
    assert_eq!(total(PayoutFilter { run: Some(run(1).id), ..PayoutFilter::default() }).await, 7);
    assert_eq!(
        total(PayoutFilter {
            status: Some(PayoutStatus::Processing),
            owner: Some(owner_id(0)),
            ..PayoutFilter::default()
        })
        .await,
        3
    );
    for (state, status, found) in [
        (PayoutState::Unknown, None, 4),
        (PayoutState::Accepted, None, 1),
        (PayoutState::Accepted, Some(PayoutStatus::Processing), 1),
        (PayoutState::Accepted, Some(PayoutStatus::Failed), 0),
        (PayoutState::Manual, None, 0),
    ] {
        assert_eq!(
            total(PayoutFilter { state: Some(state), status, ..PayoutFilter::default() }).await,
            found,
            "{state:?} {status:?}"
        );
    }
    assert_eq!(
        total(PayoutFilter {
            run: Some(lucid_model::id::RunId(Uuid::nil())),
            ..PayoutFilter::default()
        })
        .await,
        8
    );
}

pub async fn payments_are_completed_payouts(backend: &mut dyn Backend) {
    let store = backend.store();
    let completed = |i: u32, cycle: i64, at: i64| Payout {
        id: PayoutId(Uuid::from_u128(u128::from(i) << 64 | cycle.unsigned_abs() as u128)),
        cycle,
        state: PayoutState::Confirmed,
        processed_at: Some(TimeMs(at)),
        closed: true,
        external_id: None,
        txid: Some(format!("{i}-{cycle}")),
        ..payout(i)
    };
    for payout in [
        completed(1, 1, 10),
        completed(1, 2, 20),
        completed(1, 3, 30),
        completed(2, 1, 20),
        completed(3, 1, 20),
    ] {
        assert!(store.create_payout(payout, audit("payout.create")).await.unwrap());
    }
    let failed = Payout { state: PayoutState::Failed, ..completed(2, 2, 20) };
    assert!(store.create_payout(failed, audit("payout.create")).await.unwrap());
    let paid = store.payments(&[node_id(1), node_id(2), node_id(9)], span(10, 30)).await.unwrap();
    let amount = |i: u32| payout(i).amount;
    assert_eq!(
        paid,
        [
            (node_id(1), TimeMs(10), amount(1)),
            (node_id(1), TimeMs(20), amount(1)),
            (node_id(2), TimeMs(20), amount(2))
        ]
    );
}
