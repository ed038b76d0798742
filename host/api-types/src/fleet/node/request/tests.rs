use lucid_model::{epochs::score::Ppm, fleet::node::Hardware};

use super::{super::configuration::ResourceLimitsRequest, *};
use crate::fields::parse;

fn refusal(json: &str) -> String {
    parse::<RegisterNodeRequest>(json.as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_registration_needs_a_name_an_address_and_a_port() {
    let valid = parse::<RegisterNodeRequest>(
        br#"{"name":"w","ip_address":"2001:db8::1","port":1024,"extra":[1]}"#,
    )
    .unwrap();
    assert_eq!(
        (valid.address.unwrap().port, valid.config, valid.hardware),
        (1024, NodeConfig::default(), None)
    );
    assert_eq!(refusal(r#"{"ip_address":"192.0.2.1","port":9000}"#), "name: is required");
    assert_eq!(refusal(r#"{"name":"w","port":9000}"#), "ip_address: is required");
    assert_eq!(
        refusal(r#"{"name":"w","ip_address":"worker-1","port":9000}"#),
        "ip_address: must be an IPv4 or IPv6 address"
    );
    assert_eq!(
        refusal(r#"{"name":"w","ip_address":"192.0.2.1","port":80}"#),
        "port: must be a whole number from 1024 to 65535"
    );
    assert_eq!(refusal("[]"), "body: must be a JSON object");
    assert!(refusal("{").starts_with("body: is not valid JSON"));
}

#[test]
fn what_a_typed_client_sends_is_what_is_read() {
    let request = RegisterNodeRequest {
        name: "w".into(),
        ip_address: "192.0.2.1".into(),
        port: 9000,
        configuration: Some(NodeConfigRequest {
            max_sessions: Some(5),
            resource_limits: Some(ResourceLimitsRequest {
                max_cpu_usage: Some(12.5),
                ..Default::default()
            }),
            ..Default::default()
        }),
        wallet_address: Some("TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HC".into()),
        hardware: Some(HardwareBody { cpu_cores: 4, memory_bytes: 8, storage_bytes: 9 }),
        ..Default::default()
    };
    let valid = parse::<RegisterNodeRequest>(&serde_json::to_vec(&request).unwrap()).unwrap();
    assert_eq!(
        (valid.config.max_sessions, valid.config.max_cpu, valid.config.max_disk),
        (5, Ppm(125_000), Ppm(900_000))
    );
    assert_eq!(valid.wallet.unwrap().to_string(), "TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HC");
    assert_eq!(valid.hardware.unwrap().cpu_cores, 4);
}

#[test]
fn a_key_is_a_point_of_the_curve() {
    let with_key = |key: &str| {
        refusal(&format!(
            r#"{{"name":"w","ip_address":"192.0.2.1","port":9000,"public_key":"{key}"}}"#
        ))
    };
    assert_eq!(with_key("AAAA"), "public_key: must be base64 of 32 bytes, has 3");
    assert_eq!(with_key("!"), "public_key: must be base64 (standard alphabet, padded)");
    assert_eq!(
        with_key("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        "public_key: must be an Ed25519 public key"
    );
    let wallet = r#"{"name":"w","ip_address":"192.0.2.1","port":9000,"wallet_address":"TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HD"}"#;
    assert_eq!(refusal(wallet), "wallet_address: not a TRON address: wrong characters or checksum");
    let burn =
        wallet.replace("TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HD", "T9yD14Nj9j7xAB4dbGeiX9h8unkKHxuWwb");
    assert_eq!(refusal(&burn), "wallet_address: a burn address cannot be paid: nobody has its key");
    let hex = wallet.replace(
        "TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HD",
        "417e5f4552091a69125d5dfcb7b8c2659029395bdf",
    );
    assert_eq!(
        parse::<RegisterNodeRequest>(hex.as_bytes()).unwrap().wallet.unwrap().to_string(),
        "TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HC"
    );
}

#[test]
fn an_older_registration_needs_a_name_or_an_id() {
    let read = |json: &str| {
        parse::<LegacyRegisterRequest>(json.as_bytes()).map_err(|error| error.to_string())
    };
    let by_host = read(r#"{"node_id":"worker-7.example"}"#).unwrap();
    assert_eq!(
        (by_host.name.as_str(), by_host.external_id.as_deref(), by_host.address),
        ("worker-7.example", Some("worker-7.example"), None)
    );
    assert_eq!(read("{}").unwrap_err(), "name: is required");
    assert_eq!(
        read(r#"{"name":"w","port":9000}"#).unwrap_err(),
        "ip_address: is required with port"
    );
    assert_eq!(
        read(r#"{"name":"w","ip_address":"192.0.2.1"}"#).unwrap_err(),
        "port: is required with ip_address"
    );
    assert_eq!(
        read(r#"{"node_id":"available"}"#).unwrap_err(),
        "node_id: must not be one of register, available"
    );
    assert!(
        read(r#"{"node_id":"0192f0c1-2b3c-7d4e-8f90-123456789abc"}"#)
            .unwrap_err()
            .starts_with("node_id: must be")
    );
}

#[test]
fn nested_hardware_is_understood_when_it_says_everything() {
    let read = |info: &str| {
        let body = format!(
            r#"{{"name":"w","ip_address":"192.0.2.1","port":9000,"hardware_info":{info}}}"#
        );
        parse::<RegisterNodeRequest>(body.as_bytes()).unwrap().hardware
    };
    let full = read(r#"{"cpu":{"cores":8},"memory":{"total":16},"storage":{"total":32}}"#);
    assert_eq!(full, Some(Hardware { cpu_cores: 8, memory_bytes: 16, storage_bytes: 32 }));
    assert_eq!(read(r#"{"cpu":{"cores":8}}"#), None);
}

#[test]
fn an_update_keeps_what_it_does_not_name() {
    let change = parse::<UpdateNodeRequest>(br#"{"configuration":{"max_sessions":3}}"#).unwrap();
    let before = NodeConfig { auto_scaling: true, ..NodeConfig::default() };
    assert_eq!(change.config.unwrap().apply(before), NodeConfig { max_sessions: 3, ..before });
    assert_eq!(change.name, None);
}

#[test]
fn a_suspension_says_why() {
    let refusal = |json: &str| parse::<SuspendNodeRequest>(json.as_bytes()).unwrap_err().field;
    assert_eq!(refusal("{}"), "reason");
    assert_eq!(refusal(r#"{"reason":"x","duration_hours":0}"#), "duration_hours");
    assert!(parse::<SuspendNodeRequest>(br#"{"reason":"x"}"#).unwrap().notify_owner);
}
