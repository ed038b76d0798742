//! Payout runs: planned, approved by another person, executed, reported.

use axum::{
    Json as Answer,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use lucid_api_types::{
    ErrorBody,
    money::run::{PayoutProofBody, PlanRunRequest, RunBody, RunCsv, RunReportBody},
    page::{PageParams, Pagination, RunList},
    reason::ReasonRequest,
    schema,
};
use lucid_model::id::RunId;
use lucid_service::{RunLine, RunReport, ServiceError};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::routes::{money::payments::payout_id, policies::is_csv};
use crate::{
    api::Shared,
    errors::ApiError,
    extract::{Caller, Json, Params},
};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list, plan))
        .routes(routes!(run))
        .routes(routes!(report))
        .routes(routes!(approve))
        .routes(routes!(execute))
        .routes(routes!(cancel))
        .routes(routes!(retry))
        .routes(routes!(proof))
}

fn run_id(text: &str) -> Result<RunId, ApiError> {
    text.parse().map_err(|_| ServiceError::NotFound { what: "run" }.into())
}

/// All runs.
///
/// For callers who see all records. By when they were planned.
#[utoipa::path(get, path = "/api/v1/payouts/runs", operation_id = "listPayoutRuns", tag = "payouts",
    params(PageParams, ("sort" = Option<schema::CreatedSort>, Query, description = "What to sort by")),
    responses((status = 200, body = RunList, description = "A page of runs")))]
async fn list(
    State(api): State<Shared>,
    _caller: Caller,
    params: Params,
) -> Result<Answer<RunList>, ApiError> {
    let page = params.page(("created_at", ()), &[])?;
    let found = api.service.money.runs(page).await?;
    Ok(Answer(RunList {
        runs: found.items.iter().map(Into::into).collect(),
        pagination: Pagination::new(page.page, page.limit, found.total),
    }))
}

/// Plans a run.
///
/// For treasurers. For everybody who can be paid, or for chosen nodes. Its payouts are being
/// planned when this is answered; it is complete once `planning` is false, and then waits for
/// approval.
#[utoipa::path(post, path = "/api/v1/payouts/runs", operation_id = "planPayoutRun", tag = "payouts", request_body = PlanRunRequest,
    responses((status = 202, body = RunBody, description = "It is being planned"), (status = 404, body = ErrorBody, description = "No such node"),
        (status = 409, body = ErrorBody, description = "Nothing is mature yet")))]
async fn plan(
    State(api): State<Shared>,
    Caller(actor): Caller,
    json: Json<PlanRunRequest>,
) -> Result<(StatusCode, Answer<RunBody>), ApiError> {
    Ok((
        StatusCode::ACCEPTED,
        Answer((&api.service.money.plan_run(&actor, json.value).await?).into()),
    ))
}

/// One payout run.
///
/// For callers who see all records.
#[utoipa::path(get, path = "/api/v1/payouts/runs/{id}", operation_id = "getPayoutRun", tag = "payouts",
    params(("id" = schema::Id, Path, description = "The run")),
    responses((status = 200, body = RunBody, description = "The run")))]
async fn run(
    State(api): State<Shared>,
    _caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer<RunBody>, ApiError> {
    Ok(Answer((&api.service.money.run(run_id(&id)?).await?).into()))
}

/// What is in a run, and what is not.
///
/// For callers who see all records. Payouts by state, who has something and is left out and why,
/// and the difference from the run before; as CSV node by node.
#[utoipa::path(get, path = "/api/v1/payouts/runs/{id}/report", operation_id = "reportPayoutRun", tag = "payouts",
    params(("id" = schema::Id, Path, description = "The run"), ("format" = Option<schema::SimulationFormat>, Query, description = "How it is written")),
    responses((status = 200, description = "The report", content((RunReportBody = "application/json"), (String = "text/csv")))))]
