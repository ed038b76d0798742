//! Who may know whom.

use std::collections::BTreeMap;

use cargo_metadata::MetadataCommand;

/// What each crate may depend on; the root package sees all.
const MAY_KNOW: [(&str, &[&str]); 28] = [
    ("lucid-model", &[]),
    ("lucid-ports", &["lucid-model"]),
    ("lucid-foundation", &["lucid-model", "lucid-ports"]),
    ("lucid-audit", &["lucid-model", "lucid-ports", "lucid-foundation"]),
    ("lucid-notifications", &["lucid-model", "lucid-ports", "lucid-foundation", "lucid-audit"]),
    (
        "lucid-policies",
        &["lucid-model", "lucid-ports", "lucid-foundation", "lucid-audit", "lucid-notifications"],
    ),
    (
        "lucid-fleet",
        &["lucid-model", "lucid-ports", "lucid-foundation", "lucid-audit", "lucid-notifications"],
    ),
    (
        "lucid-telemetry",
        &[
            "lucid-model",
            "lucid-ports",
            "lucid-foundation",
            "lucid-notifications",
            "lucid-policies",
            "lucid-fleet",
        ],
    ),
    (
        "lucid-epochs",
        &[
            "lucid-model",
            "lucid-ports",
            "lucid-foundation",
            "lucid-audit",
            "lucid-notifications",
            "lucid-policies",
            "lucid-fleet",
            "lucid-telemetry",
        ],
    ),
    (
        "lucid-consensus",
        &["lucid-model", "lucid-ports", "lucid-foundation", "lucid-notifications", "lucid-fleet"],
    ),
    (
        "lucid-money",
        &[
            "lucid-model",
            "lucid-ports",
            "lucid-foundation",
            "lucid-audit",
            "lucid-notifications",
            "lucid-fleet",
            "lucid-epochs",
        ],
    ),
    (
        "lucid-review",
        &[
            "lucid-model",
            "lucid-ports",
            "lucid-foundation",
            "lucid-audit",
            "lucid-notifications",
            "lucid-policies",
            "lucid-epochs",
            "lucid-money",
        ],
    ),
    (
        "lucid-service",
        &[
            "lucid-model",
            "lucid-ports",
            "lucid-foundation",
            "lucid-audit",
            "lucid-notifications",
            "lucid-policies",
            "lucid-fleet",
            "lucid-telemetry",
            "lucid-epochs",
            "lucid-consensus",
            "lucid-money",
            "lucid-review",
        ],
    ),
    ("lucid-engine", &["lucid-model", "lucid-ports"]),
    ("lucid-store", &["lucid-model", "lucid-ports"]),
    ("lucid-store-sqlite", &["lucid-model", "lucid-ports", "lucid-store"]),
    ("lucid-store-mongo", &["lucid-model", "lucid-ports", "lucid-store"]),
    ("lucid-coordination", &["lucid-model", "lucid-ports"]),
    ("lucid-egress", &[]),
    ("lucid-payments", &["lucid-model", "lucid-ports", "lucid-egress"]),
    ("lucid-chain", &["lucid-model", "lucid-ports", "lucid-egress"]),
    ("lucid-gateway", &["lucid-model", "lucid-ports", "lucid-egress"]),
    ("lucid-webhooks", &["lucid-model", "lucid-ports", "lucid-egress"]),
    ("lucid-sandbox", &[]),
    ("lucid-api-types", &["lucid-model"]),
    ("lucid-api", &["lucid-model", "lucid-ports", "lucid-service", "lucid-api-types"]),
    ("lucid-client", &["lucid-model", "lucid-api-types"]),
    ("lucid-agent", &["lucid-model", "lucid-api-types", "lucid-client"]),
];

/// What is no part of the product and sees what it measures; nobody else sees it.
const MEASURES: [&str; 3] = ["lucid-benches", "lucid-store-conformance", "lucid-testkit"];

/// Libraries that belong to one room.
const BELONGS_TO: [(&str, &[&str]); 11] = [
    ("wasmtime", &["lucid-engine"]),
    ("mongodb", &["lucid-store-mongo"]),
    ("redis", &["lucid-coordination"]),
    ("rusqlite", &["lucid-store-sqlite", "lucid-sandbox", "lucid"]),
    ("axum", &["lucid-api", "lucid-sandbox", "lucid"]),
    (
        "reqwest",
        &[
            "lucid-egress",
            "lucid-payments",
            "lucid-chain",
            "lucid-gateway",
            "lucid-webhooks",
            "lucid-client",
            "lucid",
        ],
    ),
    ("sysinfo", &["lucid-agent"]),
    ("utoipa", &["lucid-api-types", "lucid-api"]),
    ("clap", &["lucid"]),
    ("governor", &["lucid-coordination"]),
    ("jsonwebtoken", &["lucid-api"]),
];

