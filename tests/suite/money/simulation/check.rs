//! What holds at the end of every world, whatever happened in it: the invariants of money, to the
//! micro-USDT.

use std::collections::{BTreeMap, BTreeSet};

use lucid_model::{
    id::{NodeId, PayoutId},
    money::{
        ledger::{Account, Entry, EntryKind, Head, Stream},
        payout::{Payout, PayoutState},
    },
};
use lucid_ports::{AuditFilter, Order, PageRequest, PayoutFilter, PayoutSort, Store};

use super::{workers::Scene, world::Transfer};

/// Sends of a payout within an hour.
const SENDS_AN_HOUR_MAX: usize = 12;

/// Looks at everything that is durable and everything that the rail did.
///
/// # Errors
/// The first rule that does not hold.
pub async fn all(scene: &Scene) -> Result<(), String> {
    let store = scene.store.as_ref();
    let payouts = payouts(store).await;
    let ledger = ledger(store).await?;
    let world = scene.world();
    {
        let mut world = world.lock().unwrap();
        if ledger.iter().any(|entry| entry.draft.kind == EntryKind::Unclaimed) {
            world.see("unclaimed");
        }
        for payout in &payouts {
            if payout.attempt > 0 {
                world.see("tried again");
            }
            match payout.state {
                PayoutState::Confirmed => world.see("confirmed"),
                PayoutState::Failed => world.see("failed"),
                PayoutState::Cancelled => world.see("cancelled"),
                PayoutState::Manual => world.see("manual"),
                _ => {}
            }
        }
    }
    {
        let world = world.lock().unwrap();
        transfers(&payouts, &world.transfers)?;
        closings(&payouts, &ledger)?;
        nothing_is_forgotten(&payouts, &ledger)?;
        reserves(&ledger, &world.transfers, &payouts)?;
        same_bytes(&world.sent)?;
        paced(&world.attempts)?;
    }
    audited(store, &payouts).await
}

async fn payouts(store: &dyn Store) -> Vec<Payout> {
    let all =
        PageRequest { page: 1, limit: 1_000, sort: PayoutSort::CreatedAt, order: Order::Ascending };
    store.payouts(&PayoutFilter::default(), all).await.unwrap().items
}

/// I1, I2 and I3: every stream booked again from nothing is what is there, and what was earned is
/// somewhere.
async fn ledger(store: &dyn Store) -> Result<Vec<Entry>, String> {
    let mut all = Vec::new();
    for stream in store.streams().await.unwrap() {
        let (mut head, mut earned, mut paid) = (Head::default(), 0, 0);
        for entry in store.entries(stream, 0, u32::MAX).await.unwrap() {
            let again = entry
                .draft
                .clone()
                .book(head, entry.at)
                .map_err(|error| format!("I1/I2: {error}"))?;
            if again != entry {
                return Err(format!(
                    "I2: {} is at {} with {:?}, and follows as {} with {:?}",
                    entry.draft.id, entry.seq, entry.balances, again.seq, again.balances
                ));
            }
            head = Head { seq: entry.seq, balances: entry.balances };
            let outside: i64 = entry
                .draft
                .legs
                .iter()
                .filter(|leg| leg.account == Account::Outside)
                .map(|leg| leg.amount.0)
                .sum();
            let budget: i64 = entry
                .draft
                .legs
                .iter()
                .filter(|leg| matches!(leg.account, Account::Budget(_)))
                .map(|leg| leg.amount.0)
                .sum();
            let unclaimed: i64 = entry
                .draft
                .legs
                .iter()
                .filter(|leg| leg.account == Account::Unclaimed)
                .map(|leg| leg.amount.0)
                .sum();
            let corrected: i64 = entry
                .draft
                .legs
                .iter()
                .filter(|leg| leg.account == Account::Reversals)
                .map(|leg| leg.amount.0)
                .sum();
            (earned, paid) = (earned - budget - corrected - unclaimed, paid + outside);
            all.push(entry);
        }
        let balances = head.balances;
        let there = balances.available.0 + balances.held.0 + balances.reserved.0;
        if matches!(stream, Stream::Node(_)) && earned != there + paid {
            return Err(format!(
                "I3: {} earned {earned}, has {there}, was paid {paid}",
                stream.name()
            ));
        }
    }
    Ok(all)
}

/// I6, I8 and I9: at most one transfer a payout, of its amount to its address; none of what was
/// released; one of what is confirmed.
fn transfers(payouts: &[Payout], transfers: &[Transfer]) -> Result<(), String> {
    let mut of: BTreeMap<PayoutId, Vec<&Transfer>> = BTreeMap::new();
    transfers.iter().for_each(|transfer| of.entry(transfer.payout).or_default().push(transfer));
    for (id, made) in &of {
        let Some(payout) = payouts.iter().find(|payout| payout.id == *id) else {
            return Err(format!("I9: {id} was paid and is no payout"));
        };
        if made.len() > 1 {
            return Err(format!("I6: {id} was paid {} times", made.len()));
        }
        if made
            .iter()
            .any(|transfer| transfer.amount != payout.amount || transfer.address != payout.address)
        {
            return Err(format!("I9: {id} was paid otherwise than it says"));
        }
        if matches!(payout.state, PayoutState::Failed | PayoutState::Cancelled) {
            return Err(format!("I8: {id} is {} and was paid", payout.state.name()));
        }
    }
    for payout in payouts.iter().filter(|payout| payout.state == PayoutState::Confirmed) {
        let made = of.get(&payout.id).map(Vec::as_slice).unwrap_or_default();
        if made.len() != 1 || payout.txid.as_deref() != Some(made[0].txid.as_str()) {
            return Err(format!(
                "I9: {} is confirmed by {:?}; the rail made {made:?}",
                payout.id, payout.txid
            ));
        }
    }
    Ok(())
}

