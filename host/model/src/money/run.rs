//! A payout run, from the moment it is opened until all its payouts are final.
//!
//! ```text
//!           Plan                  Approve            Execute           Finish
//! Planning ──────► Waiting ────────────────► Approved ─────► Sending ────────► Done
//!  │    │             │                          │              ▲ │
//!  │    │ nothing     └── Approve, of a scheduled run ──────────┘ │
//!  │    └─ to pay ──────────────────────────────────────────────► Done
//!  └─ TakeOver: planned anew by a later payer
//!
//! Planning, Waiting, Approved, Sending ── Cancel ──► Cancelled
//! ```
//!
//! [`step`] is pure, total, and the only code that changes a run. What is sent of a run follows
//! from its stage: payouts leave in [`RunStage::Sending`] alone.

use crate::{
    id::{Digest, NodeId, RunId},
    money::{MicroUsdt, payout::PayoutState},
    named_enum::named_enum,
    time::TimeMs,
};

named_enum! {
    /// Where a run is.
    RunState {
        /// Waits for a second person, or for the rule that approves small ones.
        Planned = "planned",
        /// Its payouts may be sent.
        Approved = "approved",
        /// All its payouts are final.
        Done = "done",
        /// Taken back.
        Cancelled = "cancelled",
    }
}

/// Who plans the runs that nobody asked for.
pub const SCHEDULE: &str = "system";

/// Payouts of a run that are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunPart {
    /// Their planning.
    pub plan: u64,
    /// Where they are.
    pub state: PayoutState,
    /// Whether their closing entries are booked.
    pub closed: bool,
    pub count: u32,
    pub total: MicroUsdt,
}

/// A payout run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub id: RunId,
    /// Start of the settlement period in which it was planned.
    pub cycle: i64,
    /// Where it is.
    pub state: RunState,
    /// Who planned it.
    pub planner: String,
    /// Who approved it.
    pub approver: Option<String>,
    /// Who let its payouts go; nothing is sent before.
    pub executor: Option<String>,
    /// The nodes it was planned for; empty: everybody who can be paid.
    pub nodes: Vec<NodeId>,
    /// Payouts.
    pub count: u32,
    pub total: MicroUsdt,
    /// Why it waits, if it does.
    pub reason: Option<String>,
    /// Planned.
    pub created_at: TimeMs,
    pub updated_at: TimeMs,
    /// The root over the receipts of its payouts, once they are all final.
    pub root: Option<Digest>,
    /// The planning that it ended with; 0 while it is being planned. Its payouts name it, and no
    /// other is sent.
    pub plan: u64,
    /// Counts changes; compared and swapped.
    pub version: u64,
}

/// Where a run is, more exactly than its stored state: what may happen to it depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStage {
    /// Its payouts are not all known yet.
    Planning,
    /// It waits for a second person, or for the rule that approves small ones.
    Waiting,
    /// It waits for somebody to let its payouts go.
    Approved,
    /// Its payouts may be sent.
    Sending,
    /// All its payouts are final.
    Done,
    /// Taken back.
    Cancelled,
}

/// What happens to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEvent {
    /// A later payer plans it anew: what an earlier one still adds does not count.
    TakeOver,
    /// Its payouts are known.
    Plan {
        count: u32,
        total: MicroUsdt,
        /// Why a person has to look at it before it is approved, if so.
        reason: Option<String>,
    },
    /// Its payouts are right.
    Approve { by: String },
    /// Its payouts may go.
    Execute { by: String },
    /// It is taken back.
    Cancel { reason: String },
    /// All its payouts are final; `root` is over their receipts.
    Finish { root: Digest },
}

/// An event that this stage does not have; nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the run is {from}: one cannot {verb}, or not yet")]
pub struct WrongRunState {
    pub from: &'static str,
    /// What was asked.
    pub verb: &'static str,
}

impl Run {
    /// A run that is about to be planned.
    pub fn open(id: RunId, cycle: i64, planner: String, nodes: Vec<NodeId>, now: TimeMs) -> Self {
        Self {
            id,
            cycle,
            state: RunState::Planned,
            planner,
            approver: None,
            executor: None,
            nodes,
            count: 0,
            total: MicroUsdt::ZERO,
            reason: None,
            created_at: now,
            updated_at: now,
            root: None,
            plan: 0,
            version: 1,
        }
    }

    /// Where it is.
    pub fn stage(&self) -> RunStage {
        match self.state {
            RunState::Planned if self.plan == 0 => RunStage::Planning,
            RunState::Planned => RunStage::Waiting,
            RunState::Approved if self.executor.is_none() => RunStage::Approved,
            RunState::Approved => RunStage::Sending,
            RunState::Done => RunStage::Done,
            RunState::Cancelled => RunStage::Cancelled,
        }
    }

    /// Whether the schedule planned it, and not a person.
    pub fn is_scheduled(&self) -> bool {
        self.planner == SCHEDULE
    }

    /// Whether its total counts against the cap of its cycle: some of it may have been sent.
    pub fn may_have_paid(&self) -> bool {
        match self.stage() {
            RunStage::Planning | RunStage::Waiting => false,
            RunStage::Approved | RunStage::Sending | RunStage::Done => true,
            RunStage::Cancelled => self.executor.is_some(),
        }
    }
}

