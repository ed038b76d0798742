use lucid_model::{
    id::{PayoutId, ProposalId},
    money::{
        MicroUsdt,
        payout::{
            About, Correction, Decision, Freeze, Mismatch, MismatchKind, Outcome, PaymentsSwitch,
            Proposal, Reconciliation, Remedy, Resolution,
        },
    },
    time::TimeMs,
};
use lucid_ports::Order;
use uuid::Uuid;

use crate::{Backend, all, examples::*, fifty};

pub fn proposal(i: u128) -> Proposal {
    Proposal {
        id: ProposalId(Uuid::from_u128(i)),
        about: About::Payout {
            payout: PayoutId(Uuid::from_u128(9)),
            outcome: Outcome::Paid { txid: "t-1".into() },
        },
        evidence: "ticket 7".into(),
        by: "alice".into(),
        at: TimeMs(5_000),
        decided: None,
    }
}

pub fn corrected() -> About {
    About::Balance { node: node_id(4), correction: Correction::ForfeitHold, amount: MicroUsdt(7) }
}

pub fn mismatch(i: u32) -> Mismatch {
    Mismatch::of(
        &payout(i),
        MismatchKind::PaidAfterRelease,
        "paid by t-9",
        TimeMs(4_000),
        TimeMs(4_500),
    )
}

pub fn resolved() -> About {
    let resolution = |i: u128, txid: Option<&str>| Resolution {
        payout: PayoutId(Uuid::from_u128(i)),
        outcome: Outcome::by(txid.map(Into::into)),
        evidence: format!("ticket {i}, \"ü\""),
    };
    About::Payouts(vec![resolution(5, Some("t-5")), resolution(6, None)])
}

pub fn decision(accepted: bool) -> Decision {
    Decision { at: TimeMs(6_000), by: "bob".into(), accepted }
}

pub async fn payments_are_switched_by_version(backend: &mut dyn Backend) {
    let store = backend.store();
    assert_eq!(store.payments_switch().await.unwrap(), PaymentsSwitch::default());
    let freeze = |i: u32| PaymentsSwitch {
        frozen: Some(Freeze {
            at: TimeMs(7),
            by: "alice".into(),
            reason: i.to_string(),
            fence: 9,
            still_at: None,
        }),
        restored_at: None,
        backup_at: None,
        reconciliation: None,
        version: 1,
    };
    let switched = fifty(|i| {
        let store = store.clone();
        async move { store.set_payments_switch(freeze(i), audit("payouts.freeze")).await.unwrap() }
    })
    .await;
    let winners: Vec<_> = (0..).zip(&switched).filter(|(_, won)| **won).map(|(i, _)| i).collect();
    assert_eq!(winners.len(), 1);
    let frozen = store.payments_switch().await.unwrap();
    assert_eq!(frozen, freeze(winners[0]));
    let still = frozen.frozen.map(|freeze| Freeze { still_at: Some(TimeMs(8)), ..freeze });
    let still = PaymentsSwitch { frozen: still, version: 2, ..freeze(0) };
    assert!(store.set_payments_switch(still.clone(), audit("payouts.frozen")).await.unwrap());
    assert_eq!(store.payments_switch().await.unwrap(), still);
    let resumed = |version: u64| {
        let backup_at = (version > 3).then_some(TimeMs(3));
        let reconciliation = (version > 3).then_some(Reconciliation {
            since: TimeMs(4),
            done_at: (version > 4).then_some(TimeMs(8)),
        });
        PaymentsSwitch {
            frozen: None,
            restored_at: Some(TimeMs(9)),
            backup_at,
            reconciliation,
            version,
        }
    };
    assert!(
        !store.set_payments_switch(resumed(4), audit("payouts.resume")).await.unwrap(),
        "of another version"
    );
    assert!(store.set_payments_switch(resumed(3), audit("payouts.resume")).await.unwrap());
    assert!(!store.set_payments_switch(resumed(3), audit("payouts.resume")).await.unwrap(), "once");
    for version in [4, 5] {
        assert!(
            store.set_payments_switch(resumed(version), audit("payouts.reconcile")).await.unwrap()
        );
        assert_eq!(store.payments_switch().await.unwrap(), resumed(version));
    }
    drop(store);
    backend.reopen();
    assert_eq!(backend.store().payments_switch().await.unwrap(), resumed(5));
}

