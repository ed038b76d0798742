//! Rate limits of one process: the generic cell rate algorithm, a cell for each party and class.

use std::{collections::HashMap, num::NonZeroU32, time::Duration};

use async_trait::async_trait;
use governor::{
    NotUntil, Quota, RateLimiter as Governor,
    clock::{Clock, DefaultClock, Reference},
    middleware::StateInformationMiddleware,
    nanos::Nanos,
    state::{StateStore, keyed::ShrinkableKeyedStateStore},
};
use lucid_ports::{Admission, Allowance, LimitClass, Party, RateLimiter};
use parking_lot::Mutex;

/// How much each class may; 0 requests a minute = no limit.
#[derive(Debug, Clone, Copy)]
pub struct Quotas {
    /// [`LimitClass::Admin`].
    pub admin_per_min: u32,
    /// [`LimitClass::Payouts`].
    pub payouts_per_min: u32,
    /// [`LimitClass::Poot`].
    pub poot_per_min: u32,
    /// [`LimitClass::Registrations`].
    pub registrations_per_min: u32,
    /// Registrations that may come at once.
    pub registrations_burst: u32,
    /// [`LimitClass::Other`].
    pub other_per_min: u32,
    /// Most parties that are told apart in a class, subjects and addresses each.
    pub parties_max: usize,
}

impl Quotas {
    /// Requests a minute, and at once.
    pub(crate) fn of(&self, class: LimitClass) -> Option<Quota> {
        let (per_min, burst) = match class {
            LimitClass::Admin => (self.admin_per_min, self.admin_per_min),
            LimitClass::Payouts => (self.payouts_per_min, self.payouts_per_min),
            LimitClass::Poot => (self.poot_per_min, self.poot_per_min),
            LimitClass::Registrations => (self.registrations_per_min, self.registrations_burst),
            LimitClass::Other => (self.other_per_min, self.other_per_min),
        };
        let per_min = NonZeroU32::new(per_min)?;
        Some(
            Quota::per_minute(per_min)
                .allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN)),
        )
    }
}

type Cells<C> = Governor<Party, Parties, C, StateInformationMiddleware>;

/// The limits of a class. Subjects and addresses are kept apart, so that a flood from many
/// addresses never takes the place of somebody with a token.
struct Class<C: Clock> {
    quota: Quota,
    subjects: Cells<C>,
    networks: Cells<C>,
}

/// Counts in this process's memory.
pub struct LocalLimiter<C: Clock = DefaultClock> {
    classes: HashMap<LimitClass, Class<C>>,
    clock: C,
}

impl LocalLimiter {
    /// Every party's quota is whole.
    pub fn new(quotas: &Quotas) -> Self {
        Self::with_clock(quotas, DefaultClock::default())
    }
}

impl<C: Clock + Clone> LocalLimiter<C> {
    fn with_clock(quotas: &Quotas, clock: C) -> Self {
        let cells = |quota| Cells::new(quota, Parties::new(quotas.parties_max), clock.clone());
        let class = |quota: Quota| Class { quota, subjects: cells(quota), networks: cells(quota) };
        let classes = LimitClass::ALL
            .into_iter()
            .filter_map(|of| Some((of, class(quotas.of(of)?))))
            .collect();
        Self { classes, clock }
    }
}

#[async_trait]
impl<C> RateLimiter for LocalLimiter<C>
where
    C: Clock + Send + Sync,
{
    async fn admit(&self, class: LimitClass, party: Party) -> Admission {
        let Some(Class { quota, subjects, networks }) = self.classes.get(&class) else {
            return Admission::Unlimited;
        };
        let cells = if matches!(party, Party::Network(_)) { networks } else { subjects };
        let (burst, period) = (quota.burst_size().get(), quota.replenish_interval());
        let allowance = |remaining, reset| Allowance {
            quota: burst,
            window: period.saturating_mul(burst),
            remaining,
            reset,
        };
        match cells.check_key(&party) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                Admission::Admitted(allowance(
                    remaining,
                    period.saturating_mul(burst.saturating_sub(remaining)),
                ))
            }
            Err(refusal) => Admission::Refused(allowance(0, wait(&refusal, self.clock.now()))),
        }
    }

    async fn forget_idle(&self) -> usize {
        let all = self.classes.values().flat_map(|class| [&class.subjects, &class.networks]);
        all.map(|cells| {
            cells.retain_recent();
            cells.shrink_to_fit();
            cells.len()
        })
        .sum()
    }
}

