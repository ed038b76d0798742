//! The HTTP API: routes, authentication, limits, errors, OpenAPI and the dashboard.
