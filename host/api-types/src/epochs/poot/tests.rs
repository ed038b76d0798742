use lucid_model::epochs::score::{Ppm, ScoreCenti};

use super::*;
use crate::fields::parse;

const NODE: &str = "0192f0c1-2b3c-7d4e-8f90-123456789abc";

fn calculation(extra: &str) -> String {
    let session = format!(
        r#"{{"session_id":"{NODE}","start_time":"2026-01-01T00:00:00Z","end_time":"2026-01-01T00:30:00Z","quality_score":0.95}}"#
    );
    format!(r#"{{"node_id":"{NODE}","observation_data":[{session}]{extra}}}"#)
}

#[test]
fn a_calculation_is_over_an_hour_unless_it_says_otherwise() {
    let valid = parse::<CalculateRequest>(calculation("").as_bytes()).unwrap();
    assert_eq!((valid.period_s, valid.sessions[0].quality), (3600, Ppm(950_000)));
    let refusal =
        parse::<CalculateRequest>(calculation(r#","time_period":60"#).as_bytes()).unwrap_err();
    assert_eq!(refusal.to_string(), "time_period: must be a whole number from 3600 to 86400");
}

#[test]
fn a_score_claim_keeps_its_digits_and_its_timestamp() {
    let claim = |score: &str| {
        let body = format!(
            r#"{{"node_id":"{NODE}","score":{score},"timestamp":"2026-01-01T00:00:00+00:00"}}"#
        );
        parse::<ValidateRequest>(body.as_bytes()).map_err(|e| e.to_string())
    };
    let valid = claim("87.505").unwrap();
    assert_eq!(
        (valid.score, valid.timestamp_text.as_str()),
        (ScoreCenti(8750), "2026-01-01T00:00:00+00:00")
    );
    assert_eq!(claim("100.5").unwrap_err(), "score: must be a number from 0 to 100");
    assert_eq!(claim("\"87\"").unwrap_err(), "score: must be a number");
}

#[test]
fn a_score_is_found_by_its_id() {
    let id = ScoreBody::id_of(1_760_000_400, NODE.parse().unwrap());
    assert_eq!(id, format!("1760000400-{NODE}"));
    assert_eq!(ScoreBody::parse_id(&id), Some((1_760_000_400, NODE.parse().unwrap())));
    assert_eq!(ScoreBody::parse_id(NODE), None);
}
