//! Requests that change something say nothing that would not happen: a parameter or a field that the route does not know is refused.
//!
//! What the network's services send is not looked at here: the contract has unknown fields ignored. Fields of bodies are looked at where they
//! are read ([`lucid_wire::fields::parse`]); here are the bodies of routes that take none.

use axum::{body::Body, extract::Request, http::Method};
use lucid_wire::{FieldError, fields::no_fields};

use crate::{access::Route, errors::ApiError, extract::whole};

/// Longest body of a request that needs none: room for the one that was meant for another route.
const NEEDLESS_BYTES_MAX: usize = 16 * 1024;

/// Refuses what a route does not know.
pub async fn check(route: &Route, request: Request) -> Result<Request, ApiError> {
    if route.ignores_unknown || matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(request);
    }
    known_parameters(route, request.uri().query().unwrap_or_default())?;
    if route.takes_body {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let bytes = whole(&parts.headers, body, NEEDLESS_BYTES_MAX).await?;
    no_fields(&bytes)?;
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

fn known_parameters(route: &Route, query: &str) -> Result<(), ApiError> {
    let mut before = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        // The names that routes have need no decoding: one that does is none of them.
        let name = pair.split('=').next().unwrap_or(pair);
        if !route.parameters.contains(&name) {
            let known = if route.parameters.is_empty() { "none".to_owned() } else { route.parameters.join(", ") };
            return Err(FieldError::new(name, format!("is unknown to this route: parameters are {known}")).into());
        }
        if before.contains(&name) {
            return Err(FieldError::new(name, "is given twice").into());
        }
        before.push(name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Found, find};

    async fn refused(method: Method, path: &str, template: &str, body: &str) -> bool {
        let Found::Route(route) = find(&method, template) else { panic!("{template} is no route") };
        let request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap();
        check(route, request).await.is_err()
    }

    #[tokio::test]
    async fn what_a_route_does_not_know_is_refused() {
        let rollback = "/api/v1/policies/{kind}/rollback";
        for (query, body, expected) in [
            ("", "", false),
            ("?scope=default", "{}", false),
            ("", " { } ", false),
            ("?scop=x", "", true),
            ("?scope=x&scope=y", "", true),
            ("?%73cope=x", "", true),
            ("", r#"{"scope": "x"}"#, true),
            ("", r#"{"scope": null}"#, true),
            ("", "[]", true),
            ("", "scope=x", true),
        ] {
            let found = refused(Method::POST, &format!("/api/v1/policies/scoring/rollback{query}"), rollback, body).await;
            assert_eq!(found, expected, "{query} {body}");
        }
        let plan = "/api/v1/payouts/runs";
        assert!(refused(Method::POST, "/api/v1/payouts/runs?node_id=x", plan, "{}").await);
        assert!(!refused(Method::POST, plan, plan, r#"{"nodes": 1}"#).await, "its body is read by the route");
        assert!(!refused(Method::GET, "/api/v1/payouts/runs?x=1", plan, "").await, "nothing is changed");
        let activate = "/api/v1/nodes/{id}/activate";
        assert!(!refused(Method::POST, "/api/v1/nodes/1/activate?x=1", activate, r#"{"x": 1}"#).await, "by the network's contract");
    }
}
