//! The gateway's public keys (JWKS, RFC 7517).
//!
//! A key is taken only if what it says of itself fits what it is; one that is left out is named in
//! the log.

use std::time::Duration;

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use lucid_egress::{
    Egress, SetupError,
    http::{self, plain},
};
use lucid_ports::{GatewayError, GatewayKey, GatewayKeys, KeyMaterial};
use reqwest::{Client, StatusCode};
use serde::Deserialize;

/// Sizes of RSA keys that are used: smaller is weak, larger is slow to check.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;
/// Longest public exponent, in bytes: 65537 has three.
const RSA_EXPONENT_BYTES_MAX: usize = 4;
/// Longest `kid`, in bytes.
const KEY_ID_BYTES_MAX: usize = 256;

/// The gateway over HTTP.
pub struct GatewayClient {
    url: String,
    client: Client,
}

impl GatewayClient {
    /// Sets the client up; nothing is sent.
    ///
    /// # Errors
    /// [`SetupError`] if TLS cannot be set up.
    pub fn new(egress: &Egress, jwks_url: &str, timeout: Duration) -> Result<Self, SetupError> {
        Ok(Self { url: jwks_url.to_owned(), client: http::client(egress, jwks_url, timeout)? })
    }
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    d: Option<serde::de::IgnoredAny>,
}

#[async_trait]
impl GatewayKeys for GatewayClient {
    async fn fetch(&self) -> Result<Vec<GatewayKey>, GatewayError> {
        let unusable = |detail: String| GatewayError { detail };
        let response =
            self.client.get(&self.url).send().await.map_err(|error| unusable(plain(&error)))?;
        let status = response.status();
        let body = http::body(response).await.map_err(unusable)?;
        if status != StatusCode::OK {
            return Err(unusable(format!("it answers {status}")));
        }
        let set: KeySet = serde_json::from_slice(&body)
            .map_err(|error| unusable(format!("the answer is no key set: {error}")))?;
        Ok(usable(set))
    }
}

/// The keys of a set that count here.
fn usable(set: KeySet) -> Vec<GatewayKey> {
    let mut keys: Vec<GatewayKey> = Vec::new();
    for value in set.keys {
        let name = value
            .get("kid")
            .and_then(serde_json::Value::as_str)
            .unwrap_or("without a kid")
            .chars()
            .take(64)
            .collect::<String>();
        let read =
            serde_json::from_value::<Jwk>(value).map_err(|_| "it is not a JWK").and_then(read);
        match read {
            Ok(key) if keys.iter().any(|known| known.id == key.id) => {
                tracing::warn!(
                    kid = name,
                    "a key of the gateway is ignored: another has the same kid"
                );
            }
            Ok(key) => keys.push(key),
            Err(why) => tracing::warn!(kid = name, why, "a key of the gateway is ignored"),
        }
    }
    keys
}

fn read(jwk: Jwk) -> Result<GatewayKey, &'static str> {
    if jwk.d.is_some() {
        return Err("its private half is published with it");
    }
    if jwk.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
        return Err("it is not for signatures");
    }
    if jwk.key_ops.as_ref().is_some_and(|ops| !ops.iter().any(|op| op == "verify")) {
        return Err("it is not for checking signatures");
    }
    let material = match jwk.kty.as_str() {
        "RSA" => rsa(&jwk)?,
        "OKP" => ed25519(&jwk)?,
        _ => return Err("keys of its type are not used here"),
    };
    let id = jwk
        .kid
        .filter(|id| !id.is_empty() && id.len() <= KEY_ID_BYTES_MAX)
        .ok_or("it has no kid, or one that is too long")?;
    Ok(GatewayKey { id, material })
}

fn bytes(text: Option<&String>) -> Result<Vec<u8>, &'static str> {
    URL_SAFE_NO_PAD
        .decode(text.ok_or("a part of it is missing")?)
        .map_err(|_| "a part of it is not base64url")
}

fn rsa(jwk: &Jwk) -> Result<KeyMaterial, &'static str> {
    if jwk.alg.as_deref().is_some_and(|alg| alg != "RS256") {
        return Err("RSA keys are used for RS256 only");
    }
    let strip =
        |bytes: Vec<u8>| bytes.into_iter().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
    let (modulus, exponent) = (strip(bytes(jwk.n.as_ref())?), strip(bytes(jwk.e.as_ref())?));
    let bits =
        modulus.len() * 8 - modulus.first().map_or(0, |first| first.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err("an RSA key must have 2048 to 4096 bits");
    }
    let odd = exponent.last().is_some_and(|last| last % 2 == 1);
    if !odd || exponent == [1] || exponent.len() > RSA_EXPONENT_BYTES_MAX {
        return Err("its exponent is none that is used");
    }
    Ok(KeyMaterial::Rsa { modulus, exponent })
}

