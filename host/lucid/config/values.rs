//! Addresses, amounts and numbers of the configuration: each is checked before anything is built of
//! it.

use lucid_model::{epochs::score::PPM, money::MicroUsdt};
use reqwest::Url;

use super::Config;

/// Largest amount: sums of many still are numbers of the ledger.
const AMOUNT_MAX: MicroUsdt = MicroUsdt(999_999_999_999_999);

impl Config {
    /// What cannot be, by the name of the key.
    pub(super) fn check_values(&self) -> Result<(), String> {
        let (auth, payouts, rail, chain) = (&self.auth, &self.payouts, &self.rail, &self.chain);
        for (name, value) in [
            ("rail.url (TRON_PAYMENT_URL)", &rail.url),
            ("chain.url (BLOCKCHAIN_URL)", &chain.url),
            ("auth.gateway_url (API_GATEWAY_URL)", &auth.gateway_url),
            ("auth.jwks_url", &auth.jwks_url),
            ("tracing.otlp_url (OTEL_EXPORTER_OTLP_ENDPOINT)", &self.tracing.otlp_url),
        ] {
            value.as_deref().map_or(Ok(()), |value| address(name, value))?;
        }
        for (name, value) in [
            ("payouts.budget_usdt (REWARD_BUDGET_USDT)", payouts.budget_usdt.as_ref()),
            ("payouts.min_amount_usdt (PAYOUT_MIN_AMOUNT_USDT)", Some(&payouts.min_amount_usdt)),
            ("payouts.final_min_usdt (PAYOUT_FINAL_MIN_USDT)", Some(&payouts.final_min_usdt)),
            (
                "payouts.auto_approve_max_usdt (PAYOUT_AUTO_APPROVE_MAX_USDT)",
                Some(&payouts.auto_approve_max_usdt),
            ),
            ("payouts.cycle_cap_usdt (PAYOUT_CYCLE_CAP_USDT)", payouts.cycle_cap_usdt.as_ref()),
            (
                "payouts.unknown_max_usdt (PAYOUT_UNKNOWN_MAX_USDT)",
                payouts.unknown_max_usdt.as_ref(),
            ),
            ("payouts.sandbox_funds_usdt", payouts.sandbox_funds_usdt.as_ref()),
        ] {
            value.map_or(Ok(()), |value| amount(name, value))?;
        }
        for (name, ppm) in [
            ("payouts.payee_share_max_ppm (PAYEE_SHARE_MAX_PPM)", payouts.payee_share_max_ppm),
            ("scoring.completeness_min_ppm", self.scoring.completeness_min_ppm),
        ] {
            if ppm > PPM {
                return Err(format!("{name}: {ppm} is more than {PPM}, which is all"));
            }
        }
        let at_least_one = [
            ("payouts.in_flight_max", payouts.in_flight_max as u64),
            ("payouts.poll_ms", payouts.poll_ms.into()),
            ("rail.timeout_ms", rail.timeout_ms.into()),
            ("chain.timeout_ms", chain.timeout_ms.into()),
            ("chain.in_flight_max", chain.in_flight_max as u64),
            ("policies.deadline_ms", self.policies.deadline_ms.into()),
            ("scoring.silence_s", self.scoring.silence_s.into()),
        ];
        match at_least_one.into_iter().find(|(_, value)| *value == 0) {
            Some((name, _)) => Err(format!("{name}: 0 is less than 1, which is the least")),
            None => Ok(()),
        }
    }
}

/// An address that is called: of it begin the addresses of all requests.
fn address(name: &str, value: &str) -> Result<(), String> {
    // What may be a password is not repeated.
    let shown = if value.contains('@') { String::new() } else { format!("{value:?} ") };
    let wrong = |problem: &str| Err(format!("{name}: {shown}{problem}"));
    match Url::parse(value) {
        Ok(url) if !["http", "https"].contains(&url.scheme()) || !url.has_host() => {
            wrong("must begin with http:// or https:// and name a host")
        }
        Ok(url) if url.fragment().is_some() => wrong("must have no part after a #"),
        Ok(url) if url.query().is_some() && name != "auth.jwks_url" => {
            wrong("must have no part after a ?")
        }
        Ok(_) => Ok(()),
        Err(_) => wrong("must begin with http:// or https:// and name a host"),
    }
}

