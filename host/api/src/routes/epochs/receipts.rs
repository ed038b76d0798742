//! One epoch, and what lets anyone recompute its scores: replay, proof, explanation, the epoch as a
//! file.

use std::{io, sync::Arc};

use axum::{
    Json as Answer,
    body::{Body, Bytes},
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use futures::{StreamExt, TryStreamExt, stream};
use lucid_api_types::{
    ErrorBody,
    epochs::poot::{
        ScoreBody,
        epoch::{EpochStandingBody, HeldNodeBody},
        replay::{
            ContributionBody, DifferenceBody, ExplainedFactBody, ExplanationBody, ProofBody,
            ReplayBody, ScoreReplayBody, hex_of,
        },
    },
    number::ExactNumber,
    schema,
};
use lucid_model::epochs::epoch_file::{FilePolicy, MAGIC, Section};
use lucid_service::{EpochParts, Replay, Service, ServiceError};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{api::Shared, errors::ApiError, extract::Caller};

/// Held nodes that are named.
const HELD_NAMED_MAX: usize = 100;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(epoch))
        .routes(routes!(replay_epoch))
        .routes(routes!(export_epoch))
        .routes(routes!(replay_score))
        .routes(routes!(explain_score))
}

fn start_of(id: &str) -> Result<i64, ApiError> {
    id.parse().map_err(|_| ServiceError::NotFound { what: "epoch" }.into())
}

/// One epoch.
///
/// Of one that is being closed by the replica that is asked: what is being done, and for how many
/// nodes it is done.
#[utoipa::path(get, path = "/api/v1/poot/epochs/{epoch}", operation_id = "getEpoch", tag = "poot",
    params(("epoch" = schema::EpochStart, Path, description = "Its start")),
    responses((status = 200, body = EpochStandingBody, description = "The epoch"), (status = 404, body = ErrorBody, description = "No such epoch")))]
async fn epoch(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Answer<EpochStandingBody>, ApiError> {
    let start_s = start_of(&id)?;
    if let Some(closing) =
        api.service.epochs.closing().filter(|closing| closing.epoch.start_s == start_s)
    {
        return Ok(Answer(EpochStandingBody {
            epoch: start_s,
            state: closing.stage.name().into(),
            nodes_done: Some(closing.done),
            nodes_total: closing.nodes,
            completeness: closing.completeness.map(ExactNumber::ratio),
            record: None,
            held_nodes: Vec::new(),
        }));
    }
    let record = api.service.epochs.epoch(start_s).await?;
    let held = if actor.sees_all() {
        api.service.epochs.held_nodes(&record, HELD_NAMED_MAX).await?
    } else {
        Vec::new()
    };
    Ok(Answer(EpochStandingBody {
        epoch: start_s,
        state: "closed".into(),
        nodes_done: None,
        nodes_total: None,
        completeness: record.completeness.map(ExactNumber::ratio),
        record: Some((&record).into()),
        held_nodes: held
            .into_iter()
            .map(|(node, reason)| HeldNodeBody { node_id: node.to_string(), reason })
            .collect(),
    }))
}

fn body_of(replay: Replay) -> ReplayBody {
    ReplayBody {
        same: replay.is_same(),
        chunks: replay.chunks,
        rows: replay.rows,
        differences_total: replay.differences_total,
        differences: replay
            .differences
            .into_iter()
            .map(|difference| DifferenceBody {
                node_id: difference.node.map(|node| node.to_string()),
                chunk: difference.chunk,
                field: difference.field.into(),
                stored: difference.stored,
                computed: difference.computed,
            })
            .collect(),
    }
}

/// Computes a closed epoch again.
///
/// Each chunk from its stored frame by the version that its receipt names, the roots up to the
/// epoch's, the link to the epoch before. Nothing is changed.
#[utoipa::path(post, path = "/api/v1/poot/epochs/{epoch}/replay", operation_id = "replayEpoch", tag = "poot",
    params(("epoch" = schema::EpochStart, Path, description = "Its start")),
    responses((status = 200, body = ReplayBody, description = "What came out"), (status = 404, body = ErrorBody, description = "No such epoch")))]