pub async fn a_proposal_is_decided_once(backend: &mut dyn Backend) {
    let store = backend.store();
    let not_paid = Proposal {
        about: About::Payout { payout: PayoutId(Uuid::from_u128(8)), outcome: Outcome::NotPaid },
        ..proposal(2)
    };
    let balance = Proposal { about: corrected(), ..proposal(3) };
    let ended = Proposal {
        about: About::Mismatch { mismatch: mismatch(7).id, remedy: Remedy::Restore },
        ..proposal(4)
    };
    let several = Proposal { about: resolved(), ..proposal(5) };
    for made in [proposal(1), not_paid.clone(), balance.clone(), ended.clone(), several.clone()] {
        assert!(store.add_proposal(made.clone(), audit("payout.propose")).await.unwrap());
        assert!(
            !store
                .add_proposal(
                    Proposal { evidence: "other".into(), ..made },
                    audit("payout.propose")
                )
                .await
                .unwrap()
        );
    }
    let decided = fifty(|i| {
        let store = store.clone();
        async move {
            store
                .decide_proposal(proposal(1).id, decision(i % 2 == 0), audit("payout.decide"))
                .await
                .unwrap()
        }
    })
    .await;
    let winners: Vec<_> = (0..).zip(&decided).filter(|(_, won)| **won).map(|(i, _)| i).collect();
    assert_eq!(winners.len(), 1);
    assert!(
        !store
            .decide_proposal(proposal(9).id, decision(true), audit("payout.decide"))
            .await
            .unwrap(),
        "there is none"
    );
    drop(store);
    backend.reopen();
    let store = backend.store();
    let first = Proposal { decided: Some(decision(winners[0] % 2 == 0)), ..proposal(1) };
    assert_eq!(store.proposal(first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(store.proposal(proposal(9).id).await.unwrap(), None);
    assert_eq!(
        store.proposals(all((), Order::Ascending)).await.unwrap().items,
        [first, not_paid, balance, ended, several]
    );
}

pub async fn a_mismatch_is_kept_once_and_ended_once(backend: &mut dyn Backend) {
    let store = backend.store();
    let other = Mismatch {
        kind: MismatchKind::Unclear,
        ended: Some((TimeMs(9), Remedy::Dismiss)),
        ..mismatch(2)
    };
    for made in [mismatch(1), other.clone()] {
        assert!(store.add_mismatch(made.clone(), audit("payout.mismatch")).await.unwrap());
        assert!(
            !store
                .add_mismatch(
                    Mismatch { evidence: "other".into(), ..made },
                    audit("payout.mismatch")
                )
                .await
                .unwrap()
        );
    }
    let open =
        async |open_only| store.mismatches(open_only, all((), Order::Ascending)).await.unwrap();
    let mut both = [mismatch(1), other.clone()];
    both.sort_unstable_by_key(|mismatch| mismatch.id);
    assert_eq!(
        (open(true).await.items, open(false).await.items, open(false).await.total),
        (vec![mismatch(1)], both.to_vec(), 2)
    );
    let remedies = [Remedy::Recover, Remedy::Dismiss];
    let ended = fifty(|i| {
        let store = store.clone();
        async move {
            store
                .end_mismatch(
                    mismatch(1).id,
                    TimeMs(6_000),
                    remedies[i as usize % 2],
                    audit("payout.mismatch_end"),
                )
                .await
                .unwrap()
        }
    })
    .await;
    let winners: Vec<_> =
        ended.iter().enumerate().filter(|(_, won)| **won).map(|(i, _)| i).collect();
    assert_eq!(winners.len(), 1);
    assert!(
        !store
            .end_mismatch(mismatch(9).id, TimeMs(1), Remedy::Dismiss, audit("payout.mismatch_end"))
            .await
            .unwrap(),
        "there is none"
    );
    drop(store);
    backend.reopen();
    let store = backend.store();
    let first = Mismatch { ended: Some((TimeMs(6_000), remedies[winners[0] % 2])), ..mismatch(1) };
    assert_eq!(store.mismatch(first.id).await.unwrap(), Some(first));
    assert_eq!(store.mismatch(mismatch(9).id).await.unwrap(), None);
    assert_eq!(store.mismatches(true, all((), Order::Ascending)).await.unwrap().total, 0);
}
