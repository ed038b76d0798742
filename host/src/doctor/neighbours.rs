//! The services that this one calls: whether they answer, and what time it is there.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use lucid_ports::GatewayKeys;
use lucid_rails::GatewayClient;
use reqwest::{StatusCode, header::DATE};

use super::{ANSWER_TIME_MAX, Finding, now_ms};
use crate::config::{Config, RailKind};

/// How far the others' clocks are ahead of ours.
#[derive(Debug, Default)]
pub struct Clocks(Vec<(&'static str, i64)>);

impl Clocks {
    pub fn add(&mut self, whose: &'static str, ahead_ms: i64) {
        self.0.push((whose, ahead_ms));
    }

    /// The one that is off most.
    pub fn worst(&self) -> Option<(&'static str, i64)> {
        self.0.iter().copied().max_by_key(|(_, ahead_ms)| ahead_ms.abs())
    }
}

pub async fn examine(config: &Config, clocks: &mut Clocks) -> Vec<Finding> {
    let sandbox = config.rail.kind == RailKind::Sandbox;
    let payment = match (config.rail.kind, &config.rail.url) {
        (RailKind::None, _) => Finding::ok("payment service", "not used (RAIL=none): everything but paying works"),
        (RailKind::Sandbox, None) => Finding::ok("payment service", "the sandbox inside the service: no money moves"),
        (_, Some(url)) => reachable("payment service", "the payment service's clock", url, "TRON_PAYMENT_URL", clocks).await,
        (RailKind::Auto, None) => Finding::warn("payment service", "none is named: nothing is paid", "set TRON_PAYMENT_URL"),
    };
    let chain_url = config.chain.url.as_ref().or(config.rail.url.as_ref().filter(|_| sandbox));
    let chain = match chain_url {
        Some(url) => reachable("blockchain service", "the blockchain service's clock", url, "BLOCKCHAIN_URL", clocks).await,
        None if sandbox => Finding::ok("blockchain service", "the sandbox inside the service"),
        None => Finding::warn("blockchain service", "none is named: votes wait", "set BLOCKCHAIN_URL"),
    };
    vec![payment, chain, gateway(config).await]
}

async fn reachable(check: &'static str, whose: &'static str, url: &str, variable: &str, clocks: &mut Clocks) -> Finding {
    let todo = format!("see that it runs and that {variable} names it");
    let client = match lucid_wire::transport(url, None).map(|builder| builder.timeout(ANSWER_TIME_MAX).no_proxy().build()) {
        Ok(Ok(client)) => client,
        Ok(Err(error)) => return Finding::fail(check, plain(&error), todo),
        Err(error) => return Finding::fail(check, error.to_string(), todo),
    };
    let began = Instant::now();
    match client.get(url).send().await {
        Ok(answer) => {
            let half_ms = i64::try_from(began.elapsed().as_millis() / 2).unwrap_or_default();
            let date = answer.headers().get(DATE).and_then(|date| date.to_str().ok()).and_then(|date| httpdate::parse_http_date(date).ok());
            if let Some(at_ms) = date.and_then(ms) {
                // The header has whole seconds: on average it is half a second behind.
                clocks.add(whose, at_ms.saturating_add(500).saturating_add(half_ms).saturating_sub(now_ms()));
            }
            judged(check, answer.status(), todo)
        }
        Err(error) => Finding::fail(check, plain(&error), todo),
    }
}

fn ms(at: SystemTime) -> Option<i64> {
    i64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// Any answer shows that it is there: what is asked for need not exist.
fn judged(check: &'static str, status: StatusCode, todo: String) -> Finding {
    let found = format!("it answers ({})", status.as_u16());
    if status.is_server_error() { Finding::warn(check, found, todo) } else { Finding::ok(check, found) }
}

/// Without the address, which may hold a password.
fn plain(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer in {} s", ANSWER_TIME_MAX.as_secs());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    format!("it does not answer: {cause}")
}

async fn gateway(config: &Config) -> Finding {
    let Some(url) = config.auth.jwks() else { return Finding::ok("gateway", "not used (API_GATEWAY_URL is not set)") };
    let todo = "see that the gateway runs and publishes its keys, and that API_GATEWAY_URL (or auth.jwks_url) names it";
    let fetched = match GatewayClient::new(&url, ANSWER_TIME_MAX) {
        Ok(client) => client.fetch().await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match fetched {
        Ok(keys) if keys.is_empty() => Finding::fail("gateway", "it publishes no key that can be used", todo),
        Ok(keys) => Finding::ok("gateway", format!("it publishes {} key{}", keys.len(), if keys.len() == 1 { "" } else { "s" })),
        Err(error) => Finding::fail("gateway", error, todo),
    }
}
