use proptest::prelude::*;

use super::*;
use crate::{
    id::{PayoutId, ProposalId},
    money::payout::Correction,
};

const NODE: NodeId = NodeId(uuid::Uuid::from_u128(7));
const PAYOUT: PayoutId = PayoutId(uuid::Uuid::from_u128(9));
const PAY: MicroUsdt = MicroUsdt(60);

fn head_after(drafts: Vec<Draft>) -> Result<Head, LedgerError> {
    drafts.into_iter().try_fold(Head::default(), |head, draft| {
        let entry = draft.book(head, TimeMs(0))?;
        Ok(Head { seq: entry.seq, balances: entry.balances })
    })
}
fn accrued() -> Draft {
    Draft::accrue(0, PoolScope::Unassigned, NODE, MicroUsdt(100), MicroUsdt(25), String::new())
        .unwrap()
}

#[test]
fn money_moves_from_earned_to_paid() {
    let close = |paid| Draft::close(PAYOUT, NODE, PAY, paid, String::new()).unwrap();
    let reserve = || Draft::reserve(PAYOUT, NODE, PAY).unwrap();
    let paid = head_after(vec![accrued(), reserve(), close(true)]).unwrap();
    assert_eq!(
        (paid.seq, paid.balances.available.0, paid.balances.held.0, paid.balances.reserved.0),
        (3, 15, 25, 0)
    );
    let released = head_after(vec![accrued(), reserve(), close(false)]).unwrap();
    assert_eq!(released.balances.available, MicroUsdt(75));
}

#[test]
fn no_account_is_overdrawn() {
    assert!(matches!(
        head_after(vec![accrued(), Draft::reserve(PAYOUT, NODE, MicroUsdt(76)).unwrap()]),
        Err(LedgerError::Overdrawn { .. })
    ));
    assert!(matches!(
        head_after(vec![Draft::fund(0, PoolScope::Unassigned, MicroUsdt(1)).unwrap()]),
        Err(LedgerError::Overdrawn { .. })
    ));
}

#[test]
fn legs_that_do_not_balance_are_refused() {
    let mut draft = accrued();
    draft.legs[0].amount = MicroUsdt(-99);
    assert!(matches!(draft.book(Head::default(), TimeMs(0)), Err(LedgerError::Unbalanced { .. })));
    let foreign = Draft { stream: Stream::Node(NodeId(uuid::Uuid::from_u128(8))), ..accrued() };
    assert!(matches!(
        foreign.book(Head::default(), TimeMs(0)),
        Err(LedgerError::WrongStream { .. })
    ));
}

#[test]
fn what_is_taken_back_is_what_is_there_and_the_rest_is_owed() {
    let reserve = Draft::reserve(PAYOUT, NODE, PAY).unwrap();
    let paid = head_after(vec![
        accrued(),
        reserve,
        Draft::close(PAYOUT, NODE, PAY, true, String::new()).unwrap(),
    ])
    .unwrap();
    // 15 available, 25 held, 60 gone.
    let reversal =
        Draft::reverse("acc:0:n", 1, NODE, MicroUsdt(70), &paid.balances, "void".into()).unwrap();
    assert_eq!(reversal.id, "rev:acc:0:n");
    assert_eq!(
        Draft::recover(&reversal).unwrap().unwrap().legs[1].amount,
        MicroUsdt(40),
        "what comes into the treasury"
    );
    let entry = reversal.book(paid, TimeMs(0)).unwrap();
    let Balances { available, held, receivable, .. } = entry.balances;
    assert_eq!((available.0, held.0, receivable.0), (0, 0, 30));
    // The next accrual pays back, but keeps half.
    let next =
        Draft::accrue(1, PoolScope::Unassigned, NODE, MicroUsdt(50), MicroUsdt(10), String::new())
            .unwrap();
    let entry =
        next.clone().book(Head { seq: entry.seq, balances: entry.balances }, TimeMs(0)).unwrap();
    let offset = Draft::offset(&next, &entry.balances).unwrap().unwrap();
    assert_eq!(
        (offset.id.as_str(), Draft::recover(&offset).unwrap().unwrap().legs[1].amount),
        ("off:acc:1:00000000-0000-0000-0000-000000000007", MicroUsdt(20))
    );
    let entry = offset.book(Head { seq: entry.seq, balances: entry.balances }, TimeMs(0)).unwrap();
    assert_eq!((entry.balances.available.0, entry.balances.receivable.0), (20, 10));
    assert_eq!(
        Draft::offset(&next, &Balances { receivable: MicroUsdt(4), ..entry.balances })
            .unwrap()
            .unwrap()
            .legs[1]
            .amount,
        MicroUsdt(4)
    );
    assert_eq!(
        Draft::offset(&next, &Balances { receivable: MicroUsdt::ZERO, ..entry.balances }).unwrap(),
        None
    );
    let nothing_there =
        Draft::reverse("acc:0:n", 2, NODE, MicroUsdt(5), &Balances::default(), String::new())
            .unwrap();
    assert_eq!(
        (Draft::recover(&nothing_there).unwrap(), nothing_there.id.as_str()),
        (None, "rev:acc:0:n:2")
    );
}

