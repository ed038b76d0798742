use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use lucid_ports::{
    CLOCK_OFF_MAX, Checked, CoordinationError, Coordinator, Fence, Lease, Listener, Topic,
};
use parking_lot::Mutex;
use redis::Script;

use super::{
    limits::{ADMIT, RedisLimiter},
    link::{Link, RedisSettings, RedisUrlError},
    listener::RedisListener,
    once::RedisUsedOnce,
};
use crate::Quotas;

/// Longest message that is passed on.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Which part of a lease's time is given away for clocks that do not run equally fast.
const MARGIN_PART: u32 = 10;

/// The name of the lease, and of the limit, that a check takes.
const CHECK: &str = "check";
/// Life of that lease.
const CHECK_TTL: Duration = Duration::from_millis(100);
/// Of that limit, the time from one to the next: as short as it can be, so that each check writes.
const CHECK_PERIOD_US: u64 = 1;

/// The fence is at least the server's time in microseconds, so that it grows even if Redis forgot
/// the last one.
const ACQUIRE: &str = r"
local up_s = tonumber(string.match(redis.call('INFO', 'server'), 'uptime_in_seconds:(%d+)') or '0')
if up_s * 1000 < tonumber(ARGV[2]) + 1000 then return '' end
local holder = redis.call('HGET', KEYS[1], 'holder')
if holder and holder ~= ARGV[1] then return '' end
local time = redis.call('TIME')
if math.abs(time[1] * 1000 + time[2] / 1000 - ARGV[4]) > tonumber(ARGV[5]) then return '' end
local fence = math.max(time[1] * 1000000 + time[2], tonumber(redis.call('GET', KEYS[2]) or '0') + 1, tonumber(ARGV[3]) + 1)
local text = string.format('%.0f', fence)
redis.call('SET', KEYS[2], text)
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'fence', text)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return text";

const RENEW: &str = r"
local held = redis.call('HMGET', KEYS[1], 'holder', 'fence')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return 0 end
local time = redis.call('TIME')
if math.abs(time[1] * 1000 + time[2] / 1000 - ARGV[4]) > tonumber(ARGV[5]) then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[3])";

const RELEASE: &str = r"
local held = redis.call('HMGET', KEYS[1], 'holder', 'fence')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return 0 end
return redis.call('DEL', KEYS[1])";

/// Leases and messages over Redis.
pub struct RedisCoordinator {
    link: Arc<Link>,
    namespace: String,
    replica: String,
    acquire: Script,
    renew: Script,
    release: Script,
    admit: Script,
    /// The greatest fence seen of each name: a floor for a Redis that forgot it and whose clock was
    /// set back.
    fences: Mutex<BTreeMap<String, Fence>>,
    /// The number of the last message; held while one is sent, so that they arrive in order.
    last_seq: tokio::sync::Mutex<u64>,
}

impl RedisCoordinator {
    /// Connects at the first command: a Redis that is away is found out by [`Coordinator::check`].
    ///
    /// # Errors
    /// [`RedisUrlError`].
    pub fn new(settings: RedisSettings) -> Result<Self, RedisUrlError> {
        Ok(Self {
            link: Arc::new(Link::new(&settings)?),
            namespace: settings.namespace,
            replica: settings.replica,
            acquire: Script::new(ACQUIRE),
            renew: Script::new(RENEW),
            release: Script::new(RELEASE),
            admit: Script::new(ADMIT),
            fences: Mutex::default(),
            last_seq: tokio::sync::Mutex::new(0),
        })
    }

    /// Rate limits that all replicas share.
    pub fn limiter(&self, quotas: &Quotas) -> RedisLimiter {
        RedisLimiter::new(Arc::clone(&self.link), self.namespace.clone(), *quotas)
    }

    /// What may be used once, whichever replica is asked.
    pub fn used_once(&self) -> RedisUsedOnce {
        RedisUsedOnce::new(Arc::clone(&self.link), self.namespace.clone())
    }

    fn lease_key(&self, name: &str) -> String {
        format!("{}:lease:{name}", self.namespace)
    }

    fn channel(&self) -> String {
        format!("{}:said", self.namespace)
    }

    async fn publish(&self, seq: u64, word: &str, payload: &[u8]) -> Result<(), CoordinationError> {
        let mut message = format!("{}\n{seq}\n{word}\n", self.replica).into_bytes();
        message.extend_from_slice(payload);
        let mut connection = self.link.connection();
        let command = redis::cmd("PUBLISH").arg(self.channel()).arg(message).to_owned();
        self.link.timed(command.query_async::<i64>(&mut connection)).await.map(|_| ())
    }
}

fn ms(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)
}

/// This machine's wall clock, Unix milliseconds.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Until when a holder may act, by its own clock, whose lease was asked for at an instant.
fn until(asked_at: Instant, ttl: Duration) -> Instant {
    asked_at + (ttl - ttl / MARGIN_PART)
}

