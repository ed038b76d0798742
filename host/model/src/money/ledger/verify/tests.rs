use super::*;
use crate::{
    epochs::epoch::PeriodLength,
    money::ledger::{Draft, Leg},
};

const NODE: NodeId = NodeId(uuid::Uuid::from_u128(7));
const PAYOUT: PayoutId = PayoutId(uuid::Uuid::from_u128(9));
const POOL: PoolScope = PoolScope::Unassigned;

fn booked(drafts: Vec<Draft>) -> Vec<Entry> {
    let mut heads: BTreeMap<Stream, Head> = BTreeMap::new();
    let mut entries = Vec::new();
    for draft in drafts {
        let head = heads.entry(draft.stream).or_default();
        let entry = draft.book(*head, TimeMs(5)).unwrap();
        *head = Head { seq: entry.seq, balances: entry.balances };
        entries.push(entry);
    }
    entries.sort_by_key(|entry| (entry.draft.stream, entry.seq));
    entries
}

/// A period whose node is paid.
fn ledger() -> Vec<Entry> {
    let amount = MicroUsdt;
    booked(vec![
        Draft::deposit("d", amount(1_000), String::new()).unwrap(),
        Draft::fund(0, POOL, amount(100)).unwrap(),
        Draft::accrue(0, POOL, NODE, amount(90), amount(20), String::new()).unwrap(),
        Draft::remainder(0, POOL, amount(10)).unwrap(),
        Draft::reserve(PAYOUT, NODE, amount(60)).unwrap(),
        Draft::close(PAYOUT, NODE, amount(60), true, String::new()).unwrap(),
    ])
}

fn record() -> SettlementRecord {
    let period = PeriodLength::new(3_600).unwrap().period_at(TimeMs(0));
    let of = MicroUsdt;
    SettlementRecord {
        period,
        count: 1,
        sum: of(90),
        budget: of(100),
        remainder: of(10),
        note: None,
    }
}

fn verified(entries: &[Entry]) -> Result<Verifier, Flaw> {
    let mut verifier = Verifier::default();
    entries.iter().try_for_each(|entry| verifier.take(entry))?;
    verifier.finish();
    verifier.settlement(&record())?;
    Ok(verifier)
}

#[test]
fn what_is_in_order_adds_up() {
    let verifier = verified(&ledger()).unwrap();
    let expected = Totals {
        treasury: 910,
        available: 10,
        held: 20,
        reserved: 0,
        receivable: 0,
        paid: 60,
        deposited: 1_000,
        unclaimed: 0,
    };
    assert_eq!((verifier.totals(), verifier.entries(), verifier.streams()), (expected, 6, 2));
}

#[test]
fn whatever_is_changed_is_named() {
    let of_node = |kind: EntryKind, entries: &[Entry]| {
        entries.iter().position(|entry| entry.draft.kind == kind).unwrap()
    };
    let named = |change: &dyn Fn(&mut Vec<Entry>)| {
        let mut entries = ledger();
        change(&mut entries);
        verified(&entries).map(|_| ()).unwrap_err().to_string()
    };
    let accrual = of_node(EntryKind::Accrue, &ledger());
    for (change, words) in [
        (
            &(|entries: &mut Vec<Entry>| drop(entries.remove(of_node(EntryKind::Reserve, entries))))
                as &dyn Fn(&mut Vec<Entry>),
            "place 2 is missing",
        ),
        (
            &|entries: &mut Vec<Entry>| entries[accrual].draft.legs[1].amount = MicroUsdt(71),
            "add up to",
        ),
        (
            &|entries: &mut Vec<Entry>| entries[accrual].balances.available = MicroUsdt(71),
            "its balances should be",
        ),
        (&|entries: &mut Vec<Entry>| entries[accrual].draft.id = "acc:x".into(), "no period"),
        (
            &|entries: &mut Vec<Entry>| {
                entries.retain(|entry| entry.draft.kind != EntryKind::Remainder)
            },
            "its record says",
        ),
    ] {
        let found = named(change);
        assert!(found.contains(words), "{words}: {found}");
    }
    // More than was set aside, on both sides of an entry that balances.
    let found = named(&|entries| {
        let place = of_node(EntryKind::Settle, entries);
        entries[place].draft.legs = vec![
            Leg { account: Account::Reserved(NODE), amount: MicroUsdt(-50) },
            Leg { account: Account::Outside, amount: MicroUsdt(50) },
        ];
        entries[place].balances.reserved = MicroUsdt(10);
    });
    assert!(found.contains("were reserved for it"), "{found}");
}
