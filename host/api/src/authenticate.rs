//! Who calls: bearer tokens, the gateway's and our own, and what their roles mean here.
//!
//! The key is chosen by the token's `kid` alone, and each key has one algorithm, so that no token
//! can choose how it is checked. What else a token's header says of keys (`jwk`, `jku`, `x5u`,
//! `x5c`) is not looked at.

mod claims;
mod keyring;
mod roles;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use claims::text;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode,
};
use keyring::Keyring;
use lucid_model::{
    fleet::node::PublicKey,
    id::{Digest, NodeId, UserId},
    time::TimeMs,
};
use lucid_ports::GatewayKeys;
use lucid_service::{Actor, Role};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

pub use claims::RolesClaim;
pub use keyring::KeyringSettings;
pub use roles::{RoleMap, RoleMapError};

/// Clock difference that is forgiven, in seconds.
const LEEWAY_S: u64 = 30;
/// Names the key that the tokens of nodes are signed with.
const NODE_KEY_ID: &str = "lucid-node";
/// How the library calls a signature by another key.
const FORGED: &str = "InvalidSignature";
/// Shortest secret that HS256 is safe with, in bytes (RFC 7518, 3.2).
pub const SECRET_BYTES_MIN: usize = 32;

/// What tokens are signed with: the first secret of each list signs, and each of them checks.
#[derive(Clone, Default)]
pub struct TokenSecrets {
    /// `JWT_SECRET`: shared with the gateway; none: only its keys count.
    pub shared: Vec<String>,
    /// What keys of nodes' tokens are derived from.
    pub nodes: Vec<String>,
}

/// How tokens are checked.
pub struct TokenSettings {
    /// The first ones; [`Authenticator::replace`] takes others.
    pub secrets: TokenSecrets,
    /// `JWT_AUDIENCE`: checked only if set.
    pub audience: Option<String>,
    /// `JWT_ISSUER`: checked only if set.
    pub issuer: Option<String>,
    /// How long a node's token is good for, in seconds.
    pub node_token_s: u64,
    /// What roles mean.
    pub roles: RoleMap,
    /// Where they are.
    pub roles_claim: RolesClaim,
    /// Where the gateway's keys come from, and how they are kept.
    pub gateway: Option<(Arc<dyn GatewayKeys>, KeyringSettings)>,
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
    /// The token may be good, and there is nothing to check it with.
    #[error(
        "the gateway's keys cannot be had, and the token cannot be checked without them: try again later"
    )]
    NoKeys,
    /// The secret is too short.
    #[error("the JWT secret has fewer than {SECRET_BYTES_MIN} bytes")]
    ShortSecret,
}

type Claims = Map<String, Value>;

/// What tokens have to say besides who they are for.
#[derive(Debug, Clone)]
struct Expected {
    audience: Option<String>,
    issuer: Option<String>,
}

impl Expected {
    const NOTHING: Self = Self { audience: None, issuer: None };

    /// How tokens by a key of this algorithm are checked. Where a key signs for others too,
    /// audience and issuer have to be there; with the shared secret they only must not be wrong.
    fn rules(&self, algorithm: Algorithm, strict: bool) -> Validation {
        let mut rules = Validation::new(algorithm);
        rules.leeway = LEEWAY_S;
        rules.validate_nbf = true;
        match &self.audience {
            Some(audience) => rules.set_audience(&[audience]),
            None => rules.validate_aud = false,
        }
        if let Some(issuer) = &self.issuer {
            rules.set_issuer(&[issuer]);
        }
        if strict {
            let named = [("aud", &self.audience), ("iss", &self.issuer)]
                .into_iter()
                .filter(|(_, wanted)| wanted.is_some());
            rules.required_spec_claims.extend(named.map(|(claim, _)| claim.to_owned()));
        }
        rules
    }
}

/// A key with the one way it is used.
struct Checker {
    key: DecodingKey,
    rules: Validation,
}

impl Checker {
    fn hs256(secret: &[u8], expected: &Expected) -> Self {
        Self {
            key: DecodingKey::from_secret(secret),
            rules: expected.rules(Algorithm::HS256, false),
        }
    }

    fn claims(&self, token: &str) -> Result<Claims, TokenError> {
        let claims = decode::<Claims>(token, &self.key, &self.rules)
            .map_err(|error| invalid(&error))?
            .claims;
        claims::check(&claims)?;
        Ok(claims)
    }
}

/// What secrets became.
struct Keys {
    shared: Vec<Checker>,
    nodes: Vec<Checker>,
    node_sign: EncodingKey,
}

