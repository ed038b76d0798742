//! The ways out: the service's, and those of commands that call a service.

use super::Finding;
use crate::config::Config;

/// Variables that name proxies to people's tools; commands of ours follow the first two and
/// `NO_PROXY`, over HTTPS.
const VARIABLES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

pub fn examine(config: &Config) -> Finding {
    let set: Vec<_> = VARIABLES
        .into_iter()
        .filter(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
        .collect();
    match config.egress.build() {
        Ok(egress) => judged(&egress.to_string(), config.egress.proxy_url.is_some(), &set),
        Err(error) => Finding::fail("egress", error.to_string(), "mend the setting that is named"),
    }
}

fn judged(egress: &str, is_set: bool, set: &[&str]) -> Finding {
    let found = format!("the service reaches others {egress}");
    if set.is_empty() {
        return Finding::ok("egress", found);
    }
    let found = format!(
        "{found}; {} counts for commands that call a service over HTTPS, never for plain HTTP or this machine",
        set.join(", ")
    );
    if is_set {
        Finding::ok("egress", found)
    } else {
        Finding::warn("egress", found, "set egress.proxy_url if the service is to use a proxy, too")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn a_proxy_of_the_environment_is_told_of_and_is_not_the_services() {
        let told = |is_set, set: &[&str]| judged("directly", is_set, set);
        assert_eq!(told(false, &[]).level, Level::Ok);
        assert_eq!(told(false, &["HTTPS_PROXY"]).level, Level::Warn);
        assert!(told(false, &["HTTPS_PROXY"]).found.contains("HTTPS_PROXY counts for commands"));
        assert_eq!(told(true, &["HTTPS_PROXY"]).level, Level::Ok);
    }
}
