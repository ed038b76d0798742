//! What a store was made for has to be what it is used for: sandbox and live never meet.

use lucid_payments::Profile;
use lucid_ports::{Environment, Stamp};

use crate::config::{Config, ConfigError, RailKind};

/// The environment that a configuration makes, and the rail's name in it, if there is one.
pub fn configured(config: &Config) -> (Environment, Option<&'static str>) {
    match config.rail.kind {
        RailKind::Sandbox => (Environment::Sandbox, Some(Profile::SANDBOX.name)),
        RailKind::Auto => (
            Environment::Live,
            config.rail.url.as_ref().and_then(|_| profile(config).ok()).map(|profile| profile.name),
        ),
        RailKind::None => (Environment::Live, None),
    }
}

/// The shape of a live payment service.
///
/// # Errors
/// [`ConfigError`] if there is none of that name.
pub fn profile(config: &Config) -> Result<Profile, ConfigError> {
    let names = || Profile::LIVE.map(|profile| profile.name).join(", ");
    let wrong = || {
        ConfigError(format!("rail.profile: {:?} is not one of {}", config.rail.profile, names()))
    };
    Profile::named(&config.rail.profile).ok_or_else(wrong)
}

/// The network of an environment.
pub fn network(environment: Environment) -> &'static str {
    match environment {
        Environment::Sandbox => "sandbox",
        Environment::Live => "mainnet",
    }
}

/// Why a store that was made for one thing must not be used for another; none if it may.
pub fn misfit(found: &Stamp, environment: Environment, rail: Option<&str>) -> Option<String> {
    let network = network(environment);
    if (found.environment, found.network.as_str()) != (environment, network) {
        return Some(format!(
            "the store was made for {} ({}), and is now used for {} ({network})",
            found.environment.name(),
            found.network,
            environment.name(),
        ));
    }
    let rail = rail?;
    // A store that was begun without a rail takes the first one.
    (found.rail != rail && found.rail != environment.name()).then(|| {
        format!("the store was made for rail {:?}, and is now used with {rail:?}", found.rail)
    })
}

#[cfg(test)]
mod tests {
    use lucid_model::id::FamilyId;

    use super::*;

    #[test]
    fn environment_network_and_rail_have_to_be_the_same_and_a_store_without_a_rail_takes_one() {
        let stamp = |environment, network: &str, rail: &str| Stamp {
            environment,
            network: network.into(),
            rail: rail.into(),
            family: FamilyId(uuid::Uuid::from_u128(1)),
        };
        let live = stamp(Environment::Live, "mainnet", "lucid");
        assert_eq!(misfit(&live, Environment::Live, Some("lucid")), None);
        assert_eq!(misfit(&live, Environment::Live, None), None);
        assert!(
            misfit(&live, Environment::Sandbox, Some("sandbox")).unwrap().contains("made for live")
        );
        assert!(misfit(&live, Environment::Live, Some("other")).unwrap().contains("rail"));
        assert!(
            misfit(&stamp(Environment::Live, "shasta", "lucid"), Environment::Live, None)
                .unwrap()
                .contains("shasta")
        );
        assert_eq!(
            misfit(&stamp(Environment::Live, "mainnet", "live"), Environment::Live, Some("lucid")),
            None
        );
    }
}