#[test]
fn a_correction_moves_what_is_there_and_nothing_else() {
    let id = ProposalId(uuid::Uuid::from_u128(3));
    let earned = head_after(vec![accrued()]).unwrap();
    let after = |what, amount| {
        let drafts = Draft::correction(id, NODE, what, MicroUsdt(amount), "ticket").unwrap();
        let of_node = drafts
            .iter()
            .filter(|draft| draft.stream == Stream::Node(NODE))
            .cloned()
            .try_fold(earned, |head, draft| {
                draft
                    .book(head, TimeMs(0))
                    .map(|entry| Head { seq: entry.seq, balances: entry.balances })
            });
        let moved = |account| {
            drafts
                .iter()
                .flat_map(|draft| &draft.legs)
                .filter(|leg| leg.account == account)
                .map(|leg| leg.amount.0)
                .sum::<i64>()
        };
        of_node.map(|head| {
            (
                head.balances.available.0,
                head.balances.held.0,
                moved(Account::Treasury),
                moved(Account::Reversals),
            )
        })
    };
    // 75 available, 25 held.
    assert_eq!(after(Correction::ReleaseHold, 25).unwrap(), (100, 0, 0, 0));
    assert_eq!(after(Correction::ForfeitHold, 5).unwrap(), (75, 20, 5, 0));
    assert_eq!(after(Correction::Credit, 5).unwrap(), (80, 25, -5, 0));
    assert_eq!(after(Correction::Debit, 75).unwrap(), (0, 25, 75, 0));
    for (what, too_much) in
        [(Correction::ReleaseHold, 26), (Correction::ForfeitHold, 26), (Correction::Debit, 76)]
    {
        assert!(matches!(after(what, too_much), Err(LedgerError::Overdrawn { .. })), "{what:?}");
    }
}

#[test]
fn an_account_survives_its_name() {
    for account in [
        Account::Outside,
        Account::Treasury,
        Account::Budget(PoolScope::Unassigned),
        Account::Available(NODE),
        Account::Held(NODE),
        Account::Reserved(NODE),
        Account::Receivable(NODE),
        Account::Reversals,
        Account::Owed,
    ] {
        assert_eq!(Account::from_name(&account.name()), Some(account));
    }
}

proptest! {
    #[test]
    fn earned_is_always_what_is_there_or_was_paid(steps in prop::collection::vec((0_u8..4, 1_i64..1000), 1..60)) {
        let (mut head, mut earned, mut paid) = (Head::default(), 0, 0);
        for (step, amount) in steps {
            let money = MicroUsdt(amount);
            let draft = match step {
                0 => Draft::accrue(0, PoolScope::Unassigned, NODE, money, MicroUsdt(amount / 4), String::new()),
                1 => Draft::reserve(PAYOUT, NODE, money),
                2 => Draft::close(PAYOUT, NODE, money, true, String::new()),
                _ => Draft::close(PAYOUT, NODE, money, false, String::new()),
            }.unwrap();
            if let Ok(entry) = draft.book(head, TimeMs(0)) {
                prop_assert_eq!(entry.seq, head.seq + 1);
                head = Head { seq: entry.seq, balances: entry.balances };
                if step == 0 { earned += amount; }
                if step == 2 { paid += amount; }
            }
            let b = head.balances;
            prop_assert_eq!(earned, b.available.0 + b.held.0 + b.reserved.0 + paid);
        }
    }
}
