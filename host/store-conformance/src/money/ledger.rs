use lucid_model::{
    id::{PayoutId, PoolScope},
    money::{
        MicroUsdt,
        ledger::{Account, Draft, Entry, Head, Stream},
        settlement::SettlementRecord,
    },
};
use lucid_ports::{Booked, StoreError};

use crate::{Backend, examples::*, fifty};

pub async fn an_entry_is_booked_once(backend: &mut dyn Backend) {
    let store = backend.store();
    let stream = Stream::Node(node_id(1));
    assert_eq!(store.head(stream).await.unwrap(), Head::default());
    let first = booked_at(accrual(0, 1, 100), Head::default());
    assert_eq!(
        store.book(vec![first.clone(), first.clone()]).await.unwrap(),
        [Booked::Done, Booked::Already]
    );
    let head = store.head(stream).await.unwrap();
    assert_eq!(head, Head { seq: 1, balances: first.balances });
    let second = booked_at(accrual(1, 1, 50), head);
    let stale = booked_at(accrual(2, 1, 50), Head::default());
    assert_eq!(
        store.book(vec![stale, second.clone(), first.clone()]).await.unwrap(),
        [Booked::SeqTaken, Booked::Done, Booked::Already]
    );
    assert_eq!(store.entry(&second.draft.id).await.unwrap(), Some(second.clone()));
    assert_eq!(store.entry("acc:9").await.unwrap(), None);
    assert_eq!(store.entries(stream, 0, 10).await.unwrap(), [first, second.clone()]);
    assert_eq!(store.entries(stream, 1, 10).await.unwrap(), [second]);
}

pub async fn one_of_fifty_entries_gets_the_place(backend: &mut dyn Backend) {
    let store = backend.store();
    let outcomes = fifty(|i| {
        let store = store.clone();
        async move {
            store
                .book(vec![booked_at(accrual(i64::from(i), 1, 100), Head::default())])
                .await
                .unwrap()[0]
        }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|o| **o == Booked::Done).count(), 1);
    assert_eq!(outcomes.iter().filter(|o| **o == Booked::SeqTaken).count(), 49);
    let same =
        fifty(|_| {
            let store = store.clone();
            async move {
                store.book(vec![booked_at(accrual(0, 2, 100), Head::default())]).await.unwrap()[0]
            }
        })
        .await;
    assert_eq!(same.iter().filter(|o| **o == Booked::Done).count(), 1);
    assert_eq!(same.iter().filter(|o| **o == Booked::Already).count(), 49);
}

pub async fn an_entry_behind_a_refused_one_is_refused(backend: &mut dyn Backend) {
    let store = backend.store();
    store.book(vec![booked_at(accrual(0, 1, 100), Head::default())]).await.unwrap();
    // Drafted as if nothing had been booked: the second would fit by its number, but not by its
    // balances.
    let ours = booked_at(accrual(1, 1, 10), Head::default());
    let behind = booked_at(accrual(2, 1, 10), Head { seq: ours.seq, balances: ours.balances });
    assert_eq!(
        store.book(vec![ours, behind.clone()]).await.unwrap(),
        [Booked::SeqTaken, Booked::SeqTaken]
    );
    let gap = Entry { seq: 9, ..behind };
    assert_eq!(store.book(vec![gap]).await.unwrap(), [Booked::SeqTaken], "a stream has no gaps");
}

pub async fn an_unbalanced_entry_is_an_error(backend: &mut dyn Backend) {
    let store = backend.store();
    let mut entry = booked_at(accrual(0, 1, 100), Head::default());
    entry.draft.legs[0].amount = MicroUsdt(-99);
    assert!(matches!(store.book(vec![entry]).await, Err(StoreError::Inconsistent { .. })));
    assert_eq!(store.streams().await.unwrap(), []);
}

pub async fn totals_follow_from_legs(backend: &mut dyn Backend) {
    let store = backend.store();
    let deposit =
        booked_at(Draft::deposit("d", MicroUsdt(1_000), "bank".into()).unwrap(), Head::default());
    let head = Head { seq: 1, balances: deposit.balances };
    let fund = booked_at(Draft::fund(0, PoolScope::Unassigned, MicroUsdt(400)).unwrap(), head);
    let reserved = {
        let earned = booked_at(accrual(0, 2, 40), Head::default());
        let head = Head { seq: 1, balances: earned.balances };
        let reserve =
            Draft::reserve(PayoutId(uuid::Uuid::from_u128(1)), node_id(2), MicroUsdt(30)).unwrap();
        vec![earned, booked_at(reserve, head)]
    };
    store.book(vec![deposit, fund, booked_at(accrual(0, 1, 100), Head::default())]).await.unwrap();
    assert_eq!(store.book(reserved).await.unwrap(), [Booked::Done; 2]);
    let total = async |account| store.account_total(account).await.unwrap().0;
    assert_eq!((total(Account::Outside).await, total(Account::Treasury).await), (-1_000, 600));
    assert_eq!(total(Account::Budget(PoolScope::Unassigned)).await, 400 - 140);
    assert_eq!(
        (total(Account::Available(node_id(1))).await, total(Account::Held(node_id(1))).await),
        (75, 25)
    );
    assert_eq!(
        (total(Account::Reserved(node_id(2))).await, total(Account::Reserved(node_id(9))).await),
        (30, 0)
    );
    let accrued = store.accrued(0).await.unwrap();
    assert_eq!(
        accrued.into_iter().collect::<Vec<_>>(),
        [(node_id(1), MicroUsdt(75)), (node_id(2), MicroUsdt(30))]
    );
    assert!(store.accrued(1).await.unwrap().is_empty(), "of another period");
    let heads = store.heads_available(MicroUsdt(1)).await.unwrap();
    assert_eq!(
        heads.iter().map(|(node, head)| (*node, head.balances.available.0)).collect::<Vec<_>>(),
        [(node_id(1), 75)]
    );
    assert_eq!(heads[0].1, store.head(Stream::Node(node_id(1))).await.unwrap());
    assert_eq!(
        store.heads_available(MicroUsdt(0)).await.unwrap().len(),
        2,
        "the treasury is no node"
    );
    let mut streams = store.streams().await.unwrap();
    streams.sort();
    assert_eq!(streams, [Stream::Treasury, Stream::Node(node_id(1)), Stream::Node(node_id(2))]);
}

