//! Tokens by the gateway's own keys: which count, which do not, and what happens while the gateway
//! is away.

use std::time::Duration;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use lucid_gateway::GatewayClient;
use lucid_ports::GatewayKeys as _;
use serde_json::{Value, json};

use crate::support::{
    Lucid, block_on, eventually,
    gateway::{Answer, Gateway, SigningKey, claims},
    node::{TestNode, key, registration, registration_headers},
    now_ms,
};

const FIRST: &[u8] = include_bytes!("keys/first.pem");
const FIRST_PUBLIC: &str = include_str!("keys/first.pub.pem");
const SECOND: &[u8] = include_bytes!("keys/second.pem");

fn first() -> SigningKey {
    SigningKey::rsa("first", FIRST)
}
fn second() -> SigningKey {
    SigningKey::rsa("second", SECOND)
}
fn third() -> SigningKey {
    SigningKey::ed25519("third", 3)
}
fn published(keys: &[SigningKey]) -> Answer {
    Answer::Keys(keys.iter().map(SigningKey::jwk).collect())
}

/// A service that knows the gateway and no secret.
fn serve(gateway: &Gateway, more: &[(&str, &str)]) -> Lucid {
    let mut settings =
        vec![("RAIL", "sandbox"), ("JWT_SECRET", ""), ("API_GATEWAY_URL", gateway.url.as_str())];
    settings.extend(more);
    Lucid::serve_with(&settings)
}

fn asks(lucid: &Lucid, token: &str) -> u16 {
    lucid.call("GET", "/api/v1/nodes", Some(token), None).0
}

#[test]
fn tokens_by_both_kinds_of_keys_count_and_nodes_have_tokens_without_a_shared_secret() {
    let gateway = Gateway::start(published(&[first(), third()]));
    let mut lucid =
        serve(&gateway, &[("JWT_AUDIENCE", "lucid-blockchain"), ("JWT_ISSUER", "api-gateway")]);
    eventually("the keys", || (asks(&lucid, &first().token("alice", "USER")) == 200).then_some(()));
    assert_eq!(asks(&lucid, &third().token("alice", "user")), 200);
    for (claim, value) in [
        ("aud", json!("elsewhere")),
        ("iss", json!("nobody")),
        ("aud", Value::Null),
        ("iss", Value::Null),
    ] {
        let mut wrong = claims("alice", "user");
        wrong[claim] = value;
        assert_eq!(asks(&lucid, &third().sign(&third().header(), &wrong)), 401, "{wrong}");
    }
    assert_eq!(asks(&lucid, &lucid.token("alice", "user")), 401, "there is no shared secret");

    let (key, owner) = (key(1), first().token("alice", "node_operator"));
    let body = serde_json::to_vec(&registration(&key, 9001)).unwrap();
    let headers = registration_headers(&key, &body, now_ms(), "nonce");
    let (status, made) = lucid.send("POST", "/api/v1/nodes", Some(&owner), Some(body), &headers);
    assert_eq!(status, 201, "{made}");
    let id = made["node_id"].as_str().unwrap().parse().unwrap();
    let mut node = TestNode {
        id,
        key,
        token: String::new(),
        sequence: 0,
        session: uuid::Uuid::now_v7(),
        started_ms: now_ms(),
    };
    node.prove(&lucid);
    node.work(&lucid);
    lucid.crash_and_restart();
    node.work(&lucid);
}

