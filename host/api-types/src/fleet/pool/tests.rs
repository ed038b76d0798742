use super::*;
use crate::fields::parse;

#[test]
fn a_pool_has_the_defaults_of_the_contract() {
    let pool = parse::<CreatePoolRequest>(br#"{"name":"p"}"#).unwrap();
    assert_eq!((pool.max_nodes, pool.config), (100, PoolConfig::default()));
    let refusal = |json: &str| parse::<CreatePoolRequest>(json.as_bytes()).unwrap_err().to_string();
    assert_eq!(
        refusal(r#"{"name":"p","max_nodes":1001}"#),
        "max_nodes: must be a whole number from 1 to 1000"
    );
    assert_eq!(
        refusal(r#"{"name":"p","configuration":{"health_check_interval":29}}"#),
        "configuration.health_check_interval: must be a whole number from 30 to 3600"
    );
    assert_eq!(
        refusal(r#"{"name":"p","configuration":{"load_balancing":"random"}}"#),
        "configuration.load_balancing: must be one of round_robin, least_connections, weighted"
    );
}

#[test]
fn a_pool_without_thresholds_has_no_field_for_them_and_an_update_replaces_them() {
    let of = |json: &str| {
        parse::<CreatePoolRequest>(
            format!(r#"{{"name":"p","configuration":{{"alert_thresholds":{json}}}}}"#).as_bytes(),
        )
    };
    let shown = |thresholds| serde_json::to_value(AlertThresholdsBody::of(thresholds)).unwrap();
    assert_eq!(shown(of("{}").unwrap().config.thresholds), serde_json::Value::Null);
    let thresholds =
        of(r#"{"cpu_usage":70.5,"missed_heartbeat_s":86400}"#).unwrap().config.thresholds;
    assert_eq!(
        shown(thresholds),
        serde_json::json!({ "cpu_usage": 70.5, "missed_heartbeat_s": 86_400 })
    );
    let change = |json: &str| parse::<UpdatePoolRequest>(json.as_bytes()).unwrap().config.unwrap();
    let before = PoolConfig { thresholds, ..PoolConfig::default() };
    assert_eq!(change(r#"{"configuration":{}}"#).apply(before), before);
    assert_eq!(
        change(r#"{"configuration":{"alert_thresholds":{}}}"#).apply(before),
        PoolConfig::default()
    );
    for (json, told) in [
        (
            r#"{"cpu_usage":101}"#,
            "configuration.alert_thresholds.cpu_usage: must be a number from 0 to 100",
        ),
        (
            r#"{"disk_usage":-1}"#,
            "configuration.alert_thresholds.disk_usage: must be a number from 0 to 100",
        ),
        (
            r#"{"missed_heartbeat_s":29}"#,
            "configuration.alert_thresholds.missed_heartbeat_s: must be a whole number from 30 to 86400",
        ),
        (r#"7"#, "configuration.alert_thresholds: must be an object"),
    ] {
        assert_eq!(of(json).unwrap_err().to_string(), told);
    }
}