/// Applies an event.
///
/// # Errors
/// [`WrongRunState`] if the stage has no such transition.
pub fn step(run: &Run, event: RunEvent, now: TimeMs) -> Result<Run, WrongRunState> {
    use RunStage::{Approved, Planning, Sending, Waiting};
    let wrong = |verb| Err(WrongRunState { from: run.state.name(), verb });
    let mut next = Run { version: run.version + 1, updated_at: now, ..run.clone() };
    match (run.stage(), event) {
        (Planning, RunEvent::TakeOver) => {}
        (_, RunEvent::TakeOver) => return wrong("plan it again"),
        (Planning, RunEvent::Plan { count, total, reason }) => {
            (next.count, next.total, next.reason) = (count, total, reason);
            next.plan = run.version;
            if count == 0 {
                next.state = RunState::Done;
            }
        }
        (_, RunEvent::Plan { .. }) => return wrong("plan it"),
        (Waiting, RunEvent::Approve { by }) => {
            next.state = RunState::Approved;
            next.approver = Some(by);
            next.executor = run.is_scheduled().then(|| SCHEDULE.to_owned());
        }
        (_, RunEvent::Approve { .. }) => return wrong("approve it"),
        (Approved, RunEvent::Execute { by }) => next.executor = Some(by),
        (_, RunEvent::Execute { .. }) => return wrong("execute it"),
        (Planning | Waiting | Approved | Sending, RunEvent::Cancel { reason }) => {
            next.state = RunState::Cancelled;
            next.reason = Some(reason);
        }
        (_, RunEvent::Cancel { .. }) => return wrong("cancel it"),
        (Sending, RunEvent::Finish { root }) => {
            next.state = RunState::Done;
            next.root = Some(root);
        }
        (_, RunEvent::Finish { .. }) => return wrong("finish it"),
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events() -> impl Strategy<Value = RunEvent> {
        prop_oneof![
            Just(RunEvent::TakeOver),
            (0_u32..3, proptest::option::of("[a-z]{3}")).prop_map(|(count, reason)| {
                RunEvent::Plan { count, total: MicroUsdt(i64::from(count) * 5), reason }
            }),
            "[a-z]{3}".prop_map(|by| RunEvent::Approve { by }),
            "[a-z]{3}".prop_map(|by| RunEvent::Execute { by }),
            "[a-z]{3}".prop_map(|reason| RunEvent::Cancel { reason }),
            Just(RunEvent::Finish { root: Digest([7; 32]) }),
        ]
    }

    fn run(scheduled: bool) -> Run {
        let planner = if scheduled { SCHEDULE } else { "carol" };
        Run::open(RunId(uuid::Uuid::nil()), 0, planner.to_owned(), Vec::new(), TimeMs(1))
    }

    /// How far a run is: no event takes one back.
    fn rank(stage: RunStage) -> u8 {
        match stage {
            RunStage::Planning => 0,
            RunStage::Waiting => 1,
            RunStage::Approved => 2,
            RunStage::Sending => 3,
            RunStage::Done | RunStage::Cancelled => 4,
        }
    }

    proptest! {
        #[test]
        fn whatever_happens_a_run_only_goes_forward_and_is_sent_only_when_approved(
            scheduled in any::<bool>(),
            happens in proptest::collection::vec(events(), 0..12),
        ) {
            let mut run = run(scheduled);
            for (at, event) in (2..).zip(happens) {
                let Ok(next) = step(&run, event.clone(), TimeMs(at)) else {
                    continue;
                };
                let (before, after) = (run.stage(), next.stage());
                prop_assert!(rank(before) < 4, "{before:?} is the end, and took {event:?}");
                prop_assert!(rank(after) > rank(before) || event == RunEvent::TakeOver);
                prop_assert_eq!((next.version, next.updated_at), (run.version + 1, TimeMs(at)));
                prop_assert_eq!(
                    (&next.id, next.cycle, &next.planner, &next.nodes, next.created_at),
                    (&run.id, run.cycle, &run.planner, &run.nodes, run.created_at)
                );
                if before != RunStage::Planning {
                    prop_assert_eq!((next.count, next.total, next.plan), (run.count, run.total, run.plan));
                }
                if after == RunStage::Sending {
                    prop_assert!(next.approver.is_some() && next.count > 0);
                }
                prop_assert_eq!(next.root.is_some(), after == RunStage::Done && next.count > 0);
                run = next;
            }
        }
    }

    #[test]
    fn a_scheduled_run_is_sent_once_approved_and_another_waits_to_be_executed() {
        let plan = RunEvent::Plan { count: 1, total: MicroUsdt(5), reason: None };
        let approved = |scheduled| {
            let planned = step(&run(scheduled), plan.clone(), TimeMs(2)).unwrap();
            assert_eq!((planned.stage(), planned.plan), (RunStage::Waiting, 1));
            step(&planned, RunEvent::Approve { by: "dave".into() }, TimeMs(3)).unwrap()
        };
        assert_eq!(approved(true).stage(), RunStage::Sending);
        let waits = approved(false);
        assert_eq!(waits.stage(), RunStage::Approved);
        let sent = step(&waits, RunEvent::Execute { by: "carol".into() }, TimeMs(4)).unwrap();
        assert_eq!(sent.stage(), RunStage::Sending);
        let taken_back = |run: &Run| {
            let cancel = RunEvent::Cancel { reason: "wrong".into() };
            step(run, cancel, TimeMs(5)).unwrap().may_have_paid()
        };
        assert_eq!((taken_back(&waits), taken_back(&sent)), (false, true));
    }
}
