//! What a client takes for an answer: `Accept`.

use axum::{
    extract::Request,
    http::{HeaderMap, header},
    middleware::Next,
    response::Response,
};
use lucid_api_types::ErrorKind;

use crate::errors::ApiError;

const JSON: (&str, &str) = ("application", "json");
const PROBLEM: (&str, &str) = ("application", "problem+json");

/// Where answers are JSON; health, metrics and the like speak plain text.
const API: &str = "/api/";

/// Refuses a request to the API whose client takes no JSON.
pub async fn json(request: Request, next: Next) -> Result<Response, ApiError> {
    let ranges = Ranges::of(request.headers());
    if !request.uri().path().starts_with(API) || ranges.takes(JSON) || ranges.names(PROBLEM) {
        return Ok(next.run(request).await);
    }
    Err(ApiError::new(
        ErrorKind::NotAcceptable,
        "answers are application/json, which the Accept header excludes",
    ))
}

/// Whether a client asks for errors as RFC 9457 has them.
pub fn wants_problem(headers: &HeaderMap) -> bool {
    Ranges::of(headers).names(PROBLEM)
}

/// The media ranges of a request with their weights; none if it does not say.
struct Ranges<'a>(Vec<(&'a str, &'a str, f32)>);

impl<'a> Ranges<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
        Self(lines.flat_map(|line| line.split(',')).filter_map(range).collect())
    }

    /// The most specific range that covers the type has the say.
    fn takes(&self, (kind, form): (&str, &str)) -> bool {
        let covers = |k: &str, f: &str| {
            (k == "*" || k.eq_ignore_ascii_case(kind)) && (f == "*" || f.eq_ignore_ascii_case(form))
        };
        let covering = self.0.iter().filter(|(k, f, _)| covers(k, f));
        let most_specific = covering.max_by_key(|(k, f, _)| (*k != "*", *f != "*"));
        most_specific.map_or(self.0.is_empty(), |(_, _, weight)| *weight > 0.0)
    }

    fn names(&self, (kind, form): (&str, &str)) -> bool {
        self.0.iter().any(|(k, f, weight)| {
            k.eq_ignore_ascii_case(kind) && f.eq_ignore_ascii_case(form) && *weight > 0.0
        })
    }
}

/// `type/form;q=0.5`; what is not of that form is passed over, as servers commonly do.
fn range(text: &str) -> Option<(&str, &str, f32)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let (kind, form) = if name == "*" { ("*", "*") } else { name.split_once('/')? };
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    Some((kind.trim(), form.trim(), weight.map_or(Some(1.0), |weight| weight.trim().parse().ok())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fine(accept: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for line in accept {
            headers.append(header::ACCEPT, line.parse().unwrap());
        }
        let ranges = Ranges::of(&headers);
        ranges.takes(JSON) || ranges.names(PROBLEM)
    }

    #[test]
    fn json_is_excluded_only_by_what_excludes_it() {
        for accept in [
            "",
            "*/*",
            "*",
            "application/*",
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/problem+json",
            "text/csv, application/json;q=0.1",
            "text/html, image/gif, *; q=.2, */*; q=.2",
            "application/json;q=0, application/problem+json",
        ] {
            assert!(fine(&[accept]), "{accept}");
        }
        for accept in [
            "text/csv",
            "text/*",
            "application/json;q=0",
            "application/json;q=0.0, */*",
            "application/*;q=0, */*",
            "application/xml",
        ] {
            assert!(!fine(&[accept]), "{accept}");
        }
        assert!(
            fine(&[])
                && fine(&["text/csv", "application/json"])
                && !fine(&["text/csv", "text/html"])
        );
    }
}
