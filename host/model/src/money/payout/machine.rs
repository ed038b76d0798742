//! `(state, event) → (state, effects)`.
//!
//! Four rules are built in and each has a mutant that must fail the tests: a request is durable
//! before it is sent ([`Effect::Send`] comes only with a state that says `Submitting`); only proof
//! frees money ([`Closing::Release`] never follows an ambiguous send without a person); ambiguity
//! is sticky; every contact with the rail waits for its time ([`super::Pace`]).
//!
//! Deadlines count the time in which we could look: time in which the process was down is added to
//! `blind_ms` and does not count. Past its deadline a payout is handed to a person only after a
//! look-up, whatever that said, and is looked up from then on, slowly: what is found is offered as
//! the resolution.

use super::{Found, Outcome, Payout, PayoutState, Rules, pace::RETRY_AFTER_MS_MAX};
use crate::time::TimeMs;

/// How long before a rail forgets a key nothing is sent with it any more: time for the request to
/// be given up or to arrive, and for clocks to differ.
const RETENTION_MARGIN_MS: i64 = 60_000;

/// How late a look-up may be before the time since it was due counts as time in which nobody could
/// look.
const LATE_MS_MAX: i64 = 60_000;
/// What is not due by itself: a year.
const NEVER_MS: i64 = 365 * 86_400_000;

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
        reason: String,
        /// The transaction, if it ever had one.
        txid: Option<String>,
    },
    /// It does not know it. Not the same as "will never happen".
    NotFound,
    /// It answered, and the answer does not tell what became of the payout.
    Unclear(String),
    /// It could not be asked: no connection, no answer in time, or an answer that says "not now".
    Unavailable(String),
}

/// What the rail said, and how long it asks to be left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply<T> {
    /// What it said.
    pub said: T,
    /// Its `Retry-After`, in milliseconds.
    pub retry_after_ms: Option<i64>,
}

impl<T> From<T> for Reply<T> {
    fn from(said: T) -> Self {
        Self { said, retry_after_ms: None }
    }
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
    Answered(Reply<Answer>),
    /// The process found it in `Submitting` at start: the send may have happened.
    Recovered,
    /// The rail was asked.
    Looked(Reply<Reported>),
    /// The transaction that the rail names for it belongs to another payout.
    Contradicted {
        /// What contradicts what.
        reason: String,
    },
    /// Time passed.
    Tick,
    /// Taken back.
    Cancel { reason: String },
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
    /// Tell a person.
    Alert,
}

/// An event that this state does not have; nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a payout that is {from} cannot {verb}")]
pub struct WrongPayoutState {
    pub from: &'static str,
    /// What was asked.
    pub verb: &'static str,
}

/// Applies an event. The caller makes the new state durable before it carries the effects out.
///
/// # Errors
/// [`WrongPayoutState`] if the state has no such transition.
pub fn step(
    payout: &Payout,
    event: Event,
    rules: &Rules,
    now: TimeMs,
) -> Result<(Payout, Vec<Effect>), WrongPayoutState> {
    use PayoutState::{Accepted, Manual, Reserved, Submitting, Unknown};
    let mut machine = Machine { payout: payout.clone(), rules: *rules, now };
    let wrong = |verb| Err(WrongPayoutState { from: payout.state.name(), verb });
    let effects = match (payout.state, event) {
        (Reserved | Submitting, Event::Submit { .. }) if !rules.may_send => Vec::new(),
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
        (Unknown | Accepted | Manual, Event::Looked(reply)) => machine.looked(reply),
        (_, Event::Looked(_)) => return wrong("be looked up"),
        (Unknown | Accepted | Manual, Event::Contradicted { reason }) => machine.hand_over(&reason),
        (_, Event::Contradicted { .. }) => return wrong("be contradicted"),
        (Manual, Event::ResolvePaid { txid }) => {
            machine.payout.txid = Some(txid);
            machine.finish(PayoutState::Confirmed)
        }
        (Manual, Event::ResolveNotPaid { evidence }) => {
            machine.payout.reason = Some(evidence);
            machine.finish(PayoutState::Failed)
        }
        (_, Event::ResolvePaid { .. } | Event::ResolveNotPaid { .. }) => {
            return wrong("be resolved");
        }
        (_, Event::Tick) => machine.tick(),
    };
    Ok((machine.payout, effects))
}

struct Machine {
    payout: Payout,
    rules: Rules,
    now: TimeMs,
}

impl Machine {
    fn go(&mut self, state: PayoutState) {
        self.payout.state = state;
        self.payout.updated_at = self.now;
    }

    /// The bytes are fixed by the first send, for life.
    fn send(&mut self, request: Option<Vec<u8>>) -> Vec<Effect> {
        if self.payout.request.is_none() {
            self.payout.request = request;
        }
        self.payout.sends += 1;
        self.payout.submitted_at.get_or_insert(self.now);
        self.go(PayoutState::Submitting);
        self.payout.next_send_at = self.now.plus_ms(self.rules.pace.after_send(&self.payout));
        self.payout.next_attempt_at = self.payout.next_send_at;
        vec![Effect::Send]
    }

