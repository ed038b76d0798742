//! Asking a service for what it is used for, without any effect: what `lucid doctor` does.

use reqwest::{RequestBuilder, Response, StatusCode, header::DATE};

use crate::http::{self, plain};

/// How a service answered its own route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Its `Date` header.
    pub date: Option<String>,
    /// What the answer shows.
    pub verdict: Verdict,
}

/// What an answer shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The service speaks the profile.
    Fits(String),
    /// It does not let us in: 401 or 403.
    Refused(String),
    /// It answers, but not as the profile says.
    Misfits(String),
}

/// The verdict on a status that the profile does not expect.
pub fn judged(status: StatusCode, profile: &str) -> Verdict {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Verdict::Refused(format!("it refuses us ({})", status.as_u16()))
        }
        status => Verdict::Misfits(format!(
            "unexpected answer for the profile {profile}: {}",
            status.as_u16()
        )),
    }
}

/// Sends a request and reads its answer: status, `Date` header, body.
///
/// # Errors
/// Why there was no answer, or what is wrong with it.
pub async fn asked(
    service: &'static str,
    request: RequestBuilder,
) -> Result<(StatusCode, Option<String>, Vec<u8>), String> {
    let response: Response = http::send(service, request).await.map_err(|error| plain(&error))?;
    let date = response.headers().get(DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
    let status = response.status();
    Ok((status, date, http::body(response).await?))
}
