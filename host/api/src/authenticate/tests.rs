use super::*;

const SECRET: &str = "a secret of at least thirty-two bytes";

fn settings(secret: &str) -> TokenSettings {
    TokenSettings {
        secrets: secrets(&[secret]),
        audience: None,
        issuer: None,
        node_token_s: 60,
        roles: RoleMap::default(),
        roles_claim: RolesClaim::default(),
        gateway: None,
    }
}
fn secrets(texts: &[&str]) -> TokenSecrets {
    let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
    TokenSecrets { shared: texts.clone(), nodes: texts }
}
fn authenticator() -> Authenticator {
    Authenticator::new(settings(SECRET)).unwrap_or_else(|e| panic!("{e}"))
}
fn now() -> TimeMs {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    TimeMs(i64::try_from(since.as_millis()).unwrap())
}
fn signed(claims: &Value, header: &Header, secret: &str) -> String {
    format!(
        "Bearer {}",
        encode(header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    )
}
fn hs256(claims: &Value) -> String {
    signed(claims, &Header::new(Algorithm::HS256), SECRET)
}
fn exp() -> i64 {
    now().unix_s_floor() + 60
}

#[tokio::test]
async fn the_gateways_tokens_count_with_their_audience_and_issuer() {
    let token = hs256(
        &json!({ "user_id": "alice", "role": "NODE_OPERATOR", "exp": exp(), "iss": "api-gateway", "aud": "lucid-blockchain", "type": "access" }),
    );
    let actor = authenticator().actor(Some(&token)).await.unwrap();
    assert_eq!((actor.user, actor.subject.as_str()), (UserId::from_subject("alice"), "alice"));
    assert!(actor.is(Role::Owner) && !actor.sees_all());
}

#[tokio::test]
async fn forged_expired_and_foreign_tokens_do_not_count() {
    let auth = authenticator();
    let claims = json!({ "sub": "alice", "role": "admin", "exp": exp() });
    let none = format!(
        "Bearer {}.{}.",
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0",
        hs256(&claims).split('.').nth(1).unwrap()
    );
    for (what, token) in [
        (
            "another secret",
            signed(&claims, &Header::new(Algorithm::HS256), "another secret, also of 32 bytes.."),
        ),
        ("another algorithm", signed(&claims, &Header::new(Algorithm::HS384), SECRET)),
        ("no algorithm", none),
        ("expired", hs256(&json!({ "sub": "alice", "exp": exp() - 200 }))),
        ("not yet", hs256(&json!({ "sub": "alice", "exp": exp(), "nbf": exp() }))),
        ("without an end", hs256(&json!({ "sub": "alice" }))),
        ("a refresh token", hs256(&json!({ "sub": "alice", "exp": exp(), "type": "refresh" }))),
        ("without a subject", hs256(&json!({ "exp": exp() }))),
        (
            "a node's key id",
            signed(
                &claims,
                &Header { kid: Some(NODE_KEY_ID.into()), ..Header::new(Algorithm::HS256) },
                SECRET,
            ),
        ),
        ("no bearer", hs256(&claims).replace("Bearer ", "Basic ")),
    ] {
        assert!(auth.actor(Some(&token)).await.is_err(), "{what}");
    }
    assert_eq!(auth.actor(None).await.err(), Some(TokenError::Missing));
}

#[tokio::test]
async fn an_unknown_role_has_no_rights_and_no_role_is_a_user() {
    let auth = authenticator();
    let of = async |claims: Value| auth.actor(Some(&hs256(&claims))).await.unwrap().roles;
    assert_eq!(of(json!({ "sub": "a", "exp": exp() })).await, [Role::OwnViewer]);
    assert_eq!(of(json!({ "sub": "a", "exp": exp(), "role": "emperor" })).await, []);
    assert!(
        of(json!({ "sub": "a", "exp": exp(), "roles": ["super_admin"] }))
            .await
            .contains(&Role::Treasurer)
    );
}

#[tokio::test]
async fn a_claim_of_the_wrong_type_is_not_taken_for_an_absent_one() {
    let expecting = Authenticator::new(TokenSettings {
        audience: Some("nodes".into()),
        issuer: Some("gateway".into()),
        ..settings(SECRET)
    })
    .unwrap();
    for auth in [expecting, authenticator()] {
        let of = async |extra: Value| {
            let mut claims = json!({ "sub": "alice", "exp": exp(), "aud": "nodes", "iss": "gateway", "role": "admin" });
            claims.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            auth.actor(Some(&hs256(&claims))).await.map(|actor| actor.roles)
        };
        assert!(of(json!({})).await.unwrap().contains(&Role::Admin));
        assert!(of(json!({ "aud": ["nodes", "other"] })).await.is_ok());
        for wrong in [
            json!({ "aud": 7 }),
            json!({ "aud": { "nodes": true } }),
            json!({ "aud": ["nodes", 7] }),
            json!({ "aud": true }),
            json!({ "iss": ["gateway"] }),
            json!({ "iss": 7 }),
            json!({ "iss": { "gateway": true } }),
            json!({ "sub": 7, "user_id": "bob" }),
            json!({ "sub": ["alice"] }),
            json!({ "type": 1 }),
            json!({ "type": ["access"] }),
            json!({ "role": 7 }),
            json!({ "roles": { "admin": true } }),
            json!({ "roles": ["admin", 7] }),
            json!({ "exp": "never" }),
            json!({ "exp": null }),
            json!({ "nbf": "soon" }),
        ] {
            assert!(matches!(of(wrong.clone()).await, Err(TokenError::Invalid { .. })), "{wrong}");
        }
    }
}

#[tokio::test]
async fn roles_are_read_however_a_gateway_writes_them() {
    let of = async |claim: &str, claims: Value| {
        let auth = Authenticator::new(TokenSettings {
            roles_claim: RolesClaim::at(claim),
            ..settings(SECRET)
        })
        .unwrap();
        let mut all = json!({ "sub": "alice", "exp": exp() });
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        auth.actor(Some(&hs256(&all))).await.unwrap().is(Role::Admin)
    };
    for (claim, claims, admin) in [
        ("", json!({ "roles": "admin" }), true),
        ("", json!({ "roles": "user admin" }), true),
        ("", json!({ "roles": ["user", "ADMIN"] }), true),
        ("", json!({ "role": ["admin"] }), true),
        ("", json!({ "roles": null, "role": "admin" }), true),
        ("", json!({ "roles": "administrator" }), false),
        ("", json!({ "realm_access": { "roles": ["admin"] } }), false),
        (
            "realm_access.roles",
            json!({ "realm_access": { "roles": ["offline_access", "admin"] } }),
            true,
        ),
        ("realm_access.roles", json!({ "realm_access": { "roles": "admin" } }), true),
        (
            "realm_access.roles",
            json!({ "realm_access": {}, "roles": ["admin"], "role": "admin" }),
            false,
        ),
        ("realm_access.roles", json!({ "realm_access": "admin" }), false),
        ("https://example.org/roles", json!({ "https://example.org/roles": ["admin"] }), true),
        ("groups", json!({ "groups": ["admin"] }), true),
    ] {
        assert_eq!(of(claim, claims.clone()).await, admin, "{claim} {claims}");
    }
    for claim in ["", "groups", "realm_access.roles", "a.b.c"] {
        let auth = Authenticator::new(TokenSettings {
            roles_claim: RolesClaim::at(claim),
            ..settings(SECRET)
        })
        .unwrap();
        let token =
            issue_token_with(&RolesClaim::at(claim), SECRET, "root", "super_admin", 60, now())
                .unwrap();
        assert!(
            auth.actor(Some(&format!("Bearer {token}"))).await.unwrap().is(Role::Treasurer),
            "{claim}"
        );
    }
}

#[tokio::test]
async fn the_scheme_has_any_letter_case_and_a_token_its_end() {
    let (auth, until) = (authenticator(), exp());
    let token = hs256(&json!({ "sub": "alice", "exp": until }));
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer  "] {
        let actor = auth.actor(Some(&token.replace("Bearer", scheme))).await.unwrap();
        assert_eq!(actor.expires_at, Some(TimeMs(until * 1_000)), "{scheme}");
        let left = time_left(&actor).unwrap().as_secs();
        assert!((80..=90).contains(&left), "{left} s, with what is forgiven");
    }
    for scheme in ["Bear", "Bearer:", "", "Basic"] {
        assert_eq!(
            auth.actor(Some(&token.replace("Bearer", scheme))).await.err(),
            Some(TokenError::Missing),
            "{scheme}"
        );
    }
    let fraction =
        auth.actor(Some(&hs256(&json!({ "sub": "alice", "exp": 4_102_444_800.5 })))).await.unwrap();
    assert!(time_left(&fraction).unwrap().as_secs() > 1_000_000_000);
}

