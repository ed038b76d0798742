//! The environment: the network's own names, and `LUCID_<SECTION>_<KEY>` for everything.

use std::collections::BTreeSet;

use figment::value::Value;

use super::{Config, ConfigError};

/// How a variable's text becomes a value.
#[derive(Clone, Copy)]
enum Form {
    /// As it is.
    Text,
    /// A number, a truth value or a word.
    Plain,
    /// Hours, kept as seconds.
    HoursToSeconds,
    /// A decimal factor, kept in millionths.
    FactorToPpm,
    /// A JSON object.
    Json,
}

/// The network's names, and where each goes.
const NAMES: &[(&str, &str, Form)] = &[
    ("NODE_MANAGEMENT_PORT", "server.port", Form::Plain),
    ("MONGODB_URI", "store.url", Form::Text),
    ("SEAL_KEYS", "store.seal_keys", Form::Text),
    ("SEAL_KEYS_FILE", "store.seal_keys_file", Form::Text),
    ("BLOCKCHAIN_URL", "chain.url", Form::Text),
    ("BLOCKCHAIN_PROFILE", "chain.profile", Form::Text),
    ("BLOCKCHAIN_TOKEN_FILE", "chain.token_file", Form::Text),
    ("BLOCKCHAIN_API_KEY_FILE", "chain.api_key_file", Form::Text),
    ("VOTES_MAX_AGE", "chain.votes_age_max_s", Form::Plain),
    ("TRON_PAYMENT_URL", "rail.url", Form::Text),
    ("TRON_PAYMENT_TOKEN_FILE", "rail.token_file", Form::Text),
    ("RAIL", "rail.kind", Form::Text),
    ("RAIL_PROFILE", "rail.profile", Form::Text),
    ("API_GATEWAY_URL", "auth.gateway_url", Form::Text),
    ("JWT_SECRET", "auth.jwt_secret", Form::Text),
    ("JWT_SECRET_KEY", "auth.jwt_secret", Form::Text),
    ("JWT_SECRET_FILE", "auth.jwt_secret_file", Form::Text),
    ("JWT_SECRET_PREVIOUS", "auth.jwt_secret_previous", Form::Text),
    ("JWT_SECRET_PREVIOUS_FILE", "auth.jwt_secret_previous_file", Form::Text),
    ("JWT_AUDIENCE", "auth.jwt_audience", Form::Text),
    ("JWT_ISSUER", "auth.jwt_issuer", Form::Text),
    ("JWT_ROLES_CLAIM", "auth.jwt_roles_claim", Form::Text),
    ("ROLE_MAP", "auth.role_map", Form::Json),
    ("REGISTRATION_APPROVAL", "auth.registration_approval", Form::Text),
    ("POOT_MIN_OBSERVATION_TIME", "scoring.min_observation_s", Form::Plain),
    ("POOT_ELIGIBILITY_WINDOW_S", "scoring.eligibility_window_s", Form::Plain),
    ("POOT_SCORE_MULTIPLIER", "scoring.score_multiplier_ppm", Form::FactorToPpm),
    ("POLICY_MULTIPLIER_MAX_PPM", "scoring.policy_multiplier_max_ppm", Form::Plain),
    ("OBSERVATION_TRUST", "scoring.trust", Form::Text),
    ("PAYOUT_FREQUENCY_HOURS", "payouts.settlement_s", Form::HoursToSeconds),
    ("MATURITY_HOURS", "payouts.maturity_s", Form::HoursToSeconds),
    ("WALLET_COOLDOWN_HOURS", "payouts.wallet_cooldown_s", Form::HoursToSeconds),
    ("REWARD_BUDGET_USDT", "payouts.budget_usdt", Form::Text),
    ("PAYOUT_MIN_AMOUNT_USDT", "payouts.min_amount_usdt", Form::Text),
    ("PAYOUT_FINAL_MIN_USDT", "payouts.final_min_usdt", Form::Text),
    ("PAYEE_SHARE_MAX_PPM", "payouts.payee_share_max_ppm", Form::Plain),
    ("PAYOUT_AUTO_APPROVE_MAX_USDT", "payouts.auto_approve_max_usdt", Form::Text),
    ("PAYOUT_CYCLE_CAP_USDT", "payouts.cycle_cap_usdt", Form::Text),
    ("PAYOUT_UNKNOWN_MAX_USDT", "payouts.unknown_max_usdt", Form::Text),
    ("FOUR_EYES", "payouts.four_eyes", Form::Plain),
    ("REQUIRE_SIGNED", "policies.require_signed", Form::Plain),
    ("REDIS_URL", "coordination.redis_url", Form::Text),
    ("REDIS_URI", "coordination.redis_url", Form::Text),
    ("REDIS_CA_FILE", "coordination.redis_ca_file", Form::Text),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "tracing.otlp_url", Form::Text),
    ("OTEL_TRACES_SAMPLER_ARG", "tracing.sample_ppm", Form::FactorToPpm),
];

