//! Ledger and payouts.

use lucid_model::money::{ledger::Head, payout::Payout};
use lucid_ports::{Booked, Fence, LedgerStore, PayoutStore, PayoutUpdate};
use lucid_store_conformance::examples::*;

use super::{at_every_command, entry, told};

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_that_is_cut_off() {
    let entries = |number: u32| {
        vec![
            booked_at(accrual(1, 2 * number, 100), Head::default()),
            booked_at(accrual(1, 2 * number + 1, 100), Head::default()),
        ]
    };
    at_every_command(
        async |_, _| {},
        async |store, number| store.book(entries(number)).await,
        async |store, number, answered| {
            assert!(answered.is_none_or(|answered| answered == [Booked::Done; 2]));
            let again = store.book(entries(number)).await.unwrap();
            assert!(
                again.iter().all(|outcome| matches!(outcome, Booked::Done | Booked::Already)),
                "{again:?}"
            );
            assert_eq!(store.book(entries(number)).await.unwrap(), [Booked::Already; 2]);
            for entry in entries(number) {
                let head = store.head(entry.draft.stream).await.unwrap();
                assert_eq!((head.seq, head.balances), (1, entry.balances));
                assert_eq!(store.entries(entry.draft.stream, 0, 10).await.unwrap(), [entry]);
            }
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payer_that_is_cut_off_while_it_begins() {
    let fences = |number: u32| (Fence(10 * u64::from(number)), Fence(10 * u64::from(number) + 5));
    let change = |number: u32, version| {
        vec![(Payout { version, sends: 9, ..payout(number) }, Some(entry("payout.change", number)))]
    };
    at_every_command(
        async |store, number| {
            store.create_payout(payout(number), audit("payout.create")).await.unwrap();
            assert_eq!(store.begin_paying(fences(number).0).await.unwrap(), fences(number).0);
        },
        async |store, number| {
            let begun = store.begin_paying(fences(number).1).await?;
            Ok((begun, store.update_payouts(fences(number).1, change(number, 2)).await?))
        },
        async |store, number, answered| {
            let (old, new) = fences(number);
            if let Some(answered) = answered {
                assert_eq!(answered, (new, vec![PayoutUpdate::Done]));
            }
            // It begins again, from wherever it was; the payer before it is shut out from then on.
            assert_eq!(store.begin_paying(new).await.unwrap(), new);
            assert_eq!(
                store.update_payouts(old, change(number, 3)).await.unwrap(),
                [PayoutUpdate::FencedOff { by: new }]
            );
            let again = store.update_payouts(new, change(number, 2)).await.unwrap();
            assert!(
                matches!(again[..], [PayoutUpdate::Done | PayoutUpdate::Conflict]),
                "{again:?}"
            );
            assert_eq!(
                store.payout(payout(number).id).await.unwrap(),
                Some(Payout { version: 2, sends: 9, ..payout(number) })
            );
            assert_eq!(told(store, "payout.change", &number.to_string()).await, 1);
        },
    )
    .await;
}
