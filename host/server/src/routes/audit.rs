use axum::{Json as Answer, extract::State};
use lucid_model::time::TimeMs;
use lucid_ports::AuditFilter;
use lucid_wire::{
    ErrorBody, FieldError,
    audit::{AuditEntryBody, AuditHeadsBody},
    page::{AuditList, PageParams, Pagination},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::Shared,
    errors::ApiError,
    extract::{Caller, Params},
};

/// Characters of a filter: more than any actor, action or subject has.
const FILTER_LENGTH_MAX: usize = 512;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(heads))
}

fn text(params: &Params, name: &'static str) -> Result<Option<String>, ApiError> {
    let fits = |text: &str| (1..=FILTER_LENGTH_MAX).contains(&text.chars().count()).then(|| text.to_owned());
    params.parsed(name, fits, "must have 1 to 512 characters")
}

fn time(params: &Params, name: &'static str) -> Result<Option<TimeMs>, ApiError> {
    params.parsed(name, |text| text.parse().ok(), "must be an RFC 3339 time such as 2026-01-31T12:00:00Z")
}

/// The audit log: who did what, when and why. For those who see everything.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit",
    params(PageParams,
        ("actor" = Option<String>, Query), ("action" = Option<String>, Query), ("subject" = Option<String>, Query),
        ("from" = Option<String>, Query, description = "not before, RFC 3339"), ("to" = Option<String>, Query, description = "before, RFC 3339")),
    responses((status = 200, body = AuditList), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
async fn list(State(api): State<Shared>, Caller(actor): Caller, params: Params) -> Result<Answer<AuditList>, ApiError> {
    let filter = AuditFilter {
        actor: text(&params, "actor")?,
        action: text(&params, "action")?,
        subject: text(&params, "subject")?,
        from: time(&params, "from")?,
        to: time(&params, "to")?,
    };
    if filter.from.zip(filter.to).is_some_and(|(from, to)| from >= to) {
        return Err(FieldError::new("to", "must be after from").into());
    }
    let page = params.page(("at", ()), &[])?;
    let found = api.service.audit(&actor, filter, page).await?;
    let items = found.items.iter().map(AuditEntryBody::from).collect();
    Ok(Answer(AuditList { entries: items, pagination: Pagination::new(page.page, page.limit, found.total) }))
}

/// Where the audit log's chains end, and up to where they are sealed. Kept elsewhere, it proves what the log was.
#[utoipa::path(get, path = "/api/v1/audit/heads", tag = "audit",
    responses((status = 200, body = AuditHeadsBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
async fn heads(State(api): State<Shared>, Caller(actor): Caller) -> Result<Answer<AuditHeadsBody>, ApiError> {
    let (heads, seal) = api.service.audit_heads(&actor).await?;
    Ok(Answer(AuditHeadsBody::new(&heads, seal.as_ref(), api.service.public_key())))
}