fn ed25519(jwk: &Jwk) -> Result<KeyMaterial, &'static str> {
    if jwk.crv.as_deref() != Some("Ed25519") {
        return Err("of the OKP curves only Ed25519 is used");
    }
    if jwk.alg.as_deref().is_some_and(|alg| alg != "EdDSA") {
        return Err("Ed25519 keys are used for EdDSA only");
    }
    let point = bytes(jwk.x.as_ref())?;
    Ok(KeyMaterial::Ed25519(point.try_into().map_err(|_| "an Ed25519 key has 32 bytes")?))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn encoded(bytes: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }
    fn rsa(changes: Value) -> Value {
        changed(
            json!({ "kty": "RSA", "kid": "r", "n": encoded(&[0xc1; 256]), "e": "AQAB" }),
            changes,
        )
    }
    fn ed(changes: Value) -> Value {
        changed(
            json!({ "kty": "OKP", "crv": "Ed25519", "kid": "e", "x": encoded(&[7; 32]) }),
            changes,
        )
    }
    fn changed(mut key: Value, changes: Value) -> Value {
        for (name, value) in changes.as_object().unwrap() {
            key[name] = value.clone();
        }
        key
    }
    fn taken(keys: &[Value]) -> Vec<String> {
        usable(KeySet { keys: keys.to_vec() }).into_iter().map(|key| key.id).collect()
    }

    #[test]
    fn keys_that_fit_what_they_say_are_taken() {
        let keys = [
            rsa(json!({ "use": "sig", "alg": "RS256", "key_ops": ["verify"] })),
            ed(json!({ "use": "sig", "alg": "EdDSA" })),
            rsa(json!({ "kid": "plain" })),
        ];
        assert_eq!(taken(&keys), ["r", "e", "plain"]);
    }

    #[test]
    fn keys_that_are_weak_or_contradict_themselves_are_left_out_and_spoil_no_other() {
        for (what, key) in [
            ("1024 bits", rsa(json!({ "n": encoded(&[0xc1; 128]) }))),
            ("2047 bits", rsa(json!({ "n": encoded(&[&[0x7f], &[0xc1; 255][..]].concat()) }))),
            (
                "2048 bits only with leading zeros",
                rsa(json!({ "n": encoded(&[&[0; 128], &[0xc1; 128][..]].concat()) })),
            ),
            ("8192 bits", rsa(json!({ "n": encoded(&[0xc1; 1024]) }))),
            ("exponent 1", rsa(json!({ "e": "AQ" }))),
            ("even exponent", rsa(json!({ "e": "AA" }))),
            ("no modulus", rsa(json!({ "n": null }))),
            ("RSA for HS256", rsa(json!({ "alg": "HS256" }))),
            ("RSA for PS256", rsa(json!({ "alg": "PS256" }))),
            ("RSA for EdDSA", rsa(json!({ "alg": "EdDSA" }))),
            ("for encryption", rsa(json!({ "use": "enc" }))),
            ("for signing only", rsa(json!({ "key_ops": ["sign"] }))),
            ("with its private half", rsa(json!({ "d": "AQAB" }))),
            ("without a kid", rsa(json!({ "kid": null }))),
            ("X25519", ed(json!({ "crv": "X25519" }))),
            ("Ed25519 for RS256", ed(json!({ "alg": "RS256" }))),
            ("31 bytes", ed(json!({ "x": encoded(&[7; 31]) }))),
            ("not base64url", ed(json!({ "x": "+/=" }))),
            ("a secret", json!({ "kty": "oct", "kid": "s", "k": "c2VjcmV0" })),
            (
                "another curve",
                json!({ "kty": "EC", "crv": "P-256", "kid": "p", "x": "AQ", "y": "AQ" }),
            ),
            ("no object", json!("r")),
        ] {
            assert_eq!(taken(&[key, ed(json!({ "kid": "good" }))]), ["good"], "{what}");
        }
        assert_eq!(
            taken(&[ed(json!({})), rsa(json!({ "kid": "e" }))]),
            ["e"],
            "the first of two with the same kid"
        );
    }
}