fn dependencies() -> BTreeMap<String, Vec<String>> {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let normal = |p: &cargo_metadata::Package| {
        let normal =
            p.dependencies.iter().filter(|d| d.kind == cargo_metadata::DependencyKind::Normal);
        (p.name.to_string(), normal.map(|d| d.name.clone()).collect())
    };
    metadata.packages.iter().map(normal).collect()
}

#[test]
fn no_crate_knows_more_than_it_may() {
    let dependencies = dependencies();
    let is_product = |name: &&str| *name != "lucid" && !MEASURES.contains(name);
    let known: Vec<_> = dependencies.keys().map(String::as_str).filter(is_product).collect();
    let mut listed: Vec<_> = MAY_KNOW.iter().map(|(name, _)| *name).collect();
    listed.sort_unstable();
    assert_eq!(known, listed, "every crate has its line in MAY_KNOW");
    for (name, may_know) in MAY_KNOW {
        for dependency in dependencies[name].iter().filter(|d| d.starts_with("lucid-")) {
            assert!(may_know.contains(&dependency.as_str()), "{name} must not know {dependency}");
        }
    }
    let seen = dependencies["lucid"].iter().find(|name| MEASURES.contains(&name.as_str()));
    assert_eq!(seen, None, "the binary must not contain what tests share");
}

#[test]
fn libraries_stay_in_their_rooms() {
    for (package, dependencies) in
        dependencies().into_iter().filter(|(package, _)| !MEASURES.contains(&package.as_str()))
    {
        for (library, rooms) in BELONGS_TO {
            assert!(
                !dependencies.iter().any(|d| d == library) || rooms.contains(&package.as_str()),
                "{package} must not use {library}"
            );
        }
    }
}

#[test]
fn the_model_and_the_features_have_neither_clock_nor_randomness_nor_io() {
    let pure: Vec<_> = ["model", "foundation", "service"].into_iter().chain(FEATURES).collect();
    let decides = |package: &str| pure.iter().any(|name| package == format!("lucid-{name}"));
    for (package, dependencies) in dependencies().into_iter().filter(|(name, _)| decides(name)) {
        for forbidden in ["rand", "getrandom", "reqwest", "rusqlite", "wasmtime", "axum"] {
            assert!(
                !dependencies.iter().any(|d| d == forbidden),
                "{package} must not use {forbidden}"
            );
        }
    }
}

/// The features; a tenth needs a decision.
const FEATURES: [&str; 9] = [
    "audit",
    "consensus",
    "epochs",
    "fleet",
    "money",
    "notifications",
    "policies",
    "review",
    "telemetry",
];

/// Where features have folders, the features that have nothing there, and modules that belong to no
/// feature.
const HAVE_FEATURES: [(&str, &[&str], &str); 10] = [
    ("host/model/src", &[], "backoff canonical clock id named_enum shared_clock time"),
    ("host/ports/src", &[], "coordination gateway limits page runtime seal store"),
    ("host/service", &[], "foundation src tests"),
    (
        "host/store-sqlite/src",
        &[],
        "backend backup boot checkpoint columns database fault health inspect memory migrate place \
         query readers repack stamp tests transfer unopened writer",
    ),
    (
        "host/store-mongo/src",
        &[],
        "among backend fault fields health index inspect once page schema spans stamp tests transfer \
         write",
    ),
    ("host/store-conformance/src", &[], "contention covered examples filled mongo_server shared"),
    (
        "host/api-types/src",
        &["consensus", "review"],
        "clock csv error fields health json legacy nearest number page reason schema",
    ),
    ("host/api/src/routes", &["consensus"], "aliases clock docs operations"),
    (
        "host/lucid/cli",
        &["consensus", "notifications", "telemetry"],
        "clock config doctor health out place remote sandbox store token upgrade",
    ),
    (
        "tests/suite",
        &[],
        "access api architecture attacks bad_input caps chaos clock command_line coordination doctor \
         egress environment faults files gateway kill letter limits main_path memory monitoring \
         openapi rates replicas store support traces up upgrade",
    ),
];

#[test]
fn features_have_the_same_names_everywhere() {
    for (folder, without, of_no_feature) in HAVE_FEATURES {
        let mut found: Vec<_> = std::fs::read_dir(lucid_testkit::root().join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter_map(|name| match folder {
                // A crate a feature.
                "host/service" => (!name.contains('.')).then_some(name),
                _ => name.strip_suffix(".rs").map(str::to_owned),
            })
            .filter(|name| !["lib", "main"].contains(&name.as_str()))
            .collect();
        let mut expected: Vec<_> = FEATURES
            .into_iter()
            .filter(|feature| !without.contains(feature))
            .chain(of_no_feature.split_whitespace())
            .collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "in {folder}");
    }
}
