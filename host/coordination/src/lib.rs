//! What replicas agree on without keeping it: leases, messages, rate limits. In one process, or
//! over Redis.

#[cfg(test)]
mod conformance;
mod local;
mod redis;

pub use local::{LocalCoordinator, LocalLimiter, LocalUsedOnce, Quotas};
pub use redis::{
    RedisCoordinator, RedisFacts, RedisLimiter, RedisSettings, RedisUrlError, RedisUsedOnce,
    probe_redis,
};
