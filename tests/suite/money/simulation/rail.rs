//! A rail that keeps what it declares and nothing else: answers get lost, requests arrive late,
//! failures are taken back.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use async_trait::async_trait;
use lucid_model::money::payout::{Answer, Capabilities, Payout, PayoutState, Reply, Reported};
use lucid_ports::{PaymentRail, Store};

use super::world::{SharedWorld, World, txid};

/// A request leaves within this time, or never: the client gives it up.
pub const SEND_TIME_MAX_MS: i64 = 30_000;
/// Longest that a request is on its way.
const LATE_MAX_MS: i64 = 3_600_000;

/// Lets others go first, once.
#[derive(Default)]
pub struct Turn(bool);

impl Future for Turn {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

pub struct Rail {
    pub world: SharedWorld,
    /// The worker whose rail it is.
    pub worker: usize,
    /// What is durable, as somebody else reads it.
    pub store: Arc<dyn Store>,
}

impl Rail {
    /// I10: what says that a request is on its way is durable before it leaves.
    async fn is_announced(&self, payout: &Payout, request: &[u8]) {
        let stored = self.store.payout(payout.id).await.unwrap();
        let announced = stored.is_some_and(|stored| {
            stored.state == PayoutState::Submitting && stored.request.as_deref() == Some(request)
        });
        if !announced {
            // Another payer may have found it in flight meanwhile; its own write was durable all
            // the same.
            let mut world = self.world.lock().unwrap();
            if world.payer == self.worker {
                world.break_rule(format!("I10: {} is sent and nothing durable says so", payout.id));
            }
        }
    }
}

impl Rail {
    /// I14: from the word that nothing is on its way until payments are let go, nothing is.
    async fn is_allowed(&self, payout: &Payout) {
        let frozen = self.store.payments_switch().await.unwrap().frozen;
        if frozen.is_some_and(|freeze| freeze.still_at.is_some()) {
            self.world
                .lock()
                .unwrap()
                .break_rule(format!("I14: {} is on its way while payments are frozen", payout.id));
        }
    }
}

#[async_trait]
impl PaymentRail for Rail {
    fn name(&self) -> &str {
        "simulated"
    }

    fn capabilities(&self) -> Capabilities {
        self.world.lock().unwrap().capabilities()
    }

    fn request(&self, payout: &Payout) -> Vec<u8> {
        format!("{} {} {}", payout.id, payout.amount, payout.address).into_bytes()
    }

    async fn send(&self, payout: &Payout, request: &[u8]) -> Reply<Answer> {
        self.is_announced(payout, request).await;
        self.is_allowed(payout).await;
        let begun_ms = {
            let mut world = self.world.lock().unwrap();
            world.sending[self.worker] = true;
            world.now_ms
        };
        Turn::default().await;
        if self.world.lock().unwrap().now_ms - begun_ms <= SEND_TIME_MAX_MS {
            self.is_allowed(payout).await;
        }
        let (answer, turns) = {
            let mut world = self.world.lock().unwrap();
            if world.now_ms - begun_ms > SEND_TIME_MAX_MS {
                (Answer::Ambiguous("timed out".into()), 0)
            } else {
                world.post(payout, request)
            }
        };
        for _ in 0..turns {
            Turn::default().await;
        }
        let mut world = self.world.lock().unwrap();
        world.sending[self.worker] = false;
        let retry_after_ms = world.chance.accident(20).then(|| world.chance.ms(120_000));
        Reply { said: answer, retry_after_ms }
    }

    async fn look(&self, payout: &Payout) -> Reply<Reported> {
        Turn::default().await;
        self.world.lock().unwrap().report(payout).into()
    }
}

impl World {
    /// What a request does and how it is answered, and for how many turns of others the answer is
    /// on its way.
    fn post(&mut self, payout: &Payout, request: &[u8]) -> (Answer, u64) {
        if self.sent.iter().any(|(sent, _)| *sent == payout.id) {
            self.see("sent again");
        }
        self.attempts.push((payout.id, self.now_ms));
        let turns = self.chance.below(4);
        let (effect, name, answer) = if self.chance.accident(2) {
            self.accident_of(payout)
        } else {
            ("once", "accepted", self.accepted(payout))
        };
        match effect {
            "none" => self.see("effect: none"),
            "once" => {
                self.see("effect: once");
                self.order(payout, 0);
            }
            _ => {
                self.see("effect: late");
                // Longer than anybody waits, but not so long that the rail has forgotten the key
                // and is right to pay again.
                let can = self.capabilities();
                let forgotten_ms =
                    payout.submitted_at.map_or(0, |at| at.0 + can.key_retention_ms - self.now_ms);
                let most = if can.dedupes_by_key {
                    forgotten_ms.clamp(1, LATE_MAX_MS)
                } else {
                    LATE_MAX_MS
                };
                let after = self.chance.ms(most);
                self.order(payout, after);
            }
        }
        if name != "not sent" {
            self.sent.push((payout.id, request.to_vec()));
        }
        self.note(format!("POST {}: effect {effect}, answer {name}", payout.id));
        (answer, turns)
    }

    fn accident_of(&mut self, payout: &Payout) -> (&'static str, &'static str, Answer) {
        let known = self.orders.iter().any(|order| order.payout == payout.id);
        match self.chance.below(7) {
            0 => {
                self.see("answer: not sent");
                ("none", "not sent", Answer::NotSent("connection refused".into()))
            }
            1 => {
                self.see("answer: rejected");
                (
                    "none",
                    if known { "rejected, though it is known" } else { "rejected" },
                    Answer::Rejected("no".into()),
                )
            }
            2 => {
                self.see("answer: refuses us");
                ("none", "refuses us", Answer::RailRefusesUs("401".into()))
            }
            kind => {
                self.see("answer: ambiguous");
                let effect = ["none", "once", "late", "once"][kind as usize - 3];
                (effect, "ambiguous", Answer::Ambiguous("no answer".into()))
            }
        }
    }

    fn accepted(&self, payout: &Payout) -> Answer {
        let place = self
            .orders
            .iter()
            .position(|order| order.payout == payout.id)
            .unwrap_or(self.orders.len());
        Answer::Accepted { external_id: Some(format!("order {place}")) }
    }

    fn report(&mut self, payout: &Payout) -> Reported {
        if self.chance.accident(6) {
            self.note(format!("GET {}: unclear", payout.id));
            let says = "502".to_owned();
            return if self.chance.below(2) == 0 {
                Reported::Unclear(says)
            } else {
                Reported::Unavailable(says)
            };
        }
        let by_id =
            |place: usize| payout.external_id.as_deref() == Some(format!("order {place}").as_str());
        let by_key = self.capabilities().queries_by_key;
        let found = (0..self.orders.len()).find(|place| {
            let order = &self.orders[*place];
            order.payout == payout.id
                && order.arrives_ms <= self.now_ms
                && (by_key || by_id(*place))
        });
        let reported = match found {
            None => Reported::NotFound,
            Some(place) => {
                let (order, external_id) = (&self.orders[place], Some(format!("order {place}")));
                let txid = order.txid_ms.filter(|at| *at <= self.now_ms).map(|_| txid(place));
                match (order.paid, txid) {
                    (true, _) => {
                        Reported::Confirmed { external_id, txid: super::world::txid(place) }
                    }
                    (false, txid) if order.fails_ms.is_some_and(|at| at <= self.now_ms) => {
                        Reported::Failed { reason: "failed".into(), txid }
                    }
                    (false, txid) => Reported::Accepted { external_id, txid },
                }
            }
        };
        self.note(format!("GET {}: {reported:?}", payout.id));
        reported
    }
}