#[async_trait]
impl Coordinator for RedisCoordinator {
    fn replica(&self) -> &str {
        &self.replica
    }

    async fn acquire(&self, name: &str, ttl: Duration) -> Result<Option<Lease>, CoordinationError> {
        let floor = self.fences.lock().get(name).copied().unwrap_or_default();
        let mut asked = self.acquire.key(self.lease_key(name));
        asked
            .key(format!("{}:fence:{name}", self.namespace))
            .arg(&self.replica)
            .arg(ms(ttl))
            .arg(floor.0);
        asked.arg(now_ms()).arg(ms(CLOCK_OFF_MAX));
        let mut connection = self.link.connection();
        let asked_at = Instant::now();
        let fence: String = self.link.timed(asked.invoke_async(&mut connection)).await?;
        if fence.is_empty() {
            return Ok(None);
        }
        let fence = fence.parse().map(Fence).map_err(|_| CoordinationError::Unavailable {
            detail: format!("{fence:?} is not a fence"),
        })?;
        self.seen(name, fence);
        Ok(Some(Lease {
            name: name.to_owned(),
            holder: self.replica.clone(),
            fence,
            ttl,
            until: until(asked_at, ttl),
        }))
    }

    async fn renew(&self, lease: &Lease) -> Result<Option<Lease>, CoordinationError> {
        let mut asked = self.renew.key(self.lease_key(&lease.name));
        asked
            .arg(&lease.holder)
            .arg(lease.fence.to_string())
            .arg(ms(lease.ttl))
            .arg(now_ms())
            .arg(ms(CLOCK_OFF_MAX));
        let mut connection = self.link.connection();
        let asked_at = Instant::now();
        let renewed: i64 = self.link.timed(asked.invoke_async(&mut connection)).await?;
        Ok((renewed == 1).then(|| Lease { until: until(asked_at, lease.ttl), ..lease.clone() }))
    }

    async fn release(&self, lease: &Lease) -> Result<bool, CoordinationError> {
        let mut asked = self.release.key(self.lease_key(&lease.name));
        asked.arg(&lease.holder).arg(lease.fence.to_string());
        let mut connection = self.link.connection();
        let released: i64 = self.link.timed(asked.invoke_async(&mut connection)).await?;
        Ok(released == 1)
    }

    fn seen(&self, name: &str, fence: Fence) {
        let mut fences = self.fences.lock();
        let known = fences.entry(name.to_owned()).or_default();
        *known = fence.max(*known);
    }

    async fn tell(&self, topic: Topic, payload: Vec<u8>) -> Result<(), CoordinationError> {
        if payload.len() > MESSAGE_BYTES_MAX {
            return Err(CoordinationError::TooLong {
                bytes: payload.len(),
                bytes_max: MESSAGE_BYTES_MAX,
            });
        }
        let mut seq = self.last_seq.lock().await;
        // What is not sent has a number too: that is how the others know that they missed it.
        *seq += 1;
        if self.link.is_believed_down() {
            return Err(CoordinationError::Unavailable { detail: "it failed a moment ago".into() });
        }
        self.publish(*seq, topic.name(), &payload).await
    }

    async fn listen(&self) -> Box<dyn Listener> {
        Box::new(
            RedisListener::start(Arc::clone(&self.link), self.channel(), self.replica.clone())
                .await,
        )
    }

    /// Says that this replica is there, and how many messages it has sent so far; and does with the
    /// same scripts what leases and limits do: a replica, a full memory or a user without a right
    /// answers everything else.
    async fn check(&self) -> Result<Checked, CoordinationError> {
        let seq = self.last_seq.lock().await;
        self.publish(*seq, super::listener::ALIVE, &[]).await?;
        drop(seq);
        let mut asked = self.admit.key(format!("{}:limit:{CHECK}", self.namespace));
        asked.arg(CHECK_PERIOD_US).arg(1);
        let mut connection = self.link.connection();
        self.link.timed(asked.invoke_async::<(i64, u32, u64)>(&mut connection)).await?;
        // None if another replica checks at this moment, or Redis has just been started.
        if let Some(lease) = self.acquire(CHECK, CHECK_TTL).await? {
            self.renew(&lease).await?;
            self.release(&lease).await?;
        }
        let (mut connection, time, before_ms) =
            (self.link.connection(), redis::cmd("TIME"), now_ms());
        let (seconds, micros): (i64, i64) =
            self.link.timed(time.query_async(&mut connection)).await?;
        let (after_ms, theirs_ms) =
            (now_ms(), seconds.saturating_mul(1_000).saturating_add(micros / 1_000));
        let within_ms = after_ms.saturating_sub(before_ms).abs() / 2 + 1;
        Ok(Checked { ahead_ms: before_ms.midpoint(after_ms).saturating_sub(theirs_ms), within_ms })
    }
}