#[test]
fn no_token_chooses_how_it_is_checked() {
    let gateway = Gateway::start(published(&[first(), third()]));
    // With a secret as well: every way of checking is there to be confused with.
    let lucid = serve(&gateway, &[("JWT_SECRET", crate::support::SECRET)]);
    eventually("the keys", || (asks(&lucid, &first().token("alice", "user")) == 200).then_some(()));
    assert_eq!(
        asks(&lucid, &lucid.token("alice", "user")),
        200,
        "the shared secret counts beside them"
    );

    let said = claims("root", "super_admin");
    let named = |kid: &str, algorithm| Header { kid: Some(kid.into()), ..Header::new(algorithm) };
    let by_secret = |secret: &[u8], header: &Header| {
        encode(header, &said, &EncodingKey::from_secret(secret)).unwrap()
    };
    let der = STANDARD
        .decode(FIRST_PUBLIC.lines().filter(|line| !line.starts_with('-')).collect::<String>())
        .unwrap();
    let modulus = URL_SAFE_NO_PAD.decode(first().jwk()["n"].as_str().unwrap()).unwrap();
    let point = URL_SAFE_NO_PAD.decode(third().jwk()["x"].as_str().unwrap()).unwrap();
    let mut forged = Vec::new();
    for kid in ["first", "third", "unknown", "lucid-node"] {
        for (what, secret) in [
            ("PEM", FIRST_PUBLIC.as_bytes()),
            ("PEM without its last newline", FIRST_PUBLIC.trim_end().as_bytes()),
            ("DER", &der),
            ("modulus", &modulus),
            ("point", &point),
        ] {
            forged.push((
                format!("HS256 by the {what} as {kid}"),
                by_secret(secret, &named(kid, Algorithm::HS256)),
            ));
        }
    }
    let sealed = |header: Value| {
        format!(
            "{}.{}.",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(said.to_string())
        )
    };
    for alg in ["none", "None", "NONE", ""] {
        forged.push((
            format!("alg {alg:?}"),
            sealed(json!({ "alg": alg, "typ": "JWT", "kid": "first" })),
        ));
        forged.push((
            format!("alg {alg:?} without a kid"),
            sealed(json!({ "alg": alg, "typ": "JWT" })),
        ));
    }
    forged.push((
        "the secret under a key's name".into(),
        by_secret(crate::support::SECRET.as_bytes(), &named("first", Algorithm::HS256)),
    ));
    forged.push((
        "the secret under a node's name".into(),
        by_secret(crate::support::SECRET.as_bytes(), &named("lucid-node", Algorithm::HS256)),
    ));
    forged.push((
        "the secret as HS512".into(),
        by_secret(crate::support::SECRET.as_bytes(), &Header::new(Algorithm::HS512)),
    ));
    forged.push((
        "another key of the gateway's kind".into(),
        second().sign(&named("first", Algorithm::RS256), &said),
    ));
    forged.push((
        "the right key under another's kid".into(),
        first().sign(&named("third", Algorithm::RS256), &said),
    ));
    forged.push((
        "PS256 by an RSA key".into(),
        first().sign(&named("first", Algorithm::PS256), &said),
    ));
    forged.push((
        "RS512 by an RSA key".into(),
        first().sign(&named("first", Algorithm::RS512), &said),
    ));
    forged.push((
        "Ed25519 under an RSA key's kid".into(),
        third().sign(&named("first", Algorithm::EdDSA), &said),
    ));
    forged.push(("no kid".into(), first().sign(&Header::new(Algorithm::RS256), &said)));
    let attacker = second();
    let embedded = Header {
        jwk: serde_json::from_value(attacker.jwk()).ok(),
        ..named("second", Algorithm::RS256)
    };
    assert!(embedded.jwk.is_some());
    forged.push(("an embedded key".into(), attacker.sign(&embedded, &said)));
    for field in ["jku", "x5u"] {
        let mut header = named("second", Algorithm::RS256);
        let theirs = Gateway::start(published(&[second()]));
        let url = Some(format!("{}/.well-known/jwks.json", theirs.url));
        if field == "jku" {
            header.jku = url
        } else {
            header.x5u = url
        }
        assert_eq!(asks(&lucid, &attacker.sign(&header, &said)), 401, "{field}");
        assert_eq!(theirs.asked(), 0, "{field} is not followed");
    }
    let critical = Header { crit: Some(vec!["b64".into()]), ..first().header() };
    forged.push(("a header that demands something".into(), first().sign(&critical, &said)));
    let good = first().token("alice", "user");
    let (signed, signature) = good.rsplit_once('.').unwrap();
    forged.push(("without its signature".into(), format!("{signed}.")));
    forged.push((
        "another token's claims".into(),
        format!("{}.{signature}", first().token("root", "super_admin").rsplit_once('.').unwrap().0),
    ));
    for (what, token) in forged {
        let (status, answer) = lucid.call("GET", "/api/v1/nodes", Some(&token), None);
        assert_eq!(
            (status, answer["error"]["code"].as_str()),
            (401, Some("LUCID_ERR_4010")),
            "{what}: {answer}"
        );
    }
}

#[test]
fn a_new_key_counts_at_once_a_withdrawn_one_soon_not_any_more_and_a_flood_of_unknown_ones_is_not_passed_on()
 {
    let gateway = Gateway::start(published(&[first()]));
    let lucid = serve(
        &gateway,
        &[
            ("LUCID_AUTH_JWKS_GAP_S", "2"),
            ("LUCID_AUTH_JWKS_REFRESH_S", "600"),
            ("LUCID_LIMITS_OTHER_PER_MIN", "0"),
        ],
    );
    eventually("the keys", || (asks(&lucid, &first().token("alice", "user")) == 200).then_some(()));
    let (before, started) = (gateway.asked(), std::time::Instant::now());
    gateway.set(published(&[second(), third()]));
    eventually("the new keys", || {
        (asks(&lucid, &third().token("alice", "user")) == 200).then_some(())
    });
    assert_eq!(
        (
            asks(&lucid, &second().token("alice", "user")),
            asks(&lucid, &first().token("alice", "user"))
        ),
        (200, 401),
        "rotated"
    );

    for number in 0..300_u32 {
        let header = Header { kid: Some(format!("unknown-{number}")), ..third().header() };
        assert_eq!(asks(&lucid, &third().sign(&header, &claims("alice", "user"))), 401);
    }
    let allowed = 2 + started.elapsed().as_secs() / 2;
    let asked = gateway.asked() - before;
    assert!(asked as u64 <= allowed, "{asked} fetches in {:?}", started.elapsed());
    assert_eq!(asks(&lucid, &third().token("alice", "user")), 200);
}

