//! Owns what a client asks of its connection, whatever the connection leads to (3.1).

use serde_json::value::RawValue;

use super::{Envelope, FieldReader, FrameError};
use crate::protocol::{
    DisplayName, InvalidName,
    json::{RawJson, string},
};

/// A request that the connection handles itself.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionRequest {
    Auth {
        token: Option<String>,
        session: Option<String>,
        seq: Option<u64>,
        /// The display name (S11). An invalid name does not make the frame invalid.
        name: Option<Result<DisplayName, InvalidName>>,
    },
    Ping {
        nonce: Option<RawJson>,
    },
    Pong,
}

impl SessionRequest {
    /// Returns `None` if `kind` is none of these.
    pub(super) fn parse(kind: &str, frame: &Envelope<'_>, reader: FieldReader<'_>) -> Result<Option<Self>, FrameError> {
        Ok(Some(match kind {
            "ping" => Self::Ping { nonce: frame.nonce.map(|raw| reader.passed_on(raw)).transpose()? },
            "pong" => Self::Pong,
            "auth" => Self::Auth {
                token: optional_string(frame.token).ok_or_else(|| reader.invalid("token is a string"))?,
                session: optional_string(frame.session).ok_or_else(|| reader.invalid("session is a string"))?,
                seq: reader.integer(frame.seq, 0, "seq is an integer from 0 to 2^53-1")?,
                name: frame.name.map(display_name),
            },
            _ => return Ok(None),
        }))
    }
}

/// Returns `Some(None)` if the field is absent, `None` if it is present and not a string.
fn optional_string(raw: Option<&RawValue>) -> Option<Option<String>> {
    match raw {
        None => Some(None),
        Some(raw) => string(raw).map(|text| Some(text.into_owned())),
    }
}

fn display_name(raw: &RawValue) -> Result<DisplayName, InvalidName> {
    string(raw).ok_or(InvalidName).and_then(|name| DisplayName::parse(&name))
}
