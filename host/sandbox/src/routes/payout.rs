//! Payouts: taking one, and saying where it stands.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{
        ConnectInfo, OriginalUri, Path, Query, State,
        rejection::{BytesRejection, PathRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode},
    response::Response,
};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::{
    App, TEXT_BYTES_MAX, optional, required,
    shape::{Shape, unkeyed},
};
use crate::{
    amount::MicroUsdt,
    clock::now_ms,
    connection::Breaker,
    digest::sha256_hex,
    fault::{Answer, Delivery, Effect, Fault, Route, deface, disguise},
    record::{NewTransfer, Outcome, Transfer},
    reply::{Reply, merge},
};

const KEY_HEADER: &str = "idempotency-key";
const CURRENCY: &str = "USDT";
const ADDRESS_CHARS: usize = 34;
const BASE58: &str = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

#[derive(Debug, Deserialize)]
struct PayoutBody {
    payout_id: Option<String>,
    reference: Option<String>,
    metadata: Option<Metadata>,
    node_id: Option<String>,
    user_id: Option<String>,
    recipient_address: Option<String>,
    wallet_address: Option<String>,
    amount: Option<Value>,
    currency: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    reference: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct StatusQuery {
    reference: Option<String>,
}

/// `POST /api/v1/payouts`
pub(super) async fn create(
    State(app): State<Arc<App>>,
    ConnectInfo(breaker): ConnectInfo<Breaker>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let fault = app.faults.take(Route::Payout);
    let outcome = accept(&app, fault.effect, &headers, body).await;
    let standing = |transfer: &Transfer| Reply::new(StatusCode::ACCEPTED, transfer.acceptance());
    let reply = untrue(&app, &fault, merge(outcome), standing).await;
    let delivery = Delivery { breaker: &breaker, uri: &uri, stopping: &app.stopping };
    delivery.send(&fault.answer, reply).await
}

/// `POST /api/v1/payouts/initiate` and `/api/v1/tron/payouts/create`: other shapes, which keep no
/// keys.
pub(super) async fn create_shaped(
    State(app): State<Arc<App>>,
    Extension(shape): Extension<Shape>,
    ConnectInfo(breaker): ConnectInfo<Breaker>,
    OriginalUri(uri): OriginalUri,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let fault = app.faults.take(Route::Payout);
    let outcome = record(&app, fault.effect, (unkeyed(), shape.amount()), body).await;
    let standing = |transfer: &Transfer| Reply::new(StatusCode::ACCEPTED, transfer.acceptance());
    let reply = shape.of(untrue(&app, &fault, merge(outcome), standing).await);
    let delivery = Delivery { breaker: &breaker, uri: &uri, stopping: &app.stopping };
    delivery.send(&fault.answer, reply).await
}

/// `GET /api/v1/tron/payouts/{id}`
pub(super) async fn tron_by_id(
    State(app): State<Arc<App>>,
    ConnectInfo(breaker): ConnectInfo<Breaker>,
    OriginalUri(uri): OriginalUri,
    Path(id): Path<String>,
) -> Response {
    let fault = app.faults.take(Route::Status);
    let (outcome, shape) = (told_as(&app, Shape::TronCreate, &id).await, Some(Shape::TronCreate));
    tell(&app, fault, (merge(outcome), shape), &breaker, &uri).await
}

/// `GET /api/v1/payouts/{id}`: by our id or the record's in the default shape, by a UUID of the
/// service's own in the shape `initiate`.
pub(super) async fn by_id(
    State(app): State<Arc<App>>,
    ConnectInfo(breaker): ConnectInfo<Breaker>,
    OriginalUri(uri): OriginalUri,
    id: Result<Path<String>, PathRejection>,
) -> Response {
    let fault = app.faults.take(Route::Status);
    let (outcome, shape) = match id {
        Ok(Path(id)) => match told_as(&app, Shape::Initiate, &id).await {
            Ok(reply) => (Ok(reply), Some(Shape::Initiate)),
            Err(_) => {
                (found(app.reader.transfer_by_id(id, now_ms()).await.map_err(Reply::from)), None)
            }
        },
        Err(rejection) => (Err(Reply::malformed("INVALID_PATH", rejection.body_text())), None),
    };
    tell(&app, fault, (merge(outcome), shape), &breaker, &uri).await
}

/// `GET /api/v1/payouts?reference=`
pub(super) async fn by_reference(
    State(app): State<Arc<App>>,
    ConnectInfo(breaker): ConnectInfo<Breaker>,
    OriginalUri(uri): OriginalUri,
    query: Result<Query<StatusQuery>, QueryRejection>,
) -> Response {
    let fault = app.faults.take(Route::Status);
    let outcome = match query {
        Ok(Query(StatusQuery { reference: Some(reference) })) => {
            let read = app.reader.transfer_by_reference(reference, now_ms()).await;
            found(read.map_err(Reply::from))
        }
        Ok(_) => Err(Reply::malformed("MISSING_FIELD", "reference is missing")),
        Err(rejection) => Err(Reply::malformed("INVALID_QUERY", rejection.body_text())),
    };
    tell(&app, fault, (merge(outcome), None), &breaker, &uri).await
}

/// The transfer whose own id is told so in a shape.
async fn told_as(app: &App, shape: Shape, id: &str) -> Result<Reply, Reply> {
    match shape.stored(id) {
        Some(id) => found(app.reader.transfer_by_id(id, now_ms()).await.map_err(Reply::from)),
        None => found(Ok(None)),
    }
}

fn found(read: Result<Option<Transfer>, Reply>) -> Result<Reply, Reply> {
    match read? {
        Some(transfer) => Ok(Reply::ok(transfer.standing(now_ms()))),
        None => Err(Reply::not_found("PAYOUT_NOT_FOUND", "no payout is known by this name")),
    }
}

async fn tell(
    app: &App,
    fault: Fault,
    (reply, shape): (Reply, Option<Shape>),
    breaker: &Breaker,
    uri: &axum::http::Uri,
) -> Response {
    let standing = |transfer: &Transfer| Reply::ok(transfer.standing(now_ms()));
    let reply = untrue(app, &fault, reply, standing).await;
    let reply = match shape {
        Some(shape) => shape.of(reply),
        None => reply,
    };
    let delivery = Delivery { breaker, uri, stopping: &app.stopping };
    delivery.send(&fault.answer, reply).await
}

/// Applies the answers that change what a reply says.
async fn untrue(
    app: &App,
    fault: &Fault,
    mut reply: Reply,
    render: impl Fn(&Transfer) -> Reply,
) -> Reply {
    if fault.answer != Answer::AnothersReply || !reply.status.is_success() {
        disguise(&fault.answer, &mut reply);
        return reply;
    }
    let payout_id = reply.text("payout_id").unwrap_or_default().to_owned();
    match app.reader.transfer_of_another(payout_id).await {
        Ok(Some(another)) => render(&another),
        Ok(None) => {
            deface(&mut reply);
            reply
        }
        Err(error) => error.into(),
    }
}

async fn accept(
    app: &App,
    effect: Effect,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Reply, Reply> {
    record(app, effect, (key(headers)?, text), body).await
}

/// How an amount is written.
pub(super) type AmountText = fn(&Value) -> Option<String>;

/// As a string.
pub(super) fn text(amount: &Value) -> Option<String> {
    amount.as_str().map(str::to_owned)
}

async fn record(
    app: &App,
    effect: Effect,
    (key, amount): (String, AmountText),
    body: Result<Bytes, BytesRejection>,
) -> Result<Reply, Reply> {
    let body = body.map_err(|rejection| {
        Reply::error(rejection.status(), "UNREADABLE_BODY", rejection.body_text())
    })?;
    let new = validate(key, amount, &body)?;
    let transfer = if effect == Effect::None {
        Transfer::pretended(new, now_ms())
    } else {
        match app.writer.transfer(new, effect).await? {
            Outcome::Recorded(transfer) => transfer,
            Outcome::Conflict => {
                let message = "this idempotency key was used with another body";
                return Err(Reply::conflict("IDEMPOTENCY_CONFLICT", message));
            }
        }
    };
    Ok(Reply::new(StatusCode::ACCEPTED, transfer.acceptance()))
}

fn key(headers: &HeaderMap) -> Result<String, Reply> {
    let Some(value) = headers.get(KEY_HEADER) else {
        return Err(Reply::malformed("MISSING_IDEMPOTENCY_KEY", "Idempotency-Key is missing"));
    };
    match value.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= TEXT_BYTES_MAX => Ok(key.to_owned()),
        _ => {
            let message =
                format!("Idempotency-Key is not 1 to {TEXT_BYTES_MAX} visible characters");
            Err(Reply::malformed("INVALID_IDEMPOTENCY_KEY", message))
        }
    }
}

fn validate(
    idempotency_key: String,
    amount_text: AmountText,
    bytes: &Bytes,
) -> Result<NewTransfer, Reply> {
    let body: PayoutBody = serde_json::from_slice(bytes)
        .map_err(|error| Reply::malformed("INVALID_JSON", error.to_string()))?;
    let payout_id = required("payout_id", body.payout_id)?;
    let recipient_address = required("recipient_address", body.recipient_address)?;
    let currency = required("currency", body.currency)?;
    if !looks_like_an_address(&recipient_address) {
        return Err(Reply::invalid("INVALID_ADDRESS", "recipient_address is not a TRON address"));
    }
    if body.wallet_address.is_some_and(|wallet| wallet != recipient_address) {
        let message = "wallet_address and recipient_address differ";
        return Err(Reply::invalid("ADDRESS_MISMATCH", message));
    }
    if currency != CURRENCY {
        return Err(Reply::invalid("INVALID_CURRENCY", format!("currency is not {CURRENCY}")));
    }
    let amount =
        body.amount.as_ref().and_then(amount_text).and_then(|text| MicroUsdt::parse(&text));
    let Some(amount) = amount else {
        let message = "amount is not a positive decimal string of at most six fraction digits";
        return Err(Reply::invalid("INVALID_AMOUNT", message));
    };
    let outer = optional("reference", body.reference)?;
    let inner = optional("metadata.reference", body.metadata.and_then(|meta| meta.reference))?;
    if outer.is_some() && inner.is_some() && outer != inner {
        let message = "reference and metadata.reference differ";
        return Err(Reply::invalid("REFERENCE_MISMATCH", message));
    }
    Ok(NewTransfer {
        idempotency_key,
        body_sha256: sha256_hex(bytes),
        payout_id,
        reference: outer.or(inner),
        node_id: optional("node_id", body.node_id)?,
        user_id: optional("user_id", body.user_id)?,
        recipient_address,
        amount,
        currency,
    })
}

fn looks_like_an_address(text: &str) -> bool {
    text.len() == ADDRESS_CHARS
        && text.starts_with('T')
        && text.chars().all(|character| BASE58.contains(character))
}
