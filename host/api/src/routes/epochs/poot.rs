use axum::{
    Json as Answer,
    extract::{Path, State},
};
use lucid_api_types::{
    ErrorBody, ErrorKind,
    epochs::poot::{
        CalculateRequest, ScoreBody, ValidateRequest, ValidationBody, epoch::VoteBody,
        participation::ParticipationBody,
    },
    page::{EpochList, PageParams, Pagination, ParticipationList, ScoreList, VoteList},
    schema,
};
use lucid_model::{
    consensus::VoteState,
    id::{NodeId, PoolId},
};
use lucid_ports::{ScoreFilter, ScoreSort, VoteFilter};
use lucid_service::{ScoreSeen, ServiceError};
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
        .routes(routes!(participation))
}

/// Scores what is sent.
///
/// It neither earns, votes nor changes the node: only epochs do.
#[utoipa::path(post, path = "/api/v1/poot/calculate", operation_id = "calculateScore", tag = "poot", request_body = CalculateRequest,
    responses((status = 200, body = ScoreBody, description = "The score, with its receipt's id"), (status = 404, body = ErrorBody, description = "No such node")))]
async fn calculate(
    State(api): State<Shared>,
    Caller(actor): Caller,
    json: Json<CalculateRequest>,
) -> Result<Answer<ScoreBody>, ApiError> {
    match api.service.epochs.score_on_demand(&actor, json.value).await {
        Ok(scored) => Ok(Answer(ScoreBody::on_demand(
            &scored.receipt,
            scored.failed.map(|failed| failed.to_string()),
        ))),
        Err(ServiceError::Refused { reason }) => Err(ApiError::new(ErrorKind::PootInvalid, reason)),
        Err(error) => Err(error.into()),
    }
}

/// Checks a claim about a score.
///
/// The signature is over `lucid-score-v1`, node id, score and timestamp, each on a line;
/// `signature_valid` is left out when none was sent.
#[utoipa::path(post, path = "/api/v1/poot/validate", operation_id = "validateScore", tag = "poot", request_body = ValidateRequest,
    responses((status = 200, body = ValidationBody, description = "What is true of the claim"), (status = 404, body = ErrorBody, description = "No such node")))]
async fn validate(
    State(api): State<Shared>,
    Caller(actor): Caller,
    json: Json<ValidateRequest>,
) -> Result<Answer<ValidationBody>, ApiError> {
    let found = api.service.epochs.validate_score(&actor, json.value).await?;
    Ok(Answer(ValidationBody::new(
        found.score_match,
        found.timestamp_valid,
        found.signature_valid,
        found.refused,
    )))
}

fn node_filter(params: &Params) -> Result<Option<NodeId>, ApiError> {
    params.parsed("node_id", |text| text.parse().ok(), "must be a UUID")
}

/// The latest score of each node.
///
/// With `node_id` that node's scores of all epochs. A caller without rights over the fleet sees its
/// own nodes only.
#[utoipa::path(get, path = "/api/v1/poot/scores", operation_id = "listScores", tag = "poot",
    params(PageParams, ("sort" = Option<schema::ScoreSort>, Query, description = "What to sort by"), ("node_id" = Option<schema::Id>, Query, description = "All scores of this node"), ("pool_id" = Option<schema::Id>, Query, description = "Nodes of this pool")),
    responses((status = 200, body = ScoreList, description = "A page of scores"), (status = 404, body = ErrorBody, description = "No such node")))]
async fn scores(
    State(api): State<Shared>,
    Caller(actor): Caller,
    params: Params,
) -> Result<Answer<ScoreList>, ApiError> {
    let pool = params.parsed("pool_id", |text| text.parse::<PoolId>().ok(), "must be a UUID")?;
    let filter = ScoreFilter { node: node_filter(&params)?, pool, owner: None };
    let page = params.page(
        ("score", ScoreSort::Score),
        &[("calculated_at", ScoreSort::CalculatedAt), ("node_id", ScoreSort::NodeId)],
    )?;
    let scores = api.service.epochs.scores_seen(&actor, filter, page).await?;
    let items = scores.items.iter().map(score_body).collect();
    Ok(Answer(ScoreList {
        scores: items,
        pagination: Pagination::new(page.page, page.limit, scores.total),
    }))
}

