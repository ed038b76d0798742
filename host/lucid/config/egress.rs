use lucid_egress::Egress;
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// `[egress]`: how the service reaches the gateway, the payment and blockchain services, and
/// webhooks. `HTTPS_PROXY` and the like do not count.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EgressSettings {
    /// The proxy that HTTPS goes through, `http://proxy:3128`; none = directly. Plain HTTP and this
    /// machine are reached directly.
    pub proxy_url: Option<String>,
    /// Hosts and names below them, addresses and networks (`10.0.0.0/8`) that are reached directly,
    /// but for webhooks.
    pub direct: Vec<String>,
}

impl EgressSettings {
    /// The egress of these settings.
    pub fn build(&self) -> Result<Egress, ConfigError> {
        match &self.proxy_url {
            None => Ok(Egress::default()),
            Some(url) => Egress::through(url, &self.direct)
                .map_err(|problem| ConfigError(format!("egress.{problem}"))),
        }
    }
}
