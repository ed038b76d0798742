use axum::{
    extract::{Path, State},
    response::Response,
};
use lucid_api_types::{
    ErrorBody,
    fleet::node::{ChangeMachineRequest, NodeBody},
    schema,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::Shared,
    errors::ApiError,
    extract::{Caller, Json},
    routes::fleet::nodes::{changed, node_id},
};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(change))
}

/// Says what a node's machine became.
///
/// For the node itself, or whoever may change it: another address, other hardware; what is absent
/// stays. It is judged as a registration is.
#[utoipa::path(put, path = "/api/v1/nodes/{id}/machine", operation_id = "changeNodeMachine", tag = "nodes", request_body = ChangeMachineRequest,
    params(("id" = schema::NodeName, Path, description = "The node")),
    responses((status = 200, body = NodeBody, description = "The node as it is now"),
        (status = 409, body = ErrorBody, description = "A live node is at this address and port, or somebody else changed it at the same time")))]
async fn change(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<ChangeMachineRequest>,
) -> Result<Response, ApiError> {
    changed(&api.service.fleet.change_machine(&actor, node_id(&api, &id).await?, json.value).await?)
}
