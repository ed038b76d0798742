use axum::{Json as Answer, extract::State};
use lucid_api_types::{
    FieldError,
    audit::{AuditEntryBody, AuditHeadsBody, FILTER_LENGTH_MAX},
    page::{AuditList, PageParams, Pagination},
    schema,
};
use lucid_model::time::TimeMs;
use lucid_ports::AuditFilter;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::Shared,
    errors::ApiError,
    extract::{Caller, Params},
};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(heads))
}

fn text(params: &Params, name: &'static str) -> Result<Option<String>, ApiError> {
    let fits = |text: &str| {
        (1..=FILTER_LENGTH_MAX).contains(&text.chars().count()).then(|| text.to_owned())
    };
    params.parsed(name, fits, &format!("must have 1 to {FILTER_LENGTH_MAX} characters"))
}

fn time(params: &Params, name: &'static str) -> Result<Option<TimeMs>, ApiError> {
    params.parsed(
        name,
        |text| text.parse().ok(),
        "must be an RFC 3339 time such as 2026-01-31T12:00:00Z",
    )
}

/// The audit log.
///
/// Who did what, when and why, newest first. For callers who see all records.
#[utoipa::path(get, path = "/api/v1/audit", operation_id = "listAuditEntries", tag = "audit",
    params(PageParams,
        ("sort" = Option<schema::AuditSort>, Query, description = "What to sort by"),
        ("actor" = Option<schema::AuditWord>, Query, description = "What this one did"),
        ("action" = Option<schema::AuditWord>, Query, description = "This action"),
        ("subject" = Option<schema::AuditWord>, Query, description = "What was done to this"),
        ("from" = Option<schema::Timestamp>, Query, description = "Not before this time"),
        ("to" = Option<schema::Timestamp>, Query, description = "Before this time, which is after `from`")),
    responses((status = 200, body = AuditList, description = "A page of entries")))]
async fn list(
    State(api): State<Shared>,
    Caller(actor): Caller,
    params: Params,
) -> Result<Answer<AuditList>, ApiError> {
    let filter = AuditFilter {
        actor: text(&params, "actor")?,
        action: text(&params, "action")?,
        area: None,
        subject: text(&params, "subject")?,
        from: time(&params, "from")?,
        to: time(&params, "to")?,
    };
    if filter.from.zip(filter.to).is_some_and(|(from, to)| from >= to) {
        return Err(FieldError::new("to", "must be after from").into());
    }
    let page = params.page(("at", ()), &[])?;
    let found = api.service.audit.audit(&actor, filter, page).await?;
    let items = found.items.iter().map(AuditEntryBody::from).collect();
    Ok(Answer(AuditList {
        entries: items,
        pagination: Pagination::new(page.page, page.limit, found.total),
    }))
}

/// Where the audit log's chains end.
///
/// And up to where they are sealed. Kept elsewhere, it proves what the log was. For callers who see
/// all records.
#[utoipa::path(get, path = "/api/v1/audit/heads", operation_id = "getAuditHeads", tag = "audit",
    responses((status = 200, body = AuditHeadsBody, description = "Every chain's end, and the newest seal")))]
async fn heads(
    State(api): State<Shared>,
    Caller(actor): Caller,
) -> Result<Answer<AuditHeadsBody>, ApiError> {
    let (heads, seal) = api.service.audit.audit_heads(&actor).await?;
    Ok(Answer(AuditHeadsBody::new(&heads, seal.as_ref(), api.service.public_key())))
}
