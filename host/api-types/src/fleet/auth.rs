//! How a node proves who it is: challenges, tokens, and the headers of signed requests.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lucid_model::{fleet::node::PublicKey, id::NodeId, money::tron::TronAddress};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    fields::{FieldError, Fields, Request},
    fleet::node::public_key,
    schema,
};

/// Longest body of a caller who has no token yet: several times what is needed.
const BODY_BYTES_MAX: usize = 4 * 1024;
/// When a registration was signed: Unix milliseconds.
pub const HEADER_TIMESTAMP: &str = "x-lucid-timestamp";
/// A text that the node uses once.
pub const HEADER_NONCE: &str = "x-lucid-nonce";
/// Ed25519 signature, base64.
pub const HEADER_SIGNATURE: &str = "x-lucid-signature";
/// A report's place in the node's sequence.
pub const HEADER_SEQUENCE: &str = "x-lucid-sequence";
/// An enrolment token, in place of an owner's.
pub const HEADER_ENROLMENT: &str = "x-lucid-enrolment-token";
/// Names a request, so that a repeat gets the answer the first one had.
pub const HEADER_IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The path that a registration's signature names.
pub const REGISTRATION_PATH: &str = "/api/v1/nodes";
/// Longest nonce.
pub const NONCE_LENGTH_MAX: usize = 128;

/// Asks for a challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChallengeRequest {
    /// Which node.
    #[schema(value_type = schema::Id)]
    pub node_id: String,
}

impl Request for ChallengeRequest {
    const IGNORES_UNKNOWN: bool = true;
    const BODY_BYTES_MAX: usize = BODY_BYTES_MAX;
    type Valid = NodeId;
    fn read(fields: &Fields<'_>) -> Result<NodeId, FieldError> {
        fields.require("node_id", fields.parsed("node_id")?)
    }
}

/// A challenge to be signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChallengeBody {
    /// What to sign.
    pub challenge: String,
    /// Until when.
    #[schema(value_type = schema::Timestamp)]
    pub expires_at: String,
}

/// Asks for a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenRequest {
    /// Which node.
    #[schema(value_type = schema::Id)]
    pub node_id: String,
    /// What was signed.
    #[schema(value_type = schema::Challenge)]
    pub challenge: String,
    /// Ed25519, base64 of 64 bytes.
    #[schema(value_type = schema::Signature)]
    pub signature: String,
}

/// A checked request for a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedChallenge {
    /// Which node.
    pub node: NodeId,
    /// What was signed.
    pub challenge: String,
    /// 64 bytes.
    pub signature: Vec<u8>,
}

impl Request for TokenRequest {
    const IGNORES_UNKNOWN: bool = true;
    const BODY_BYTES_MAX: usize = BODY_BYTES_MAX;
    type Valid = SignedChallenge;
    fn read(fields: &Fields<'_>) -> Result<SignedChallenge, FieldError> {
        Ok(SignedChallenge {
            node: fields.require("node_id", fields.parsed("node_id")?)?,
            challenge: fields.require("challenge", fields.text("challenge", 1..=255)?)?,
            signature: fields.require("signature", fields.base64("signature", 64..=64)?)?,
        })
    }
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenBody {
    /// The token.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: String,
    /// Seconds.
    pub expires_in: u64,
}

/// A node's next key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RotateKeyRequest {
    /// Ed25519, base64 of 32 bytes.
    #[schema(value_type = schema::PublicKey)]
    pub public_key: String,
    /// By the next key, over what the node's present key signs in the headers: somebody has it.
    #[schema(value_type = schema::Signature)]
    pub signature: String,
}

/// A checked next key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextKey {
    /// The key.
    pub key: PublicKey,
    /// 64 bytes, by it.
    pub signature: Vec<u8>,
}