async fn report(
    State(api): State<Shared>,
    _caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let csv = is_csv(&params)?;
    let report = api.service.money.run_report(run_id(&id)?, csv).await?;
    if !csv {
        let left_out =
            report.left_out.iter().map(|(why, of)| (why.name(), of.nodes, of.available)).collect();
        return Ok(Answer(RunReportBody::new(
            &report.run,
            &report.parts,
            left_out,
            report.previous.as_ref(),
        ))
        .into_response());
    }
    let disposition = "attachment; filename=\"run.csv\"";
    Ok((
        [
            (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
            (header::CONTENT_DISPOSITION, disposition),
        ],
        written(&report),
    )
        .into_response())
}

fn written(report: &RunReport) -> String {
    let mut csv = RunCsv::default();
    for line in &report.lines {
        match line {
            RunLine::Payout(payout) => {
                csv.paid(&(&**payout).into(), report.previously.get(&payout.node).copied())
            }
            RunLine::LeftOut { node, owner, available, why } => {
                let (id, owner) =
                    (node.to_string(), owner.map(|owner| owner.to_string()).unwrap_or_default());
                csv.left_out(
                    (&id, &owner),
                    why.name(),
                    *available,
                    report.previously.get(node).copied(),
                );
            }
        }
    }
    csv.finish()
}

/// Approves a planned run.
///
/// For treasurers; with four eyes required not for who planned it. A scheduled run goes at once,
/// others when they are executed.
#[utoipa::path(post, path = "/api/v1/payouts/runs/{id}/approve", operation_id = "approvePayoutRun", tag = "payouts",
    params(("id" = schema::Id, Path, description = "The run")),
    responses((status = 200, body = RunBody, description = "The run as it is now"),
        (status = 409, body = ErrorBody, description = "It is not planned any more or not complete yet, or somebody else changed it at the same time")))]
async fn approve(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Answer<RunBody>, ApiError> {
    Ok(Answer((&api.service.money.approve_run(&actor, run_id(&id)?).await?).into()))
}

/// Lets an approved run go.
///
/// For treasurers. Its payouts are sent from now on.
#[utoipa::path(post, path = "/api/v1/payouts/runs/{id}/execute", operation_id = "executePayoutRun", tag = "payouts",
    params(("id" = schema::Id, Path, description = "The run")),
    responses((status = 200, body = RunBody, description = "The run as it is now"),
        (status = 409, body = ErrorBody, description = "Nobody approved it, or it was cancelled"),
        (status = 503, body = ErrorBody, description = "No payment service is configured")))]
async fn execute(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Answer<RunBody>, ApiError> {
    Ok(Answer((&api.service.money.execute_run(&actor, run_id(&id)?).await?).into()))
}

/// Takes a run back.
///
/// For treasurers. What was not sent is cancelled, and its money is the nodes' again; what was sent
/// is looked after.
#[utoipa::path(post, path = "/api/v1/payouts/runs/{id}/cancel", operation_id = "cancelPayoutRun", tag = "payouts", request_body = ReasonRequest,
    params(("id" = schema::Id, Path, description = "The run")),
    responses((status = 200, body = RunBody, description = "The run as it is now"),
        (status = 409, body = ErrorBody, description = "It is over, or somebody else changed it at the same time")))]
async fn cancel(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<ReasonRequest>,
) -> Result<Answer<RunBody>, ApiError> {
    Ok(Answer((&api.service.money.cancel_run(&actor, run_id(&id)?, json.value).await?).into()))
}

/// Tries a payout again.
///
/// For treasurers; of one that failed or was cancelled. It is planned as a run of its node alone,
/// to be approved and executed.
#[utoipa::path(post, path = "/api/v1/payouts/retries/{id}", operation_id = "retryPayout", tag = "payouts",
    params(("id" = schema::Id, Path, description = "The payout")),
    responses((status = 202, body = RunBody, description = "The run that is being planned"),
        (status = 409, body = ErrorBody, description = "It was paid, or is not over yet")))]
pub(crate) async fn retry(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Answer<RunBody>), ApiError> {
    Ok((
        StatusCode::ACCEPTED,
        Answer((&api.service.money.retry_payout(&actor, payout_id(&id)?).await?).into()),
    ))
}

/// A payout with its receipt.
///
/// Of a run that is over. Whoever has the answer can check it without this service: the receipt
/// leads to the run's root, and that is signed.
#[utoipa::path(get, path = "/api/v1/payouts/proofs/{id}", operation_id = "getPayoutProof", tag = "payouts",
    params(("id" = schema::Id, Path, description = "The payout")),
    responses((status = 200, body = PayoutProofBody, description = "The payout and its proof"),
        (status = 409, body = ErrorBody, description = "Its run is not over, or it was cancelled")))]
pub(crate) async fn proof(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Answer<PayoutProofBody>, ApiError> {
    let found = api.service.money.payout_proof(&actor, payout_id(&id)?).await?;
    let place = (found.index, found.receipts);
    Ok(Answer(PayoutProofBody::new(
        (&found.payout).into(),
        place,
        (&found.path, found.root),
        (found.key, &found.signature),
    )))
}