pub async fn a_period_is_settled_once(backend: &mut dyn Backend) {
    let store = backend.store();
    let record = |i, count| SettlementRecord {
        period: period(i),
        count,
        sum: MicroUsdt(90),
        budget: MicroUsdt(100),
        remainder: MicroUsdt(10),
        note: Some("short".into()),
    };
    assert_eq!(store.last_settlement().await.unwrap(), None);
    let outcomes = fifty(|i| {
        let store = store.clone();
        async move { store.record_settlement(record(1, i)).await.unwrap() }
    })
    .await;
    let winner = u32::try_from(outcomes.iter().position(|won| *won).unwrap()).unwrap();
    assert_eq!(outcomes.into_iter().filter(|won| *won).count(), 1);
    assert_eq!(store.settlement(HOUR).await.unwrap(), Some(record(1, winner)));
    assert!(
        store.record_settlement(SettlementRecord { note: None, ..record(3, 1) }).await.unwrap()
    );
    assert!(store.record_settlement(record(2, 1)).await.unwrap());
    assert_eq!(store.last_settlement().await.unwrap().unwrap().period, period(3));
    assert_eq!(store.settlement(9 * HOUR).await.unwrap(), None);
}

pub async fn what_is_kept_first_of_a_period_is_how_it_is_shared(backend: &mut dyn Backend) {
    let store = backend.store();
    assert_eq!(store.distribution(HOUR).await.unwrap(), None);
    fifty(|i| {
        let store = store.clone();
        async move { store.keep_distribution(distribution(1, i)).await.unwrap() }
    })
    .await;
    let kept = store.distribution(HOUR).await.unwrap().unwrap();
    assert!((0..50).any(|i| kept == distribution(1, i)), "one of them, and all of it");
    store.keep_distribution(distribution(1, 70)).await.unwrap();
    store.keep_distribution(distribution(2, 3)).await.unwrap();
    assert_eq!(store.distribution(HOUR).await.unwrap(), Some(kept.clone()));
    drop(store);
    backend.reopen();
    let store = backend.store();
    assert_eq!(store.distribution(HOUR).await.unwrap(), Some(kept.clone()));
    assert!(store.record_settlement(kept.record().unwrap()).await.unwrap());
    assert_eq!(store.distribution(HOUR).await.unwrap(), None);
    store.keep_distribution(distribution(1, 70)).await.unwrap();
    assert_eq!(store.distribution(HOUR).await.unwrap(), None, "nobody shares it again");
    assert_eq!(store.distribution(2 * HOUR).await.unwrap(), Some(distribution(2, 3)));
}

pub async fn books_are_read_from_one_end_to_the_other(backend: &mut dyn Backend) {
    let store = backend.store();
    let deposit =
        booked_at(Draft::deposit("d", MicroUsdt(1_000), "test".into()).unwrap(), Head::default());
    let mut expected = Vec::new();
    for node in [2, 1] {
        let first = booked_at(accrual(0, node, 100), Head::default());
        let second = booked_at(accrual(1, node, 10), Head { seq: 1, balances: first.balances });
        expected.push([first, second]);
    }
    expected.sort_by_key(|[first, _]| first.draft.stream);
    let expected: Vec<Entry> = expected.into_iter().flatten().chain([deposit]).collect();
    store
        .book(expected.iter().rev().filter(|entry| entry.seq == 1).cloned().collect())
        .await
        .unwrap();
    store.book(expected.iter().filter(|entry| entry.seq == 2).cloned().collect()).await.unwrap();
    for limit in [1, 2, 3, 100] {
        let (mut read, mut after) = (Vec::new(), None);
        loop {
            let page = store.ledger_after(after, limit).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some((last.draft.stream, last.seq));
            assert!(page.len() <= limit as usize);
            read.extend(page);
        }
        assert_eq!(read, expected, "{limit} at a time");
    }

    let record = |i| SettlementRecord {
        period: period(i),
        count: 1,
        sum: MicroUsdt(1),
        budget: MicroUsdt(2),
        remainder: MicroUsdt(1),
        note: None,
    };
    for i in [2, 1, 3] {
        assert!(store.record_settlement(record(i)).await.unwrap());
    }
    assert_eq!(store.settlements_after(None, 2).await.unwrap(), [record(1), record(2)]);
    assert_eq!(store.settlements_after(Some(period(2).start_s), 2).await.unwrap(), [record(3)]);
    for i in [2, 1] {
        assert!(store.create_payout(payout(i), audit("payout.create")).await.unwrap());
    }
    assert_eq!(store.payouts_after(None, 10).await.unwrap(), [payout(1), payout(2)]);
    assert_eq!(store.payouts_after(Some(payout(1).id), 10).await.unwrap(), [payout(2)]);
}
