pub mod requests;

use std::collections::BTreeSet;

use ed25519_dalek::{Signer, SigningKey};
use lucid_model::{
    audit::{
        AuditEntry,
        chain::ChainHead,
        record::Record,
        seal::{Seal, SealStatement},
        verify::Trust,
    },
    fleet::node::{Node, NodeStatus, PublicKey},
    id::{AuditWriterId, Digest, FamilyId},
    money::ledger::Head,
    time::TimeMs,
};
use lucid_ports::{AuditFilter, Booked, Order, PageRequest, Registration, Store};
use lucid_service::{AuditVerified, verify_audit};
use uuid::Uuid;

use crate::{Backend, all, examples::*, fifty};

async fn verified(store: &dyn Store) -> AuditVerified {
    verify_audit(store, &Trust::default(), &mut |_| {}).await.unwrap()
}

/// The verified ends of all chains.
async fn heads(store: &dyn Store) -> Vec<ChainHead> {
    let found = verified(store).await;
    assert_eq!(found.flaw, None);
    found.heads
}

async fn total(store: &dyn Store, filter: AuditFilter) -> u64 {
    store.audit(&filter, all((), Order::Descending)).await.unwrap().total
}

pub async fn entries_are_found_by_what_they_tell(backend: &mut dyn Backend) {
    let store = backend.store();
    for i in 0..6_i64 {
        let mut entry = audit(if i % 2 == 0 { "even" } else { "odd" });
        (entry.at, entry.actor) = (TimeMs(i / 3), format!("actor {}", i % 3));
        store.add_audit(entry.clone()).await.unwrap();
        // The same entry again is the same entry.
        store.add_audit(entry).await.unwrap();
    }
    let newest = store.audit(&AuditFilter::default(), all((), Order::Descending)).await.unwrap();
    let mut oldest = store.audit(&AuditFilter::default(), all((), Order::Ascending)).await.unwrap();
    oldest.items.reverse();
    assert_eq!((newest.items.len(), newest.total), (6, 6));
    assert_eq!(newest, oldest);
    let key = |i: usize| (newest.items[i].entry.at, newest.items[i].entry.id);
    assert!((1..6).all(|i| key(i - 1) > key(i)));
    let filter = AuditFilter {
        action: Some("odd".into()),
        actor: Some("actor 1".into()),
        ..AuditFilter::default()
    };
    let found = store.audit(&filter, all((), Order::Descending)).await.unwrap();
    assert_eq!((found.total, found.items[0].entry.action.as_str()), (1, "odd"));
    assert_eq!(
        total(&*store, AuditFilter { subject: Some("else".into()), ..AuditFilter::default() })
            .await,
        0
    );
    let span = |from, to| AuditFilter {
        from: Some(TimeMs(from)),
        to: Some(TimeMs(to)),
        ..AuditFilter::default()
    };
    for (from, to, count) in [(0, 1, 3), (1, 2, 3), (0, 2, 6), (2, 9, 0), (1, 1, 0)] {
        assert_eq!(total(&*store, span(from, to)).await, count, "{from}..{to}");
    }
    let mut paged = BTreeSet::new();
    for page in 1..=3 {
        let page = PageRequest { page, limit: 2, sort: (), order: Order::Descending };
        paged.extend(
            store
                .audit(&AuditFilter::default(), page)
                .await
                .unwrap()
                .items
                .into_iter()
                .map(|found| found.entry.id),
        );
    }
    assert_eq!(paged.len(), 6);
}

pub async fn an_entry_keeps_every_field(backend: &mut dyn Backend) {
    let store = backend.store();
    let full = audit("full");
    let bare = AuditEntry {
        request_id: None,
        before: None,
        after: None,
        detail: String::new(),
        ..audit("bare")
    };
    for entry in [&full, &bare] {
        store.add_audit(entry.clone()).await.unwrap();
    }
    let found = store.audit_entries(heads(&*store).await[0].writer, 0, 10).await.unwrap();
    assert_eq!(found.iter().map(|found| &found.entry).collect::<Vec<_>>(), [&full, &bare]);
    assert_eq!(found.iter().map(|found| found.place).collect::<Vec<_>>(), [1, 2]);
}