fn wait<P: Reference>(refusal: &NotUntil<P>, now: P) -> Duration {
    refusal.wait_time_from(now)
}

/// The parties of a class and when each one's next request would be on time. Beyond the cap
/// newcomers share one cell until idle ones are forgotten: memory stays bounded, and those who were
/// there first keep their own.
struct Parties {
    max: usize,
    cells: Mutex<HashMap<Option<Party>, Nanos>>,
}

impl Parties {
    fn new(max: usize) -> Self {
        Self { max, cells: Mutex::default() }
    }
}

impl StateStore for Parties {
    type Key = Party;

    fn measure_and_replace<T, F, E>(&self, party: &Party, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut cells = self.cells.lock();
        let own = Some(*party);
        let cell = if cells.len() < self.max || cells.contains_key(&own) { own } else { None };
        let (outcome, next) = measure(cells.get(&cell).copied())?;
        cells.insert(cell, next);
        Ok(outcome)
    }
}

impl ShrinkableKeyedStateStore<Party> for Parties {
    fn retain_recent(&self, drop_below: Nanos) {
        self.cells.lock().retain(|_, next| *next > drop_below);
    }

    fn shrink_to_fit(&self) {
        let mut cells = self.cells.lock();
        // Half empty is not worth the copying.
        if cells.capacity() > 4 * cells.len().max(1024) {
            cells.shrink_to_fit();
        }
    }

    fn len(&self) -> usize {
        self.cells.lock().len()
    }

