//! Owns the shape of HTTP errors (A8, E1) and of responses that must not be cached.

use actix_web::{
    HttpResponse, Resource, Route, guard,
    http::{StatusCode, header},
    web,
};
use serde::Serialize;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::protocol::Refusal;

/// The body of an error (A8).
pub(super) fn error_body(code: &str, message: &str) -> Value {
    json!({ "error": { "code": code, "message": message } })
}

pub(super) fn refusal_body(refusal: &Refusal) -> Value {
    error_body(refusal.code(), &refusal.message())
}

/// A JSON response that must not be cached.
pub(super) fn fresh(status: StatusCode, value: &impl Serialize) -> HttpResponse {
    HttpResponse::build(status).insert_header((header::CACHE_CONTROL, "no-store")).json(value)
}

/// A path that answers 405 to all methods without a route. `methods` is the `Allow` header: the
/// methods that have one.
pub(super) fn resource(path: &str, methods: &'static str) -> Resource {
    web::resource(path).default_service(web::to(move || async move { wrong_method(methods) }))
}

/// A route for GET and HEAD; actix-http omits the body for HEAD.
pub(super) fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

pub(super) fn wrong_method(methods: &'static str) -> HttpResponse {
    let message = format!("this path knows {methods}; see docs/protocol.md");
    let mut response = fresh(StatusCode::METHOD_NOT_ALLOWED, &error_body("method_not_allowed", &message));
    response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(methods));
    response
}

/// The current time in RFC 3339 format.
pub(super) fn timestamp() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}
