//! Who calls: bearer tokens, the gateway's and our own, and what their roles mean here.
//!
//! The key is chosen by the token's `kid` alone, and each key has one algorithm, so that no token can choose how
//! it is checked.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use lucid_model::{
    id::{Digest, NodeId, UserId},
    time::TimeMs,
};
use lucid_service::{Actor, Role};
use serde_json::{Map, Value, json};

/// Clock difference that is forgiven, in seconds.
const LEEWAY_S: u64 = 30;
/// Names the key that the tokens of nodes are signed with.
const NODE_KEY_ID: &str = "lucid-node";
/// Shortest secret that HS256 is safe with, in bytes (RFC 7518, 3.2).
pub const SECRET_BYTES_MIN: usize = 32;

/// How tokens are checked.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    /// `JWT_SECRET`: shared with the gateway.
    pub secret: String,
    /// `JWT_AUDIENCE`: checked only if set.
    pub audience: Option<String>,
    /// `JWT_ISSUER`: checked only if set.
    pub issuer: Option<String>,
    /// How long a node's token is good for, in seconds.
    pub node_token_s: u64,
}

/// A token or a secret that does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No `Authorization: Bearer …`.
    #[error("a bearer token is needed")]
    Missing,
    /// Forged, expired, malformed, of another algorithm.
    #[error("the token does not count: {why}")]
    Invalid {
        /// Why, without a secret in it.
        why: String,
    },
    /// The secret is too short.
    #[error("the JWT secret has fewer than {SECRET_BYTES_MIN} bytes")]
    ShortSecret,
}

/// Checks tokens.
pub struct Authenticator {
    shared: DecodingKey,
    shared_rules: Validation,
    node: DecodingKey,
    node_rules: Validation,
    node_sign: EncodingKey,
    node_token_s: u64,
}

impl Authenticator {
    /// Sets the keys up; nodes' tokens have a key of their own, derived from the secret.
    ///
    /// # Errors
    /// [`TokenError::ShortSecret`].
    pub fn new(settings: &TokenSettings) -> Result<Self, TokenError> {
        if settings.secret.len() < SECRET_BYTES_MIN {
            return Err(TokenError::ShortSecret);
        }
        let node_key = Digest::of(format!("lucid/v1/node-token\0{}", settings.secret).as_bytes());
        let mut shared_rules = rules();
        match &settings.audience {
            Some(audience) => shared_rules.set_audience(&[audience]),
            None => shared_rules.validate_aud = false,
        }
        if let Some(issuer) = &settings.issuer {
            shared_rules.set_issuer(&[issuer]);
        }
        let mut node_rules = rules();
        node_rules.validate_aud = false;
        Ok(Self {
            shared: DecodingKey::from_secret(settings.secret.as_bytes()),
            shared_rules,
            node: DecodingKey::from_secret(&node_key.0),
            node_rules,
            node_sign: EncodingKey::from_secret(&node_key.0),
            node_token_s: settings.node_token_s,
        })
    }

