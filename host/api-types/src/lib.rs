//! JSON shapes of the HTTP API, shared by the API, its client, the agent and the command line.
//!
//! Answers are `…Body` structs, made from model types; a field without a value is left out.
//! Requests are `…Request` structs (what a client serializes and OpenAPI documents);
//! [`fields::parse`] reads a request's bytes into the checked model type, and every refusal names
//! the field, the problem and the limit.

pub mod audit;
pub mod auth;
pub mod clock;
pub mod csv;
pub mod enrolment;
pub mod error;
pub mod event;
pub mod fields;
pub mod health;
pub mod history;
mod json;
pub mod legacy;
pub mod mismatch;
mod nearest;
pub mod node;
pub mod number;
pub mod page;
pub mod payments;
pub mod payout;
pub mod policy;
pub mod pool;
pub mod poot;
pub mod reason;
pub mod report;
pub mod resolution;
pub mod resources;
pub mod run;
pub mod schema;
pub mod statement;
pub mod unpaid;
pub mod webhook;

pub use error::{ErrorBody, ErrorKind};
pub use fields::{FieldError, Fields, Request, parse};
pub use nearest::nearest;
pub use number::ExactNumber;

#[cfg(test)]
mod tests {
    use utoipa::{OpenApi, PartialSchema as _};

    #[derive(OpenApi)]
    #[openapi(components(schemas(
        crate::node::NodeBody,
        crate::node::RegisterNodeRequest,
        crate::poot::ScoreBody,
        crate::poot::CalculateRequest,
        crate::report::MetricsRequest,
        crate::error::ErrorBody,
        crate::error::ProblemBody,
        crate::event::EventBody,
        crate::page::PayoutList,
        crate::policy::GateReportBody,
    )))]
    struct Documented;

    #[test]
    fn the_documented_schemas_say_what_is_required_and_what_is_exact() {
        let document = serde_json::to_value(Documented::openapi()).unwrap();
        let schemas = &document["components"]["schemas"];
        assert_eq!(
            schemas["RegisterNodeRequest"]["required"],
            serde_json::json!(["name", "ip_address", "port"])
        );
        assert_eq!(schemas["RegisterNodeRequest"]["properties"]["port"]["minimum"], 1024);
        assert_eq!(
            schemas["RegisterNodeRequest"]["properties"]["name"]["$ref"],
            "#/components/schemas/Name"
        );
        assert_eq!(schemas["Name"]["maxLength"], 255);
        assert_eq!(serde_json::to_value(crate::ExactNumber::schema()).unwrap()["type"], "number");
        assert!(schemas["PayoutBody"]["required"].as_array().unwrap().contains(&"amount".into()));
        assert!(!schemas["NodeBody"]["required"].as_array().unwrap().contains(&"pool_id".into()));
    }
}
