use super::*;

fn with<T>(json: &str, read: impl Fn(&Fields<'_>) -> T) -> T {
    let Value::Object(map) = serde_json::from_str(json).unwrap() else { panic!("not an object") };
    read(&Fields::new("", &map))
}

#[test]
fn a_refusal_names_the_field_the_problem_and_the_limit() {
    let text = |json| with(json, |f| f.text("name", 1..=255)).unwrap_err().to_string();
    assert_eq!(text(r#"{"name": 5}"#), "name: must be a string");
    assert_eq!(text(r#"{"name": ""}"#), "name: must have 1 to 255 characters, has 0");
    assert_eq!(text(r#"{"name": "  "}"#), "name: must not be blank");
    assert_eq!(text(r#"{"name": "a\u0000"}"#), "name: must not contain control characters");
    assert_eq!(
        with("{}", |f| f.require("name", f.text("name", 1..=255)?)).unwrap_err().to_string(),
        "name: is required"
    );
    let port = |json| with(json, |f| f.integer("port", 1024..=65_535_u16)).unwrap_err().to_string();
    assert_eq!(port(r#"{"port": 80}"#), "port: must be a whole number from 1024 to 65535");
    assert_eq!(port(r#"{"port": "8080"}"#), "port: must be a whole number from 1024 to 65535");
    assert_eq!(port(r#"{"port": 1e300}"#), "port: must be a whole number from 1024 to 65535");
    let percent = with(r#"{"a": {"cpu": 100.1}}"#, |f| f.object("a")?.unwrap().percent("cpu"));
    assert_eq!(percent.unwrap_err().to_string(), "a.cpu: must be a number from 0 to 100");
}

struct Strict;
impl Request for Strict {
    type Valid = usize;
    fn read(fields: &Fields<'_>) -> Result<usize, FieldError> {
        let (_, params) = (fields.text("reason", 1..=9)?, fields.object("params")?);
        if let Some(params) = params {
            params.flag("known")?;
        }
        Ok(fields.items::<Item>("items", 0..=9)?.len())
    }
}
struct Lenient;
impl Request for Lenient {
    const IGNORES_UNKNOWN: bool = true;
    type Valid = usize;
    fn read(fields: &Fields<'_>) -> Result<usize, FieldError> {
        Strict::read(fields)
    }
}
struct Item;
impl Request for Item {
    type Valid = ();
    fn read(fields: &Fields<'_>) -> Result<(), FieldError> {
        fields.require("a", fields.flag("a")?)?;
        fields.flag("b").map(drop)
    }
}

#[test]
fn a_field_that_nobody_reads_is_refused_by_its_full_name() {
    let strict = |json: &str| parse::<Strict>(json.as_bytes()).map_err(|error| error.field);
    assert_eq!(
        strict(
            r#"{"items": [{"a": true, "b": false}], "params": {"known": true}, "reason": null}"#
        ),
        Ok(1)
    );
    assert_eq!(strict(r#"{"items": [], "raeson": "x"}"#), Err("raeson".into()));
    assert_eq!(strict(r#"{"items": [], "raeson": null}"#), Err("raeson".into()));
    assert_eq!(strict(r#"{"items": [], "params": {"unknown": 1}}"#), Err("params.unknown".into()));
    assert_eq!(
        strict(r#"{"items": [{"a": true}, {"a": true, "c": 1}]}"#),
        Err("items[1].c".into())
    );
    assert_eq!(
        strict(r#"{"items": [{"c": true, "b": false}]}"#),
        Ok(1),
        "what is wrong with it is its own error"
    );
    let said = |json: &str| parse::<Strict>(json.as_bytes()).unwrap_err().problem;
    assert!(said(r#"{"items": [], "raeson": "x"}"#).ends_with("did you mean reason?"));
    assert!(said(r#"{"items": [], "params": {"konwn": true}}"#).ends_with("did you mean known?"));
    assert!(said(r#"{"items": [], "colour": 1}"#).contains("see /docs"));
    assert_eq!(parse::<Lenient>(br#"{"items": [{"a": true, "c": 1}], "raeson": "x"}"#), Ok(1));
}

#[test]
fn numbers_are_read_whatever_their_spelling() {
    assert_eq!(with(r#"{"n": 10.0}"#, |f| f.integer("n", 1..=100_u32)), Ok(Some(10)));
    assert_eq!(with(r#"{"n": 12.3456}"#, |f| f.percent("n")), Ok(Some(Ppm(123_456))));
    assert_eq!(with(r#"{"n": 100}"#, |f| f.percent("n")), Ok(Some(Ppm(PPM))));
    assert_eq!(with(r#"{"n": 1e-7}"#, |f| f.ratio("n")), Ok(Some(Ppm(0))));
    assert_eq!(with(r#"{"n": 87.505}"#, |f| f.decimal("n")), Ok(Some("87.505".into())));
    assert_eq!(with(r#"{"n": 1e-7}"#, |f| f.decimal("n")), Ok(Some("0.0000001".into())));
    assert_eq!(with(r#"{"n": null}"#, |f| f.percent("n")), Ok(None));
}

#[test]
fn a_whole_number_may_be_written_with_a_point() {
    let signed = |json| with(json, |f| f.signed("n").map_err(|e| e.to_string()));
    assert_eq!(
        (signed(r#"{"n": -5.0}"#), signed(r#"{"n": -9223372036854775808}"#)),
        (Ok(Some(-5)), Ok(Some(i64::MIN)))
    );
    let limits = "n: must be a whole number from -9223372036854775808 to 9223372036854775807";
    assert_eq!(
        (signed(r#"{"n": 1.5}"#), signed(r#"{"n": 9223372036854775808}"#)),
        (Err(limits.into()), Err(limits.into()))
    );
}
