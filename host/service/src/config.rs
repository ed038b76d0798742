use lucid_audit::AuditConfig;
use lucid_consensus::ConsensusConfig;
use lucid_epochs::EpochsConfig;
use lucid_fleet::FleetConfig;
use lucid_foundation::Rules;
use lucid_money::MoneyConfig;
use lucid_notifications::NotificationsConfig;
use lucid_policies::PoliciesConfig;
use lucid_telemetry::TelemetryConfig;

/// How the service works, feature by feature.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    pub rules: Rules,
    pub audit: AuditConfig,
    pub notifications: NotificationsConfig,
    pub policies: PoliciesConfig,
    pub fleet: FleetConfig,
    pub telemetry: TelemetryConfig,
    pub epochs: EpochsConfig,
    pub consensus: ConsensusConfig,
    pub money: MoneyConfig,
}
