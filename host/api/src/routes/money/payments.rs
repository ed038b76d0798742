//! What people decide about payments, how it stands with money, and statements.

use axum::{
    Json as Answer,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use lucid_api_types::{
    ErrorBody, FieldError,
    money::{
        payments::{
            BooksVerifiedBody, ComparedAgainBody, CorrectionRequest, NotPaidRequest,
            OpenPayoutsBody, PaidRequest, PaymentsSwitchBody, ProposalBody, ReconcileRequest,
            ResolvePayout, ResolvedBody, StandingBody, StoreBody, TaskBody,
        },
        payout::PayoutBody,
        resolution::ResolutionsRequest,
        statement::{StatementBody, StatementLineBody},
    },
    page::{PageParams, Pagination, ProposalList},
    reason::ReasonRequest,
    schema,
};
use lucid_model::{
    id::{PayoutId, ProposalId, UserId},
    money::payout::PaymentsSwitch,
    telemetry::credit::Interval,
    time::TimeMs,
};
use lucid_ports::PageRequest;
use lucid_service::{
    Actor, InFlight, Resolved, ServiceError, Standing, Statement, Suspected, TaskState,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::routes::{fleet::nodes::node_id, policies::is_csv};
use crate::{
    api::Shared,
    errors::ApiError,
    extract::{Caller, Json, Params},
};

/// Payouts that are named in the status at most.
const SUSPECTED_MAX: usize = 100;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(standing))
        .routes(routes!(freeze))
        .routes(routes!(resume))
        .routes(routes!(cancel))
        .routes(routes!(paid))
        .routes(routes!(not_paid))
        .routes(routes!(correct))
        .routes(routes!(resolve_several))
        .routes(routes!(proposals))
        .routes(routes!(proposal))
        .routes(routes!(accept))
        .routes(routes!(refuse))
        .routes(routes!(verify))
        .routes(routes!(reconcile))
        .routes(routes!(node_statement))
        .routes(routes!(statement))
}

pub(crate) fn payout_id(text: &str) -> Result<PayoutId, ApiError> {
    text.parse().map_err(|_| ServiceError::NotFound { what: "payout" }.into())
}

fn proposal_id(text: &str) -> Result<ProposalId, ApiError> {
    text.parse().map_err(|_| ServiceError::NotFound { what: "proposal" }.into())
}

fn standing_body(standing: &Standing) -> StandingBody {
    let (safety, reasons) = standing.safety();
    StandingBody {
        safety: safety.name().into(),
        reasons,
        at: standing.at.to_string(),
        payments: switch_body(&standing.switch, standing.in_flight),
        rail: standing.rail.clone(),
        rail_paused_until: standing.paused_until.map(|at| at.to_string()),
        open_payouts: standing
            .open
            .iter()
            .map(|open| {
                OpenPayoutsBody::new(open.state.name(), open.count, open.total, open.oldest)
            })
            .collect(),
        proposals_open: standing.proposals_open,
        mismatches_open: standing.mismatches_open,
        compared_again: standing.suspected.iter().take(SUSPECTED_MAX).map(suspected_body).collect(),
        treasury_usdt: standing.treasury.to_string(),
        unclaimed_usdt: standing.unclaimed.to_string(),
        books: standing.verified.as_ref().map(books_body),
        last_epoch: standing.epoch.as_ref().map(|record| record.epoch.start_s),
        last_epoch_lateness_seconds: standing
            .epoch
            .as_ref()
            .map(|record| record.closed_at.ms_since(record.epoch.end()) / 1000),
        last_period: standing.period.as_ref().map(|record| record.period.start_s),
        store: StoreBody {
            family: standing.family.0.to_string(),
            created_at: standing.family.began_at().map(|at| at.to_string()),
            damage: standing.damage.clone(),
        },
        tasks: standing.tasks.iter().map(task_body).collect(),
    }
}

fn task_body(task: &TaskState) -> TaskBody {
    TaskBody {
        name: task.name.into(),
        success_age_seconds: task.success_age_ms.map(|age_ms| age_ms.unsigned_abs() / 1_000),
        trouble: task.trouble.as_ref().map(|trouble| trouble.words.clone()),
    }
}

fn suspected_body(suspected: &Suspected) -> ComparedAgainBody {
    ComparedAgainBody {
        payout_id: suspected.payout.to_string(),
        said: suspected.said.clone(),
        looks: suspected.looks,
    }
}

