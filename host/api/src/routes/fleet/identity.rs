use axum::{Json as Answer, extract::State};
use lucid_api_types::{
    ErrorBody,
    fleet::auth::{ChallengeBody, ChallengeRequest, TokenBody, TokenRequest},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{api::Shared, errors::ApiError, extract::Json};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(challenge)).routes(routes!(token))
}

/// Gives a node something to sign.
///
/// Needs no token. The answer is signed with the node's Ed25519 key and sent to
/// `/api/v1/auth/token` before it expires.
#[utoipa::path(post, path = "/api/v1/auth/challenge", operation_id = "requestChallenge", tag = "auth", security(()), request_body = ChallengeRequest,
    responses((status = 200, body = ChallengeBody, description = "What to sign"),
        (status = 404, body = ErrorBody, description = "No such node, or it has no key")))]
async fn challenge(
    State(api): State<Shared>,
    json: Json<ChallengeRequest>,
) -> Result<Answer<ChallengeBody>, ApiError> {
    let given = api.service.fleet.challenge(json.value).await?;
    Ok(Answer(ChallengeBody {
        challenge: given.challenge,
        expires_at: given.expires_at.to_string(),
    }))
}

/// Gives a node that signed its challenge a short-lived token.
///
/// Needs no token. What it gives is good for the node's own record and reports only.
#[utoipa::path(post, path = "/api/v1/auth/token", operation_id = "issueNodeToken", tag = "auth", security(()), request_body = TokenRequest,
    responses((status = 200, body = TokenBody, description = "The token"),
        (status = 401, body = ErrorBody, description = "Not this node's signature, or the challenge is used up or too old"),
        (status = 404, body = ErrorBody, description = "No such node")))]
async fn token(
    State(api): State<Shared>,
    json: Json<TokenRequest>,
) -> Result<Answer<TokenBody>, ApiError> {
    let signed = json.value;
    let node = api.service.fleet.prove(signed.node, &signed.challenge, &signed.signature).await?;
    let key =
        node.public_key.ok_or_else(|| ApiError::internal(&"a node without a key proved it"))?;
    let (access_token, expires_in) =
        api.auth.node_token(node.id, key, node.owner, api.service.clock.now())?;
    Ok(Answer(TokenBody { access_token, token_type: "Bearer".into(), expires_in }))
}