    fn is_empty(&self) -> bool {
        self.cells.lock().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;
    use lucid_model::id::UserId;

    use super::*;

    const QUOTAS: Quotas = Quotas {
        admin_per_min: 0,
        payouts_per_min: 50,
        poot_per_min: 100,
        registrations_per_min: 60,
        registrations_burst: 20,
        other_per_min: 1_000,
        parties_max: 1_000,
    };

    fn user(number: u128) -> Party {
        Party::User(UserId(uuid::Uuid::from_u128(number)))
    }
    fn limiter(quotas: Quotas) -> (LocalLimiter<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        // Away from the beginning of time, where "earlier" saturates.
        clock.advance(Duration::from_secs(3_600));
        (LocalLimiter::with_clock(&quotas, clock.clone()), clock)
    }
    async fn admitted(
        limiter: &LocalLimiter<FakeRelativeClock>,
        class: LimitClass,
        party: Party,
        tries: u32,
    ) -> u32 {
        let mut count = 0;
        for _ in 0..tries {
            count += u32::from(!matches!(limiter.admit(class, party).await, Admission::Refused(_)));
        }
        count
    }

    #[tokio::test]
    async fn a_class_lets_its_quota_through_and_then_as_much_as_time_gives_back() {
        let (limiter, clock) = limiter(QUOTAS);
        assert_eq!(admitted(&limiter, LimitClass::Payouts, user(1), 60).await, 50);
        clock.advance(Duration::from_millis(1_199));
        assert_eq!(admitted(&limiter, LimitClass::Payouts, user(1), 5).await, 0);
        clock.advance(Duration::from_millis(1));
        assert_eq!(admitted(&limiter, LimitClass::Payouts, user(1), 5).await, 1);
        clock.advance(Duration::from_secs(60));
        assert_eq!(admitted(&limiter, LimitClass::Payouts, user(1), 60).await, 50);
    }

    #[tokio::test]
    async fn registrations_come_twenty_at_once_and_sixty_a_minute() {
        let (limiter, clock) = limiter(QUOTAS);
        assert_eq!(admitted(&limiter, LimitClass::Registrations, user(1), 100).await, 20);
        let mut later = 0;
        for _ in 0..60 {
            clock.advance(Duration::from_secs(1));
            later += admitted(&limiter, LimitClass::Registrations, user(1), 10).await;
        }
        assert_eq!(later, 60);
    }

    #[tokio::test]
    async fn parties_and_classes_do_not_spend_each_others_quota() {
        let (limiter, _) = limiter(QUOTAS);
        assert_eq!(admitted(&limiter, LimitClass::Poot, user(1), 200).await, 100);
        assert_eq!(admitted(&limiter, LimitClass::Poot, user(2), 200).await, 100);
        assert_eq!(admitted(&limiter, LimitClass::Other, user(1), 10).await, 10);
        assert_eq!(
            admitted(&limiter, LimitClass::Poot, Party::at([192, 0, 2, 1].into()), 200).await,
            100
        );
    }

    #[tokio::test]
    async fn what_is_left_and_when_to_come_again_is_told() {
        let (limiter, clock) = limiter(QUOTAS);
        let window = Duration::from_secs(20);
        let first = limiter.admit(LimitClass::Registrations, user(1)).await;
        assert_eq!(
            first,
            Admission::Admitted(Allowance {
                quota: 20,
                window,
                remaining: 19,
                reset: Duration::from_secs(1)
            })
        );
        admitted(&limiter, LimitClass::Registrations, user(1), 19).await;
        clock.advance(Duration::from_millis(250));
        let refused = limiter.admit(LimitClass::Registrations, user(1)).await;
        assert_eq!(
            refused,
            Admission::Refused(Allowance {
                quota: 20,
                window,
                remaining: 0,
                reset: Duration::from_millis(750)
            })
        );
        assert_eq!(
            limiter.admit(LimitClass::Admin, user(1)).await,
            Admission::Unlimited,
            "0 is off"
        );
    }

    #[tokio::test]
    async fn parties_that_are_idle_are_forgotten_and_others_are_not() {
        let (limiter, clock) = limiter(QUOTAS);
        admitted(&limiter, LimitClass::Payouts, user(1), 50).await;
        admitted(&limiter, LimitClass::Other, user(2), 1).await;
        assert_eq!(limiter.forget_idle().await, 2);
        clock.advance(Duration::from_secs(10));
        assert_eq!(limiter.forget_idle().await, 1, "the one that used its quota up is remembered");
        assert_eq!(admitted(&limiter, LimitClass::Payouts, user(1), 50).await, 8);
        clock.advance(Duration::from_secs(62));
        assert_eq!(limiter.forget_idle().await, 0);
    }

    #[tokio::test]
    async fn a_flood_of_parties_takes_no_more_memory_than_the_cap_and_nobodys_place() {
        let (limiter, _) = limiter(Quotas { parties_max: 10, ..QUOTAS });
        admitted(&limiter, LimitClass::Payouts, user(1), 1).await;
        let mut through = 0;
        for place in 0..5_000_u32 {
            through += admitted(
                &limiter,
                LimitClass::Payouts,
                Party::at(std::net::Ipv4Addr::from_bits(place).into()),
                1,
            )
            .await;
        }
        assert_eq!(through, 10 + 50, "the rest shares one quota");
        assert_eq!(limiter.forget_idle().await, 1 + 10 + 1);
        assert_eq!(
            admitted(&limiter, LimitClass::Payouts, user(1), 60).await,
            49,
            "who has a token is not among them"
        );
        assert_eq!(
            admitted(&limiter, LimitClass::Payouts, Party::at([0, 0, 0, 3].into()), 60).await,
            49,
            "who was there first keeps its own"
        );
    }
}
