//! Which ports, and which other features, each feature is put together from.

use std::sync::Arc;

use lucid_audit::{Audit, AuditConfig};
use lucid_consensus::{Consensus, ConsensusConfig};
use lucid_epochs::{Epochs, EpochsConfig};
use lucid_fleet::{Fleet, FleetConfig};
use lucid_foundation::{Ids, Rules, ServiceClock, Vitals};
use lucid_model::id::FamilyId;
use lucid_money::{Money, MoneyConfig};
use lucid_notifications::{Notifications, NotificationsConfig};
use lucid_policies::{Policies, PoliciesConfig};
use lucid_review::Review;
use lucid_telemetry::{Telemetry, TelemetryConfig};

use crate::Ports;

/// What features have in common.
pub(crate) struct Assembly<'a> {
    ports: &'a Ports,
    rules: Rules,
    family: FamilyId,
    ids: Ids,
    pub(crate) clock: Arc<ServiceClock>,
    pub(crate) vitals: Arc<Vitals>,
}

impl<'a> Assembly<'a> {
    pub(crate) fn new(ports: &'a Ports, rules: Rules, family: FamilyId) -> Self {
        let clock = Arc::new(ServiceClock::new(ports.clock.clone()));
        Self {
            ports,
            rules,
            family,
            ids: Ids { clock: clock.clone(), entropy: ports.entropy.clone() },
            vitals: Arc::new(Vitals::new(ports.clock.clone(), ports.store.clone())),
            clock,
        }
    }

    pub(crate) fn audit(&self, config: AuditConfig) -> Arc<Audit> {
        Audit::new(
            lucid_audit::Parts {
                clock: self.clock.clone(),
                family: self.family,
                ids: self.ids.clone(),
                log: self.ports.store.clone(),
                requests: self.ports.store.clone(),
                signer: self.ports.signer.clone(),
            },
            config,
        )
    }

    pub(crate) fn notifications(
        &self,
        audit: &Arc<Audit>,
        config: NotificationsConfig,
    ) -> Arc<Notifications> {
        Notifications::new(
            lucid_notifications::Parts {
                audit: Arc::clone(audit),
                clock: self.clock.clone(),
                entropy: self.ports.entropy.clone(),
                ids: self.ids.clone(),
                nodes: self.ports.store.clone(),
                sealer: self.ports.sealer.clone(),
                sender: self.ports.webhooks.clone(),
                webhooks: self.ports.store.clone(),
            },
            config,
        )
    }

    pub(crate) fn policies(
        &self,
        audit: &Arc<Audit>,
        notifications: &Arc<Notifications>,
        config: PoliciesConfig,
    ) -> Arc<Policies> {
        Policies::new(
            lucid_policies::Parts {
                audit: Arc::clone(audit),
                clock: self.clock.clone(),
                epoch_records: self.ports.store.clone(),
                ids: self.ids.clone(),
                notifications: Arc::clone(notifications),
                pools: self.ports.store.clone(),
                rules: self.rules,
                runtime: self.ports.policies.clone(),
                settlements: self.ports.store.clone(),
                shadows: self.ports.store.clone(),
                versions: self.ports.store.clone(),
            },
            config,
        )
    }

    pub(crate) fn fleet(
        &self,
        audit: &Arc<Audit>,
        notifications: &Arc<Notifications>,
        config: FleetConfig,
    ) -> Arc<Fleet> {
        Fleet::new(
            lucid_fleet::Parts {
                audit: Arc::clone(audit),
                challenge_key: self.ports.challenge_key.clone(),
                clock: self.clock.clone(),
                enrolments: self.ports.store.clone(),
                entropy: self.ports.entropy.clone(),
                ids: self.ids.clone(),
                node_alerts: self.ports.store.clone(),
                nodes: self.ports.store.clone(),
                notifications: Arc::clone(notifications),
                pools: self.ports.store.clone(),
                reports: self.ports.store.clone(),
                rules: self.rules,
                runtime: self.ports.policies.clone(),
                used_once: self.ports.used_once.clone(),
            },
            config,
        )
    }

    pub(crate) fn telemetry(
        &self,
        notifications: &Arc<Notifications>,
        policies: &Arc<Policies>,
        fleet: &Arc<Fleet>,
        config: TelemetryConfig,
    ) -> Arc<Telemetry> {
        Telemetry::new(
            lucid_telemetry::Parts {
                clock: self.clock.clone(),
                fleet: Arc::clone(fleet),
                nodes: self.ports.store.clone(),
                notifications: Arc::clone(notifications),
                policies: Arc::clone(policies),
                reports: self.ports.store.clone(),
                runtime: self.ports.policies.clone(),
                series: self.ports.store.clone(),
            },
            config,
        )
    }