impl Keys {
    fn new(secrets: &TokenSecrets, expected: &Expected) -> Result<Self, TokenError> {
        let all = || secrets.shared.iter().chain(&secrets.nodes);
        let node_keys: Vec<_> = secrets
            .nodes
            .iter()
            .map(|secret| Digest::of(format!("lucid/v1/node-token\0{secret}").as_bytes()))
            .collect();
        let signing = node_keys
            .first()
            .filter(|_| all().all(|secret| secret.len() >= SECRET_BYTES_MIN))
            .ok_or(TokenError::ShortSecret)?;
        Ok(Self {
            shared: secrets
                .shared
                .iter()
                .map(|secret| Checker::hs256(secret.as_bytes(), expected))
                .collect(),
            node_sign: EncodingKey::from_secret(&signing.0),
            nodes: node_keys.iter().map(|key| Checker::hs256(&key.0, &Expected::NOTHING)).collect(),
        })
    }
}

/// What the first key that signed a token finds in it; while a secret is rotated there are two.
fn by_any(checkers: &[Checker], token: &str) -> Result<Claims, TokenError> {
    let mut refused = None;
    for checker in checkers {
        match checker.claims(token) {
            Ok(claims) => return Ok(claims),
            Err(TokenError::Invalid { why }) if why == FORGED && refused.is_some() => {}
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.unwrap_or_else(|| TokenError::Invalid {
        why: "no key that is known here is named by it".into(),
    }))
}

/// Checks tokens.
pub struct Authenticator {
    keys: ArcSwap<Keys>,
    expected: Expected,
    gateway: Option<Keyring>,
    roles: RoleMap,
    roles_claim: RolesClaim,
    node_token_s: u64,
}

impl Authenticator {
    /// Sets the keys up; nodes' tokens have a key of their own.
    ///
    /// # Errors
    /// [`TokenError::ShortSecret`].
    pub fn new(settings: TokenSettings) -> Result<Self, TokenError> {
        let expected = Expected { audience: settings.audience, issuer: settings.issuer };
        Ok(Self {
            keys: ArcSwap::from_pointee(Keys::new(&settings.secrets, &expected)?),
            gateway: settings
                .gateway
                .map(|(source, keyring)| Keyring::new(source, keyring, expected.clone())),
            expected,
            roles: settings.roles,
            roles_claim: settings.roles_claim,
            node_token_s: settings.node_token_s,
        })
    }

    /// Signs and checks with other secrets from now on.
    ///
    /// # Errors
    /// [`TokenError::ShortSecret`]: nothing has changed.
    pub fn replace(&self, secrets: &TokenSecrets) -> Result<(), TokenError> {
        self.keys.store(Arc::new(Keys::new(secrets, &self.expected)?));
        Ok(())
    }

    /// Who a token belongs to.
    ///
    /// # Errors
    /// [`TokenError`] if it does not count, or cannot be checked.
    pub async fn actor(&self, authorization: Option<&str>) -> Result<Actor, TokenError> {
        let token = authorization.and_then(bearer).ok_or(TokenError::Missing)?;
        let header = decode_header(token).map_err(|error| invalid(&error))?;
        if header.crit.is_some() {
            return Err(TokenError::Invalid {
                why: "its header demands what is not understood here".into(),
            });
        }
        if header.kid.as_deref() == Some(NODE_KEY_ID) {
            return node_actor(&by_any(&self.keys.load().nodes, token)?);
        }
        self.shared_actor(&self.claims(&header, token).await?)
    }

    /// What a token of the gateway says: by the key it names, else by the secret; a key that is not
    /// known yet is asked for.
    async fn claims(&self, header: &Header, token: &str) -> Result<Claims, TokenError> {
        let named = self.gateway.as_ref().zip(header.kid.as_deref());
        if let Some(checked) = named.and_then(|(gateway, kid)| gateway.check(kid, token)) {
            return checked;
        }
        let by_secret = by_any(&self.keys.load().shared, token);
        match (by_secret, named) {
            // No key of the gateway is for HS256: there is nothing to ask for.
            (Err(_), Some((gateway, kid))) if header.alg != Algorithm::HS256 => {
                gateway.check_renewed(kid, token).await
            }
            (checked, _) => checked,
        }
    }

    /// Keeps the gateway's keys until told to stop; `told` learns after each fetch what is wrong,
    /// if anything is.
    pub async fn keep_gateway_keys(
        &self,
        stop: CancellationToken,
        told: impl Fn(Option<&'static str>),
    ) {
        if let Some(gateway) = &self.gateway {
            gateway.keep(&stop, told).await;
        }
    }

    /// A short-lived token of a node that proved its key, and how many seconds it is good for.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] if it cannot be signed.
    pub fn node_token(
        &self,
        node: NodeId,
        key: PublicKey,
        owner: UserId,
        now: TimeMs,
    ) -> Result<(String, u64), TokenError> {
        let issued = now.unix_s_floor();
        let expires = issued.saturating_add(i64::try_from(self.node_token_s).unwrap_or(i64::MAX));
        let key = Digest(key.0).to_string();
        let claims = json!({
            "sub": node.to_string(), "key": key, "owner": owner.to_string(), "role": "node", "type": "access", "iat": issued, "exp": expires,
        });
        let header = Header { kid: Some(NODE_KEY_ID.into()), ..Header::new(Algorithm::HS256) };
        Ok((
            encode(&header, &claims, &self.keys.load().node_sign)
                .map_err(|error| invalid(&error))?,
            self.node_token_s,
        ))
    }

    fn shared_actor(&self, claims: &Claims) -> Result<Actor, TokenError> {
        if claims.get("type").is_some_and(|kind| kind != "access") {
            return Err(TokenError::Invalid { why: "it is not an access token".into() });
        }
        let subject =
            text(claims, "sub").or_else(|| text(claims, "user_id")).filter(|s| !s.is_empty());
        let subject =
            subject.ok_or_else(|| TokenError::Invalid { why: "it names no subject".into() })?;
        let words = self.roles_claim.words(claims)?;
        let roles = if words.is_empty() {
            self.roles.roles_of(["user"])
        } else {
            self.roles.roles_of(words)
        };
        Ok(Actor {
            user: UserId::from_subject(subject),
            subject: subject.to_owned(),
            roles,
            node: None,
            node_key: None,
            enrolment: None,
            request_id: None,
            creates: None,
            expected: None,
            expires_at: claims::expiry(claims),
        })
    }
}

/// Mints a token signed with the shared secret: `lucid token issue`.
///
/// # Errors
/// [`TokenError`] if the secret is too short or it cannot be signed.
pub fn issue_token(
    secret: &str,
    subject: &str,
    role: &str,
    ttl_s: u64,
    now: TimeMs,
) -> Result<String, TokenError> {
    issue_token_with(&RolesClaim::default(), secret, subject, role, ttl_s, now)
}

/// The same for a service that reads roles from another claim.
///
/// # Errors
/// As [`issue_token`].
pub fn issue_token_with(
    claim: &RolesClaim,
    secret: &str,
    subject: &str,
    role: &str,
    ttl_s: u64,
    now: TimeMs,
) -> Result<String, TokenError> {
    if secret.len() < SECRET_BYTES_MIN {
        return Err(TokenError::ShortSecret);
    }
    let issued = now.unix_s_floor();
    let expires = issued.saturating_add(i64::try_from(ttl_s).unwrap_or(i64::MAX));
    let mut claims = Claims::new();
    claim.put(role, &mut claims);
    for (name, value) in [
        ("sub", json!(subject)),
        ("type", json!("access")),
        ("iat", json!(issued)),
        ("exp", json!(expires)),
    ] {
        claims.insert(name.into(), value);
    }
    encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(secret.as_bytes()))
        .map_err(|error| invalid(&error))
}

fn invalid(error: &jsonwebtoken::errors::Error) -> TokenError {
    TokenError::Invalid { why: error.to_string() }
}

/// The token of an `Authorization` header; the scheme's letter case makes no difference (RFC 9110,
/// 11.1).
pub(crate) fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(token.trim_matches(' '))
}

/// How long a caller's token is still good, by the clock that tokens are checked with; none if it
/// has no end.
pub fn time_left(actor: &Actor) -> Option<Duration> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let end = Duration::from_millis(u64::try_from(actor.expires_at?.0).unwrap_or_default())
        + Duration::from_secs(LEEWAY_S);
    Some(end.saturating_sub(now))
}

fn node_actor(claims: &Claims) -> Result<Actor, TokenError> {
    let missing = || TokenError::Invalid { why: "a claim is missing".into() };
    let node: NodeId = text(claims, "sub").and_then(|s| s.parse().ok()).ok_or_else(missing)?;
    let key: Digest = text(claims, "key").and_then(|s| s.parse().ok()).ok_or_else(missing)?;
    let owner: UserId = text(claims, "owner").and_then(|s| s.parse().ok()).ok_or_else(missing)?;
    Ok(Actor {
        user: owner,
        subject: format!("node:{node}"),
        roles: vec![Role::Node],
        node: Some(node),
        node_key: Some(PublicKey(key.0)),
        enrolment: None,
        request_id: None,
        creates: None,
        expected: None,
        expires_at: claims::expiry(claims),
    })
}
