use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use lucid_api_types::{
    ErrorBody,
    fleet::{
        auth::{
            self, RegistrationSignature, RotateKeyRequest, RotationHeaders, WalletHeaders,
            WalletRequest,
        },
        node::NodeBody,
    },
    schema,
};
use lucid_service::{KeyProof, KeyRotation};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::routes::fleet::nodes::{changed, node_id};
use crate::{
    api::Shared,
    errors::ApiError,
    extract::{Caller, Json},
};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(rotate))
        .routes(routes!(set_wallet))
        .routes(routes!(approve_wallet))
}

/// Gives a node its next key.
///
/// Signed by the node's present key (the headers) and by the next one (the body), both over
/// `lucid/v1/key-rotation`, node id, next key, timestamp and nonce. Tokens that were given for the
/// present key do not count any more.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/keys/rotate", operation_id = "rotateNodeKey", tag = "nodes", request_body = RotateKeyRequest,
    params(("id" = schema::NodeName, Path, description = "The node"), RotationHeaders),
    responses((status = 200, body = NodeBody, description = "The node with its next key"),
        (status = 409, body = ErrorBody, description = "A live node has this key, or the node was changed at the same time")))]
async fn rotate(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<RotateKeyRequest>,
) -> Result<Response, ApiError> {
    let signed = RegistrationSignature::read(|name| json.header(name))?;
    let proof = signed.map(|s| KeyProof {
        timestamp_ms: s.timestamp_ms,
        nonce: s.nonce,
        signature: s.signature,
    });
    let rotation =
        KeyRotation { next: json.value.key, next_signature: json.value.signature, proof };
    changed(&api.service.fleet.rotate_key(&actor, node_id(&api, &id).await?, rotation).await?)
}

/// Changes where a node's earnings go.
///
/// For the node's owner. With the signature of the node's key it takes effect at once (a changed
/// wallet is not paid before its cool-down is over); without, it waits until a treasurer approves
/// it.
#[utoipa::path(put, path = "/api/v1/nodes/{id}/wallet", operation_id = "setNodeWallet", tag = "nodes", request_body = WalletRequest,
    params(("id" = schema::NodeName, Path, description = "The node"), WalletHeaders),
    responses((status = 200, body = NodeBody, description = "The node with its wallet"),
        (status = 202, body = NodeBody, description = "The node; the wallet waits for a treasurer"),
        (status = 409, body = ErrorBody, description = "The node was changed at the same time")))]
async fn set_wallet(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<WalletRequest>,
) -> Result<Response, ApiError> {
    let signature = auth::signature(&|name: &str| json.header(name))?;
    let view = api
        .service
        .fleet
        .set_wallet(&actor, node_id(&api, &id).await?, json.value, signature.as_deref())
        .await?;
    let in_force = view.node.wallet.is_some_and(|wallet| wallet.address == json.value);
    let mut response = changed(&view)?;
    *response.status_mut() = if in_force { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(response)
}

/// Lets a wallet that waits take effect.
///
/// For treasurers; with four eyes not for who asked for it. The address is named, so that nothing
/// else is approved.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/wallet/approve", operation_id = "approveNodeWallet", tag = "nodes", request_body = WalletRequest,
    params(("id" = schema::NodeName, Path, description = "The node")),
    responses((status = 200, body = NodeBody, description = "The node with its wallet"),
        (status = 409, body = ErrorBody, description = "Another wallet waits, or none")))]
async fn approve_wallet(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<WalletRequest>,
) -> Result<Response, ApiError> {
    changed(&api.service.fleet.approve_wallet(&actor, node_id(&api, &id).await?, json.value).await?)
}
