//! A request says nothing that would not happen: a parameter or a field that the route does not
//! know is refused, and so is a condition on a record that has no version.
//!
//! The clients of the network's contract are what they are: there a parameter is refused only if it
//! is nearly one that the route knows, and fields are ignored. Fields of bodies are looked at where
//! they are read ([`lucid_api_types::fields::parse`]); here are the bodies of routes that take none.

use axum::{
    body::Body,
    extract::{Query, Request},
    http::Uri,
};
use lucid_api_types::{ErrorKind, FieldError, fields::no_fields, nearest};

use crate::{
    access::Route,
    errors::ApiError,
    etag,
    extract::whole,
    openapi::declared::{self, Declared, only_reads},
};

/// Longest body of a request that needs none: room for the one that was meant for another route.
const NEEDLESS_BYTES_MAX: usize = 16 * 1024;
/// Where parameters mean something. Probes, measurements and pages have none, and tools add their
/// own.
const API: &str = "/api/";
/// What is said of an unknown name; the rest of a longer one tells nobody anything.
const NAME_LENGTH_MAX: usize = 64;

/// Refuses what a route does not know.
pub async fn check(route: &Route, request: Request) -> Result<Request, ApiError> {
    let Some(declared) = declared::of_route(route).filter(|_| route.path.starts_with(API)) else {
        return Ok(request);
    };
    known_parameters(route, declared, request.uri())?;
    if only_reads(request.method()) {
        return Ok(request);
    }
    let condition = etag::if_match(request.headers());
    if !route.versioned && condition.is_some_and(|versions| !versions.0.is_empty()) {
        let problem = FieldError::new(
            "if-match",
            "what this request changes has no entity tag: leave the header out, or send *",
        );
        return Err(ApiError::from(problem).of_kind(ErrorKind::PreconditionFailed));
    }
    if declared.takes_body || route.ignores_unknown {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let bytes = whole(&parts.headers, body, NEEDLESS_BYTES_MAX).await?;
    no_fields(&bytes)?;
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

fn known_parameters(route: &Route, declared: &Declared, uri: &Uri) -> Result<(), ApiError> {
    let unreadable = |_| FieldError::new("query", "is not a valid query string");
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(unreadable)?;
    let known = || declared.parameters.iter().map(String::as_str);
    let mut before = Vec::new();
    for (name, _) in &pairs {
        if known().any(|parameter| parameter == name) {
            if before.contains(&name) {
                return Err(FieldError::new(name, "is given twice").into());
            }
            before.push(name);
            continue;
        }
        let meant = nearest(name, known());
        if meant.is_none() && route.ignores_unknown {
            metrics::counter!("lucid_http_parameters_ignored_total").increment(1);
            continue;
        }
        let named: String = name.chars().take(NAME_LENGTH_MAX).collect();
        let all = if declared.parameters.is_empty() {
            "it has none".to_owned()
        } else {
            format!("it has {}", declared.parameters.join(", "))
        };
        let todo = meant.map_or_else(String::new, |meant| format!("did you mean {meant}? "));
        return Err(
            FieldError::new(named, format!("is no parameter of this route: {todo}{all}")).into()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::http::{Method, header};

    use super::*;
    use crate::access::{Found, find};

    async fn checked(
        method: Method,
        path: &str,
        template: &str,
        body: &str,
    ) -> Result<Request, ApiError> {
        let Found::Route(route) = find(&method, template) else { panic!("{template} is no route") };
        let request =
            Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap();
        check(route, request).await
    }
    async fn refused(method: Method, path: &str, template: &str, body: &str) -> bool {
        checked(method, path, template, body).await.is_err()
    }

    #[tokio::test]
    async fn what_a_route_does_not_know_is_refused() {
        let rollback = "/api/v1/policies/rollbacks/{kind}";
        for (query, body, expected) in [
            ("", "", false),
            ("?scope=default", "{}", false),
            ("", " { } ", false),
            ("?scop=x", "", true),
            ("?scope=x&scope=y", "", true),
            ("?scope=x&%73cope=y", "", true),
            ("?nothing-like-it=x", "", true),
            ("?scope", "", false),
            ("?%ff", "", true),
            ("", r#"{"scope": "x"}"#, true),
            ("", r#"{"scope": null}"#, true),
            ("", "[]", true),
            ("", "scope=x", true),
        ] {
            let found = refused(
                Method::POST,
                &format!("/api/v1/policies/rollbacks/scoring{query}"),
                rollback,
                body,
            )
            .await;
            assert_eq!(found, expected, "{query} {body}");
        }
        let plan = "/api/v1/payouts/runs";
        assert!(refused(Method::POST, "/api/v1/payouts/runs?node_id=x", plan, "{}").await);
        assert!(
            !refused(Method::POST, plan, plan, r#"{"nodes": 1}"#).await,
            "its body is read by the route"
        );
        for query in ["?x=1", "?state=manual", "?Limit=1", "?page=1&page=2"] {
            assert!(
                refused(Method::GET, &format!("/api/v1/payouts/runs{query}"), plan, "").await,
                "{query}"
            );
        }
        assert!(
            !refused(Method::GET, "/livez?verbose", "/livez", "").await,
            "probes take what they are sent"
        );
    }

    #[tokio::test]
    async fn clients_of_the_contract_are_told_of_slips_alone() {
        let activate = "/api/v1/nodes/{id}/activate";
        assert!(
            !refused(Method::POST, "/api/v1/nodes/1/activate?x=1", activate, r#"{"x": 1}"#).await,
            "by the network's contract"
        );
        for (query, meant) in [
            ("?statuss=error", Some("status")),
            ("?Status=error", Some("status")),
            ("?state=error", Some("status")),
            ("?poolId=1", Some("pool_id")),
            ("?page=1&sort_by=name", Some("sort")),
            ("?status=error&status=active", Some("twice")),
            ("?x=1&_=1760000000&trace=on", None),
            ("?status=error&pool%5Fid=1", None),
        ] {
            let found =
                checked(Method::GET, &format!("/api/v1/nodes{query}"), "/api/v1/nodes", "").await;
            match meant {
                Some(meant) => {
                    assert!(format!("{:?}", found.unwrap_err()).contains(meant), "{query}")
                }
                None => assert!(found.is_ok(), "{query}"),
            }
        }
    }

    #[tokio::test]
    async fn a_condition_on_what_has_no_version_is_never_met() {
        let conditional = async |path: &'static str, tag: &str| {
            let Found::Route(route) = find(&Method::POST, path) else {
                panic!("{path} is no route")
            };
            let request = Request::builder()
                .method(Method::POST)
                .uri(path)
                .header(header::IF_MATCH, tag)
                .body(Body::empty())
                .unwrap();
            check(route, request).await.is_err()
        };
        for path in [
            "/api/v1/payouts/runs",
            "/api/v1/payouts/freeze",
            "/api/v1/nodes",
            "/api/v1/auth/challenge",
        ] {
            assert!(conditional(path, "\"1-0123\"").await, "{path}");
            assert!(!conditional(path, "*").await, "{path}");
        }
        assert!(
            !conditional("/api/v1/nodes/{id}/activate", "\"1-0123\"").await,
            "its service asks the record"
        );
    }
}
