//! Secrets of webhooks are kept sealed: the store alone, a backup or a copy of it, signs nothing.

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    id::WebhookId,
    notifications::webhook::{KeptSecret, Webhook, WebhookSecret},
};
use lucid_ports::{Seal, SealError};

use crate::Notifications;

/// Tries to seal a webhook that others change meanwhile.
const TRIES: u32 = 5;

/// What a seal is bound to: a sealed secret that is moved to another webhook does not open there.
fn about(webhook: WebhookId) -> String {
    format!("webhook {webhook}")
}

impl Notifications {
    pub(super) fn sealed(
        &self,
        webhook: WebhookId,
        secret: &WebhookSecret,
    ) -> Result<KeptSecret, SealError> {
        let [random @ .., _, _, _, _] = self.parts.entropy.random_16();
        self.parts.sealer.seal(&secret.0, &about(webhook), random).map(KeptSecret)
    }

    pub(super) fn opened(&self, webhook: &Webhook) -> Result<WebhookSecret, SealError> {
        self.parts.sealer.open(&webhook.secret.0, &about(webhook.id)).map(WebhookSecret)
    }

    /// Fails if a secret is sealed with a key that this process does not have: whoever has it could
    /// not open what is sealed here.
    pub(super) fn check_seals(&self, known: &[Webhook]) -> Result<(), SealError> {
        let foreign = known
            .iter()
            .find(|webhook| self.parts.sealer.standing(&webhook.secret.0) == Seal::Unknown);
        foreign.map_or(Ok(()), |webhook| self.opened(webhook).map(drop))
    }

    /// Seals what an older version kept in clear, and what is sealed with an earlier key. How many
    /// secrets it sealed.
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails, or a secret cannot be sealed.
    pub async fn seal_webhooks(&self) -> Result<usize, ServiceError> {
        let mut sealed = 0;
        for _ in 0..TRIES {
            let webhooks = self.parts.webhooks.webhooks().await?;
            let due = |webhook: &&Webhook| {
                matches!(self.parts.sealer.standing(&webhook.secret.0), Seal::Clear | Seal::Earlier)
            };
            let due: Vec<_> = webhooks.iter().filter(due).collect();
            if due.is_empty() {
                break;
            }
            for webhook in due {
                sealed += usize::from(self.seal_webhook(webhook).await?);
            }
        }
        Ok(sealed)
    }

    /// `false` if it was changed meanwhile.
    async fn seal_webhook(&self, webhook: &Webhook) -> Result<bool, ServiceError> {
        // One that was altered stays as it is: the alert about webhooks says so.
        let Ok(secret) = self.opened(webhook) else { return Ok(false) };
        let mut after = webhook.clone();
        after.secret = self.sealed(webhook.id, &secret)?;
        after.version += 1;
        let detail = "its secret is sealed with the key outside the store";
        let audit = self
            .parts
            .audit
            .entry(&Actor::system(), "webhook.seal", webhook.id, detail)
            .changing(webhook, &after);
        Ok(self.parts.webhooks.update_webhook(after, audit).await?)
    }
}
