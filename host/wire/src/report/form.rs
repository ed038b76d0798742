//! What the document says of reports whose fields stand alone or in a list.

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ArrayBuilder, ObjectBuilder, Ref, RefOr, Schema, Type,
        schema::{AllOfBuilder, AnyOfBuilder},
    },
};

use super::{MetricsRequest, ObservationRequest, ObservationsRequest, SAMPLES_MAX, SESSIONS_MAX, SampleRequest};
use crate::schema;

/// Traffic counters; what is absent is 0.
#[derive(Debug, ToSchema)]
pub struct NetworkUsageRequest {
    /// Bytes sent.
    #[schema(maximum = 9_223_372_036_854_775_807_u64)]
    pub bytes_sent: Option<u64>,
    /// Bytes received.
    #[schema(maximum = 9_223_372_036_854_775_807_u64)]
    pub bytes_received: Option<u64>,
    /// Packets sent.
    #[schema(maximum = 9_223_372_036_854_775_807_u64)]
    pub packets_sent: Option<u64>,
    /// Packets received.
    #[schema(maximum = 9_223_372_036_854_775_807_u64)]
    pub packets_received: Option<u64>,
}

/// Usage of a machine; what is absent is 0.
#[derive(Debug, ToSchema)]
pub struct UsageRequest {
    /// Percent.
    #[schema(value_type = Option<schema::Percent>)]
    pub cpu_usage: Option<f64>,
    /// Percent.
    #[schema(value_type = Option<schema::Percent>)]
    pub memory_usage: Option<f64>,
    /// Percent.
    #[schema(value_type = Option<schema::Percent>)]
    pub disk_usage: Option<f64>,
    /// Counters since the machine started.
    pub network_usage: Option<NetworkUsageRequest>,
}

/// Fields of a sample.
#[derive(Debug, ToSchema)]
pub struct SampleFieldsRequest {
    /// Usage of the machine.
    #[serde(flatten)]
    pub usage: UsageRequest,
    /// When it was measured; absent: when it arrives.
    #[schema(value_type = Option<schema::Timestamp>)]
    pub timestamp: Option<String>,
    /// Sessions open.
    #[schema(minimum = 0, maximum = 1_000_000)]
    pub active_sessions: Option<u32>,
    /// Seconds since the machine started.
    #[schema(maximum = 9_223_372_036_854_775_807_u64)]
    pub uptime: Option<u64>,
}

type Named = (String, RefOr<Schema>);

fn named<T: ToSchema>(schemas: &mut Vec<Named>) {
    T::schemas(schemas);
    schemas.push((T::name().into_owned(), T::schema()));
}

fn reference<T: ToSchema>() -> Ref {
    Ref::from_schema_name(T::name())
}

fn object() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Object)
}

/// An object in which fields are absent.
fn without(fields: &[&str]) -> ObjectBuilder {
    fields.iter().fold(object(), |object, field| object.property(*field, ObjectBuilder::new().schema_type(Type::Null)))
}

impl PartialSchema for SampleRequest {
    /// One of the three usages is there.
    fn schema() -> RefOr<Schema> {
        let has = |field: &str| object().required(field).property(field, ObjectBuilder::new().schema_type(Type::Number));
        let any = ["cpu_usage", "memory_usage", "disk_usage"].into_iter().fold(AnyOfBuilder::new(), |any, field| any.item(has(field)));
        AllOfBuilder::new()
            .item(reference::<SampleFieldsRequest>())
            .item(any)
            .description(Some("One sample; CPU, memory or disk usage is there, what is absent is 0."))
            .into()
    }
}

impl ToSchema for SampleRequest {
    fn schemas(schemas: &mut Vec<Named>) {
        named::<SampleFieldsRequest>(schemas);
    }
}

impl PartialSchema for MetricsRequest {
    /// A list, or the older form, or one sample.
    fn schema() -> RefOr<Schema> {
        let list = ArrayBuilder::new().items(reference::<SampleRequest>()).min_items(Some(1)).max_items(Some(SAMPLES_MAX));
        let one = AllOfBuilder::new().item(reference::<SampleRequest>()).item(without(&["samples", "metrics"]));
        AnyOfBuilder::new()
            .item(object().required("samples").property("samples", list))
            .item(without(&["samples"]).required("metrics").property("metrics", reference::<SampleRequest>()))
            .item(one)
            .description(Some("Several samples in `samples`; or one in `metrics`, as older clients send it; or the fields of one."))
            .into()
    }
}

impl ToSchema for MetricsRequest {
    fn schemas(schemas: &mut Vec<Named>) {
        named::<SampleRequest>(schemas);
    }
}

impl PartialSchema for ObservationsRequest {
    /// A list, or one session.
    fn schema() -> RefOr<Schema> {
        let list = ArrayBuilder::new().items(reference::<ObservationRequest>()).min_items(Some(1)).max_items(Some(SESSIONS_MAX));
        AnyOfBuilder::new()
            .item(object().required("observations").property("observations", list))
            .item(AllOfBuilder::new().item(reference::<ObservationRequest>()).item(without(&["observations"])))
            .description(Some("Several sessions in `observations`, or the fields of one."))
            .into()
    }
}

impl ToSchema for ObservationsRequest {
    fn schemas(schemas: &mut Vec<Named>) {
        named::<ObservationRequest>(schemas);
    }
}