impl Request for RotateKeyRequest {
    const IGNORES_UNKNOWN: bool = true;
    type Valid = NextKey;
    fn read(fields: &Fields<'_>) -> Result<NextKey, FieldError> {
        Ok(NextKey {
            key: fields.require("public_key", public_key(fields, "public_key")?)?,
            signature: fields.require("signature", fields.base64("signature", 64..=64)?)?,
        })
    }
}

/// Where a node's earnings go from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WalletRequest {
    /// A TRON address.
    #[schema(value_type = schema::GivenTronAddress)]
    pub wallet_address: String,
}

impl Request for WalletRequest {
    type Valid = TronAddress;
    fn read(fields: &Fields<'_>) -> Result<TronAddress, FieldError> {
        fields.require("wallet_address", fields.parsed("wallet_address")?)
    }
}

/// The header of a signed change of wallet, as documented.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct WalletHeaders {
    /// By the node's key, over `lucid/v1/wallet`, node id, address and the version of the wallet it
    /// replaces (0: none).
    #[param(rename = "x-lucid-signature", value_type = Option<schema::Signature>)]
    pub signature: Option<String>,
}

/// The headers of a signed registration, as documented; all three, or none.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct RegistrationHeaders {
    /// When it was signed: Unix milliseconds.
    #[param(rename = "x-lucid-timestamp")]
    pub timestamp: Option<i64>,
    /// A text that the node uses once.
    #[param(rename = "x-lucid-nonce", value_type = Option<schema::Nonce>)]
    pub nonce: Option<String>,
    /// By the node's key, over `lucid/v1/registration`, method, path, SHA-256 of the body,
    /// timestamp and nonce.
    #[param(rename = "x-lucid-signature", value_type = Option<schema::Signature>)]
    pub signature: Option<String>,
}

/// The headers of a change of key, as documented.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct RotationHeaders {
    /// When it was signed: Unix milliseconds.
    #[param(rename = "x-lucid-timestamp")]
    pub timestamp: i64,
    /// A text that the node uses once.
    #[param(rename = "x-lucid-nonce", value_type = schema::Nonce)]
    pub nonce: String,
    /// By the node's present key, over `lucid/v1/key-rotation`, node id, next key, timestamp and
    /// nonce.
    #[param(rename = "x-lucid-signature", value_type = schema::Signature)]
    pub signature: String,
}

/// The headers of a signed report, as documented; both, or none.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct ReportHeaders {
    /// The report's place in the node's sequence: each is higher than the one before.
    #[param(rename = "x-lucid-sequence", minimum = 1, maximum = 9_223_372_036_854_775_807_u64)]
    pub sequence: Option<u64>,
    /// By the node's key, over `lucid/v1/report`, the route's last word, node id, sequence and
    /// SHA-256 of the body.
    #[param(rename = "x-lucid-signature", value_type = Option<schema::Signature>)]
    pub signature: Option<String>,
}

/// What the headers of a signed registration say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationSignature {
    /// When it was signed, by the node's clock.
    pub timestamp_ms: i64,
    /// Used once.
    pub nonce: String,
    /// 64 bytes.
    pub signature: Vec<u8>,
}

/// What the headers of a signed report say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportSignature {
    /// Place in the node's sequence.
    pub sequence: u64,
    /// 64 bytes.
    pub signature: Vec<u8>,
}

impl RegistrationSignature {
    /// Reads the headers; none if the request is not signed. What is there is well formed even
    /// then.
    ///
    /// # Errors
    /// [`FieldError`] naming the header that is missing or wrong.
    pub fn read<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Result<Option<Self>, FieldError> {
        let timestamp = match header(HEADER_TIMESTAMP) {
            None => None,
            Some(text) => Some(
                text.parse()
                    .map_err(|_| FieldError::new(HEADER_TIMESTAMP, "must be Unix milliseconds"))?,
            ),
        };
        let nonce = header(HEADER_NONCE);
        if nonce.is_some_and(|nonce| {
            !(1..=NONCE_LENGTH_MAX).contains(&nonce.len())
                || !nonce.bytes().all(|b| b.is_ascii_graphic())
        }) {
            return Err(FieldError::new(
                HEADER_NONCE,
                format!("must have 1 to {NONCE_LENGTH_MAX} visible ASCII characters"),
            ));
        }
        let Some(signature) = signature(&header)? else { return Ok(None) };
        Ok(Some(Self {
            timestamp_ms: timestamp.ok_or_else(|| with_signature(HEADER_TIMESTAMP))?,
            nonce: nonce.ok_or_else(|| with_signature(HEADER_NONCE))?.to_owned(),
            signature,
        }))
    }
}