    /// Another send of a payout that is `Submitting` without doubt: the earlier ones never left.
    fn resend(&mut self) -> Vec<Effect> {
        if self.payout.ambiguous {
            self.doubt("sent before without an answer".into())
        } else {
            self.send(None)
        }
    }

    fn answered(&mut self, reply: Reply<Answer>) -> Vec<Effect> {
        if let Some(wish) = reply.retry_after_ms {
            let at_least = self.now.plus_ms(wish.clamp(0, RETRY_AFTER_MS_MAX));
            self.payout.next_send_at = self.payout.next_send_at.max(at_least);
            self.payout.next_attempt_at = self.payout.next_send_at;
        }
        match reply.said {
            Answer::Accepted { external_id } => self.accept(external_id, None),
            Answer::Ambiguous(reason) => self.doubt(reason),
            Answer::NotSent(reason) | Answer::RailRefusesUs(reason) if self.payout.ambiguous => {
                self.doubt(reason)
            }
            Answer::NotSent(reason) | Answer::RailRefusesUs(reason) => self.note(reason),
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

    /// The next step looks it up, or sends it again where that is all that can be done.
    fn doubt(&mut self, reason: String) -> Vec<Effect> {
        self.payout.ambiguous = true;
        self.payout.reason = Some(reason);
        self.go(PayoutState::Unknown);
        if self.can_look() {
            self.look_later();
            Vec::new()
        } else if self.can_resend() {
            self.payout.next_attempt_at = self.payout.next_send_at;
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
        self.look_later();
        Vec::new()
    }

    fn confirm(&mut self, external_id: Option<String>, txid: String) -> Vec<Effect> {
        self.payout.external_id = external_id.or_else(|| self.payout.external_id.take());
        self.payout.txid = Some(txid);
        self.payout.reason = None;
        self.finish(PayoutState::Confirmed)
    }

    fn looked(&mut self, reply: Reply<Reported>) -> Vec<Effect> {
        let late = self.now.ms_since(self.payout.next_attempt_at);
        if late > LATE_MS_MAX {
            self.payout.blind_ms = self.payout.blind_ms.saturating_add(late);
        }
        if self.payout.state == PayoutState::Manual {
            return self.looked_for_a_person(reply.said);
        }
        self.look_later();
        if let Some(wish) = reply.retry_after_ms {
            let at_least = self.now.plus_ms(wish.clamp(0, RETRY_AFTER_MS_MAX));
            self.payout.next_attempt_at = self.payout.next_attempt_at.max(at_least);
        }
        match (reply.said, self.payout.state) {
            (Reported::Confirmed { external_id, txid }, _) => self.confirm(external_id, txid),
            (Reported::Failed { reason, txid }, _) => self.reported_failed(reason, txid),
            (Reported::Accepted { external_id, txid }, state) => {
                let next = self.payout.next_attempt_at;
                let effects = self.accept(external_id, txid);
                // What it was accepted for long ago is not new.
                if state == PayoutState::Accepted {
                    self.past_deadline(effects, next, None)
                } else {
                    effects
                }
            }
            (Reported::Unclear(reason) | Reported::Unavailable(reason), _) => {
                // Its reason stays that of its last change: an audit entry for each look-up would
                // have no bound.
                self.past_deadline(Vec::new(), self.payout.next_attempt_at, Some(&reason))
            }
            (Reported::NotFound, PayoutState::Accepted) => {
                self.past_deadline(Vec::new(), self.payout.next_attempt_at, None)
            }
            (Reported::NotFound, _) => self.not_found(),
        }
    }

    /// In doubt, and the rail does not know it: the same request again, where that cannot be a
    /// second payment.
    fn not_found(&mut self) -> Vec<Effect> {
        if !self.can_resend() {
            return self
                .hand_over("the rail does not know it, and would not recognise a second send");
        }
        if self.is_overdue() {
            return self.hand_over("in doubt past its deadline");
        }
        if self.rules.may_send && self.now >= self.payout.next_send_at {
            return self.send(None);
        }
        let first = self.now.plus_ms(self.rules.pace.look_first_ms);
        self.payout.next_attempt_at =
            self.payout.next_attempt_at.min(self.payout.next_send_at).max(first);
        Vec::new()
    }

    /// What was found about a payout that a person has to decide about is offered, and decides
    /// nothing.
    fn looked_for_a_person(&mut self, reported: Reported) -> Vec<Effect> {
        self.payout.next_attempt_at =
            self.now.plus_ms(self.rules.pace.before_manual_look(&self.payout));
        let outcome = match reported {
            Reported::Confirmed { txid, .. } => Outcome::Paid { txid },
            Reported::Failed { txid: None, .. } if self.payout.txid.is_none() => Outcome::NotPaid,
            _ => return Vec::new(),
        };
        if self.payout.found.as_ref().is_some_and(|found| found.outcome == outcome) {
            return Vec::new();
        }
        self.payout.found = Some(Found { outcome, at: self.now });
        self.payout.updated_at = self.now;
        vec![Effect::Alert]
    }

    /// `failed` is proof only if the rail declares it so and no transaction was ever seen.
    fn reported_failed(&mut self, reason: String, txid: Option<String>) -> Vec<Effect> {
        self.payout.txid = txid.or_else(|| self.payout.txid.take());
        if self.rules.can.failed_is_final && self.payout.txid.is_none() {
            self.payout.reason = Some(reason);
            self.finish(PayoutState::Failed)
        } else {
            self.hand_over("the rail says it failed, which is no proof at this rail")
        }
    }

    fn tick(&mut self) -> Vec<Effect> {
        match self.payout.state {
            state if self.now < self.payout.next_attempt_at && !state.is_final() => Vec::new(),
            PayoutState::Unknown | PayoutState::Accepted | PayoutState::Manual
                if self.can_look() =>
            {
                vec![Effect::Look]
            }
            PayoutState::Unknown if !self.can_resend() || self.is_overdue() => {
                self.hand_over("no way left to find out")
            }
            PayoutState::Unknown if self.rules.may_send && self.now >= self.payout.next_send_at => {
                self.send(None)
            }
            PayoutState::Accepted if self.is_overdue() => {
                self.hand_over("unconfirmed past its deadline")
            }
            PayoutState::Unknown | PayoutState::Accepted => {
                self.look_later();
                Vec::new()
            }
            PayoutState::Manual => {
                self.payout.next_attempt_at = self.now.plus_ms(NEVER_MS);
                Vec::new()
            }
            PayoutState::Submitting if self.rules.may_send => self.resend(),
            state if state.is_final() && !self.payout.closed => vec![Effect::Close(closing(state))],
            _ => Vec::new(),
        }
    }

    /// Hands it to a person if its time is over, else leaves it to its next look-up.
    fn past_deadline(
        &mut self,
        effects: Vec<Effect>,
        next: TimeMs,
        said: Option<&str>,
    ) -> Vec<Effect> {
        if self.is_overdue() {
            let accepted = self.payout.state == PayoutState::Accepted;
            let why = if accepted {
                "unconfirmed past its deadline"
            } else {
                "in doubt past its deadline"
            };
            return self.hand_over(&said.map_or_else(
                || why.to_owned(),
                |said| format!("{why}, and its last look-up says: {said}"),
            ));
        }
        self.payout.next_attempt_at = next;
        effects
    }

    fn look_later(&mut self) {
        self.payout.next_attempt_at =
            self.now.plus_ms(self.rules.pace.before_look(&self.payout, self.now));
    }

    fn can_look(&self) -> bool {
        self.rules.can.queries_by_key || self.payout.external_id.is_some()
    }

    fn can_resend(&self) -> bool {
        self.rules.can.dedupes_by_key && self.in_retention()
    }

    fn is_overdue(&self) -> bool {
        let most = if self.payout.state == PayoutState::Accepted {
            self.rules.deadlines.accepted_ms
        } else {
            self.rules.deadlines.unknown_ms
        };
        self.payout
            .submitted_at
            .is_some_and(|at| self.now.ms_since(at).saturating_sub(self.payout.blind_ms) >= most)
    }

    /// Whether the rail will still know the key when a request that is decided now arrives.
    fn in_retention(&self) -> bool {
        let safe_ms = self.rules.can.key_retention_ms.saturating_sub(RETENTION_MARGIN_MS);
        self.payout.submitted_at.is_none_or(|at| self.now.ms_since(at) < safe_ms)
    }

    fn hand_over(&mut self, reason: &str) -> Vec<Effect> {
        let earlier = self.payout.reason.take();
        self.payout.reason =
            Some(earlier.map_or_else(|| reason.to_owned(), |e| format!("{reason} ({e})")));
        self.go(PayoutState::Manual);
        let wait = if self.can_look() {
            self.rules.pace.before_manual_look(&self.payout)
        } else {
            NEVER_MS
        };
        self.payout.next_attempt_at = self.now.plus_ms(wait);
        vec![Effect::Alert]
    }

    fn finish(&mut self, state: PayoutState) -> Vec<Effect> {
        self.go(state);
        self.payout.processed_at = Some(self.now);
        self.payout.next_attempt_at = self.now;
        vec![Effect::Close(closing(state))]
    }
}

fn closing(state: PayoutState) -> Closing {
    if state == PayoutState::Confirmed { Closing::Settle } else { Closing::Release }
}

#[cfg(test)]
mod tests;
