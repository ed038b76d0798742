//! Becoming a node of the service: once, signed.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::Signer;
use lucid_api_types::fleet::{
    auth::{REGISTRATION_PATH, RegistrationSignature},
    node::{HardwareBody, RegisterNodeRequest},
};
use lucid_client::{Client, ClientError, Credential};
use lucid_model::{
    fleet::statement,
    id::{Digest, NodeId},
};
use tokio_util::sync::CancellationToken;

use crate::{
    AgentConfig, AgentError, AgentEvent, CredentialFile, disk::Disk, now, reporter::reason_of,
    retry::BackOff, status::Failure,
};

/// Registers a node that is not registered yet.
pub(crate) struct Registrar<'a> {
    pub(crate) config: &'a AgentConfig,
    pub(crate) disk: &'a Disk,
    pub(crate) client: &'a Client,
    pub(crate) hardware: Option<HardwareBody>,
}

/// What came of one try to register.
enum Attempted {
    Registered(NodeId),
    /// It may pass: try again.
    Failed(ClientError),
}

impl Registrar<'_> {
    /// The node of this directory, registered now if it was not; none if the agent is told to stop
    /// before.
    pub(crate) async fn node(
        &self,
        shutdown: &CancellationToken,
        on_event: &impl Fn(AgentEvent),
    ) -> Result<Option<NodeId>, AgentError> {
        if let Some(node) = self.disk.node().await? {
            return Ok(Some(node));
        }
        tokio::select! {
            () = shutdown.cancelled() => Ok(None),
            node = self.register(on_event) => node.map(Some),
        }
    }

    async fn register(&self, on_event: &impl Fn(AgentEvent)) -> Result<NodeId, AgentError> {
        let mut client = self.client.clone();
        client.set_credential(self.credential()?);
        let request = RegisterNodeRequest {
            name: self.config.name.clone(),
            ip_address: self.config.ip_address.to_string(),
            port: self.config.port,
            public_key: Some(STANDARD.encode(self.disk.key.verifying_key().as_bytes())),
            wallet_address: self.config.wallet.clone(),
            hardware: self.hardware,
            ..RegisterNodeRequest::default()
        };
        let body = serde_json::to_vec(&request).map_err(ClientError::Decode)?;
        let mut back_off = BackOff::new(self.config.retry_min, self.config.retry_max);
        let mut offline = false;
        let node = loop {
            match self.attempt(&client, &body).await? {
                Attempted::Registered(node) => break node,
                Attempted::Failed(error) => {
                    let (at, reason) = (now().to_string(), reason_of(&error));
                    if !offline {
                        offline = true;
                        on_event(AgentEvent::Offline { since: now(), reason: reason.clone() });
                        let since = at.clone();
                        self.disk.note(|status| status.offline_since = Some(since)).await?;
                    }
                    self.disk
                        .note(|status| status.last_error = Some(Failure { at, reason }))
                        .await?;
                    tokio::time::sleep(back_off.next(error.retry_after())).await;
                }
            }
        };
        self.disk.set_node(node).await?;
        self.disk.note(|status| status.offline_since = None).await?;
        if offline {
            on_event(AgentEvent::BackOnline { spooled: 0 });
        }
        on_event(AgentEvent::Registered { node_id: node });
        Ok(node)
    }

    /// Only whoever registers needs a token: its file may be gone afterwards.
    fn credential(&self) -> Result<Option<Credential>, AgentError> {
        let (path, kind): (_, fn(String) -> Credential) = match &self.config.credential_file {
            None => return Ok(self.config.credential.clone()),
            Some(CredentialFile::Owner(path)) => (path, Credential::Bearer),
            Some(CredentialFile::Enrolment(path)) => (path, Credential::Enrolment),
        };
        let failed = |problem: String| AgentError::CredentialFile { path: path.clone(), problem };
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        match text.trim() {
            "" => Err(failed("it is empty".into())),
            token => Ok(Some(kind(token.to_owned()))),
        }
    }

    /// One try.
    async fn attempt(&self, client: &Client, body: &[u8]) -> Result<Attempted, AgentError> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|_| AgentError::Entropy)?;
        let (nonce, timestamp_ms, digest) = (hex::encode(nonce), now().0, Digest::of(body));
        let statement =
            statement::registration("POST", REGISTRATION_PATH, digest, timestamp_ms, &nonce);
        let signature = RegistrationSignature {
            timestamp_ms,
            nonce,
            signature: self.disk.key.sign(&statement).to_bytes().to_vec(),
        };
        // The same body is the same request: an answer that was lost is given again, instead of a
        // conflict.
        match client.register(body.to_vec(), Some(&signature), Some(&digest.to_string())).await {
            Ok(node) => match node.node_id.parse() {
                Ok(node) => Ok(Attempted::Registered(node)),
                Err(_) => Err(AgentError::RegistrationRefused {
                    message: format!("it answered with node id {}", node.node_id),
                }),
            },
            Err(error) if error.is_passing() || !error.is_the_services() => {
                Ok(Attempted::Failed(error))
            }
            // The key is ours: that node is this one. Logging in proves it.
            Err(error) if error.existing_node().is_some() => Ok(error
                .existing_node()
                .map_or_else(|| Attempted::Failed(error), Attempted::Registered)),
            Err(error) if error.status() == Some(409) => {
                Err(AgentError::AlreadyRegistered { message: reason_of(&error) })
            }
            Err(error) => Err(AgentError::RegistrationRefused { message: reason_of(&error) }),
        }
    }
}
