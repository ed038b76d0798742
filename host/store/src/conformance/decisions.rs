use lucid_model::{
    id::{PayoutId, ProposalId},
    money::MicroUsdt,
    payout::{About, Correction, Decision, Freeze, Outcome, PaymentsSwitch, Proposal, Reconciliation},
    time::TimeMs,
};
use lucid_ports::Order;
use uuid::Uuid;

use super::{Backend, all, examples::*, fifty};

pub(crate) fn proposal(i: u128) -> Proposal {
    Proposal {
        id: ProposalId(Uuid::from_u128(i)),
        about: About::Payout { payout: PayoutId(Uuid::from_u128(9)), outcome: Outcome::Paid { txid: "t-1".into() } },
        evidence: "ticket 7".into(),
        by: "alice".into(),
        at: TimeMs(5_000),
        decided: None,
    }
}

pub(crate) fn corrected() -> About {
    About::Balance { node: node_id(4), correction: Correction::ForfeitHold, amount: MicroUsdt(7) }
}

pub(crate) fn decision(accepted: bool) -> Decision {
    Decision { at: TimeMs(6_000), by: "bob".into(), accepted }
}

pub(crate) async fn payments_are_switched_by_version(backend: &mut dyn Backend) {
    let store = backend.store();
    assert_eq!(store.payments_switch().await.unwrap(), PaymentsSwitch::default());
    let freeze = |i: u32| PaymentsSwitch {
        frozen: Some(Freeze { at: TimeMs(7), by: "alice".into(), reason: i.to_string() }),
        restored_at: None,
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
    assert_eq!(store.payments_switch().await.unwrap(), freeze(winners[0]));
    let resumed = |version: u64| {
        let reconciliation = (version > 2).then_some(Reconciliation { since: TimeMs(4), done_at: (version > 3).then_some(TimeMs(8)) });
        PaymentsSwitch { frozen: None, restored_at: Some(TimeMs(9)), reconciliation, version }
    };
    assert!(!store.set_payments_switch(resumed(3), audit("payouts.resume")).await.unwrap(), "of another version");
    assert!(store.set_payments_switch(resumed(2), audit("payouts.resume")).await.unwrap());
    assert!(!store.set_payments_switch(resumed(2), audit("payouts.resume")).await.unwrap(), "once");
    for version in [3, 4] {
        assert!(store.set_payments_switch(resumed(version), audit("payouts.reconcile")).await.unwrap());
        assert_eq!(store.payments_switch().await.unwrap(), resumed(version));
    }
    drop(store);
    backend.reopen();
    assert_eq!(backend.store().payments_switch().await.unwrap(), resumed(4));
}

pub(crate) async fn a_proposal_is_decided_once(backend: &mut dyn Backend) {
    let store = backend.store();
    let not_paid = Proposal { about: About::Payout { payout: PayoutId(Uuid::from_u128(8)), outcome: Outcome::NotPaid }, ..proposal(2) };
    let balance = Proposal { about: corrected(), ..proposal(3) };
    for made in [proposal(1), not_paid.clone(), balance.clone()] {
        assert!(store.add_proposal(made.clone(), audit("payout.propose")).await.unwrap());
        assert!(!store.add_proposal(Proposal { evidence: "other".into(), ..made }, audit("payout.propose")).await.unwrap());
    }
    let decided = fifty(|i| {
        let store = store.clone();
        async move { store.decide_proposal(proposal(1).id, decision(i % 2 == 0), audit("payout.decide")).await.unwrap() }
    })
    .await;
    let winners: Vec<_> = (0..).zip(&decided).filter(|(_, won)| **won).map(|(i, _)| i).collect();
    assert_eq!(winners.len(), 1);
    assert!(!store.decide_proposal(proposal(9).id, decision(true), audit("payout.decide")).await.unwrap(), "there is none");
    drop(store);
    backend.reopen();
    let store = backend.store();
    let first = Proposal { decided: Some(decision(winners[0] % 2 == 0)), ..proposal(1) };
    assert_eq!(store.proposal(first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(store.proposal(proposal(9).id).await.unwrap(), None);
    assert_eq!(store.proposals(all((), Order::Ascending)).await.unwrap().items, [first, not_paid, balance]);
}
