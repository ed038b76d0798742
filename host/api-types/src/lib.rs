//! JSON shapes of the HTTP API, shared by the API, its client, the agent and the command line.
//!
//! Answers are `…Body` structs, made from model types; a field without a value is left out.
//! Requests are `…Request` structs (what a client serializes and OpenAPI documents);
//! [`fields::parse`] reads a request's bytes into the checked model type, and every refusal names
//! the field, the problem and the limit.

pub mod audit;
pub mod clock;
pub mod csv;
pub mod epochs;
pub mod error;
pub mod fields;
pub mod fleet;
pub mod health;
mod json;
pub mod legacy;
pub mod money;
mod nearest;
pub mod notifications;
pub mod number;
pub mod page;
pub mod policies;
pub mod reason;
pub mod schema;
pub mod telemetry;

pub use error::{ErrorBody, ErrorKind};
pub use fields::{FieldError, Fields, Request, parse};
pub use nearest::nearest;
pub use number::ExactNumber;

#[cfg(test)]
mod tests {
    use utoipa::{OpenApi, PartialSchema as _};

    #[derive(OpenApi)]
    #[openapi(components(schemas(
        crate::fleet::node::NodeBody,
        crate::fleet::node::RegisterNodeRequest,
        crate::epochs::poot::ScoreBody,
        crate::epochs::poot::CalculateRequest,
        crate::telemetry::report::MetricsRequest,
        crate::error::ErrorBody,
        crate::error::ProblemBody,
        crate::notifications::event::EventBody,
        crate::page::PayoutList,
        crate::policies::GateReportBody,
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