fn amount(name: &str, value: &str) -> Result<(), String> {
    let wrong = |problem: &str| {
        Err(format!(
            "{name}: {value:?} {problem}: an amount in USDT is from 0 to {AMOUNT_MAX}, such as 12.5"
        ))
    };
    match value.parse::<MicroUsdt>() {
        Ok(amount) if amount < MicroUsdt::ZERO => wrong("is less than 0"),
        Ok(amount) if amount > AMOUNT_MAX => wrong("is too much"),
        Ok(_) => Ok(()),
        Err(error) => wrong(&format!("is no amount ({error})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        change(&mut config);
        config.check_values().unwrap_err()
    }

    #[test]
    fn what_is_there_by_default_can_be() {
        assert_eq!(Config::default().check_values(), Ok(()));
    }

    #[test]
    fn every_address_names_a_host() {
        for wrong in ["foo", "foo:8080", "ftp://host", "http://", "//host", "/path", ""] {
            let url = || Some(wrong.to_owned());
            for error in [
                refused(|config| config.rail.url = url()),
                refused(|config| config.chain.url = url()),
                refused(|config| config.auth.gateway_url = url()),
                refused(|config| config.auth.jwks_url = url()),
                refused(|config| config.tracing.otlp_url = url()),
            ] {
                assert!(
                    error.ends_with(&format!(
                        "{wrong:?} must begin with http:// or https:// and name a host"
                    )),
                    "{error}"
                );
            }
        }
        assert_eq!(
            refused(|config| config.rail.url = Some("foo".into())).split(':').next(),
            Some("rail.url (TRON_PAYMENT_URL)")
        );
        assert!(
            refused(|config| config.rail.url = Some("http://h/?a=b".into())).contains("after a ?")
        );
        assert!(
            !refused(|config| config.chain.url = Some("x://user:word@host".into()))
                .contains("word"),
            "it may be a password"
        );
        for right in ["http://127.0.0.1:8098", "https://pay.example/base/", "http://[::1]:80"] {
            let mut config = Config::default();
            config.rail.url = Some(right.into());
            assert_eq!(config.check_values(), Ok(()), "{right}");
        }
    }

    #[test]
    fn no_amount_is_negative_or_no_amount() {
        for wrong in ["-5", "-0.000001", "five", "", "1.0000001", "1e3", "1000000000"] {
            let text = || wrong.to_owned();
            for error in [
                refused(|config| config.payouts.budget_usdt = Some(text())),
                refused(|config| config.payouts.min_amount_usdt = text()),
                refused(|config| config.payouts.final_min_usdt = text()),
                refused(|config| config.payouts.auto_approve_max_usdt = text()),
                refused(|config| config.payouts.cycle_cap_usdt = Some(text())),
                refused(|config| config.payouts.unknown_max_usdt = Some(text())),
                refused(|config| config.payouts.sandbox_funds_usdt = Some(text())),
            ] {
                assert!(
                    error.starts_with("payouts.") && error.contains(&format!("{wrong:?}")),
                    "{error}"
                );
                assert!(error.ends_with("from 0 to 999999999.999999, such as 12.5"), "{error}");
            }
        }
    }

    #[test]
    fn no_limit_stops_everything() {
        assert!(
            refused(|config| config.payouts.in_flight_max = 0).starts_with("payouts.in_flight_max")
        );
        assert!(refused(|config| config.rail.timeout_ms = 0).starts_with("rail.timeout_ms"));
        assert_eq!(
            refused(|config| config.payouts.payee_share_max_ppm = 1_000_001).split(' ').next(),
            Some("payouts.payee_share_max_ppm")
        );
    }
}
