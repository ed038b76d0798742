//! The API's document: stable, complete, and shown by a page that needs nothing from elsewhere.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{Lucid, root};

/// Where the document is kept for review; written again by `UPDATE_GOLDEN=1 cargo test --test suite
/// openapi`.
const GOLDEN: &str = "tests/golden/openapi.json";

fn document(lucid: &Lucid) -> String {
    let (status, document) = lucid.call("GET", "/openapi.json", None, None);
    assert_eq!(status, 200);
    format!("{document:#}\n")
}

#[test]
fn a_change_of_the_contract_is_seen_in_review() {
    let now = document(&Lucid::serve());
    let path = root().join(GOLDEN);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    let different = kept.lines().zip(now.lines()).enumerate().find(|(_, (kept, now))| kept != now);
    assert!(
        kept == now,
        "the document is not {GOLDEN} any more, first at {different:?}; if that is meant: UPDATE_GOLDEN=1 cargo test --test suite openapi"
    );
}

#[test]
fn every_operation_is_described_and_every_reference_leads_somewhere() {
    let document: Value = serde_json::from_str(&document(&Lucid::serve())).unwrap();
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"]
                .as_str()
                .unwrap_or_else(|| panic!("{method} {path} has no id"));
            assert!(ids.insert(id), "{id} is there twice");
            assert!(
                id.starts_with(|c: char| c.is_ascii_lowercase())
                    && id.chars().all(|c| c.is_ascii_alphanumeric()),
                "{id} is not camelCase"
            );
            assert!(
                operation["summary"].is_string() && operation["description"].is_string(),
                "{id} is not described"
            );
            let secured = operation["security"] != serde_json::json!([{}]);
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(
                    response["description"].as_str().is_some_and(|text| !text.is_empty())
                        || response["$ref"].is_string(),
                    "{id} says nothing of {status}"
                );
            }
            let wanted =
                if secured { &["401", "403", "429", "500", "503"][..] } else { &["500", "503"] };
            for status in wanted {
                assert!(operation["responses"].get(status).is_some(), "{id} lacks {status}");
            }
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(
            name.ends_with("Request") || !schema.to_string().contains(r#""null""#),
            "{name} is in answers, which have no null"
        );
    }
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 500, "only {} references", references.len());
    for reference in references {
        assert!(
            document.pointer(reference.trim_start_matches('#')).is_some(),
            "{reference} leads nowhere"
        );
    }
}

fn collect<'a>(value: &'a Value, references: &mut Vec<&'a str>) {
    match value {
        Value::Object(parts) => {
            references.extend(parts.get("$ref").and_then(Value::as_str));
            parts.values().for_each(|part| collect(part, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}

/// Changes of a record that has a version, beside those at its own path.
const CHANGES: [&str; 12] = [
    "/api/v1/nodes/{id}/activate",
    "/api/v1/nodes/{id}/deactivate",
    "/api/v1/nodes/{id}/suspend",
    "/api/v1/nodes/{id}/lift-suspension",
    "/api/v1/nodes/{id}/pool",
    "/api/v1/nodes/{id}/keys/rotate",
    "/api/v1/nodes/{id}/machine",
    "/api/v1/nodes/{id}/wallet",
    "/api/v1/nodes/{id}/wallet/approve",
    "/api/v1/nodes/{id}/start",
    "/api/v1/nodes/{id}/stop",
    "/api/v1/webhooks/{id}/test",
];

#[test]
fn what_many_operations_take_and_answer_is_said_of_each() {
    let document: Value = serde_json::from_str(&document(&Lucid::serve())).unwrap();
    let takes = |operation: &Value, name: &str| {
        let reference = format!("#/components/parameters/{name}");
        operation["parameters"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one["$ref"] == reference.as_str()))
    };
    let mut enrolled = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let (at, answers) = (format!("{method} {path}"), &operation["responses"]);
            let keyed = method == "post" && !path.starts_with("/api/v1/auth/");
            assert_eq!(takes(operation, "IdempotencyKey"), keyed, "{at}");
            assert!(!keyed || (answers["409"].is_object() && answers["422"].is_object()), "{at}");
            let versioned = ["/api/v1/nodes/{id}", "/api/v1/pools/{id}", "/api/v1/webhooks/{id}"]
                .contains(&path.as_str());
            let conditional = method != "get" && (versioned || CHANGES.contains(&path.as_str()));
            assert_eq!(takes(operation, "IfMatch"), conditional, "{at}");
            assert_eq!(answers["412"].is_object(), conditional, "{at}");
            assert_eq!(takes(operation, "IfNoneMatch"), versioned && method == "get", "{at}");
            assert_eq!(answers["304"].is_object(), versioned && method == "get", "{at}");
            assert!(
                !versioned || method == "delete" || answers["200"]["headers"]["ETag"].is_object(),
                "{at}"
            );
            let limited = path.starts_with("/api/");
            assert!(!limited || answers["429"].is_object(), "{at}");
            for (status, answer) in
                answers.as_object().unwrap().iter().filter(|(_, answer)| answer["$ref"].is_null())
            {
                // A stop has no limit for who may.
                let told = (limited && path != "/api/v1/payouts/freeze") || path == "/openapi.json";
                assert_eq!(answer["headers"]["RateLimit"].is_object(), told, "{at}: {status}");
            }
            if operation["security"].to_string().contains("enrolment") {
                enrolled.push(at);
            }
        }
    }
    assert_eq!(enrolled, ["post /api/v1/nodes", "post /api/v1/nodes/register"]);
}

#[test]
fn the_page_that_shows_the_document_is_served_whole_and_may_fetch_from_nowhere_else() {
    let lucid = Lucid::serve();
    let get = |path: &str| lucid.page(path);
    let (status, headers, page) = get("/docs/");
    assert_eq!(status, 200);
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("default-src 'none'")
            && policy.contains("script-src 'self';")
            && !policy.contains("http"),
        "{policy}"
    );
    let sources: Vec<_> = page
        .split(['"', '\''])
        .filter(|text| text.starts_with("./") || text.ends_with(".css"))
        .collect();
    assert!(sources.len() >= 6 && !page.contains("http"), "{page}");
    for source in sources {
        let (status, headers, body) = get(&format!("/docs/{}", source.trim_start_matches("./")));
        assert!(
            status == 200 && !body.is_empty() && headers["x-content-type-options"] == "nosniff",
            "{source}"
        );
    }
    let (_, _, start) = get("/docs/swagger-initializer.js");
    assert!(start.contains("\"/openapi.json\""), "{start}");
    assert_eq!(get("/docs/oauth2-redirect.html").0, 404);
    assert_eq!(get("/docs/..%2fopenapi.json").0, 404);
}
