use async_trait::async_trait;
use lucid_model::money::payout::{Answer, Capabilities, Payout, Reply, Reported};

/// What pays.
#[async_trait]
pub trait PaymentRail: Send + Sync {
    /// The profile's name, as in the store's stamp.
    fn name(&self) -> &str;
    /// What it promises.
    fn capabilities(&self) -> Capabilities;
    /// The bytes to send for a payout: fixed at the first send.
    fn request(&self, payout: &Payout) -> Vec<u8>;
    /// Sends the bytes once. Every outcome is an [`Answer`]; in doubt it is ambiguous.
    async fn send(&self, payout: &Payout, request: &[u8]) -> Reply<Answer>;
    /// Asks what became of a payout.
    async fn look(&self, payout: &Payout) -> Reply<Reported>;
}
