//! Misbehaviour on demand: which route, what really happens, and what is answered.

mod delivery;
mod disguise;

use std::collections::VecDeque;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

pub(crate) use delivery::Delivery;
pub(crate) use disguise::{deface, disguise};

const FAULTS_PER_ROUTE_MAX: usize = 100;
const DELAY_MS_MAX: u32 = 600_000;
const HUGE_BYTES_MAX: u64 = 1 << 30;
const HUGE_BYTES_DEFAULT: u64 = 8 << 20;
const STATUS_CODES: std::ops::RangeInclusive<u16> = 200..=599;

/// A route that can misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Payout,
    Status,
    Vote,
    Block,
}

/// What a request really does, whatever it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Effect {
    /// Nothing is recorded.
    None,
    /// What a sound service does.
    #[default]
    Once,
    /// Two records, even when the key is known already.
    Twice,
    /// Recorded, but unknown to queries for a while; a vote is undecided for so long.
    Late {
        /// How long queries do not know it.
        ms: u32,
    },
    /// A transfer that is accepted and then fails instead of being confirmed.
    Fails,
}

/// What a request is told, whatever it did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// The answer of a sound service.
    #[default]
    Ok,
    /// An error with this status.
    Status {
        /// From 200 to 599.
        code: u16,
        /// The code in the body; `FAULT` if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error_code: Option<String>,
    },
    /// The sound answer, after a wait.
    Hang {
        /// How long.
        ms: u32,
    },
    /// No answer: the connection is reset.
    Reset,
    /// Half of the announced body, then the connection ends.
    Cut,
    /// A web page with status 200.
    Html,
    /// The sound answer with another amount.
    WrongAmount,
    /// The sound answer with another identifier.
    WrongId,
    /// The sound answer with another recipient.
    WrongAddress,
    /// A status that says the transfer failed.
    Failed,
    /// A status that says the transfer was cancelled.
    Cancelled,
    /// Status 307 back to the same path, which repeats the request for whoever follows it.
    Redirect,
    /// The sound answer, byte by byte.
    Drip {
        /// The wait before each byte.
        ms: u32,
    },
    /// The sound answer with a padding of this size, its length not announced.
    Huge {
        /// Bytes of padding.
        #[serde(default = "huge_bytes_default")]
        bytes: u64,
    },
    /// The reply that belongs to another request.
    AnothersReply,
}

fn huge_bytes_default() -> u64 {
    HUGE_BYTES_DEFAULT
}

/// One fault of a route.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// What really happens.
    pub effect: Effect,
    /// What is answered.
    pub answer: Answer,
    /// For how many requests; for ever if not given.
    pub times: Option<u32>,
}

/// The faults of each route, used up in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultPlan {
    /// For `POST /api/v1/payouts`.
    pub payout: VecDeque<Fault>,
    /// For the two payout queries.
    pub status: VecDeque<Fault>,
    /// For `POST /api/v1/consensus/vote`.
    pub vote: VecDeque<Fault>,
    /// For `GET /api/v1/blocks/latest`.
    pub block: VecDeque<Fault>,
}

impl FaultPlan {
    /// Says what is wrong with the plan, if anything is.
    pub(crate) fn check(&self) -> Result<(), String> {
        let routes = [
            (Route::Payout, &self.payout),
            (Route::Status, &self.status),
            (Route::Vote, &self.vote),
            (Route::Block, &self.block),
        ];
        for (route, faults) in routes {
            if faults.len() > FAULTS_PER_ROUTE_MAX {
                return Err(format!("more than {FAULTS_PER_ROUTE_MAX} faults for {route:?}"));
            }
            for fault in faults {
                fault.check(route)?;
            }
        }
        Ok(())
    }

    fn queue(&mut self, route: Route) -> &mut VecDeque<Fault> {
        match route {
            Route::Payout => &mut self.payout,
            Route::Status => &mut self.status,
            Route::Vote => &mut self.vote,
            Route::Block => &mut self.block,
        }
    }
}

impl Fault {
    fn check(&self, route: Route) -> Result<(), String> {
        if self.times == Some(0) {
            return Err("times must be at least 1, or absent for a fault that stays".to_owned());
        }
        let effect_fits = match self.effect {
            Effect::Once => true,
            Effect::None | Effect::Twice => matches!(route, Route::Payout | Route::Vote),
            Effect::Late { ms } => {
                ms <= DELAY_MS_MAX && matches!(route, Route::Payout | Route::Vote)
            }
            Effect::Fails => route == Route::Payout,
        };
        if !effect_fits {
            return Err(format!("effect {:?} does not fit {route:?}", self.effect));
        }
        let answer_fits = match &self.answer {
            Answer::Status { code, .. } => STATUS_CODES.contains(code),
            Answer::Hang { ms } | Answer::Drip { ms } => *ms <= DELAY_MS_MAX,
            Answer::Huge { bytes } => *bytes <= HUGE_BYTES_MAX,
            Answer::WrongAmount | Answer::WrongAddress => {
                matches!(route, Route::Payout | Route::Status)
            }
            Answer::Failed | Answer::Cancelled => route == Route::Status,
            _ => true,
        };
        if !answer_fits {
            return Err(format!("answer {:?} does not fit {route:?}", self.answer));
        }
        Ok(())
    }
}

/// The plan in force.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<FaultPlan>);

impl Faults {
    /// Replaces the plan.
    pub(crate) fn set(&self, plan: FaultPlan) {
        *self.0.lock() = plan;
    }

    /// What is left of the plan.
    pub(crate) fn left(&self) -> FaultPlan {
        self.0.lock().clone()
    }

    /// The fault for the next request of a route; a sound one if none is planned.
    pub(crate) fn take(&self, route: Route) -> Fault {
        let mut plan = self.0.lock();
        let queue = plan.queue(route);
        let Some(head) = queue.front_mut() else {
            return Fault::default();
        };
        let fault = head.clone();
        match &mut head.times {
            Some(times) if *times <= 1 => {
                queue.pop_front();
            }
            Some(times) => *times -= 1,
            None => {}
        }
        fault
    }
}
