use std::collections::BTreeSet;

use super::*;

/// Every path of the router, as its debug form names them: axum has no other way to ask.
fn paths(router: &axum::Router<crate::api::Shared>) -> BTreeSet<String> {
    let text = format!("{router:?}");
    let routes = text.split("fallback_router").next().unwrap();
    let (_, listed) = routes.split_once("paths: {").unwrap();
    let (listed, _) = listed.split_once("\"}").unwrap();
    listed.split('"').filter(|piece| piece.starts_with('/')).map(str::to_owned).collect()
}

fn operations(document: &utoipa::openapi::OpenApi) -> BTreeSet<(String, String)> {
    let paths = serde_json::to_value(&document.paths).unwrap();
    let of = |(path, item): (&String, &serde_json::Value)| {
        let methods = item.as_object().unwrap().keys().filter(|key| {
            ["get", "put", "post", "delete", "patch", "head", "options", "trace"]
                .contains(&key.as_str())
        });
        methods.map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
    };
    paths.as_object().unwrap().iter().flat_map(of).collect()
}

fn documented() -> utoipa_axum::router::OpenApiRouter<crate::api::Shared> {
    crate::routes::documented().merge(crate::routes::streams())
}

#[test]
fn the_table_has_exactly_the_routes_that_there_are() {
    let (router, document) = documented().split_for_parts();
    let pages = paths(&crate::routes::pages());
    assert!(pages.contains("/") && pages.contains("/docs"), "{pages:?}");
    let there = paths(&router.merge(crate::routes::pages()).merge(crate::routes::old_names()));
    assert_eq!(
        there,
        ROUTES.iter().map(|route| route.path.to_owned()).collect(),
        "paths of the router, and of the table"
    );
    let rows: BTreeSet<_> =
        ROUTES.iter().map(|route| (route.method.to_owned(), route.path.to_owned())).collect();
    assert_eq!(rows.len(), ROUTES.len(), "no row is there twice");
    let mut expected = operations(&document);
    expected.extend(pages.into_iter().map(|path| ("GET".to_owned(), path)));
    for old in ROUTES.iter().filter(|route| route.now.is_some()) {
        assert!(
            expected.contains(&(old.method.to_owned(), old.now.unwrap().to_owned())),
            "{} is something today",
            old.path
        );
        assert!(
            expected.insert((old.method.to_owned(), old.path.to_owned())),
            "{} is not in the document",
            old.path
        );
    }
    assert_eq!(
        rows, expected,
        "rows, and methods of the document; what is not in the document is only read"
    );
}

/// Segment by segment: neither is the more specific one, and something is both.
fn ambiguous(one: &str, other: &str) -> bool {
    let (one, other): (Vec<_>, Vec<_>) = (one.split('/').collect(), other.split('/').collect());
    let variable = |segment: &str| segment.starts_with('{');
    let both = one.len() == other.len()
        && one.iter().zip(&other).all(|(a, b)| a == b || variable(a) || variable(b));
    let wider = |one: &[&str], other: &[&str]| {
        one.iter().zip(other).any(|(a, b)| variable(a) && !variable(b))
    };
    both && wider(&one, &other) == wider(&other, &one)
}

#[test]
fn no_path_of_the_document_can_be_taken_for_another() {
    assert!(ambiguous("/a/{id}/b", "/a/c/{id}") && ambiguous("/a/{x}", "/a/{y}"));
    assert!(
        !ambiguous("/a/{id}", "/a/b")
            && !ambiguous("/a/{id}/b", "/a/{id}/c")
            && !ambiguous("/a/{id}", "/a/b/c")
    );
    let paths: BTreeSet<_> =
        operations(&documented().into_openapi()).into_iter().map(|(_, path)| path).collect();
    for one in &paths {
        let twins: Vec<_> =
            paths.iter().filter(|other| *other != one && ambiguous(one, other)).collect();
        assert!(twins.is_empty(), "{one}: {twins:?}");
    }
}

#[test]
fn a_route_without_a_token_in_the_document_is_public_and_no_other_is() {
    let document = serde_json::to_value(documented().into_openapi()).unwrap();
    for route in ROUTES.iter().filter(|route| document["paths"][route.path].is_object()) {
        let operation = &document["paths"][route.path][route.method.to_lowercase()];
        let open = operation["security"] == serde_json::json!([{}]);
        assert_eq!(
            open,
            route.who == Who::Public,
            "{} {}: {}",
            route.method,
            route.path,
            operation["security"]
        );
    }
}

#[test]
fn what_is_not_in_the_table_is_not_found_in_it() {
    assert!(matches!(find(&Method::HEAD, "/livez"), Found::Route(_)));
    assert!(matches!(find(&Method::GET, "/api/v1/secret"), Found::Nothing));
    let Found::OtherMethods(allowed) = find(&Method::PATCH, "/api/v1/nodes") else {
        panic!("PATCH is not in the table")
    };
    assert_eq!(allowed, "GET, HEAD, POST");
}