/// I4: who is at the end has one closing entry that says the same, who is not has none.
fn closings(payouts: &[Payout], ledger: &[Entry]) -> Result<(), String> {
    for payout in payouts {
        let id = format!("cls:{}", payout.id);
        let closing: Vec<_> = ledger
            .iter()
            .filter(|entry| entry.draft.id == id)
            .map(|entry| entry.draft.kind)
            .collect();
        let expected: &[EntryKind] = match payout.state {
            PayoutState::Confirmed => &[EntryKind::Settle],
            PayoutState::Failed | PayoutState::Cancelled => &[EntryKind::Release],
            _ => &[],
        };
        if closing != expected || payout.closed == expected.is_empty() {
            return Err(format!(
                "I4: {} is {}, closed: {}, and its entries are {closing:?}",
                payout.id,
                payout.state.name(),
                payout.closed
            ));
        }
    }
    Ok(())
}

/// What is set aside is what open payouts are about.
fn nothing_is_forgotten(payouts: &[Payout], ledger: &[Entry]) -> Result<(), String> {
    let set_aside: i64 = ledger
        .iter()
        .flat_map(|entry| &entry.draft.legs)
        .filter(|leg| matches!(leg.account, Account::Reserved(_)))
        .map(|leg| leg.amount.0)
        .sum();
    let open: i64 =
        payouts.iter().filter(|payout| !payout.closed).map(|payout| payout.amount.0).sum();
    if set_aside == open {
        Ok(())
    } else {
        Err(format!("{set_aside} micro-USDT are set aside, and open payouts are about {open}"))
    }
}

/// I7: nobody got more than was set aside for them.
fn reserves(ledger: &[Entry], transfers: &[Transfer], payouts: &[Payout]) -> Result<(), String> {
    let mut left: BTreeMap<NodeId, i64> = BTreeMap::new();
    for entry in ledger.iter().filter(|entry| entry.draft.kind == EntryKind::Reserve) {
        for leg in &entry.draft.legs {
            if let Account::Reserved(node) = leg.account {
                *left.entry(node).or_default() += leg.amount.0;
            }
        }
    }
    for transfer in transfers {
        let node =
            payouts.iter().find(|payout| payout.id == transfer.payout).map(|payout| payout.node);
        *node.and_then(|node| left.get_mut(&node)).ok_or("I7: a transfer to nobody")? -=
            transfer.amount.0;
    }
    match left.iter().find(|(_, left)| **left < 0) {
        Some((node, left)) => Err(format!("I7: {node} got {} more than was reserved", -left)),
        None => Ok(()),
    }
}

/// I15: a payout is sent so often at most, whatever the rail answers.
fn paced(attempts: &[(PayoutId, i64)]) -> Result<(), String> {
    let mut of: BTreeMap<PayoutId, Vec<i64>> = BTreeMap::new();
    attempts.iter().for_each(|(payout, at)| of.entry(*payout).or_default().push(*at));
    for (payout, sends) in of {
        for (place, first) in sends.iter().enumerate() {
            let within = sends[place..].iter().take_while(|at| **at < first + 3_600_000).count();
            if within > SENDS_AN_HOUR_MAX {
                return Err(format!("I15: {payout} was sent {within} times within an hour"));
            }
        }
    }
    Ok(())
}

/// The audit log has a few entries a send, whatever else happens to a payout.
async fn audited(store: &dyn Store, payouts: &[Payout]) -> Result<(), String> {
    for payout in payouts {
        let filter = AuditFilter { subject: Some(payout.id.to_string()), ..AuditFilter::default() };
        let entries = store
            .audit(&filter, PageRequest { page: 1, limit: 1, sort: (), order: Order::Ascending })
            .await
            .unwrap()
            .total;
        let most = 12 + 3 * u64::from(payout.sends);
        if entries > most {
            return Err(format!(
                "{} has {entries} audit entries after {} sends: more than {most}",
                payout.id, payout.sends
            ));
        }
    }
    Ok(())
}

/// I5: a payout is sent with the same bytes every time.
fn same_bytes(sent: &[(PayoutId, Vec<u8>)]) -> Result<(), String> {
    let kinds: BTreeSet<_> = sent.iter().collect();
    let payouts: BTreeSet<_> = sent.iter().map(|(payout, _)| payout).collect();
    if kinds.len() == payouts.len() {
        Ok(())
    } else {
        Err("I5: a payout was sent with other bytes".into())
    }
}