    /// Who a token belongs to.
    ///
    /// # Errors
    /// [`TokenError`] if it does not count.
    pub fn actor(&self, authorization: Option<&str>) -> Result<Actor, TokenError> {
        let token =
            authorization.and_then(|value| value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer "))).ok_or(TokenError::Missing)?;
        let header = decode_header(token).map_err(|error| invalid(&error))?;
        if header.kid.as_deref() == Some(NODE_KEY_ID) {
            let claims = decode::<Map<String, Value>>(token, &self.node, &self.node_rules).map_err(|error| invalid(&error))?.claims;
            return node_actor(&claims);
        }
        let claims = decode::<Map<String, Value>>(token, &self.shared, &self.shared_rules).map_err(|error| invalid(&error))?.claims;
        shared_actor(&claims)
    }

    /// A short-lived token of a node that proved its key, and how many seconds it is good for.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] if it cannot be signed.
    pub fn node_token(&self, node: NodeId, owner: UserId, now: TimeMs) -> Result<(String, u64), TokenError> {
        let issued = now.unix_s_floor();
        let expires = issued.saturating_add(i64::try_from(self.node_token_s).unwrap_or(i64::MAX));
        let claims = json!({ "sub": node.to_string(), "owner": owner.to_string(), "role": "node", "type": "access", "iat": issued, "exp": expires });
        let header = Header { kid: Some(NODE_KEY_ID.into()), ..Header::new(Algorithm::HS256) };
        Ok((encode(&header, &claims, &self.node_sign).map_err(|error| invalid(&error))?, self.node_token_s))
    }
}

/// Mints a token signed with the shared secret: `lucid token issue`.
///
/// # Errors
/// [`TokenError`] if the secret is too short or it cannot be signed.
pub fn issue_token(secret: &str, subject: &str, role: &str, ttl_s: u64, now: TimeMs) -> Result<String, TokenError> {
    if secret.len() < SECRET_BYTES_MIN {
        return Err(TokenError::ShortSecret);
    }
    let issued = now.unix_s_floor();
    let expires = issued.saturating_add(i64::try_from(ttl_s).unwrap_or(i64::MAX));
    let claims = json!({ "sub": subject, "role": role, "type": "access", "iat": issued, "exp": expires });
    encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(secret.as_bytes())).map_err(|error| invalid(&error))
}

fn rules() -> Validation {
    let mut rules = Validation::new(Algorithm::HS256);
    rules.leeway = LEEWAY_S;
    rules.validate_nbf = true;
    rules
}