    pub(crate) fn epochs(
        &self,
        audit: &Arc<Audit>,
        notifications: &Arc<Notifications>,
        policies: &Arc<Policies>,
        fleet: &Arc<Fleet>,
        telemetry: &Arc<Telemetry>,
        config: EpochsConfig,
    ) -> Arc<Epochs> {
        Epochs::new(
            lucid_epochs::Parts {
                adjustments: self.ports.store.clone(),
                audit: Arc::clone(audit),
                chain: self.ports.chain.clone(),
                clock: self.clock.clone(),
                epoch_records: self.ports.store.clone(),
                fleet: Arc::clone(fleet),
                frames: self.ports.store.clone(),
                ids: self.ids.clone(),
                nodes: self.ports.store.clone(),
                notifications: Arc::clone(notifications),
                policies: Arc::clone(policies),
                reports: self.ports.store.clone(),
                rules: self.rules,
                runtime: self.ports.policies.clone(),
                scores: self.ports.store.clone(),
                telemetry: Arc::clone(telemetry),
                versions: self.ports.store.clone(),
                votes: self.ports.store.clone(),
            },
            config,
        )
    }

    pub(crate) fn consensus(
        &self,
        notifications: &Arc<Notifications>,
        fleet: &Arc<Fleet>,
        config: ConsensusConfig,
    ) -> Arc<Consensus> {
        Consensus::new(
            lucid_consensus::Parts {
                chain: self.ports.chain.clone(),
                clock: self.clock.clone(),
                epoch_records: self.ports.store.clone(),
                fleet: Arc::clone(fleet),
                notifications: Arc::clone(notifications),
                scores: self.ports.store.clone(),
                signer: self.ports.signer.clone(),
                votes: self.ports.store.clone(),
            },
            config,
        )
    }

    pub(crate) fn money(
        &self,
        audit: &Arc<Audit>,
        notifications: &Arc<Notifications>,
        fleet: &Arc<Fleet>,
        epochs: &Arc<Epochs>,
        config: MoneyConfig,
    ) -> Arc<Money> {
        Money::new(
            lucid_money::Parts {
                epoch_records: self.ports.store.clone(),
                epochs: Arc::clone(epochs),
                adjustments: self.ports.store.clone(),
                audit: Arc::clone(audit),
                books: self.ports.store.clone(),
                clock: self.clock.clone(),
                decisions: self.ports.store.clone(),
                family: self.family,
                fleet: Arc::clone(fleet),
                ids: self.ids.clone(),
                ledger: self.ports.store.clone(),
                mismatches: self.ports.store.clone(),
                nodes: self.ports.store.clone(),
                notifications: Arc::clone(notifications),
                payouts: self.ports.store.clone(),
                rail: self.ports.rail.clone(),
                reports: self.ports.store.clone(),
                rules: self.rules,
                runs: self.ports.store.clone(),
                runtime: self.ports.policies.clone(),
                settlements: self.ports.store.clone(),
                signer: self.ports.signer.clone(),
                stamp: self.ports.store.clone(),
                vitals: self.vitals.clone(),
            },
            config,
        )
    }

    pub(crate) fn review(
        &self,
        audit: &Arc<Audit>,
        notifications: &Arc<Notifications>,
        policies: &Arc<Policies>,
        epochs: &Arc<Epochs>,
        money: &Arc<Money>,
    ) -> Arc<Review> {
        Review::new(lucid_review::Parts {
            audit: Arc::clone(audit),
            clock: self.clock.clone(),
            decisions: self.ports.store.clone(),
            epoch_records: self.ports.store.clone(),
            epochs: Arc::clone(epochs),
            family: self.family,
            frames: self.ports.store.clone(),
            ids: self.ids.clone(),
            ledger: self.ports.store.clone(),
            mismatches: self.ports.store.clone(),
            money: Arc::clone(money),
            notifications: Arc::clone(notifications),
            payouts: self.ports.store.clone(),
            policies: Arc::clone(policies),
            pools: self.ports.store.clone(),
            rail: self.ports.rail.clone(),
            rules: self.rules,
            runtime: self.ports.policies.clone(),
            settlements: self.ports.store.clone(),
            shadows: self.ports.store.clone(),
            versions: self.ports.store.clone(),
            vitals: self.vitals.clone(),
        })
    }
}
