//! What the document says that a route takes: the only list of parameters there is.

use std::{collections::HashMap, sync::LazyLock};

use axum::http::Method;
use utoipa::openapi::{
    Deprecated, RefOr,
    path::{Operation, Parameter, ParameterIn},
};

use crate::{access::Route, routes};

/// What a route takes.
#[derive(Debug, Default)]
pub struct Declared {
    /// Parameters of the query.
    pub parameters: Vec<String>,
    /// Whether a request has a body.
    pub takes_body: bool,
    /// Whether it is another name of something, for clients that have it.
    pub deprecated: bool,
}

static DECLARED: LazyLock<HashMap<(String, &'static str), Declared>> = LazyLock::new(|| {
    let document = routes::documented().merge(routes::streams()).into_openapi();
    let mut declared = HashMap::new();
    for (path, item) in document.paths.paths {
        for (method, operation) in
            [("GET", item.get), ("PUT", item.put), ("POST", item.post), ("DELETE", item.delete)]
        {
            if let Some(operation) = operation {
                declared.insert((path.clone(), method), of(operation));
            }
        }
    }
    declared
});

fn of(operation: Operation) -> Declared {
    let of_query = |parameter: RefOr<Parameter>| match parameter {
        RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name),
        _ => None,
    };
    Declared {
        parameters: operation.parameters.into_iter().flatten().filter_map(of_query).collect(),
        takes_body: operation.request_body.is_some(),
        deprecated: matches!(operation.deprecated, Some(Deprecated::True)),
    }
}

/// What the document says of a route, or of what it is called today; none of pages, which are not
/// in it.
pub fn of_route(route: &Route) -> Option<&'static Declared> {
    DECLARED.get(&(route.now.unwrap_or(route.path).to_owned(), route.method))
}

/// Whether a route is another name, for clients that have it.
pub fn is_deprecated(route: &Route) -> bool {
    route.now.is_some() || of_route(route).is_some_and(|declared| declared.deprecated)
}

/// Whether a method changes nothing.
pub fn only_reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Found, ROUTES, find};

    #[test]
    fn what_the_document_says_is_known_of_every_route_of_the_api() {
        let unknown: Vec<_> = ROUTES
            .iter()
            .filter(|route| of_route(route).is_none())
            .map(|route| route.path)
            .collect();
        assert_eq!(unknown, ["/", "/docs", "/docs/", "/docs/{file}"]);
        let of = |method, path| {
            let Found::Route(route) = find(&method, path) else { panic!("{path} is no route") };
            of_route(route).unwrap()
        };
        assert_eq!(
            of(Method::GET, "/api/v1/nodes").parameters,
            ["page", "limit", "order", "sort", "status", "pool_id"]
        );
        assert_eq!(of(Method::GET, "/api/v1/events").parameters, ["type", "node_id"]);
        let rollback = of(Method::POST, "/api/v1/policies/rollbacks/{kind}");
        assert!(rollback.parameters == ["scope"] && !rollback.takes_body && !rollback.deprecated);
        assert!(of(Method::POST, "/api/v1/payouts/runs").takes_body);
        assert!(of(Method::POST, "/api/v1/nodes/register").deprecated);
    }
}
