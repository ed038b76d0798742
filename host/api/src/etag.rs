//! Entity tags: which version of a record an answer shows, and what it looks like.
//!
//! A tag is `"{version}-{digest}"`. `If-Match` asks about the record, so that only the version
//! counts: a report that came in between is no reason to refuse a change of name. `If-None-Match`
//! asks about the answer, so that all of it counts.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use lucid_model::id::Digest;
use lucid_service::Expected;
use serde::Serialize;

use crate::errors::ApiError;

/// Hex digits of the digest: enough to tell the answers of one version apart.
const DIGITS: usize = 16;

/// An answer with its tag; 304 without a body if the client has it already.
pub fn tagged(
    headers: &HeaderMap,
    version: u64,
    body: &impl Serialize,
) -> Result<Response, ApiError> {
    let bytes = serde_json::to_vec(body).map_err(|error| ApiError::internal(&error))?;
    let digest = Digest::of(&bytes).to_string();
    let tag = format!("\"{version}-{}\"", digest.get(..DIGITS).unwrap_or(&digest));
    let known = list(headers, header::IF_NONE_MATCH)
        .any(|known| known == "*" || known.trim_start_matches("W/") == tag);
    let tag = HeaderValue::from_str(&tag).map_err(|error| ApiError::internal(&error))?;
    if known {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::ETAG, tag), (header::CONTENT_TYPE, json)], bytes).into_response())
}

/// The versions that `If-Match` takes the record to have; none if it is not there.
pub fn if_match(headers: &HeaderMap) -> Option<Expected> {
    if !headers.contains_key(header::IF_MATCH) {
        return None;
    }
    let mut versions = Vec::new();
    for tag in list(headers, header::IF_MATCH) {
        if tag == "*" {
            return Some(Expected(Vec::new()));
        }
        // A weak tag never matches here (RFC 9110, 13.1.1), nor does one that is not ours: no
        // version is 0.
        let version = tag
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .and_then(|tag| tag.split('-').next()?.parse().ok());
        versions.push(version.unwrap_or(0));
    }
    if versions.is_empty() {
        // A list may be empty (RFC 9110, 5.6.1): no version is in it.
        versions.push(0);
    }
    Some(Expected(versions))
}

fn list(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|tag| !tag.is_empty())
}

/// The answer to a change, with the tag that the next one may name.
pub fn changed(version: u64, body: &impl Serialize) -> Result<Response, ApiError> {
    tagged(&HeaderMap::new(), version, body)
}

/// The same with status 201 and where the new record is.
pub fn created(version: u64, body: &impl Serialize, location: &str) -> Result<Response, ApiError> {
    let place = HeaderValue::from_str(location).map_err(|error| ApiError::internal(&error))?;
    let mut response = changed(version, body)?;
    *response.status_mut() = StatusCode::CREATED;
    response.headers_mut().insert(header::LOCATION, place);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_tag_stands_for_a_version_and_for_an_answer() {
        let first = tagged(&HeaderMap::new(), 7, &"a").unwrap();
        let tag = first.headers().get(header::ETAG).unwrap().to_str().unwrap().to_owned();
        assert!(tag.starts_with("\"7-") && tag.len() == 20, "{tag}");
        assert_eq!(tagged(&with(header::IF_NONE_MATCH, &tag), 7, &"a").unwrap().status(), 304);
        assert_eq!(
            tagged(&with(header::IF_NONE_MATCH, &format!("\"x\", W/{tag}")), 7, &"a")
                .unwrap()
                .status(),
            304
        );
        assert_eq!(
            tagged(&with(header::IF_NONE_MATCH, &tag), 7, &"b").unwrap().status(),
            200,
            "another answer of the same version"
        );
        assert_eq!(if_match(&with(header::IF_MATCH, &tag)), Some(Expected(vec![7])));
    }

    #[test]
    fn if_match_takes_any_of_its_tags_and_no_weak_one() {
        let read = |text: &str| if_match(&with(header::IF_MATCH, text));
        assert_eq!(if_match(&HeaderMap::new()), None);
        assert_eq!(read("*"), Some(Expected(Vec::new())));
        assert_eq!(read("\"3\", \"5-abc\""), Some(Expected(vec![3, 5])));
        assert_eq!(read("W/\"3-abc\", garbage, \"3"), Some(Expected(vec![0, 0, 0])));
        assert_eq!(
            (read(""), read(" , ")),
            (Some(Expected(vec![0])), Some(Expected(vec![0]))),
            "an empty list has no version"
        );
    }
}
