//! How an answer reaches the client, or fails to.

use std::{io, time::Duration};

use axum::{
    body::Body,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::stream;
use tokio_util::sync::CancellationToken;

use super::Answer;
use crate::{connection::Breaker, reply::Reply};

const JSON: &str = "application/json";
const HUGE_CHUNK_BYTES: usize = 64 * 1024;
const PAGE: &str =
    "<!doctype html><title>Bad gateway</title><h1>502 Bad Gateway</h1><p>lucid sandbox</p>\n";

/// What the transport of one answer needs.
#[derive(Debug)]
pub(crate) struct Delivery<'a> {
    pub(crate) breaker: &'a Breaker,
    pub(crate) uri: &'a Uri,
    pub(crate) stopping: &'a CancellationToken,
}

impl Delivery<'_> {
    /// Sends a reply the way the answer asks for.
    pub(crate) async fn send(&self, answer: &Answer, reply: Reply) -> Response {
        match answer {
            Answer::Status { code, error_code } => {
                let status =
                    StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let code = error_code.as_deref().unwrap_or("FAULT");
                Reply::error(status, code, "a planned fault").into_response()
            }
            Answer::Hang { ms } => {
                let wait = Duration::from_millis(u64::from(*ms));
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = self.stopping.cancelled() => self.breaker.trip(),
                }
                reply.into_response()
            }
            Answer::Reset => {
                self.breaker.trip();
                reply.into_response()
            }
            Answer::Cut => cut(&reply),
            Answer::Html => {
                (StatusCode::OK, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], PAGE)
                    .into_response()
            }
            Answer::Redirect => redirect(self.uri, reply),
            Answer::Drip { ms } => drip(&reply, *ms, self.stopping.clone()),
            Answer::Huge { bytes } => huge(&reply, *bytes),
            Answer::Ok
            | Answer::WrongAmount
            | Answer::WrongId
            | Answer::WrongAddress
            | Answer::Failed
            | Answer::Cancelled
            | Answer::AnothersReply => reply.into_response(),
        }
    }
}

fn cut(reply: &Reply) -> Response {
    let whole = Bytes::from(reply.to_bytes());
    let length = whole.len();
    let half = whole.slice(..length / 2);
    let parts = stream::unfold(Some(half), |left| async move {
        match left {
            Some(half) if !half.is_empty() => Some((Ok(half), Some(Bytes::new()))),
            Some(_) => {
                // Lets the first half leave before the connection ends.
                tokio::task::yield_now().await;
                Some((Err(io::Error::from(io::ErrorKind::ConnectionAborted)), None))
            }
            None => None,
        }
    });
    let headers =
        [(header::CONTENT_TYPE, JSON.to_owned()), (header::CONTENT_LENGTH, length.to_string())];
    (reply.status, headers, Body::from_stream(parts)).into_response()
}

fn redirect(uri: &Uri, reply: Reply) -> Response {
    let location = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let reply = Reply { status: StatusCode::TEMPORARY_REDIRECT, ..reply };
    ([(header::LOCATION, location)], reply).into_response()
}

fn drip(reply: &Reply, ms: u32, stopping: CancellationToken) -> Response {
    let whole = Bytes::from(reply.to_bytes());
    let length = whole.len();
    let wait = Duration::from_millis(u64::from(ms));
    let drops = stream::unfold((whole, stopping), move |(mut left, stopping)| async move {
        if left.is_empty() {
            return None;
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {
                let drop = left.split_to(1);
                Some((Ok(drop), (left, stopping)))
            }
            () = stopping.cancelled() => {
                let error = io::Error::from(io::ErrorKind::ConnectionAborted);
                Some((Err(error), (Bytes::new(), stopping.clone())))
            }
        }
    });
    let headers =
        [(header::CONTENT_TYPE, JSON.to_owned()), (header::CONTENT_LENGTH, length.to_string())];
    (reply.status, headers, Body::from_stream(drops)).into_response()
}

fn huge(reply: &Reply, padding_bytes: u64) -> Response {
    let mut opening = reply.to_bytes();
    opening.pop();
    opening.extend_from_slice(b",\"padding\":\"");
    let chunk = Bytes::from(vec![b'x'; HUGE_CHUNK_BYTES]);
    let padding = stream::unfold(padding_bytes, move |left| {
        let chunk = chunk.clone();
        async move {
            if left == 0 {
                return None;
            }
            let length =
                usize::try_from(left).map_or(HUGE_CHUNK_BYTES, |left| left.min(HUGE_CHUNK_BYTES));
            let sent = u64::try_from(length).unwrap_or(left);
            Some((chunk.slice(..length), left.saturating_sub(sent)))
        }
    });
    let body = stream::StreamExt::chain(
        stream::StreamExt::chain(stream::iter([Bytes::from(opening)]), padding),
        stream::iter([Bytes::from_static(b"\"}")]),
    );
    let body = stream::StreamExt::map(body, Ok::<_, io::Error>);
    (reply.status, [(header::CONTENT_TYPE, JSON)], Body::from_stream(body)).into_response()
}
