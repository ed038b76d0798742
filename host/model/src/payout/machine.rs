//! `(state, event) → (state, effects)`.
//!
//! Three rules are built in and each has a mutant that must fail the tests: a request is durable before it is
//! sent ([`Effect::Send`] comes only with a state that says `Submitting`); only proof frees money
//! ([`Closing::Release`] never follows an ambiguous send without a person); ambiguity is sticky.

use super::{Payout, PayoutState};
use crate::time::TimeMs;

/// How long before a rail forgets a key nothing is sent with it any more: time for the request to be given up or to arrive,
/// and for clocks to differ.
const RETENTION_MARGIN_MS: i64 = 60_000;

/// What a rail promises; nothing is assumed that is not declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The same key twice is one transfer.
    pub dedupes_by_key: bool,
    /// A payout can be looked up by its key.
    pub queries_by_key: bool,
    /// How long the rail remembers a key, in milliseconds.
    pub key_retention_ms: i64,
    /// `failed` means it was not and will never be paid.
    pub failed_is_final: bool,
}

/// How long a payout may stay in doubt before a person looks, in milliseconds since the first send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// In `Unknown`.
    pub unknown_ms: i64,
    /// In `Accepted`.
    pub accepted_ms: i64,
    /// First wait between two tries; doubles up to `retry_max_ms`.
    pub retry_first_ms: i64,
    /// Longest wait between two tries.
    pub retry_max_ms: i64,
    /// Between two looks at an accepted payout.
    pub poll_ms: i64,
}

/// What the rail's answer to a POST means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The request never left: name resolution, refused connection, TLS on a fresh connection.
    NotSent(String),
    /// 2xx that repeats what we sent.
    Accepted {
        /// The rail's id.
        external_id: Option<String>,
    },
    /// A definite refusal with a code the profile knows.
    Rejected(String),
    /// The rail refuses us, not the payout (401, 403, 404).
    RailRefusesUs(String),
    /// Everything else.
    Ambiguous(String),
}

/// What the rail says about a payout when asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reported {
    /// It has it.
    Accepted {
        /// The rail's id.
        external_id: Option<String>,
        /// The transaction, if it has one.
        txid: Option<String>,
    },
    /// It paid.
    Confirmed {
        /// The rail's id.
        external_id: Option<String>,
        /// The transaction.
        txid: String,
    },
    /// It says it failed.
    Failed {
        /// Why.
        reason: String,
        /// The transaction, if it ever had one.
        txid: Option<String>,
    },
    /// It does not know it. Not the same as "will never happen".
    NotFound,
    /// It did not answer usefully.
    Unclear(String),
}

/// What happens to a payout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A worker takes it up with these bytes (ignored if bytes are fixed already).
    Submit {
        /// The request.
        request: Vec<u8>,
    },
    /// The answer to the send that `Submitting` announced.
    Answered(Answer),
    /// The process found it in `Submitting` at start: the send may have happened.
    Recovered,
    /// The rail was asked.
    Looked(Reported),
    /// Time passed.
    Tick,
    /// Taken back.
    Cancel {
        /// Why.
        reason: String,
    },
    /// A treasurer has proof that it was paid.
    ResolvePaid {
        /// The transaction.
        txid: String,
    },
    /// A treasurer has proof that it was not and will not be paid.
    ResolveNotPaid {
        /// The evidence.
        evidence: String,
    },
}

/// Which closing entry to book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// Paid.
    Settle,
    /// Not paid: the money is the node's again.
    Release,
}

/// What the driver does after the new state is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// POST the request.
    Send,
    /// Ask the rail.
    Look,
    /// Book the closing entry.
    Close(Closing),
    /// Stop sending until the rail answers as it should.
    PauseRail,
    /// Tell a person.
    Alert,
}

/// An event that this state does not have; nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a payout that is {from} cannot {verb}")]
pub struct WrongPayoutState {
    /// The state.
    pub from: &'static str,
    /// What was asked.
    pub verb: &'static str,
}