pub async fn every_entry_has_a_link(backend: &mut dyn Backend) {
    let store = backend.store();
    assert_eq!(heads(&*store).await, []);
    fifty(|i| {
        let store = store.clone();
        async move {
            if i % 2 == 0 {
                store.add_audit(audit("alone")).await.unwrap();
            } else {
                store.register_node(registration(node(i))).await.unwrap();
            }
        }
    })
    .await;
    let heads = heads(&*store).await;
    assert_eq!(heads.iter().map(|head| head.total).sum::<u64>(), 50);
    assert!(heads.iter().all(|head| head.seq <= head.total && head.at == TimeMs(5_000)));
}

pub async fn only_what_is_kept_is_linked(backend: &mut dyn Backend) {
    let store = backend.store();
    fifty(|i| {
        let store = store.clone();
        async move {
            let unbalanced = {
                let mut entry = booked_at(accrual(i64::from(i), 1, 100), Head::default());
                entry.draft.legs[0].amount.0 += 1;
                entry
            };
            match i % 3 {
                // Refused after it was begun: an error takes the job back, a conflict leaves
                // nothing.
                0 => assert!(store.book_audited(unbalanced, audit("no")).await.is_err()),
                1 => drop(
                    store
                        .register_node(Registration {
                            audit: audit("once"),
                            ..registration(Node { address: at([10, 9, 9, 9].into(), 9), ..node(i) })
                        })
                        .await
                        .unwrap(),
                ),
                _ => store.add_audit(audit("yes")).await.unwrap(),
            }
        }
    })
    .await;
    let kept = heads(&*store).await.iter().map(|head| head.total).sum::<u64>();
    assert_eq!(kept, 16 + 1);
    let of = |action: &str| AuditFilter { action: Some(action.into()), ..AuditFilter::default() };
    assert_eq!(
        (
            total(&*store, of("no")).await,
            total(&*store, of("once")).await,
            total(&*store, of("yes")).await
        ),
        (0, 1, 16)
    );
}

pub async fn a_chain_goes_on_after_a_restart(backend: &mut dyn Backend) {
    backend.store().add_audit(audit("before")).await.unwrap();
    backend.reopen();
    let store = backend.store();
    store.add_audit(audit("after")).await.unwrap();
    assert_eq!(heads(&*store).await.iter().map(|head| head.total).sum::<u64>(), 2);
}

pub async fn links_and_entries_are_read_in_pages(backend: &mut dyn Backend) {
    let store = backend.store();
    for _ in 0..5 {
        store.add_audit(audit("one")).await.unwrap();
    }
    let head = heads(&*store).await[0];
    let links = store.audit_links(head.writer, 0, 10).await.unwrap();
    assert_eq!(
        (links.len(), links.last().unwrap().head()),
        (5, head),
        "nothing else was on its way"
    );
    assert_eq!(store.audit_links(head.writer, 2, 2).await.unwrap(), links[2..4]);
    let entries = store.audit_entries(head.writer, 0, 10).await.unwrap();
    assert_eq!(store.audit_entries(head.writer, 2, 2).await.unwrap(), entries[2..4]);
    assert_eq!(store.audit_links(head.writer, 5, 2).await.unwrap(), []);
    let nobody = AuditWriterId(Uuid::from_u128(9));
    assert_eq!(
        (
            store.audit_links(nobody, 0, 9).await.unwrap(),
            store.audit_entries(nobody, 0, 9).await.unwrap()
        ),
        (vec![], vec![])
    );
}

pub fn seal(seq: u64, previous: Digest, at: i64, heads: Vec<ChainHead>) -> Seal {
    let key = SigningKey::from_bytes(&[7; 32]);
    let family = FamilyId(Uuid::from_u128(3));
    let statement = SealStatement {
        family,
        seq,
        previous,
        at: TimeMs(at),
        key: PublicKey(key.verifying_key().to_bytes()),
        heads,
    };
    Seal { signature: key.sign(&statement.bytes()).to_bytes(), statement }
}

