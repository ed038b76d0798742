//! Digests of records, as audit entries keep them of before and after.
//!
//! A digest covers what somebody decided. What only counts or follows (versions, times of the last
//! change, scores, tallies, when to try again) is left out, so that the digest after one entry is
//! the digest before the next.

use crate::{
    canonical::Canonical,
    epochs::adjustment::Adjustment,
    fleet::{enrolment::Enrolment, node::Node, pool::Pool},
    id::Digest,
    money::{
        ledger::Draft,
        payout::{About, Found, Mismatch, Outcome, Payout, Proposal, Resolution},
        run::{Run, SCHEDULE},
    },
    policies::{Activation, PolicyRef, PolicyVersion, Shadow},
};

/// Something whose changes are audited.
pub trait Record {
    /// SHA-256 over its canonical bytes.
    fn digest(&self) -> Digest;
}

fn policy(bytes: Canonical, policy: &PolicyRef) -> Canonical {
    bytes.text(&policy.name).text(&policy.version.to_string()).fixed(&policy.digest.0)
}

impl Record for Node {
    fn digest(&self) -> Digest {
        let config = &self.config;
        let bytes = Canonical::tagged("lucid/v1/audit-node")
            .fixed(self.id.0.as_bytes())
            .fixed(self.owner.0.as_bytes())
            .maybe(self.external_id.as_deref(), Canonical::text)
            .text(&self.name)
            .maybe(self.description.as_deref(), Canonical::text)
            .text(self.status.name())
            .maybe(self.error_reason.as_deref(), Canonical::text)
            .maybe(self.pool, |bytes, pool| bytes.fixed(pool.0.as_bytes()))
            .maybe(self.address, |bytes, at| bytes.text(&at.ip.to_string()).u32(u32::from(at.port)))
            .i64(self.created_at.0)
            .maybe(self.activated_at, |bytes, at| bytes.i64(at.0))
            .u32(config.max_sessions)
            .u32(config.max_cpu.0)
            .u32(config.max_memory.0)
            .u32(config.max_disk.0)
            .u64(config.max_network_bandwidth)
            .u8(u8::from(config.auto_scaling))
            .u8(u8::from(config.monitoring_enabled))
            .maybe(self.public_key, |bytes, key| bytes.fixed(&key.0))
            .maybe(self.wallet, |bytes, wallet| {
                bytes.text(&wallet.address.to_string()).u32(wallet.version).i64(wallet.since.0)
            })
            .maybe(self.wallet_wish.as_ref(), |bytes, w| {
                bytes.text(&w.address.to_string()).i64(w.at.0).text(&w.by)
            })
            .u8(u8::from(self.approved))
            .maybe(self.hardware, |bytes, h| {
                bytes.u32(h.cpu_cores).u64(h.memory_bytes).u64(h.storage_bytes)
            })
            .maybe(self.suspension.as_ref(), |bytes, s| {
                bytes
                    .text(&s.reason)
                    .maybe(s.until, |bytes, until| bytes.i64(until.0))
                    .text(s.earlier.name())
            });
        Digest::of(&bytes.finish())
    }
}

impl Record for Pool {
    fn digest(&self) -> Digest {
        let bytes = Canonical::tagged("lucid/v1/audit-pool")
            .fixed(self.id.0.as_bytes())
            .text(&self.name)
            .maybe(self.description.as_deref(), Canonical::text)
            .text(self.status.name())
            .u32(self.max_nodes)
            .i64(self.created_at.0)
            .u8(u8::from(self.config.auto_assignment))
            .text(self.config.load_balancing.name())
            .u32(self.config.health_check_interval_s)
            .u8(u8::from(self.config.failover_enabled));
        // A pool without thresholds has the bytes of before there were any.
        let thresholds = self.config.thresholds;
        let bytes = if thresholds.is_empty() {
            bytes
        } else {
            let usage = [thresholds.cpu, thresholds.memory, thresholds.disk];
            let bytes = usage
                .into_iter()
                .fold(bytes, |bytes, limit| bytes.maybe(limit, |bytes, limit| bytes.u32(limit.0)));
            bytes.maybe(thresholds.missed_heartbeat_s, Canonical::u32)
        };
        Digest::of(&bytes.finish())
    }
}