/// Applies an event. The caller makes the new state durable before it carries the effects out.
///
/// # Errors
/// [`WrongPayoutState`] if the state has no such transition.
pub fn step(payout: &Payout, event: Event, can: Capabilities, deadlines: Deadlines, now: TimeMs) -> Result<(Payout, Vec<Effect>), WrongPayoutState> {
    use PayoutState::{Accepted, Manual, Reserved, Submitting, Unknown};
    let mut machine = Machine { payout: payout.clone(), can, deadlines, now };
    let wrong = |verb| Err(WrongPayoutState { from: payout.state.name(), verb });
    let effects = match (payout.state, event) {
        (Reserved, Event::Submit { request }) => machine.send(Some(request)),
        (Submitting, Event::Submit { .. }) => machine.resend(),
        (_, Event::Submit { .. }) => return wrong("be submitted"),
        (Reserved, Event::Cancel { reason }) => {
            machine.payout.reason = Some(reason);
            machine.finish(PayoutState::Cancelled)
        }
        (_, Event::Cancel { .. }) => return wrong("be cancelled"),
        (Submitting, Event::Answered(answer)) => machine.answered(answer),
        (_, Event::Answered(_)) => return wrong("be answered"),
        (Submitting, Event::Recovered) => machine.doubt("found in flight at start".into()),
        (_, Event::Recovered) => Vec::new(),
        (Unknown, Event::Looked(reported)) => machine.looked_in_doubt(reported),
        (Accepted, Event::Looked(reported)) => machine.looked_accepted(reported),
        (_, Event::Looked(_)) => return wrong("be looked up"),
        (Manual, Event::ResolvePaid { txid }) => {
            machine.payout.txid = Some(txid);
            machine.finish(PayoutState::Confirmed)
        }
        (Manual, Event::ResolveNotPaid { evidence }) => {
            machine.payout.reason = Some(evidence);
            machine.finish(PayoutState::Failed)
        }
        (_, Event::ResolvePaid { .. } | Event::ResolveNotPaid { .. }) => return wrong("be resolved"),
        (_, Event::Tick) => machine.tick(),
    };
    Ok((machine.payout, effects))
}

struct Machine {
    payout: Payout,
    can: Capabilities,
    deadlines: Deadlines,
    now: TimeMs,
}

impl Machine {
    fn go(&mut self, state: PayoutState) {
        self.payout.state = state;
        self.payout.updated_at = self.now;
    }

    fn wait(&mut self) {
        let doublings = self.payout.sends.saturating_sub(1).min(20);
        let wait = self.deadlines.retry_first_ms.saturating_mul(1 << doublings).min(self.deadlines.retry_max_ms);
        self.payout.next_attempt_at = self.now.plus_ms(wait);
    }

    /// The bytes are fixed by the first send, for life.
    fn send(&mut self, request: Option<Vec<u8>>) -> Vec<Effect> {
        if self.payout.request.is_none() {
            self.payout.request = request;
        }
        self.payout.sends += 1;
        self.payout.submitted_at.get_or_insert(self.now);
        self.go(PayoutState::Submitting);
        self.wait();
        vec![Effect::Send]
    }

    /// Another send of a payout that is `Submitting` without doubt: the earlier ones never left.
    fn resend(&mut self) -> Vec<Effect> {
        if self.payout.ambiguous { self.doubt("sent before without an answer".into()) } else { self.send(None) }
    }

    fn answered(&mut self, answer: Answer) -> Vec<Effect> {
        match answer {
            Answer::Accepted { external_id } => self.accept(external_id, None),
            Answer::Ambiguous(reason) => self.doubt(reason),
            Answer::NotSent(reason) if self.payout.ambiguous => self.doubt(reason),
            Answer::NotSent(reason) => {
                self.payout.reason = Some(reason);
                self.payout.updated_at = self.now;
                Vec::new()
            }
            Answer::RailRefusesUs(reason) => {
                let mut effects = if self.payout.ambiguous { self.doubt(reason) } else { self.note(reason) };
                effects.extend([Effect::PauseRail, Effect::Alert]);
                effects
            }
            // Proof needs a definite refusal of the first and only send.
            Answer::Rejected(reason) if self.payout.sends == 1 && !self.payout.ambiguous => {
                self.payout.reason = Some(reason);
                self.finish(PayoutState::Failed)
            }
            Answer::Rejected(reason) => self.doubt(reason),
        }
    }

    fn note(&mut self, reason: String) -> Vec<Effect> {
        self.payout.reason = Some(reason);
        self.payout.updated_at = self.now;
        Vec::new()
    }

    fn doubt(&mut self, reason: String) -> Vec<Effect> {
        self.payout.ambiguous = true;
        self.payout.reason = Some(reason);
        self.go(PayoutState::Unknown);
        self.wait();
        if self.can.queries_by_key {
            vec![Effect::Look]
        } else if self.can.dedupes_by_key && self.in_retention() {
            Vec::new()
        } else {
            self.hand_over("no way to find out at this rail")
        }
    }