fn score_body(seen: &ScoreSeen) -> ScoreBody {
    ScoreBody::of_epoch(&seen.counts(), &seen.view.header, seen.view.calculated_at)
        .adjusted_by(&seen.adjustments)
}

/// One score of an epoch.
///
/// As it was computed when the epoch closed, or adjusted since.
#[utoipa::path(get, path = "/api/v1/poot/scores/{score_id}", operation_id = "getScore", tag = "poot",
    params(("score_id" = schema::ScoreId, Path, description = "The score")),
    responses((status = 200, body = ScoreBody, description = "The score")))]
async fn score(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Answer<ScoreBody>, ApiError> {
    let (epoch, node) = ScoreBody::parse_id(&id).ok_or(ServiceError::NotFound { what: "score" })?;
    Ok(Answer(score_body(&api.service.epochs.score_seen(&actor, epoch, node).await?)))
}

/// Closed epochs.
///
/// Each names the hash of the one before.
#[utoipa::path(get, path = "/api/v1/poot/epochs", operation_id = "listEpochs", tag = "poot",
    params(PageParams, ("sort" = Option<schema::EpochSort>, Query, description = "What to sort by")),
    responses((status = 200, body = EpochList, description = "A page of epochs")))]
async fn epochs(
    State(api): State<Shared>,
    _caller: Caller,
    params: Params,
) -> Result<Answer<EpochList>, ApiError> {
    let page = params.page(("epoch", ()), &[])?;
    let epochs = api.service.epochs.epochs(page).await?;
    let items = epochs.items.iter().map(Into::into).collect();
    Ok(Answer(EpochList {
        epochs: items,
        pagination: Pagination::new(page.page, page.limit, epochs.total),
    }))
}

/// Votes, with the chain's answers.
///
/// A caller without rights over the fleet sees those of its own nodes.
#[utoipa::path(get, path = "/api/v1/consensus/votes", operation_id = "listVotes", tag = "poot",
    params(PageParams, ("sort" = Option<schema::EpochSort>, Query, description = "What to sort by"), ("node_id" = Option<schema::Id>, Query, description = "Votes of this node"), ("state" = Option<schema::VoteState>, Query, description = "Votes in this state")),
    responses((status = 200, body = VoteList, description = "A page of votes"), (status = 404, body = ErrorBody, description = "No such node")))]
async fn votes(
    State(api): State<Shared>,
    Caller(actor): Caller,
    params: Params,
) -> Result<Answer<VoteList>, ApiError> {
    let state = params.parsed(
        "state",
        VoteState::from_name,
        "must be one of pending, accepted, rejected, expired, abstained",
    )?;
    let filter = VoteFilter { node: node_filter(&params)?, state, owner: None };
    let page = params.page(("epoch", ()), &[])?;
    let votes = api.service.consensus.votes(&actor, filter, page).await?;
    let items = votes.items.iter().map(VoteBody::from).collect();
    Ok(Answer(VoteList {
        votes: items,
        pagination: Pagination::new(page.page, page.limit, votes.total),
    }))
}

/// Who voted in which epoch.
///
/// Of each closed epoch, the newest first: how many nodes were eligible, and what became of their
/// votes. With `node_id` of that node alone.
#[utoipa::path(get, path = "/api/v1/consensus/participation", operation_id = "listParticipation", tag = "poot",
    params(PageParams, ("sort" = Option<schema::EpochSort>, Query, description = "What to sort by"), ("node_id" = Option<schema::Id>, Query, description = "Of this node")),
    responses((status = 200, body = ParticipationList, description = "A page of epochs"), (status = 404, body = ErrorBody, description = "No such node")))]
async fn participation(
    State(api): State<Shared>,
    Caller(actor): Caller,
    params: Params,
) -> Result<Answer<ParticipationList>, ApiError> {
    let node = node_filter(&params)?;
    let page = params.page(("epoch", ()), &[])?;
    let epochs = api.service.consensus.participation(&actor, node, page).await?;
    let items = epochs
        .items
        .iter()
        .map(|p| ParticipationBody::new(&p.record, p.eligible, p.votes))
        .collect();
    Ok(Answer(ParticipationList {
        participation: items,
        pagination: Pagination::new(page.page, page.limit, epochs.total),
    }))
}