fn switch_body(switch: &PaymentsSwitch, in_flight: InFlight) -> PaymentsSwitchBody {
    PaymentsSwitchBody::new(switch, (in_flight.count, in_flight.total))
}

fn books_body(verified: &lucid_service::LastVerified) -> BooksVerifiedBody {
    BooksVerifiedBody {
        verified_at: verified.at.to_string(),
        in_order: verified.found.flaw.is_none(),
        flaw: verified.found.flaw.as_ref().map(ToString::to_string),
        entries: verified.found.progress.entries,
        payouts: verified.found.progress.payouts,
    }
}

/// Is money safe?
///
/// For callers who see all records. `safe`, or why not: freezes, books that are not in order,
/// payouts that nobody can tell what became of.
#[utoipa::path(get, path = "/api/v1/payouts/status", operation_id = "getPaymentsStatus", tag = "payouts",
    responses((status = 200, body = StandingBody, description = "How it stands with money")))]
async fn standing(
    State(api): State<Shared>,
    _caller: Caller,
) -> Result<Answer<StandingBody>, ApiError> {
    Ok(Answer(standing_body(&api.service.review.standing().await?)))
}

/// Stops all payments.
///
/// For treasurers and operators. Nothing more is sent; what was sent is looked after, scores and
/// accruals go on. 202: requests that were decided on before may still be on their way; once none
/// can be, the status says `frozen`. Frozen already: as it is.
#[utoipa::path(post, path = "/api/v1/payouts/freeze", operation_id = "freezePayments", tag = "payouts", request_body = ReasonRequest,
    responses((status = 200, body = PaymentsSwitchBody, description = "They are frozen"),
        (status = 202, body = PaymentsSwitchBody, description = "They are freezing"),
        (status = 409, body = ErrorBody, description = "Somebody else switched at the same time")))]
async fn freeze(
    State(api): State<Shared>,
    Caller(actor): Caller,
    json: Json<ReasonRequest>,
) -> Result<(StatusCode, Answer<PaymentsSwitchBody>), ApiError> {
    let switch = api.service.money.freeze_payments(&actor, json.value).await?;
    let body = switch_body(&switch, api.service.money.in_flight().await?);
    Ok((if body.frozen { StatusCode::OK } else { StatusCode::ACCEPTED }, Answer(body)))
}

/// Lets payments go again.
///
/// For treasurers.
#[utoipa::path(post, path = "/api/v1/payouts/resume", operation_id = "resumePayments", tag = "payouts", request_body = ReasonRequest,
    responses((status = 200, body = PaymentsSwitchBody, description = "They are sent again"),
        (status = 409, body = ErrorBody, description = "Somebody else switched at the same time")))]
async fn resume(
    State(api): State<Shared>,
    Caller(actor): Caller,
    json: Json<ReasonRequest>,
) -> Result<Answer<PaymentsSwitchBody>, ApiError> {
    Ok(Answer(switch_body(
        &api.service.money.resume_payments(&actor, json.value).await?,
        InFlight::default(),
    )))
}

/// Takes a payout back that was not sent.
///
/// For treasurers. Its money is the node's again, and part of its next payout.
#[utoipa::path(post, path = "/api/v1/payouts/cancellations/{id}", operation_id = "cancelPayout", tag = "payouts", request_body = ReasonRequest,
    params(("id" = schema::Id, Path, description = "The payout")),
    responses((status = 200, body = PayoutBody, description = "The payout as it is now"),
        (status = 409, body = ErrorBody, description = "It was sent, or is being changed")))]
pub(crate) async fn cancel(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<ReasonRequest>,
) -> Result<Answer<PayoutBody>, ApiError> {
    Ok(Answer(
        (&api.service.money.cancel_payout(&actor, payout_id(&id)?, json.value).await?).into(),
    ))
}

async fn resolve(
    api: &Shared,
    actor: &Actor,
    id: &str,
    said: ResolvePayout,
) -> Result<(StatusCode, Answer<ResolvedBody>), ApiError> {
    Ok(answered(
        &api.service
            .money
            .resolve_payout(actor, payout_id(id)?, said.outcome, said.evidence)
            .await?,
    ))
}

