//! Owns the shape of an HTTP error (A8, E1).
//! Called by `upgrade` and `routes`.

use serde_json::{Value, json};

use crate::protocol::Refusal;

/// A8's body.
pub fn error_body(code: &str, message: &str) -> Value {
    json!({ "error": { "code": code, "message": message } })
}

pub(super) fn refusal_body(refusal: &Refusal) -> Value {
    error_body(refusal.code(), &refusal.message())
}
