//! Who has money that was not paid.

use axum::{
    Json as Answer,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use lucid_api_types::{
    money::unpaid::{UnpaidBody, UnpaidList, UnpaidTotalBody, unpaid_csv},
    page::{PageParams, Pagination},
    schema,
};
use lucid_model::id::{NodeId, UserId};
use lucid_ports::{Order, PageRequest};
use lucid_service::{Unpaid, UnpaidFilter, UnpaidLine};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::routes::policies::is_csv;
use crate::{
    api::Shared,
    errors::ApiError,
    extract::{Caller, Params},
};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list))
}

fn body(line: &UnpaidLine) -> UnpaidBody {
    UnpaidBody {
        node_id: line.node.to_string(),
        user_id: line.owner.map(|owner| owner.to_string()),
        balance: line.balance.name().into(),
        amount_usdt: line.amount.to_string(),
        since: line.since.to_string(),
        reason: line.why.name().into(),
        payout_id: line.payout.map(|payout| payout.to_string()),
    }
}

/// Who was not paid, and why not.
///
/// For callers who see all records. Every node with money available, held or reserved: how much,
/// since when, and what keeps it from being paid. A balance of which parts wait for different
/// things is several lines. By node; `totals` say it of all pages. As CSV all lines at once.
#[utoipa::path(get, path = "/api/v1/payouts/unpaid", operation_id = "listUnpaid", tag = "payouts",
    params(PageParams, ("sort" = Option<schema::NodeIdSort>, Query, description = "What to sort by"), ("node_id" = Option<schema::Id>, Query, description = "Of this node"),
        ("user_id" = Option<schema::Id>, Query, description = "Of this owner's nodes"), ("reason" = Option<schema::Unpaid>, Query, description = "For this reason"),
        ("format" = Option<schema::SimulationFormat>, Query, description = "How it is written")),
    responses((status = 200, description = "What was not paid", content((UnpaidList = "application/json"), (String = "text/csv")))))]
async fn list(
    State(api): State<Shared>,
    _caller: Caller,
    params: Params,
) -> Result<Response, ApiError> {
    let (csv, page) = (is_csv(&params)?, params.page(("node_id", ()), &[])?);
    let filter = UnpaidFilter {
        node: params.parsed("node_id", |text| text.parse::<NodeId>().ok(), "must be a UUID")?,
        owner: params.parsed("user_id", |text| text.parse::<UserId>().ok(), "must be a UUID")?,
        why: params.word("reason", &Unpaid::ALL, Unpaid::name)?,
    };
    if csv {
        let report = api
            .service
            .money
            .unpaid(
                filter,
                PageRequest { page: 1, limit: u32::MAX, sort: (), order: Order::Ascending },
            )
            .await?;
        let lines: Vec<_> = report.lines.iter().map(body).collect();
        let disposition = "attachment; filename=\"unpaid.csv\"";
        return Ok((
            [
                (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
                (header::CONTENT_DISPOSITION, disposition),
            ],
            unpaid_csv(lines.iter()),
        )
            .into_response());
    }
    let report = api.service.money.unpaid(filter, page).await?;
    Ok(Answer(UnpaidList {
        totals: report
            .totals
            .iter()
            .map(|(why, of)| UnpaidTotalBody::new(why.name(), of.nodes, of.available))
            .collect(),
        unpaid: report.lines.iter().map(body).collect(),
        pagination: Pagination::new(page.page, page.limit, report.total),
    })
    .into_response())
}