pub(crate) fn answered(resolved: &Resolved) -> (StatusCode, Answer<ResolvedBody>) {
    match resolved {
        Resolved::Done(payout) => (
            StatusCode::OK,
            Answer(ResolvedBody { payout: payout.as_deref().map(Into::into), proposal: None }),
        ),
        Resolved::Proposed(proposal) => (
            StatusCode::ACCEPTED,
            Answer(ResolvedBody { payout: None, proposal: Some((&**proposal).into()) }),
        ),
    }
}

/// Puts a node's balances right.
///
/// For treasurers: what is held back is released or forfeited, or the treasury gives or takes
/// something. Where four eyes are required it is a proposal, which another treasurer has to accept.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/corrections", operation_id = "correctBalance", tag = "payouts", request_body = CorrectionRequest,
    params(("id" = schema::NodeName, Path, description = "The node")),
    responses((status = 200, body = ResolvedBody, description = "It is done"), (status = 202, body = ResolvedBody, description = "Another treasurer has to accept it"),
        (status = 409, body = ErrorBody, description = "There is not so much")))]
async fn correct(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<CorrectionRequest>,
) -> Result<(StatusCode, Answer<ResolvedBody>), ApiError> {
    let (node, said) = (node_id(&api, &id).await?, json.value);
    Ok(answered(
        &api.service
            .money
            .correct_balance(&actor, node, (said.correction, said.amount), said.reason)
            .await?,
    ))
}

/// Says that a payout was paid.
///
/// For treasurers; of one in state `manual`, that the payment service does not tell. Where four
/// eyes are required it is a proposal, which another treasurer has to accept.
#[utoipa::path(post, path = "/api/v1/payouts/{id}/resolve/paid", operation_id = "resolvePayoutAsPaid", tag = "payouts", request_body = PaidRequest,
    params(("id" = schema::Id, Path, description = "The payout")),
    responses((status = 200, body = ResolvedBody, description = "It is resolved"), (status = 202, body = ResolvedBody, description = "Another treasurer has to accept it"),
        (status = 409, body = ErrorBody, description = "Nobody has to look at it, or it is being changed")))]
async fn paid(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<PaidRequest>,
) -> Result<(StatusCode, Answer<ResolvedBody>), ApiError> {
    resolve(&api, &actor, &id, json.value).await
}

/// Says that a payout was not paid, and never will be.
///
/// For treasurers; of one in state `manual`. Its money is the node's again. Where four eyes are
/// required it is a proposal, which another treasurer has to accept.
#[utoipa::path(post, path = "/api/v1/payouts/{id}/resolve/not-paid", operation_id = "resolvePayoutAsNotPaid", tag = "payouts", request_body = NotPaidRequest,
    params(("id" = schema::Id, Path, description = "The payout")),
    responses((status = 200, body = ResolvedBody, description = "It is resolved"), (status = 202, body = ResolvedBody, description = "Another treasurer has to accept it"),
        (status = 409, body = ErrorBody, description = "Nobody has to look at it, or it is being changed")))]
async fn not_paid(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<NotPaidRequest>,
) -> Result<(StatusCode, Answer<ResolvedBody>), ApiError> {
    resolve(&api, &actor, &id, json.value).await
}

/// Says what became of several payouts.
///
/// For treasurers; of payouts in state `manual`, at most 1,000. They are one proposal, and another
/// treasurer accepts or refuses all of it with one request. If one of them does not stand, none is
/// proposed: `details.problems` names each by its place. Without four eyes they are resolved at
/// once.
#[utoipa::path(post, path = "/api/v1/payouts/resolutions", operation_id = "resolvePayouts", tag = "payouts", request_body = ResolutionsRequest,
    responses((status = 200, body = ProposalBody, description = "They are resolved"), (status = 202, body = ProposalBody, description = "Another treasurer has to accept it"),
        (status = 409, body = ErrorBody, description = "Nobody has to look at one of them, or it is being changed")))]
async fn resolve_several(
    State(api): State<Shared>,
    Caller(actor): Caller,
    json: Json<ResolutionsRequest>,
) -> Result<(StatusCode, Answer<ProposalBody>), ApiError> {
    let (mut resolutions, mut problems) = (Vec::new(), Vec::new());
    for said in json.value {
        match said {
            Ok(resolution) => resolutions.push(resolution),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(problems.into());
    }
    let proposal = api.service.money.resolve_payouts(&actor, resolutions).await?;
    let status = if proposal.decided.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Answer((&proposal).into())))
}

