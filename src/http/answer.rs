//! Owns the shape of an HTTP error (A8, E1), and of answers that are true for a moment only.

use actix_web::{
    HttpResponse, Resource, Route, guard,
    http::{StatusCode, header},
    web,
};
use serde::Serialize;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::protocol::Refusal;

/// A8's body.
pub fn error_body(code: &str, message: &str) -> Value {
    json!({ "error": { "code": code, "message": message } })
}

pub(super) fn refusal_body(refusal: &Refusal) -> Value {
    error_body(refusal.code(), &refusal.message())
}

/// JSON that nobody may keep.
pub fn fresh(status: StatusCode, value: &impl Serialize) -> HttpResponse {
    HttpResponse::build(status).insert_header((header::CACHE_CONTROL, "no-store")).json(value)
}

/// A path whose other methods answer 405 with `Allow`, which names those that do not.
pub fn resource(path: &str, methods: &'static str) -> Resource {
    web::resource(path).default_service(web::to(move || async move { wrong_method(methods) }))
}

/// Whatever answers GET answers HEAD, too: actix-http leaves the body out.
pub fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

pub fn wrong_method(methods: &'static str) -> HttpResponse {
    let message = format!("this path knows {methods}; see docs/protocol.md");
    let mut response = fresh(StatusCode::METHOD_NOT_ALLOWED, &error_body("method_not_allowed", &message));
    response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(methods));
    response
}

/// This moment, as RFC 3339 has it.
pub(super) fn timestamp() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}