/// What names of ours begin with.
const PREFIX: &str = "LUCID_";

/// Keys whose values are lists; a variable has their items with commas between them.
const LISTS: [&str; 3] = ["server.trusted_proxies", "server.cors_origins", "egress.direct"];

/// Variables that would lead `lucid up` to somebody's real money, chain or records.
const UP_IGNORES: [&str; 9] = [
    "MONGODB_URI",
    "TRON_PAYMENT_URL",
    "TRON_PAYMENT_TOKEN_FILE",
    "RAIL",
    "BLOCKCHAIN_URL",
    "BLOCKCHAIN_PROFILE",
    "BLOCKCHAIN_TOKEN_FILE",
    "BLOCKCHAIN_API_KEY_FILE",
    "API_GATEWAY_URL",
];

/// Those of them that are set.
pub fn ignored_by_up() -> Vec<&'static str> {
    UP_IGNORES.into_iter().filter(|name| std::env::var_os(name).is_some()).collect()
}

/// What a variable says, if it is set.
///
/// # Errors
/// [`ConfigError`] if it is not UTF-8.
pub fn text(name: &str) -> Result<Option<String>, ConfigError> {
    let not_text = |_| ConfigError(format!("{name}: is not UTF-8: set it to text, or unset it"));
    std::env::var_os(name).map(|value| value.into_string().map_err(not_text)).transpose()
}

/// Names that begin like ours; names of others may be any bytes.
fn own_names() -> impl Iterator<Item = String> {
    std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with(PREFIX))
}

/// Says of variables that are named like settings and are links of Kubernetes Services (`lucid`,
/// `node-management`) that they are ignored, if there are any.
pub fn service_links() -> Option<String> {
    let of_the_network = NAMES.iter().map(|(name, ..)| (*name).to_owned());
    let mut names: Vec<_> =
        own_names().chain(of_the_network).filter(|name| is_service_link(name)).collect();
    names.sort_unstable();
    let named = names.join(", ");
    (!names.is_empty()).then(|| {
        format!("ignored, as links that Kubernetes makes for Services and no settings: {named}")
    })
}

/// Whether a name and its value are of the form that Kubernetes gives to links of a Service:
/// `LUCID_PORT=tcp://10.96.0.7:8095` and those beside it.
fn is_service_link(name: &str) -> bool {
    let value =
        std::env::var_os(name).and_then(|value| value.into_string().ok()).unwrap_or_default();
    is_link(name, &value)
}

fn is_link(name: &str, value: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_protocol =
        |text: &str| ["tcp", "udp", "sctp"].contains(&text.to_ascii_lowercase().as_str());
    let is_url =
        |text: &str| text.split_once("://").is_some_and(|(protocol, _)| is_protocol(protocol));
    // `…_PORT_8095_TCP` and, after that, what it consists of.
    let of_a_port = || {
        let mut words =
            name.rsplit_once("_PORT_").map(|(_, rest)| rest).unwrap_or_default().split('_');
        let (number, protocol, part) =
            (words.next().unwrap_or_default(), words.next().unwrap_or_default(), words.next());
        is_number(number)
            && is_protocol(protocol)
            && part.is_none_or(|part| ["PROTO", "PORT", "ADDR"].contains(&part))
    };
    (name.ends_with("_PORT") && is_url(value))
        || of_a_port()
        || (name.ends_with("_SERVICE_HOST") && value.parse::<std::net::IpAddr>().is_ok())
        || (name
            .rsplit_once("_SERVICE_PORT")
            .is_some_and(|(_, port)| port.is_empty() || port.starts_with('_'))
            && is_number(value))
}

/// A variable that is set.
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Which setting it sets.
    pub key: String,
    /// To what.
    pub value: Value,
}

