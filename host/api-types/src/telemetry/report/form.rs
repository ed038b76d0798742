//! What the document says of reports whose fields stand alone or in a list.

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ArrayBuilder, Object, Ref, RefOr, Schema},
};

use super::{
    MetricsRequest, ObservationRequest, ObservationsRequest, SAMPLES_MAX, SESSIONS_MAX,
    SampleRequest,
};
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

/// One sample: CPU, memory or disk usage is there; what is absent is 0.
#[derive(Debug, ToSchema)]
pub struct SampleFields {
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

/// The fields of one thing, none of which has to be there, and others beside them.
fn one_or<T: PartialSchema>(
    description: &str,
    others: impl IntoIterator<Item = (&'static str, RefOr<Schema>)>,
) -> RefOr<Schema> {
    let mut object = match T::schema() {
        RefOr::T(Schema::Object(object)) => object,
        _ => Object::new(),
    };
    object.description = Some(description.to_owned());
    object.required.clear();
    object.properties.extend(others.into_iter().map(|(name, schema)| (name.to_owned(), schema)));
    Schema::Object(object).into()
}

fn list<T: ToSchema>(items_max: usize) -> RefOr<Schema> {
    ArrayBuilder::new().items(reference::<T>()).min_items(Some(1)).max_items(Some(items_max)).into()
}

impl PartialSchema for SampleRequest {
    fn schema() -> RefOr<Schema> {
        SampleFields::schema()
    }
}

impl ToSchema for SampleRequest {
    fn schemas(schemas: &mut Vec<Named>) {
        SampleFields::schemas(schemas);
    }
}

impl PartialSchema for MetricsRequest {
    fn schema() -> RefOr<Schema> {
        let more = [
            ("samples", list::<SampleRequest>(SAMPLES_MAX)),
            ("metrics", reference::<SampleRequest>().into()),
        ];
        one_or::<SampleFields>(
            "Several samples in `samples`; or one in `metrics`, as older clients send it; or the fields of one.",
            more,
        )
    }
}

impl ToSchema for MetricsRequest {
    fn schemas(schemas: &mut Vec<Named>) {
        named::<SampleRequest>(schemas);
    }
}

impl PartialSchema for ObservationsRequest {
    fn schema() -> RefOr<Schema> {
        let more = [("observations", list::<ObservationRequest>(SESSIONS_MAX))];
        one_or::<ObservationRequest>(
            "Several sessions in `observations`, or the fields of one.",
            more,
        )
    }
}

impl ToSchema for ObservationsRequest {
    fn schemas(schemas: &mut Vec<Named>) {
        named::<ObservationRequest>(schemas);
    }
}