    fn accept(&mut self, external_id: Option<String>, txid: Option<String>) -> Vec<Effect> {
        self.payout.external_id = external_id.or_else(|| self.payout.external_id.take());
        self.payout.txid = txid.or_else(|| self.payout.txid.take());
        self.payout.reason = None;
        self.go(PayoutState::Accepted);
        self.payout.next_attempt_at = self.now.plus_ms(self.deadlines.poll_ms);
        Vec::new()
    }

    fn confirm(&mut self, external_id: Option<String>, txid: String) -> Vec<Effect> {
        self.payout.external_id = external_id.or_else(|| self.payout.external_id.take());
        self.payout.txid = Some(txid);
        self.payout.reason = None;
        self.finish(PayoutState::Confirmed)
    }

    fn looked_in_doubt(&mut self, reported: Reported) -> Vec<Effect> {
        match reported {
            Reported::Accepted { external_id, txid } => self.accept(external_id, txid),
            Reported::Confirmed { external_id, txid } => self.confirm(external_id, txid),
            Reported::Failed { reason, txid } => self.reported_failed(reason, txid),
            Reported::NotFound if self.can.dedupes_by_key && self.in_retention() => self.send(None),
            Reported::NotFound => self.hand_over("the rail does not know it, and would not recognise a second send"),
            Reported::Unclear(reason) => {
                self.payout.sends = self.payout.sends.max(1);
                self.note(reason);
                self.wait();
                self.tick()
            }
        }
    }

    fn looked_accepted(&mut self, reported: Reported) -> Vec<Effect> {
        self.payout.next_attempt_at = self.now.plus_ms(self.deadlines.poll_ms);
        match reported {
            Reported::Confirmed { external_id, txid } => self.confirm(external_id, txid),
            Reported::Failed { reason, txid } => self.reported_failed(reason, txid),
            Reported::Accepted { external_id, txid } => self.accept(external_id, txid),
            Reported::NotFound | Reported::Unclear(_) => self.tick(),
        }
    }

    /// `failed` is proof only if the rail declares it so and no transaction was ever seen.
    fn reported_failed(&mut self, reason: String, txid: Option<String>) -> Vec<Effect> {
        self.payout.txid = txid.or_else(|| self.payout.txid.take());
        if self.can.failed_is_final && self.payout.txid.is_none() {
            self.payout.reason = Some(reason);
            self.finish(PayoutState::Failed)
        } else {
            self.hand_over("the rail says it failed, which is no proof at this rail")
        }
    }

    fn tick(&mut self) -> Vec<Effect> {
        let age = self.payout.submitted_at.map_or(0, |at| self.now.ms_since(at));
        match self.payout.state {
            PayoutState::Unknown if age >= self.deadlines.unknown_ms => self.hand_over("in doubt past its deadline"),
            PayoutState::Accepted if age >= self.deadlines.accepted_ms => self.hand_over("unconfirmed past its deadline"),
            state if self.now < self.payout.next_attempt_at && !state.is_final() => Vec::new(),
            PayoutState::Unknown if self.can.queries_by_key => vec![Effect::Look],
            PayoutState::Unknown if self.can.dedupes_by_key && self.in_retention() => self.send(None),
            PayoutState::Unknown => self.hand_over("no way left to find out"),
            PayoutState::Accepted => vec![Effect::Look],
            PayoutState::Submitting => self.resend(),
            state if state.is_final() && !self.payout.closed => vec![Effect::Close(closing(state))],
            _ => Vec::new(),
        }
    }

    /// Whether the rail will still know the key when a request that is decided now arrives.
    fn in_retention(&self) -> bool {
        let safe_ms = self.can.key_retention_ms.saturating_sub(RETENTION_MARGIN_MS);
        self.payout.submitted_at.is_none_or(|at| self.now.ms_since(at) < safe_ms)
    }

    fn hand_over(&mut self, reason: &str) -> Vec<Effect> {
        let earlier = self.payout.reason.take();
        self.payout.reason = Some(earlier.map_or_else(|| reason.to_owned(), |e| format!("{reason} ({e})")));
        self.go(PayoutState::Manual);
        vec![Effect::Alert]
    }

    fn finish(&mut self, state: PayoutState) -> Vec<Effect> {
        self.go(state);
        self.payout.processed_at = Some(self.now);
        vec![Effect::Close(closing(state))]
    }
}

fn closing(state: PayoutState) -> Closing {
    if state == PayoutState::Confirmed { Closing::Settle } else { Closing::Release }
}

#[cfg(test)]
mod tests;