#[tokio::test]
async fn a_nodes_token_is_the_nodes_alone() {
    let (auth, node) = (authenticator(), NodeId(uuid::Uuid::from_u128(7)));
    let (token, _) =
        auth.node_token(node, PublicKey([9; 32]), UserId(uuid::Uuid::from_u128(1)), now()).unwrap();
    let actor = auth.actor(Some(&format!("Bearer {token}"))).await.unwrap();
    assert_eq!(
        (actor.node, actor.node_key, actor.roles),
        (Some(node), Some(PublicKey([9; 32])), vec![Role::Node])
    );
}

#[test]
fn a_short_secret_is_refused() {
    assert_eq!(Authenticator::new(settings("short")).err(), Some(TokenError::ShortSecret));
}

#[tokio::test]
async fn a_secret_is_rotated_without_an_hour_in_which_tokens_do_not_count() {
    const NEXT: &str = "the next secret, of thirty-two bytes";
    let auth = authenticator();
    let by = |secret: &str, exp: i64| {
        signed(
            &json!({ "sub": "alice", "role": "admin", "exp": exp }),
            &Header::new(Algorithm::HS256),
            secret,
        )
    };
    let node = || {
        auth.node_token(
            NodeId(uuid::Uuid::nil()),
            PublicKey([7; 32]),
            UserId::from_subject("alice"),
            now(),
        )
        .unwrap()
        .0
    };
    let (old, new, of_node) = (by(SECRET, exp()), by(NEXT, exp()), format!("Bearer {}", node()));
    assert!(auth.actor(Some(&old)).await.is_ok() && auth.actor(Some(&new)).await.is_err());
    auth.replace(&secrets(&[NEXT, SECRET])).unwrap();
    for token in [&old, &new, &of_node] {
        assert!(auth.actor(Some(token)).await.is_ok());
    }
    let newer_of_node = format!("Bearer {}", node());
    let late = auth.actor(Some(&by(SECRET, exp() - 200))).await.unwrap_err();
    assert!(
        late.to_string().contains("ExpiredSignature"),
        "what the key that signed it says: {late}"
    );
    assert_eq!(auth.replace(&secrets(&[NEXT, "short"])), Err(TokenError::ShortSecret));
    assert!(auth.actor(Some(&old)).await.is_ok(), "nothing has changed");
    auth.replace(&secrets(&[NEXT])).unwrap();
    for token in [&old, &of_node] {
        assert!(auth.actor(Some(token)).await.is_err());
    }
    assert!(auth.actor(Some(&new)).await.is_ok() && auth.actor(Some(&newer_of_node)).await.is_ok());
}