/// What treasurers proposed.
///
/// For callers who see all records.
#[utoipa::path(get, path = "/api/v1/payouts/proposals", operation_id = "listProposals", tag = "payouts",
    params(PageParams, ("sort" = Option<schema::CreatedSort>, Query, description = "What to sort by")),
    responses((status = 200, body = ProposalList, description = "A page of proposals")))]
async fn proposals(
    State(api): State<Shared>,
    _caller: Caller,
    params: Params,
) -> Result<Answer<ProposalList>, ApiError> {
    let page: PageRequest<()> = params.page(("created_at", ()), &[])?;
    let found = api.service.money.proposals(page).await?;
    let proposals = found.items.iter().map(Into::into).collect();
    Ok(Answer(ProposalList {
        proposals,
        pagination: Pagination::new(page.page, page.limit, found.total),
    }))
}

/// One proposal.
///
/// For callers who see all records. Of one about several payouts it says what became of each.
#[utoipa::path(get, path = "/api/v1/payouts/proposals/{proposal_id}", operation_id = "getProposal", tag = "payouts",
    params(("proposal_id" = schema::Id, Path, description = "The proposal")),
    responses((status = 200, body = ProposalBody, description = "The proposal")))]
async fn proposal(
    State(api): State<Shared>,
    _caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer<ProposalBody>, ApiError> {
    Ok(Answer(ProposalBody::whole(&api.service.money.proposal(proposal_id(&id)?).await?)))
}

/// The payout that was decided about; of a proposal about several, or about a balance, the
/// proposal.
async fn decide(
    api: &Shared,
    actor: &Actor,
    id: &str,
    accepted: bool,
) -> Result<Answer<ResolvedBody>, ApiError> {
    let id = proposal_id(id)?;
    let payout = api.service.money.decide_proposal(actor, id, accepted).await?;
    let proposal =
        if payout.is_none() { Some((&api.service.money.proposal(id).await?).into()) } else { None };
    Ok(Answer(ResolvedBody { payout: payout.as_ref().map(Into::into), proposal }))
}

/// Confirms what another treasurer says.
///
/// For treasurers, not for who says so. Of several payouts all, or none if one of them is another
/// by now; asking again ends what was interrupted.
#[utoipa::path(post, path = "/api/v1/payouts/proposals/{proposal_id}/accept", operation_id = "acceptProposal", tag = "payouts",
    params(("proposal_id" = schema::Id, Path, description = "The proposal")),
    responses((status = 200, body = ResolvedBody, description = "It is so; the payout as it is now, if it is about one"),
        (status = 409, body = ErrorBody, description = "It was decided before, or the payout is another by now, or there is not so much")))]
async fn accept(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Answer<ResolvedBody>, ApiError> {
    decide(&api, &actor, &id, true).await
}

/// Refuses what a treasurer says.
///
/// For treasurers, who says so included.
#[utoipa::path(post, path = "/api/v1/payouts/proposals/{proposal_id}/refuse", operation_id = "refuseProposal", tag = "payouts",
    params(("proposal_id" = schema::Id, Path, description = "The proposal")),
    responses((status = 200, body = ResolvedBody, description = "The payout, as it was, if it is about one"),
        (status = 409, body = ErrorBody, description = "It was decided before, or is being carried out")))]
async fn refuse(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Answer<ResolvedBody>, ApiError> {
    decide(&api, &actor, &id, false).await
}

/// Verifies the books now.
///
/// For treasurers and operators. Every entry, settlement and payout is recomputed; if something is
/// wrong, payments are frozen. It is done each hour anyway.
#[utoipa::path(post, path = "/api/v1/payouts/verify", operation_id = "verifyBooks", tag = "payouts",
    responses((status = 200, body = BooksVerifiedBody, description = "What was found, good or bad")))]
async fn verify(
    State(api): State<Shared>,
    _caller: Caller,
) -> Result<Answer<BooksVerifiedBody>, ApiError> {
    Ok(Answer(books_body(&api.service.money.verify_own_books().await?)))
}

/// Compares payouts with the payment service.
///
/// For treasurers. All payouts that changed since then are looked up, while payments are frozen;
/// `reconciled_at` of the status says when that is done. A store that was restored or copied needs
/// it before payments are resumed.
#[utoipa::path(post, path = "/api/v1/payouts/reconcile", operation_id = "reconcilePayouts", tag = "payouts", request_body = ReconcileRequest,
    responses((status = 202, body = PaymentsSwitchBody, description = "They are being compared"),
        (status = 409, body = ErrorBody, description = "Somebody else switched at the same time"),
        (status = 503, body = ErrorBody, description = "No payment service is configured")))]
