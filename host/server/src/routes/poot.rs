use axum::{
    Json as Answer,
    extract::{Path, State},
};
use lucid_model::{
    id::{NodeId, PoolId},
    vote::VoteState,
};
use lucid_ports::{ScoreFilter, ScoreSort, VoteFilter};
use lucid_service::{NewSession, ScoreClaim, ScoreRequest, ServiceError};
use lucid_wire::{
    ErrorBody, ErrorKind,
    page::{EpochList, PageParams, Pagination, ScoreList, VoteList},
    poot::epoch::VoteBody,
    poot::{CalculateRequest, ScoreBody, ValidateRequest, ValidationBody},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::Shared,
    errors::ApiError,
    extract::{Caller, Json, Params},
};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(calculate))
        .routes(routes!(validate))
        .routes(routes!(scores))
        .routes(routes!(score))
        .routes(routes!(epochs))
        .routes(routes!(votes))
}

/// Scores what is sent; it neither earns, votes nor changes the node.
#[utoipa::path(post, path = "/api/v1/poot/calculate", tag = "poot", request_body = CalculateRequest,
    responses((status = 200, body = ScoreBody), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 503, body = ErrorBody)))]
async fn calculate(State(api): State<Shared>, Caller(actor): Caller, json: Json<CalculateRequest>) -> Result<Answer<ScoreBody>, ApiError> {
    let asked = json.value;
    let session = |s: &lucid_wire::report::ClaimedSession| NewSession { session: s.session, span: s.span, quality: s.quality, usage: s.usage };
    let request = ScoreRequest { node: asked.node, sessions: asked.observations.iter().map(session).collect(), period_s: asked.period_s };
    match api.service.score_on_demand(&actor, request).await {
        Ok(receipt) => Ok(Answer(ScoreBody::on_demand(&receipt))),
        Err(ServiceError::Refused { reason }) => Err(ApiError::new(ErrorKind::PootInvalid, reason)),
        Err(error) => Err(error.into()),
    }
}

/// Checks a claim about a score.
#[utoipa::path(post, path = "/api/v1/poot/validate", tag = "poot", request_body = ValidateRequest,
    responses((status = 200, body = ValidationBody), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
async fn validate(State(api): State<Shared>, Caller(actor): Caller, json: Json<ValidateRequest>) -> Result<Answer<ValidationBody>, ApiError> {
    let claim = json.value;
    let claim = ScoreClaim { node: claim.node, score: claim.score, timestamp_text: claim.timestamp, timestamp: claim.at, signature: claim.signature };
    let found = api.service.validate_score(&actor, claim).await?;
    Ok(Answer(ValidationBody::new(found.score_match, found.timestamp_valid, found.signature_valid)))
}

fn node_filter(params: &Params) -> Result<Option<NodeId>, ApiError> {
    params.parsed("node_id", |text| text.parse().ok(), "must be a UUID")
}

/// The latest score of each node; with `node_id` that node's history.
#[utoipa::path(get, path = "/api/v1/poot/scores", tag = "poot",
    params(PageParams, ("node_id" = Option<String>, Query), ("pool_id" = Option<String>, Query)),
    responses((status = 200, body = ScoreList), (status = 400, body = ErrorBody)))]
async fn scores(State(api): State<Shared>, Caller(actor): Caller, params: Params) -> Result<Answer<ScoreList>, ApiError> {
    let pool = params.parsed("pool_id", |text| text.parse::<PoolId>().ok(), "must be a UUID")?;
    let filter = ScoreFilter { node: node_filter(&params)?, pool, owner: None };
    let page = params.page(("score", ScoreSort::Score), &[("calculated_at", ScoreSort::CalculatedAt), ("node_id", ScoreSort::NodeId)])?;
    let scores = api.service.scores(&actor, filter, page).await?;
    let items = scores.items.iter().map(|s| ScoreBody::of_epoch(&s.row, &s.header, s.calculated_at)).collect();
    Ok(Answer(ScoreList { scores: items, pagination: Pagination::new(page.page, page.limit, scores.total) }))
}

/// One score of an epoch, by `{epoch}-{node}`.
#[utoipa::path(get, path = "/api/v1/poot/scores/{score_id}", tag = "poot", params(("score_id" = String, Path)),
    responses((status = 200, body = ScoreBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
async fn score(State(api): State<Shared>, Caller(actor): Caller, Path(id): Path<String>) -> Result<Answer<ScoreBody>, ApiError> {
    let (epoch, node) = ScoreBody::parse_id(&id).ok_or(ServiceError::NotFound { what: "score" })?;
    let found = api.service.score(&actor, epoch, node).await?;
    Ok(Answer(ScoreBody::of_epoch(&found.row, &found.header, found.calculated_at)))
}

/// Closed epochs.
#[utoipa::path(get, path = "/api/v1/poot/epochs", tag = "poot", params(PageParams), responses((status = 200, body = EpochList), (status = 400, body = ErrorBody)))]
async fn epochs(State(api): State<Shared>, _caller: Caller, params: Params) -> Result<Answer<EpochList>, ApiError> {
    let page = params.page(("epoch", ()), &[])?;
    let epochs = api.service.epochs(page).await?;
    let items = epochs.items.iter().map(Into::into).collect();
    Ok(Answer(EpochList { epochs: items, pagination: Pagination::new(page.page, page.limit, epochs.total) }))
}

/// Votes, with the chain's answers.
#[utoipa::path(get, path = "/api/v1/consensus/votes", tag = "poot",
    params(PageParams, ("node_id" = Option<String>, Query), ("state" = Option<String>, Query, description = "pending, accepted, rejected, expired")),
    responses((status = 200, body = VoteList), (status = 400, body = ErrorBody)))]
async fn votes(State(api): State<Shared>, Caller(actor): Caller, params: Params) -> Result<Answer<VoteList>, ApiError> {
    let state = params.parsed("state", VoteState::from_name, "must be one of pending, accepted, rejected, expired")?;
    let filter = VoteFilter { node: node_filter(&params)?, state, owner: None };
    let page = params.page(("epoch", ()), &[])?;
    let votes = api.service.votes(&actor, filter, page).await?;
    let items = votes.items.iter().map(VoteBody::from).collect();
    Ok(Answer(VoteList { votes: items, pagination: Pagination::new(page.page, page.limit, votes.total) }))
}
