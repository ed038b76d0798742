//! The services that this one calls: whether they answer, and what time it is there.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use lucid_egress::probe::{Probe, Verdict};
use lucid_gateway::GatewayClient;
use lucid_ports::GatewayKeys;

use super::{ANSWER_TIME_MAX, Finding, now_ms};
use crate::{
    clients::{self, Credentials},
    config::{Config, RailKind},
};

const PAYMENT: &str = "payment service";
const CHAIN: &str = "blockchain service";

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
    let payment = match (config.rail.kind, &config.rail.url) {
        (RailKind::None, _) => {
            Finding::ok(PAYMENT, "not used (RAIL=none): everything but paying works")
        }
        (RailKind::Sandbox, None) => {
            Finding::ok(PAYMENT, "the sandbox inside the service: no money moves")
        }
        (_, Some(url)) => payment(config, url, clocks).await,
        (RailKind::Auto, None) => {
            Finding::warn(PAYMENT, "none is named: nothing is paid", "set TRON_PAYMENT_URL")
        }
    };
    vec![payment, chain(config, clocks).await, gateway(config).await]
}

async fn payment(config: &Config, url: &str, clocks: &mut Clocks) -> Finding {
    let began = Instant::now();
    let client = Credentials::read(config)
        .map_err(Into::into)
        .and_then(|known| clients::payment(config, &known, url.to_owned(), ANSWER_TIME_MAX));
    let probe = match client {
        Ok(client) => client.probe().await,
        Err(error) => {
            return Finding::fail(PAYMENT, error.to_string(), "mend the setting that is named");
        }
    };
    let what = Subject {
        check: PAYMENT,
        clock: "the payment service's clock",
        url: "TRON_PAYMENT_URL",
        secrets: "TRON_PAYMENT_TOKEN_FILE",
        profile: "RAIL_PROFILE",
        // How a service words a 404 is no contract: only what it says about a real payout counts.
        misfit: Finding::warn,
    };
    what.judged(probe, began, clocks)
}

async fn chain(config: &Config, clocks: &mut Clocks) -> Finding {
    let sandbox = config.rail.kind == RailKind::Sandbox;
    let shared = config.rail.url.clone().filter(|_| sandbox);
    let began = Instant::now();
    let client = Credentials::read(config)
        .map_err(Into::into)
        .and_then(|known| clients::chain(config, &known, shared, ANSWER_TIME_MAX));
    let probe = match client {
        Ok(Some(client)) => client.probe().await,
        Ok(None) if sandbox => return Finding::ok(CHAIN, "the sandbox inside the service"),
        Ok(None) => return Finding::warn(CHAIN, "none is named: votes wait", "set BLOCKCHAIN_URL"),
        Err(error) => {
            return Finding::fail(CHAIN, error.to_string(), "mend the setting that is named");
        }
    };
    let what = Subject {
        check: CHAIN,
        clock: "the blockchain service's clock",
        url: "BLOCKCHAIN_URL",
        secrets: "BLOCKCHAIN_TOKEN_FILE and BLOCKCHAIN_API_KEY_FILE",
        profile: "BLOCKCHAIN_PROFILE",
        misfit: Finding::fail,
    };
    what.judged(probe, began, clocks)
}

/// What is said of a service that was asked on its own route.
struct Subject {
    check: &'static str,
    clock: &'static str,
    url: &'static str,
    secrets: &'static str,
    profile: &'static str,
    misfit: fn(&'static str, String, String) -> Finding,
}

impl Subject {
    fn judged(&self, probe: Result<Probe, String>, began: Instant, clocks: &mut Clocks) -> Finding {
        let Probe { date, verdict } = match probe {
            Ok(probe) => probe,
            Err(error) => {
                return Finding::fail(
                    self.check,
                    error,
                    format!("see that it runs and that {} names it", self.url),
                );
            }
        };
        let half_ms = i64::try_from(began.elapsed().as_millis() / 2).unwrap_or_default();
        if let Some(at_ms) =
            date.and_then(|date| httpdate::parse_http_date(&date).ok()).and_then(ms)
        {
            // The header has whole seconds: on average it is half a second behind.
            clocks.add(
                self.clock,
                at_ms.saturating_add(500).saturating_add(half_ms).saturating_sub(now_ms()),
            );
        }
        match verdict {
            Verdict::Fits(found) => Finding::ok(self.check, found),
            Verdict::Refused(found) => Finding::fail(
                self.check,
                found,
                format!("see that {} hold what it gave you", self.secrets),
            ),
            Verdict::Misfits(found) => {
                let todo = format!(
                    "see that {} names it and that {} is its profile",
                    self.url, self.profile
                );
                (self.misfit)(self.check, found, todo)
            }
        }
    }
}

fn ms(at: SystemTime) -> Option<i64> {
    i64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

async fn gateway(config: &Config) -> Finding {
    let Some(url) = config.auth.jwks() else {
        return Finding::ok("gateway", "not used (API_GATEWAY_URL is not set)");
    };
    let todo = "see that the gateway runs and publishes its keys, and that API_GATEWAY_URL (or auth.jwks_url) names it";
    let client = config.egress.build().map_err(|error| error.to_string());
    let client = client.and_then(|egress| {
        GatewayClient::new(&egress, &url, ANSWER_TIME_MAX).map_err(|error| error.to_string())
    });
    let fetched = match client {
        Ok(client) => client.fetch().await.map_err(|error| error.to_string()),
        Err(error) => Err(error),
    };
    match fetched {
        Ok(keys) if keys.is_empty() => {
            Finding::fail("gateway", "it publishes no key that can be used", todo)
        }
        Ok(keys) => Finding::ok(
            "gateway",
            format!("it publishes {} key{}", keys.len(), if keys.len() == 1 { "" } else { "s" }),
        ),
        Err(error) => Finding::fail("gateway", error, todo),
    }
}
