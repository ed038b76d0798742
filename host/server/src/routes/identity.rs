use axum::{Json as Answer, extract::State};
use lucid_wire::{
    ErrorBody,
    auth::{ChallengeBody, ChallengeRequest, TokenBody, TokenRequest},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{api::Shared, errors::ApiError, extract::Json};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(challenge)).routes(routes!(token))
}

/// Gives a node something to sign.
#[utoipa::path(post, path = "/api/v1/auth/challenge", tag = "auth", security(()), request_body = ChallengeRequest,
    responses((status = 200, body = ChallengeBody), (status = 404, body = ErrorBody)))]
async fn challenge(State(api): State<Shared>, json: Json<ChallengeRequest>) -> Result<Answer<ChallengeBody>, ApiError> {
    let given = api.service.challenge(json.value).await?;
    Ok(Answer(ChallengeBody { challenge: given.challenge, expires_at: given.expires_at.to_string() }))
}

/// Gives a node that signed its challenge a short-lived token.
#[utoipa::path(post, path = "/api/v1/auth/token", tag = "auth", security(()), request_body = TokenRequest,
    responses((status = 200, body = TokenBody), (status = 401, body = ErrorBody)))]
async fn token(State(api): State<Shared>, json: Json<TokenRequest>) -> Result<Answer<TokenBody>, ApiError> {
    let signed = json.value;
    let node = api.service.prove(signed.node, &signed.challenge, &signed.signature).await?;
    let (access_token, expires_in) = api.auth.node_token(node.id, node.owner, api.service.now())?;
    Ok(Answer(TokenBody { access_token, token_type: "Bearer".into(), expires_in }))
}