#[test]
fn many_who_bring_a_new_key_at_once_cause_one_fetch() {
    let gateway = Gateway::start(published(&[first()]));
    let lucid =
        serve(&gateway, &[("LUCID_AUTH_JWKS_GAP_S", "1"), ("LUCID_AUTH_JWKS_REFRESH_S", "600")]);
    eventually("the keys", || (asks(&lucid, &first().token("alice", "user")) == 200).then_some(()));
    gateway.set(published(&[first(), third()]));
    let before = gateway.asked();
    let counted = eventually("all of them at once", || {
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..16)
                .map(|_| scope.spawn(|| asks(&lucid, &third().token("alice", "user"))))
                .collect();
            asking.into_iter().map(|one| one.join().unwrap()).collect()
        });
        // Before the gap is over nobody's is known; then everybody waits for the same fetch.
        statuses.contains(&200).then_some(statuses)
    });
    assert!(counted.iter().all(|status| [200, 401].contains(status)), "{counted:?}");
    assert_eq!(gateway.asked() - before, 1);
}

#[test]
fn without_the_gateway_known_keys_stay_good_for_their_time_and_then_an_alert_says_so() {
    let gateway = Gateway::start(Answer::Nothing);
    let times = [
        ("LUCID_AUTH_JWKS_GAP_S", "1"),
        ("LUCID_AUTH_JWKS_REFRESH_S", "1"),
        ("LUCID_AUTH_JWKS_AGE_MAX_S", "8"),
    ];
    let lucid = serve(&gateway, &times);
    let alerts = |lucid: &Lucid| {
        lucid.send("GET", "/health", None, None, &[]).1["checks"]["alerts"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let (status, answer) =
        lucid.call("GET", "/api/v1/nodes", Some(&first().token("alice", "user")), None);
    assert_eq!(
        (status, answer["error"]["code"].as_str()),
        (503, Some("LUCID_ERR_5030")),
        "no key has ever been seen: {answer}"
    );
    eventually("the alert", || alerts(&lucid).contains("gateway_keys").then_some(()));
    assert_eq!(lucid.send("GET", "/readyz", None, None, &[]).0, 200, "the rest works");

    gateway.set(published(&[first()]));
    eventually("the keys", || (asks(&lucid, &first().token("alice", "user")) == 200).then_some(()));
    eventually("the end of the alert", || (!alerts(&lucid).contains("gateway_keys")).then_some(()));

    gateway.set(Answer::Nothing);
    let asked = gateway.asked();
    eventually("a fetch that failed", || (gateway.asked() > asked + 1).then_some(()));
    assert_eq!(asks(&lucid, &first().token("alice", "user")), 200, "what is known stays good");
    eventually("too old keys", || {
        (asks(&lucid, &first().token("alice", "user")) == 503).then_some(())
    });
    eventually("the alert", || alerts(&lucid).contains("gateway_keys").then_some(()));
    gateway.set(published(&[first()]));
    eventually("new keys", || (asks(&lucid, &first().token("alice", "user")) == 200).then_some(()));
}

#[test]
fn only_a_whole_answer_of_the_gateway_itself_is_believed() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let gateway = Gateway::start(published(&[first(), third()]));
    let client = GatewayClient::new(
        &lucid_egress::Egress::default(),
        &format!("{}/.well-known/jwks.json", gateway.url),
        Duration::from_millis(700),
    )
    .unwrap();
    let keys: Vec<_> = block_on(client.fetch()).unwrap().into_iter().map(|key| key.id).collect();
    assert_eq!(keys, ["first", "third"]);
    let other = |status, headers: String, body: String| Answer::Other { status, headers, body };
    let long = json!({ "keys": [], "padding": "x".repeat(70_000) }).to_string();
    for (what, answer) in [
        ("hangs up", Answer::Nothing),
        ("fails", other("500 Oops", String::new(), json!({ "keys": [] }).to_string())),
        (
            "sends elsewhere",
            other("302 Found", format!("location: {}/elsewhere\r\n", gateway.url), String::new()),
        ),
        ("says nonsense", other("200 OK", String::new(), "<html>".into())),
        ("says too much", other("200 OK", String::new(), long)),
        (
            "stops in the middle",
            other("200 OK", "content-length: 900\r\n".into(), "{\"keys\":".into()),
        ),
    ] {
        gateway.set(answer);
        let asked = gateway.asked();
        assert!(block_on(client.fetch()).is_err(), "{what}");
        assert_eq!(gateway.asked() - asked, 1, "{what}: neither repeated nor followed");
    }
}