impl Record for Enrolment {
    fn digest(&self) -> Digest {
        let bytes = Canonical::tagged("lucid/v1/audit-enrolment")
            .fixed(self.id.0.as_bytes())
            .fixed(&self.digest.0)
            .fixed(self.owner.0.as_bytes())
            .text(&self.name)
            .text(self.scope.name())
            .maybe(self.pool, |bytes, pool| bytes.fixed(pool.0.as_bytes()))
            .u32(self.uses_max)
            .i64(self.expires_at.0)
            .maybe(self.revoked_at, |bytes, at| bytes.i64(at.0))
            .i64(self.created_at.0)
            .text(&self.created_by);
        Digest::of(&bytes.finish())
    }
}

impl Record for PolicyVersion {
    fn digest(&self) -> Digest {
        let bytes = policy(Canonical::tagged("lucid/v1/audit-policy-version"), &self.policy)
            .text(self.kind.name())
            .text(&self.abi)
            .text(self.state.name())
            .maybe(self.reason.as_deref(), Canonical::text)
            .i64(self.uploaded_at.0)
            .text(&self.uploaded_by);
        // An unsigned version's bytes are those of before there were signatures.
        Digest::of(&self.signed_by.iter().fold(bytes, |bytes, name| bytes.text(name)).finish())
    }
}

impl Record for Activation {
    fn digest(&self) -> Digest {
        let start = Canonical::tagged("lucid/v1/audit-activation")
            .u64(self.revision.0)
            .text(self.kind.name())
            .text(&self.scope.to_string());
        let params = policy(start, &self.policy).u64(self.params.len() as u64);
        let bytes =
            self.params.iter().fold(params, |bytes, (name, value)| bytes.text(name).i64(*value));
        let bytes = bytes.i64(self.at.0).text(&self.actor).text(&self.reason);
        // Activations were recorded before there were any for a later period: theirs stay what they
        // were.
        let bytes = if self.from_s == 0 { bytes } else { bytes.i64(self.from_s) };
        Digest::of(&bytes.finish())
    }
}

impl Record for Shadow {
    fn digest(&self) -> Digest {
        let start = Canonical::tagged("lucid/v1/audit-shadow")
            .fixed(self.id.0.as_bytes())
            .text(self.kind.name());
        let params = policy(start, &self.policy).u64(self.params.len() as u64);
        let bytes =
            self.params.iter().fold(params, |bytes, (name, value)| bytes.text(name).i64(*value));
        let bytes = bytes
            .maybe(self.pool, |bytes, pool| bytes.fixed(&pool.bytes()))
            .i64(self.from_s)
            .i64(self.started_at.0)
            .text(&self.actor)
            .text(&self.reason)
            .maybe(self.ended.as_ref(), |bytes, end| {
                bytes.i64(end.at.0).text(&end.by).text(&end.reason)
            });
        Digest::of(&bytes.finish())
    }
}

impl Record for Adjustment {
    fn digest(&self) -> Digest {
        Self::digest(self)
    }
}

impl Record for Proposal {
    fn digest(&self) -> Digest {
        let one = |tag| Canonical::tagged(tag).fixed(self.id.0.as_bytes());
        let bytes = one("lucid/v1/audit-proposal");
        let bytes = match &self.about {
            About::Payouts(resolutions) => {
                let of = |bytes: Canonical, said: &Resolution| {
                    bytes
                        .fixed(said.payout.0.as_bytes())
                        .maybe(said.outcome.txid(), Canonical::text)
                        .text(&said.evidence)
                };
                resolutions
                    .iter()
                    .fold(one("lucid/v1/audit-proposal-batch").u64(resolutions.len() as u64), of)
            }
            About::Payout { payout, outcome: Outcome::Paid { txid } } => {
                bytes.fixed(payout.0.as_bytes()).u8(1).text(txid)
            }
            About::Payout { payout, outcome: Outcome::NotPaid } => {
                bytes.fixed(payout.0.as_bytes()).u8(0)
            }
            About::Balance { node, correction, amount } => {
                bytes.fixed(node.0.as_bytes()).u8(2).text(correction.name()).i64(amount.0)
            }
            About::Mismatch { mismatch, remedy } => {
                bytes.fixed(mismatch.0.as_bytes()).u8(3).text(remedy.name())
            }
        };
        let bytes = bytes
            .text(&self.evidence)
            .text(&self.by)
            .i64(self.at.0)
            .maybe(self.decided.as_ref(), |bytes, d| {
                bytes.i64(d.at.0).text(&d.by).u8(u8::from(d.accepted))
            });
        Digest::of(&bytes.finish())
    }
}

