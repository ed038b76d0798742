use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use governor::Quota;
use lucid_ports::{Admission, Allowance, CoordinationError, LimitClass, Party, RateLimiter};
use redis::Script;

use super::link::Link;
use crate::{LocalLimiter, Quotas};

/// The generic cell rate algorithm in one step, by the server's clock, in microseconds. Numbers are
/// doubles: at today's times they are good to a quarter of a microsecond, which the rounding of
/// what remains allows for.
pub(super) const ADMIT: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local period, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local due = tonumber(redis.call('GET', KEYS[1]) or now)
local earliest = due - period * (burst - 1)
if now < earliest then return {0, 0, math.ceil(earliest - now)} end
local next = math.max(due, now) + period
redis.call('SET', KEYS[1], string.format('%.3f', next), 'PX', math.max(1, math.ceil((next - now) / 1000)))
local left = math.floor(math.min(now + period * burst - next, period * (burst - 1)) / period + 0.001)
return {1, left, 0}";

/// Counts in Redis, for all replicas together; in this process alone while Redis is away.
pub struct RedisLimiter {
    link: Arc<Link>,
    namespace: String,
    quotas: Quotas,
    admit: Script,
    alone: LocalLimiter,
}

impl RedisLimiter {
    pub(super) fn new(link: Arc<Link>, namespace: String, quotas: Quotas) -> Self {
        Self {
            link,
            namespace,
            quotas,
            admit: Script::new(ADMIT),
            alone: LocalLimiter::new(&quotas),
        }
    }

    async fn shared(
        &self,
        quota: Quota,
        class: LimitClass,
        party: Party,
    ) -> Result<Admission, CoordinationError> {
        let (burst, period) = (quota.burst_size().get(), quota.replenish_interval());
        let mut asked =
            self.admit.key(format!("{}:limit:{}:{}", self.namespace, class.name(), word(party)));
        asked.arg(period.as_secs_f64() * 1e6).arg(burst);
        let mut connection = self.link.connection();
        let (admitted, left, wait_us): (i64, u32, u64) =
            self.link.timed(asked.invoke_async(&mut connection)).await?;
        let allowance = |remaining, reset| Allowance {
            quota: burst,
            window: period.saturating_mul(burst),
            remaining,
            reset,
        };
        Ok(if admitted == 1 {
            Admission::Admitted(allowance(left, period.saturating_mul(burst.saturating_sub(left))))
        } else {
            Admission::Refused(allowance(0, Duration::from_micros(wait_us)))
        })
    }
}

fn word(party: Party) -> String {
    match party {
        Party::User(user) => format!("user:{}", user.0),
        Party::Node(node) => format!("node:{}", node.0),
        Party::Network(address) => format!("at:{address}"),
    }
}

#[async_trait]
impl RateLimiter for RedisLimiter {
    async fn admit(&self, class: LimitClass, party: Party) -> Admission {
        let Some(quota) = self.quotas.of(class) else { return Admission::Unlimited };
        if !self.link.is_believed_down() {
            match self.shared(quota, class, party).await {
                Ok(admission) => return admission,
                Err(error) => tracing::debug!(%error, "a request is counted in this process only"),
            }
        }
        metrics::counter!("lucid_rate_limit_alone_total").increment(1);
        self.alone.admit(class, party).await
    }

    /// Redis forgets by itself; what is counted here meanwhile is forgotten here.
    async fn forget_idle(&self) -> usize {
        self.alone.forget_idle().await
    }
}