impl ReportSignature {
    /// Reads the headers; none if the request is not signed. What is there is well formed even
    /// then.
    ///
    /// # Errors
    /// [`FieldError`] naming the header that is missing or wrong.
    pub fn read<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Result<Option<Self>, FieldError> {
        // Stores keep signed 64-bit numbers.
        let problem = || {
            FieldError::new(
                HEADER_SEQUENCE,
                format!("must be a whole number from 1 to {}", i64::MAX),
            )
        };
        let number = |text: &str| {
            text.parse()
                .ok()
                .filter(|n| (1..=i64::MAX.unsigned_abs()).contains(n))
                .ok_or_else(problem)
        };
        let sequence = header(HEADER_SEQUENCE).map(number).transpose()?;
        let Some(signature) = signature(&header)? else { return Ok(None) };
        Ok(Some(Self {
            sequence: sequence.ok_or_else(|| with_signature(HEADER_SEQUENCE))?,
            signature,
        }))
    }
}

fn with_signature(header: &str) -> FieldError {
    FieldError::new(header, format!("is required with {HEADER_SIGNATURE}"))
}

/// Reads the signature of a request, if it has one.
///
/// # Errors
/// [`FieldError`] if it is none.
pub fn signature<'a>(
    header: &impl Fn(&str) -> Option<&'a str>,
) -> Result<Option<Vec<u8>>, FieldError> {
    let Some(text) = header(HEADER_SIGNATURE) else { return Ok(None) };
    let bytes = STANDARD.decode(text).ok().filter(|bytes| bytes.len() == 64);
    bytes.map(Some).ok_or_else(|| FieldError::new(HEADER_SIGNATURE, "must be base64 of 64 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_report_has_a_sequence_number() {
        let signature = STANDARD.encode([1; 64]);
        let read = |sequence: &str| {
            let header = |name: &str| match name {
                HEADER_SIGNATURE => Some(signature.as_str()),
                HEADER_SEQUENCE => Some(sequence),
                _ => None,
            };
            ReportSignature::read(header).map(|s| s.map(|s| s.sequence)).map_err(|e| e.field)
        };
        assert_eq!(read("5"), Ok(Some(5)));
        assert_eq!(read("0"), Err(HEADER_SEQUENCE.into()));
        assert_eq!(read("x"), Err(HEADER_SEQUENCE.into()));
        assert_eq!(ReportSignature::read(|_| None), Ok(None));
    }

    #[test]
    fn a_header_that_needs_a_signature_is_well_formed_even_without_one() {
        let registration = |name: &'static str, value: &'static str| {
            RegistrationSignature::read(|header| (header == name).then_some(value))
                .map(|s| s.is_some())
                .map_err(|e| e.field)
        };
        assert_eq!(registration(HEADER_TIMESTAMP, "0"), Ok(false));
        assert_eq!(registration(HEADER_TIMESTAMP, "soon"), Err(HEADER_TIMESTAMP.into()));
        assert_eq!(registration(HEADER_NONCE, "with a space"), Err(HEADER_NONCE.into()));
        let report = |value: &'static str| {
            ReportSignature::read(|header| (header == HEADER_SEQUENCE).then_some(value))
                .map_err(|e| e.field)
        };
        assert_eq!((report("1"), report("first")), (Ok(None), Err(HEADER_SEQUENCE.into())));
    }
}
