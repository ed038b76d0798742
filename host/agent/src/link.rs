//! The way to the service: tokens and signatures.

use std::time::Duration;

use ed25519_dalek::{Signer, SigningKey};
use lucid_api_types::{
    fleet::{auth::ReportSignature, node::ChangeMachineRequest},
    telemetry::report::{ObservationsBody, ReportBody},
};
use lucid_client::{Client, ClientError};
use lucid_model::{
    fleet::statement,
    id::{Digest, NodeId},
    time::TimeMs,
};
use tokio::time::Instant;

use crate::{
    clock::ms,
    disk::{Outgoing, ReportKind},
    now,
};

/// A token is replaced when this part of its life is left.
const TOKEN_RENEWAL_PART: u32 = 5;

/// Why a report has no answer.
pub(crate) enum LinkError {
    /// There is no token: the report was not even looked at.
    LogIn(ClientError),
    /// The report itself failed.
    Report(ClientError),
}

/// What the service said to a report.
pub(crate) enum Answer {
    Metrics(ReportBody),
    Observations(ObservationsBody),
}

/// A client that proves who it is.
pub(crate) struct Link {
    client: Client,
    key: SigningKey,
    node: NodeId,
    renew_at: Option<Instant>,
    /// How far the service's clock is ahead of ours, as its last answer said.
    pub(crate) clock_offset_ms: Option<i64>,
}

impl Link {
    pub(crate) fn new(mut client: Client, key: SigningKey, node: NodeId) -> Self {
        client.set_token(None);
        Self { client, key, node, renew_at: None, clock_offset_ms: None }
    }

    /// Sends a report; a token that the service no longer takes is replaced once.
    pub(crate) async fn send(&mut self, report: &Outgoing) -> Result<Answer, LinkError> {
        self.log_in_if_due().await.map_err(LinkError::LogIn)?;
        let sent = match self.send_once(report).await {
            Err(error) if error.status() == Some(401) => {
                self.renew_at = None;
                self.log_in_if_due().await.map_err(LinkError::LogIn)?;
                self.send_once(report).await
            }
            other => other,
        };
        sent.map_err(LinkError::Report)
    }

    /// Sends this machine's address and hardware.
    pub(crate) async fn change_machine(
        &mut self,
        machine: &ChangeMachineRequest,
    ) -> Result<(), ClientError> {
        self.log_in_if_due().await?;
        self.client.change_machine(self.node, machine).await.map(drop)
    }

    async fn log_in_if_due(&mut self) -> Result<(), ClientError> {
        if self.renew_at.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        self.client.set_token(None);
        let challenge = self.client.challenge(self.node).await?.challenge;
        let signature = self.key.sign(&statement::challenge(self.node, &challenge)).to_bytes();
        let token = self.client.token(self.node, &challenge, &signature).await?;
        let life = Duration::from_secs(token.expires_in);
        self.renew_at = Instant::now().checked_add(life - life / TOKEN_RENEWAL_PART);
        self.client.set_token(Some(token.access_token));
        Ok(())
    }

    async fn send_once(&mut self, report: &Outgoing) -> Result<Answer, ClientError> {
        let body = report.body.clone().into_bytes();
        let statement =
            statement::report(report.kind.name(), self.node, report.sequence, Digest::of(&body));
        let signed = ReportSignature {
            sequence: report.sequence,
            signature: self.key.sign(&statement).to_bytes().to_vec(),
        };
        match report.kind {
            ReportKind::Metrics => {
                let asked = Instant::now();
                let answer = self.client.report_metrics(self.node, body, Some(&signed)).await?;
                self.clock_offset_ms =
                    offset_ms(asked.elapsed(), now(), &answer).or(self.clock_offset_ms);
                Ok(Answer::Metrics(answer))
            }
            ReportKind::Observations => self
                .client
                .report_observations(self.node, body, Some(&signed))
                .await
                .map(Answer::Observations),
        }
    }
}

/// How far the service's clock was ahead when the report arrived, halfway between asking and
/// answer. How long that took is not measured by the wall clock, which may be set meanwhile.
fn offset_ms(took: Duration, answered_at: TimeMs, answer: &ReportBody) -> Option<i64> {
    let arrived_at: TimeMs = answer.last_heartbeat.parse().ok()?;
    Some(arrived_at.ms_since(answered_at.plus_ms(-ms(took / 2))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_is_of_the_moment_between_asking_and_answer() {
        let (accepted, late, dropped, repeated) = (1, 0, Vec::new(), false);
        let answer = |at: TimeMs| ReportBody {
            accepted,
            late,
            dropped: dropped.clone(),
            repeated,
            status: "active".into(),
            last_heartbeat: at.to_string(),
        };
        assert_eq!(
            offset_ms(Duration::from_secs(4), TimeMs(1_000_000), &answer(TimeMs(998_500))),
            Some(500)
        );
        assert_eq!(
            offset_ms(
                Duration::ZERO,
                TimeMs(0),
                &ReportBody { last_heartbeat: String::new(), ..answer(TimeMs(0)) }
            ),
            None
        );
    }
}