async fn reconcile(
    State(api): State<Shared>,
    Caller(actor): Caller,
    json: Json<ReconcileRequest>,
) -> Result<(StatusCode, Answer<PaymentsSwitchBody>), ApiError> {
    let switch = api.service.money.reconcile_since(&actor, json.value).await?;
    Ok((StatusCode::ACCEPTED, Answer(switch_body(&switch, api.service.money.in_flight().await?))))
}

/// From when to when; all time, if nothing is said, and all of a year, if that is said.
fn range(params: &Params) -> Result<Interval, ApiError> {
    let at = |name: &'static str| {
        params.parsed(name, |text| text.parse::<TimeMs>().ok(), "must be an RFC 3339 time")
    };
    let year = params.parsed(
        "year",
        |text| text.parse::<i32>().ok().filter(|year| (2000..=9998).contains(year)),
        "must be a year from 2000 to 9998",
    )?;
    if let Some(year) = year {
        let start = |year: i32| {
            format!("{year}-01-01T00:00:00Z")
                .parse()
                .map_err(|_| FieldError::new("year", "must be a year from 2000 to 9998"))
        };
        return Ok(Interval { from: start(year)?, to: start(year + 1)? });
    }
    let range = Interval {
        from: at("from")?.unwrap_or(TimeMs(0)),
        to: at("to")?.unwrap_or(TimeMs(i64::MAX)),
    };
    if range.from >= range.to {
        return Err(FieldError::new("from", "must be before to").into());
    }
    Ok(range)
}

fn written(statement: &Statement, csv: bool) -> Response {
    let line = |line: &lucid_service::StatementLine| {
        StatementLineBody::new(
            (line.owner, line.node),
            &line.entry,
            line.amount,
            line.txid.as_deref(),
        )
    };
    let body = StatementBody::new(
        statement.lines.iter().map(line).collect(),
        statement.sum(),
        &statement.balances,
    );
    if !csv {
        return Answer(body).into_response();
    }
    let disposition = "attachment; filename=\"statement.csv\"";
    (
        [
            (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
            (header::CONTENT_DISPOSITION, disposition),
        ],
        body.csv(),
    )
        .into_response()
}

/// A node's statement.
///
/// What came to the node and what left it, entry by entry, as the ledger has it.
#[utoipa::path(get, path = "/api/v1/nodes/{id}/statement", operation_id = "getNodeStatement", tag = "payouts",
    params(("id" = schema::NodeName, Path, description = "The node"), ("from" = Option<schema::Timestamp>, Query, description = "Not before"),
        ("to" = Option<schema::Timestamp>, Query, description = "Before"), ("year" = Option<schema::Year>, Query, description = "All of this year, in place of both"),
        ("format" = Option<schema::SimulationFormat>, Query, description = "How it is written")),
    responses((status = 200, description = "The statement", content((StatementBody = "application/json"), (String = "text/csv")))))]
async fn node_statement(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let (csv, range) = (is_csv(&params)?, range(&params)?);
    let id = node_id(&api, &id).await?;
    Ok(written(&api.service.money.node_statement(&actor, id, range).await?, csv))
}

/// An owner's statement.
///
/// The same of all of an owner's nodes: the caller's own, or, for callers who see all records,
/// those of `user_id`.
#[utoipa::path(get, path = "/api/v1/payouts/statement", operation_id = "getStatement", tag = "payouts",
    params(("user_id" = Option<schema::Id>, Query, description = "Whose"), ("from" = Option<schema::Timestamp>, Query, description = "Not before"),
        ("to" = Option<schema::Timestamp>, Query, description = "Before"), ("year" = Option<schema::Year>, Query, description = "All of this year, in place of both"),
        ("format" = Option<schema::SimulationFormat>, Query, description = "How it is written")),
    responses((status = 200, description = "The statement", content((StatementBody = "application/json"), (String = "text/csv")))))]
async fn statement(
    State(api): State<Shared>,
    Caller(actor): Caller,
    params: Params,
) -> Result<Response, ApiError> {
    let (csv, range) = (is_csv(&params)?, range(&params)?);
    let owner = params
        .parsed("user_id", |text| text.parse::<UserId>().ok(), "must be a UUID")?
        .unwrap_or(actor.user);
    Ok(written(&api.service.money.owner_statement(&actor, owner, range).await?, csv))
}
