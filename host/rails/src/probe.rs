//! Asking a service for what it is used for, without any effect: what `lucid doctor` does.

use reqwest::{RequestBuilder, Response, StatusCode, header::DATE};

use crate::{
    chain::ChainClient,
    http::{self, plain},
    profile::{Find, NOBODY},
    tron_payment::{TronPayment, says_unknown},
};

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

impl TronPayment {
    /// Looks up a payout that nobody has.
    ///
    /// # Errors
    /// Why there was no answer.
    pub async fn probe(&self) -> Result<Probe, String> {
        let profile = self.profile();
        let url = match profile.find {
            Find::ByReference => format!("{}?reference={}", self.url(profile.path), NOBODY),
            Find::ById { prefix, nobody } => format!("{}/{nobody}", self.url(prefix)),
        };
        let (status, date, body) = asked("payment", self.get(url)).await?;
        let verdict = match status {
            StatusCode::NOT_FOUND if says_unknown(profile, &body) => {
                Verdict::Fits(format!("it speaks the profile {}", profile.name))
            }
            status => judged(status, profile.name),
        };
        Ok(Probe { date, verdict })
    }
}

impl ChainClient {
    /// Asks for the newest block.
    ///
    /// # Errors
    /// Why there was no answer.
    pub async fn probe(&self) -> Result<Probe, String> {
        let (status, date, body) = self.newest().await?;
        let verdict = match self.block(status, &body) {
            Ok(block) => Verdict::Fits(format!(
                "it speaks the profile {}, its newest block is {}",
                self.profile().name,
                block.id
            )),
            Err(_) if status != StatusCode::OK => judged(status, self.profile().name),
            Err(problem) => Verdict::Misfits(problem.detail),
        };
        Ok(Probe { date, verdict })
    }
}

fn judged(status: StatusCode, profile: &str) -> Verdict {
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
pub(crate) async fn asked(
    service: &'static str,
    request: RequestBuilder,
) -> Result<(StatusCode, Option<String>, Vec<u8>), String> {
    let response: Response = http::send(service, request).await.map_err(|error| plain(&error))?;
    let date = response.headers().get(DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
    let status = response.status();
    Ok((status, date, http::body(response).await?))
}