async fn replay_epoch(
    State(api): State<Shared>,
    _caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer<ReplayBody>, ApiError> {
    Ok(Answer(body_of(api.service.epochs.replay_epoch(start_of(&id)?).await?)))
}

/// A closed epoch as a file.
///
/// Its record, the policies, each chunk's frame and receipt: `lucid replay FILE` verifies it
/// anywhere, without a store.
#[utoipa::path(get, path = "/api/v1/poot/epochs/{epoch}/export", operation_id = "exportEpoch", tag = "poot",
    params(("epoch" = schema::EpochStart, Path, description = "Its start")),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream", description = "The file"), (status = 404, body = ErrorBody, description = "No such epoch")))]
async fn export_epoch(
    State(api): State<Shared>,
    _caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let EpochParts { record, chunks, policies } =
        api.service.epochs.epoch_parts(start_of(&id)?).await?;
    let start_s = record.epoch.start_s;
    let mut first = MAGIC.to_vec();
    let mut sections = 1_u32;
    first.extend(Section::Epoch { record, chunks }.to_bytes());
    for (stored, params, _) in policies {
        let policy = FilePolicy {
            manifest: stored.bundle.manifest.clone(),
            component: stored.bundle.component.clone(),
            params,
        };
        first.extend(Section::Policy(policy).to_bytes());
        sections += 1;
    }
    let end = Section::End { sections: sections.saturating_add(chunks.saturating_mul(2)) };
    let service = Arc::clone(&api.service);
    let chunks =
        stream::iter(0..chunks).then(move |index| chunk_of(Arc::clone(&service), start_s, index));
    let file = stream::once(async { Ok(first) })
        .chain(chunks)
        .chain(stream::once(async move { Ok(end.to_bytes()) }));
    let name = format!("attachment; filename=\"epoch-{start_s}.lucid\"");
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, Body::from_stream(file.map_ok(Bytes::from))).into_response())
}

/// Frame and receipt of a chunk. An answer that has begun can only be cut off: whoever reads it
/// misses its end.
async fn chunk_of(service: Arc<Service>, epoch_start_s: i64, index: u32) -> io::Result<Vec<u8>> {
    let (frame, scored) =
        service.epochs.receipt_of(epoch_start_s, index).await.map_err(io::Error::other)?;
    let mut bytes = Section::Frame(frame).to_bytes();
    bytes.extend(Section::Scored(scored).to_bytes());
    Ok(bytes)
}

/// Computes a score again.
///
/// With the proof that leads from it to its epoch's record.
#[utoipa::path(post, path = "/api/v1/poot/scores/{score_id}/replay", operation_id = "replayScore", tag = "poot",
    params(("score_id" = schema::ScoreId, Path, description = "The score")),
    responses((status = 200, body = ScoreReplayBody, description = "What came out")))]
async fn replay_score(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Answer<ScoreReplayBody>, ApiError> {
    let (epoch, node) = ScoreBody::parse_id(&id).ok_or(ServiceError::NotFound { what: "score" })?;
    let found = api.service.epochs.replay_score(&actor, epoch, node).await?;
    let view = &found.view;
    Ok(Answer(ScoreReplayBody {
        score: ScoreBody::of_epoch(&view.row, &view.header, view.calculated_at),
        proof: ProofBody {
            leaf: view.row.leaf().to_string(),
            leaf_index: found.leaf as u64,
            leaf_count: u64::from(view.header.rows) + 1,
            chunk_path: hex_of(&found.chunk_proof),
            chunk_root: found.chunk_root.to_string(),
            chunk_index: view.header.index,
            epoch_path: hex_of(&found.epoch_proof),
            epoch_root: found.record.root.to_string(),
            epoch_link: found.record.link().to_string(),
        },
        replay: body_of(found.replay),
    }))
}

/// Says why a node has its score.
///
/// What the policy was told, what its multiplier is made of, and how the score follows from that,
/// in numbers and in words.
#[utoipa::path(get, path = "/api/v1/poot/scores/{score_id}/explain", operation_id = "explainScore", tag = "poot",
    params(("score_id" = schema::ScoreId, Path, description = "The score")),
    responses((status = 200, body = ExplanationBody, description = "Why")))]
async fn explain_score(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Answer<ExplanationBody>, ApiError> {
    let (epoch, node) = ScoreBody::parse_id(&id).ok_or(ServiceError::NotFound { what: "score" })?;
    let found = api.service.epochs.explain_score(&actor, epoch, node).await?;
    let fact = |(name, unit, value): (&str, &str, i64)| ExplainedFactBody {
        name: name.into(),
        unit: unit.into(),
        value,
    };
    Ok(Answer(ExplanationBody {
        score: ScoreBody::of_epoch(&found.view.row, &found.view.header, found.view.calculated_at),
        facts: found.facts.into_iter().map(fact).collect(),
        contributions: found
            .contributions
            .into_iter()
            .map(|(name, ppm)| ContributionBody { name, ppm })
            .collect(),
        multiplier_ppm: found.view.row.multiplier.0,
        score_multiplier_ppm: found.score_multiplier_ppm,
        words: found.words,
    }))
}
