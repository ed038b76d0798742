//! Heads that two readers could read differently, and bodies in a coding that nobody here reads.

use axum::{
    body::HttpBody,
    extract::Request,
    http::{HeaderName, HeaderValue, Version, header, uri::Authority},
    response::{IntoResponse, Response},
};
use lucid_api_types::{
    ErrorKind, FieldError,
    fleet::auth::{
        HEADER_ENROLMENT, HEADER_NONCE, HEADER_SEQUENCE, HEADER_SIGNATURE, HEADER_TIMESTAMP,
    },
};

use crate::errors::ApiError;

/// Headers of which a request has one at most: with two, a proxy may have judged the other one.
const SINGLE: [HeaderName; 8] = [
    header::HOST,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    HeaderName::from_static(HEADER_ENROLMENT),
    HeaderName::from_static(HEADER_TIMESTAMP),
    HeaderName::from_static(HEADER_NONCE),
    HeaderName::from_static(HEADER_SIGNATURE),
    HeaderName::from_static(HEADER_SEQUENCE),
];

/// The answer to a request that cannot be read in one way alone; none if it can.
pub fn refused(request: &Request) -> Option<Response> {
    match plain(request) {
        Err(error) => Some(ApiError::from(error).into_response()),
        Ok(()) => coded(request),
    }
}

fn plain(request: &Request) -> Result<(), FieldError> {
    let headers = request.headers();
    if let Some(name) = SINGLE.iter().find(|name| headers.get_all(*name).iter().nth(1).is_some()) {
        return Err(FieldError::new(name.as_str(), "is given twice: send it once"));
    }
    let Some(host) = headers.get(header::HOST) else {
        // HTTP/2 names the host elsewhere, and HTTP/1.0 need not.
        let needed = request.version() == Version::HTTP_11;
        return if needed {
            Err(FieldError::new("host", "is missing: HTTP/1.1 requires it"))
        } else {
            Ok(())
        };
    };
    let text = host.to_str().unwrap_or("@");
    let is_one =
        text.is_empty() || text.parse::<Authority>().is_ok_and(|host| !host.as_str().contains('@'));
    if !is_one {
        return Err(FieldError::new("host", "is no host with an optional port"));
    }
    match request.uri().authority() {
        Some(authority)
            if request.version() >= Version::HTTP_2
                && !authority.as_str().eq_ignore_ascii_case(text) =>
        {
            Err(FieldError::new("host", "is not what :authority names"))
        }
        _ => Ok(()),
    }
}

/// Bodies are taken as they are.
fn coded(request: &Request) -> Option<Response> {
    let mut codings = request.headers().get_all(header::CONTENT_ENCODING).iter();
    let coding = codings.find(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))?;
    if request.body().is_end_stream() {
        return None;
    }
    let shown: String = String::from_utf8_lossy(coding.as_bytes())
        .chars()
        .filter(|letter| !letter.is_control())
        .take(32)
        .collect();
    let problem = FieldError::new(
        "content-encoding",
        format!("{shown} is not supported: send the body as it is"),
    );
    let mut response =
        ApiError::from(problem).of_kind(ErrorKind::UnsupportedMediaType).into_response();
    response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Some(response)
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Method};

    use super::*;

    fn status(version: Version, uri: &str, body: &str, headers: &[(&str, &str)]) -> Option<u16> {
        let mut request = Request::builder().method(Method::POST).version(version).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        refused(&request.body(Body::from(body.to_owned())).unwrap())
            .map(|response| response.status().as_u16())
    }

    #[test]
    fn a_head_is_read_in_one_way_or_refused() {
        let (one, two, old) = (Version::HTTP_11, Version::HTTP_2, Version::HTTP_10);
        let host = ("host", "nodes.example.org:8095");
        for (version, uri, headers, expected) in [
            (one, "/", vec![host], None),
            (one, "/", vec![("host", "[::1]:8095")], None),
            (one, "/", vec![("host", "")], None),
            (old, "/", vec![], None),
            (two, "http://a/", vec![], None),
            (two, "http://a/", vec![("host", "A")], None),
            (one, "/", vec![], Some(400)),
            (one, "/", vec![host, host], Some(400)),
            (one, "/", vec![host, ("host", "b")], Some(400)),
            (one, "/", vec![("host", "a b")], Some(400)),
            (one, "/", vec![("host", "user@a")], Some(400)),
            (one, "/", vec![("host", "a/b")], Some(400)),
            (old, "/", vec![host, host], Some(400)),
            (two, "http://a/", vec![("host", "b")], Some(400)),
            (one, "/", vec![host, ("authorization", "Bearer a")], None),
            (
                one,
                "/",
                vec![host, ("authorization", "Bearer a"), ("authorization", "Bearer b")],
                Some(400),
            ),
            (
                one,
                "/",
                vec![host, ("authorization", "Bearer a"), ("authorization", "Bearer a")],
                Some(400),
            ),
            (one, "/", vec![host, (HEADER_SEQUENCE, "1"), (HEADER_SEQUENCE, "2")], Some(400)),
            (
                one,
                "/",
                vec![host, ("content-type", "text/plain"), ("content-type", "application/json")],
                Some(400),
            ),
            (one, "/", vec![host, ("x-other", "1"), ("x-other", "2")], None),
        ] {
            assert_eq!(
                status(version, uri, "", &headers),
                expected,
                "{version:?} {uri} {headers:?}"
            );
        }
    }

    #[test]
    fn a_body_that_is_packed_is_not_taken_for_what_it_is_not() {
        let of = |body, coding| {
            status(Version::HTTP_11, "/", body, &[("host", "a"), ("content-encoding", coding)])
        };
        for coding in ["gzip", "br", "identity, gzip", "x\u{7f}".trim_end_matches('\u{7f}')] {
            assert_eq!(of("{}", coding), Some(415), "{coding}");
        }
        assert_eq!(
            (of("{}", "identity"), of("{}", "Identity"), of("", "gzip")),
            (None, None, None)
        );
    }
}