impl Record for Run {
    fn digest(&self) -> Digest {
        let bytes = Canonical::tagged("lucid/v1/audit-run")
            .fixed(self.id.0.as_bytes())
            .i64(self.cycle)
            .text(self.state.name())
            .text(&self.planner)
            .maybe(self.approver.as_deref(), Canonical::text)
            .u32(self.count)
            .i64(self.total.0)
            .maybe(self.reason.as_deref(), Canonical::text)
            .i64(self.created_at.0);
        let bytes = if self.root.is_none()
            && self.nodes.is_empty()
            && self.executor.as_deref().is_none_or(|who| who == SCHEDULE)
        {
            // As it was before people planned and executed runs.
            bytes
        } else {
            let bytes = bytes
                .maybe(self.executor.as_deref(), Canonical::text)
                .maybe(self.root, |bytes, root| bytes.fixed(&root.0));
            self.nodes.iter().fold(bytes, |bytes, node| bytes.fixed(node.0.as_bytes()))
        };
        Digest::of(&bytes.finish())
    }
}

impl Record for Payout {
    fn digest(&self) -> Digest {
        let bytes = Canonical::tagged("lucid/v1/audit-payout")
            .fixed(self.id.0.as_bytes())
            .fixed(self.run.0.as_bytes())
            .fixed(self.node.0.as_bytes())
            .fixed(self.owner.0.as_bytes())
            .i64(self.cycle)
            .u32(self.attempt)
            .i64(self.amount.0)
            .text(&self.address.to_string())
            .u32(self.wallet_version)
            .text(self.state.name())
            .u32(self.sends)
            .u8(u8::from(self.ambiguous))
            .maybe(self.request.as_deref(), Canonical::bytes)
            .maybe(self.external_id.as_deref(), Canonical::text)
            .maybe(self.txid.as_deref(), Canonical::text)
            .maybe(self.reason.as_deref(), Canonical::text)
            .i64(self.created_at.0)
            .maybe(self.submitted_at, |bytes, at| bytes.i64(at.0))
            .maybe(self.processed_at, |bytes, at| bytes.i64(at.0))
            .u8(u8::from(self.closed))
            .i64(self.period_start_s)
            .i64(self.period_end_s);
        // As it was before payouts that wait for a person were looked up.
        let bytes = match &self.found {
            None => bytes,
            Some(Found { outcome: Outcome::Paid { txid }, at }) => bytes.u8(1).text(txid).i64(at.0),
            Some(Found { outcome: Outcome::NotPaid, at }) => bytes.u8(0).i64(at.0),
        };
        Digest::of(&bytes.finish())
    }
}

impl Record for Mismatch {
    fn digest(&self) -> Digest {
        let bytes = Canonical::tagged("lucid/v1/audit-mismatch")
            .fixed(self.id.0.as_bytes())
            .fixed(self.payout.0.as_bytes())
            .fixed(self.node.0.as_bytes())
            .i64(self.amount.0)
            .text(self.kind.name())
            .text(&self.evidence)
            .i64(self.first_at.0)
            .i64(self.confirmed_at.0)
            .maybe(self.ended, |bytes, (at, remedy)| bytes.i64(at.0).text(remedy.name()));
        Digest::of(&bytes.finish())
    }
}

/// A deposit, before it has its place in the ledger.
impl Record for Draft {
    fn digest(&self) -> Digest {
        let start = Canonical::tagged("lucid/v1/audit-ledger-draft")
            .text(&self.id)
            .text(&self.stream.name())
            .text(self.kind.name());
        let legs = start.text(&self.cause).u64(self.legs.len() as u64);
        Digest::of(
            &self
                .legs
                .iter()
                .fold(legs, |bytes, leg| bytes.text(&leg.account.name()).i64(leg.amount.0))
                .finish(),
        )
    }
}

#[cfg(test)]
mod tests;