fn invalid(error: &jsonwebtoken::errors::Error) -> TokenError {
    TokenError::Invalid { why: error.to_string() }
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

fn node_actor(claims: &Map<String, Value>) -> Result<Actor, TokenError> {
    let missing = || TokenError::Invalid { why: "a claim is missing".into() };
    let node: NodeId = text(claims, "sub").and_then(|s| s.parse().ok()).ok_or_else(missing)?;
    let owner: UserId = text(claims, "owner").and_then(|s| s.parse().ok()).ok_or_else(missing)?;
    Ok(Actor {
        user: owner,
        subject: format!("node:{node}"),
        roles: vec![Role::Node],
        node: Some(node),
        enrolment: None,
        request_id: None,
        creates: None,
    })
}

fn shared_actor(claims: &Map<String, Value>) -> Result<Actor, TokenError> {
    if claims.get("type").is_some_and(|kind| kind != "access") {
        return Err(TokenError::Invalid { why: "it is not an access token".into() });
    }
    let subject = text(claims, "sub").or_else(|| text(claims, "user_id")).filter(|s| !s.is_empty());
    let subject = subject.ok_or_else(|| TokenError::Invalid { why: "it names no subject".into() })?;
    let mut words: Vec<&str> = claims.get("roles").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    words.extend(text(claims, "role"));
    let roles = if words.is_empty() { roles_of("user") } else { words.iter().flat_map(|word| roles_of(word)).collect() };
    Ok(Actor {
        user: UserId::from_subject(subject),
        subject: subject.to_owned(),
        roles,
        node: None,
        enrolment: None,
        request_id: None,
        creates: None,
    })
}

/// What the gateway's roles, and ours, mean here; an unknown one means nothing.
fn roles_of(word: &str) -> Vec<Role> {
    match word.to_ascii_lowercase().as_str() {
        "user" => vec![Role::OwnViewer],
        "node_operator" | "owner" => vec![Role::Owner, Role::OwnViewer],
        "viewer" => vec![Role::Viewer],
        "operator" => vec![Role::Operator, Role::Viewer],
        "treasurer" => vec![Role::Treasurer, Role::Viewer],
        "policy-author" => vec![Role::PolicyAuthor],
        "observer" => vec![Role::Observer],
        "admin" => vec![Role::Operator, Role::Viewer, Role::Admin],
        "super_admin" => vec![Role::Operator, Role::Viewer, Role::Admin, Role::Treasurer],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a secret of at least thirty-two bytes";

    fn authenticator() -> Authenticator {
        Authenticator::new(&TokenSettings { secret: SECRET.into(), audience: None, issuer: None, node_token_s: 60 }).unwrap_or_else(|e| panic!("{e}"))
    }
    fn now() -> TimeMs {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        TimeMs(i64::try_from(since.as_millis()).unwrap())
    }
    fn signed(claims: &Value, header: &Header, secret: &str) -> String {
        format!("Bearer {}", encode(header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap())
    }
    fn hs256(claims: &Value) -> String {
        signed(claims, &Header::new(Algorithm::HS256), SECRET)
    }
    fn exp() -> i64 {
        now().unix_s_floor() + 60
    }

    #[test]
    fn the_gateways_tokens_count_with_their_audience_and_issuer() {
        let token = hs256(
            &json!({ "user_id": "alice", "role": "NODE_OPERATOR", "exp": exp(), "iss": "api-gateway", "aud": "lucid-blockchain", "type": "access" }),
        );
        let actor = authenticator().actor(Some(&token)).unwrap();
        assert_eq!((actor.user, actor.subject.as_str()), (UserId::from_subject("alice"), "alice"));
        assert!(actor.is(Role::Owner) && !actor.sees_all());
    }

    #[test]
    fn forged_expired_and_foreign_tokens_do_not_count() {
        let auth = authenticator();
        let claims = json!({ "sub": "alice", "role": "admin", "exp": exp() });
        let none = format!("Bearer {}.{}.", "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0", hs256(&claims).split('.').nth(1).unwrap());
        for (what, token) in [
            ("another secret", signed(&claims, &Header::new(Algorithm::HS256), "another secret, also of 32 bytes..")),
            ("another algorithm", signed(&claims, &Header::new(Algorithm::HS384), SECRET)),
            ("no algorithm", none),
            ("expired", hs256(&json!({ "sub": "alice", "exp": exp() - 200 }))),
            ("not yet", hs256(&json!({ "sub": "alice", "exp": exp(), "nbf": exp() }))),
            ("without an end", hs256(&json!({ "sub": "alice" }))),
            ("a refresh token", hs256(&json!({ "sub": "alice", "exp": exp(), "type": "refresh" }))),
            ("without a subject", hs256(&json!({ "exp": exp() }))),
            ("a node's key id", signed(&claims, &Header { kid: Some(NODE_KEY_ID.into()), ..Header::new(Algorithm::HS256) }, SECRET)),
            ("no bearer", hs256(&claims).replace("Bearer ", "Basic ")),
        ] {
            assert!(auth.actor(Some(&token)).is_err(), "{what}");
        }
        assert_eq!(auth.actor(None).err(), Some(TokenError::Missing));
    }

    #[test]
    fn an_unknown_role_has_no_rights_and_no_role_is_a_user() {
        let of = |claims: Value| authenticator().actor(Some(&hs256(&claims))).unwrap().roles;
        assert_eq!(of(json!({ "sub": "a", "exp": exp() })), [Role::OwnViewer]);
        assert_eq!(of(json!({ "sub": "a", "exp": exp(), "role": "emperor" })), []);
        assert!(of(json!({ "sub": "a", "exp": exp(), "roles": ["super_admin"] })).contains(&Role::Treasurer));
    }

    #[test]
    fn a_nodes_token_is_the_nodes_alone() {
        let (auth, node) = (authenticator(), NodeId(uuid::Uuid::from_u128(7)));
        let (token, _) = auth.node_token(node, UserId(uuid::Uuid::from_u128(1)), now()).unwrap();
        let actor = auth.actor(Some(&format!("Bearer {token}"))).unwrap();
        assert_eq!((actor.node, actor.roles), (Some(node), vec![Role::Node]));
    }

    #[test]
    fn a_short_secret_is_refused() {
        let short = TokenSettings { secret: "short".into(), audience: None, issuer: None, node_token_s: 60 };
        assert_eq!(Authenticator::new(&short).err(), Some(TokenError::ShortSecret));
    }
}