pub async fn one_of_fifty_seals_is_added(backend: &mut dyn Backend) {
    let store = backend.store();
    let added = fifty(|i| {
        let store = store.clone();
        async move {
            store.add_audit_seal(seal(1, Digest::default(), i64::from(i), vec![])).await.unwrap()
        }
    })
    .await;
    assert_eq!(added.into_iter().filter(|added| *added).count(), 1);
    assert!(
        !store.add_audit_seal(seal(3, Digest::default(), 0, vec![])).await.unwrap(),
        "seals have no gaps"
    );
}

pub async fn a_seal_is_kept_as_it_was_signed(backend: &mut dyn Backend) {
    let store = backend.store();
    assert_eq!(store.last_audit_seal().await.unwrap(), None);
    store.add_audit(audit("one")).await.unwrap();
    let first = seal(1, Digest::default(), 5, store.audit_heads().await.unwrap());
    store.add_audit(audit("two")).await.unwrap();
    let second = seal(2, first.digest(), 6, store.audit_heads().await.unwrap());
    for seal in [&first, &second] {
        assert!(store.add_audit_seal(seal.clone()).await.unwrap());
    }
    store.add_audit(audit("three")).await.unwrap();
    drop(store);
    backend.reopen();
    let store = backend.store();
    assert_eq!(store.last_audit_seal().await.unwrap(), Some(second.clone()));
    assert_eq!(store.audit_seals(0, 10).await.unwrap(), [first, second.clone()]);
    assert_eq!(store.audit_seals(1, 1).await.unwrap(), [second]);
    let found = verified(&*store).await;
    assert_eq!(
        (found.flaw, found.last_seal, found.entries_unsealed),
        (None, Some((2, TimeMs(6))), 1)
    );
}

/// A node that gives way, the nodes of a removed pool, a deposit, a payout: none changes without an
/// entry.
pub async fn what_follows_from_a_change_is_audited_with_it(backend: &mut dyn Backend) {
    let store = backend.store();
    let pending = Node { status: NodeStatus::Pending, ..node(1) };
    store.register_node(registration(pending.clone())).await.unwrap();
    let newcomer = Node { id: node_id(2), public_key: Some(PublicKey([7; 32])), ..node(1) };
    store.register_node(registration(newcomer)).await.unwrap();
    let about = |id| AuditFilter { subject: Some(format!("{id}")), ..AuditFilter::default() };
    let gave_way = store
        .audit(&about(node_id(1)), all((), Order::Descending))
        .await
        .unwrap()
        .items
        .remove(0)
        .entry;
    let gone = store.node(node_id(1)).await.unwrap().unwrap();
    assert_eq!(
        (gave_way.action.as_str(), gave_way.actor.as_str(), gave_way.request_id.as_deref()),
        ("node.deregister", "alice", Some("r-1"))
    );
    assert_eq!((gave_way.before, gave_way.after), (Some(pending.digest()), Some(gone.digest())));

    store.create_pool(pool(1), audit("pool.create")).await.unwrap();
    store.assign_node(node_id(2), 1, Some(pool_id(1)), audit("node.assign")).await.unwrap();
    let member = store.node(node_id(2)).await.unwrap().unwrap();
    store.delete_pool(pool_id(1), None, audit("pool.delete")).await.unwrap();
    let left = store
        .audit(&about(node_id(2)), all((), Order::Descending))
        .await
        .unwrap()
        .items
        .remove(0)
        .entry;
    let outside = store.node(node_id(2)).await.unwrap().unwrap();
    assert_eq!(
        (left.action.as_str(), left.before, left.after),
        ("node.assign", Some(member.digest()), Some(outside.digest()))
    );

    let before = heads(&*store).await[0].total;
    let deposit = booked_at(
        lucid_model::money::ledger::Draft::deposit(
            "d",
            lucid_model::money::MicroUsdt(5),
            "funds".into(),
        )
        .unwrap(),
        Head::default(),
    );
    assert_eq!(
        store.book_audited(deposit.clone(), audit("treasury.deposit")).await.unwrap(),
        Booked::Done
    );
    assert_eq!(
        store.book_audited(deposit, audit("treasury.deposit")).await.unwrap(),
        Booked::Already
    );
    assert!(store.create_payout(payout(1), audit("payout.create")).await.unwrap());
    assert!(!store.create_payout(payout(1), audit("payout.create")).await.unwrap());
    assert_eq!(heads(&*store).await[0].total, before + 2);
}