/// The environment's values.
pub fn values(up: bool) -> Result<Vec<Variable>, ConfigError> {
    let mut values = Vec::new();
    let texts = texts();
    for &(name, key, form) in NAMES {
        if (up && UP_IGNORES.contains(&name)) || is_service_link(name) {
            continue;
        }
        if let Some(text) = text(name)?.filter(|text| !text.is_empty()) {
            values.push(Variable {
                name: name.to_owned(),
                key: key.to_owned(),
                value: read(name, &text, form)?,
            });
        }
    }
    for name in own_names().filter(|name| !is_service_link(name)) {
        let Some(text) = text(&name)? else { continue };
        let rest = name.trim_start_matches(PREFIX).to_ascii_lowercase();
        let Some((section, key)) = rest.split_once('_') else {
            return Err(ConfigError(format!("{name}: unknown; names are LUCID_<SECTION>_<KEY>")));
        };
        // An unknown section or key is found when the whole is read; the error names both.
        let place = format!("{section}.{key}");
        let value = match key {
            _ if LISTS.contains(&place.as_str()) => text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(Value::from)
                .collect::<Vec<_>>()
                .into(),
            "role_map" | "trusted_keys" => read(&name, &text, Form::Json)?,
            _ if texts.contains(&place) => Value::from(text),
            _ => plain(&text),
        };
        values.push(Variable { name, key: place, value });
    }
    Ok(values)
}

/// Settings that are texts: they stay what they are, though they look like numbers. What may be
/// left out is a text, a path or an amount.
fn texts() -> BTreeSet<String> {
    let whole = serde_json::to_value(Config::default()).unwrap_or_default();
    let sections = whole.as_object().into_iter().flatten();
    let keys = sections.flat_map(|(section, keys)| {
        keys.as_object().into_iter().flatten().map(move |(key, value)| (section, key, value))
    });
    keys.filter(|(_, _, value)| value.is_string() || value.is_null())
        .map(|(section, key, _)| format!("{section}.{key}"))
        .collect()
}

fn read(name: &str, text: &str, form: Form) -> Result<Value, ConfigError> {
    let wrong = |what: &str| ConfigError(format!("{name}={text}: {what}"));
    match form {
        Form::Text => Ok(Value::from(text)),
        Form::Plain => Ok(plain(text)),
        Form::Json => serde_json::from_str(text)
            .map_err(|error| wrong(&format!("must be a JSON object: {error}"))),
        Form::HoursToSeconds => {
            let hours: u32 = text.parse().map_err(|_| wrong("must be whole hours"))?;
            Ok(Value::from(hours.checked_mul(3600).ok_or_else(|| wrong("is too long"))?))
        }
        Form::FactorToPpm => {
            // Six digits are exact: the same reading as of an amount.
            let factor: lucid_model::money::MicroUsdt =
                text.parse().map_err(|_| wrong("must be a decimal with at most six digits"))?;
            Ok(Value::from(
                u32::try_from(factor.0).map_err(|_| wrong("must be between 0 and 4294"))?,
            ))
        }
    }
}

/// A number or a truth value where the text is one, else the text.
fn plain(text: &str) -> Value {
    if let Ok(number) = text.parse::<i64>() {
        return Value::from(number);
    }
    text.parse::<bool>().map_or_else(|_| Value::from(text), Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_services_are_told_from_settings() {
        for (name, value) in [
            ("LUCID_PORT", "tcp://10.96.0.7:8095"),
            ("LUCID_PORT_8095_TCP", "tcp://10.96.0.7:8095"),
            ("LUCID_PORT_8095_TCP_PROTO", "tcp"),
            ("LUCID_PORT_8095_TCP_PORT", "8095"),
            ("LUCID_PORT_53_UDP_ADDR", "fd00::7"),
            ("LUCID_SERVICE_HOST", "10.96.0.7"),
            ("LUCID_SERVICE_PORT", "8095"),
            ("LUCID_SERVICE_PORT_HTTP", "8095"),
            ("LUCID_REPLICAS_PORT_8095_TCP_ADDR", "10.96.0.7"),
            ("LUCID_SANDBOX_SERVICE_HOST", "10.96.0.9"),
            ("NODE_MANAGEMENT_PORT", "tcp://10.96.0.8:8095"),
        ] {
            assert!(is_link(name, value), "{name}={value}");
        }
        for (name, value) in [
            ("LUCID_SERVER_PORT", "8095"),
            ("LUCID_PORT", "8095"),
            ("NODE_MANAGEMENT_PORT", "8095"),
            ("LUCID_PORT_8095_TCP_NAME", "x"),
            ("LUCID_SERVICE_HOST", "db"),
            ("LUCID_SERVICE_PORTS", "1"),
            ("LUCID_STORE_URL", "tcp://10.96.0.7:8095"),
        ] {
            assert!(!is_link(name, value), "{name}={value}");
        }
    }
}
