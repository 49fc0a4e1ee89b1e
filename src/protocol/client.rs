//! Owns the frames a client may send (3.1, section 6): what all of them share, and which requests a
//! connection accepts. Frames are parsed and validated field by field.

mod hub;
mod room;
mod session;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytestring::ByteString;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

pub use self::{
    hub::HubRequest,
    room::{EventRequest, RoomRequest},
    session::SessionRequest,
};
use super::{
    error_code,
    json::{RawJson, is_too_deep, string},
    number,
    poison::poison,
};

/// A client's request, by who handles it. Unknown fields are ignored (P2).
#[derive(Debug, Clone, PartialEq)]
pub enum ClientFrame {
    /// For the connection itself. Every connection accepts these.
    Session(SessionRequest),
    Room(RoomRequest),
    Hub(HubRequest),
}

/// The frames a connection accepts; every other frame is an unknown type to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// The frames of a room (3.1).
    Game,
    /// The frames of a hub (section 6).
    Hub,
    /// The frames of a proxy (section 7), until the token is accepted. Everything later is the
    /// upstream's and is not parsed.
    Proxy,
}

/// A frame that cannot be parsed. The server replies with an `error` frame and counts it (P2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameError {
    pub code: &'static str,
    pub message: &'static str,
    /// The frame's `id`, if it could be parsed.
    pub id: Option<u64>,
}

/// A frame with every field still raw, so that an error can name the invalid field and echo the
/// `id`.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    // `null` is a value for `data`; for every other field it means absent.
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    to: Option<&'a RawValue>,
    #[serde(borrow)]
    volatile: Option<&'a RawValue>,
    #[serde(borrow)]
    patch: Option<&'a RawValue>,
    #[serde(borrow)]
    if_seq: Option<&'a RawValue>,
    #[serde(borrow)]
    nonce: Option<&'a RawValue>,
    #[serde(borrow)]
    token: Option<&'a RawValue>,
    #[serde(borrow)]
    session: Option<&'a RawValue>,
    #[serde(borrow)]
    seq: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    topics: Option<&'a RawValue>,
    #[serde(borrow)]
    topic: Option<&'a RawValue>,
}

pub(super) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The text whose fields are parsed, and the `id` that its errors echo.
#[derive(Clone, Copy)]
pub(super) struct FieldReader<'a> {
    pub text: &'a ByteString,
    pub id: Option<u64>,
}

impl ClientFrame {
    /// Parses one text message. `data`, `patch` and `nonce` share the message's memory.
    ///
    /// # Errors
    /// `FrameError` with code `bad_json`, `too_deep`, `unknown_type` or `invalid_field` (P2).
    pub fn parse(text: &ByteString, dialect: Dialect) -> Result<Self, FrameError> {
        let bad_json = "a frame is one JSON object, each field given once";
        let envelope: Envelope<'_> = object(text, bad_json, bad_json)?;
        let reader = FieldReader { text, id: None };
        let id = reader.integer(envelope.id, 1, "id is a positive integer up to 2^53-1")?;
        let reader = FieldReader { text, id };
        let kind: Cow<'_, str> =
            envelope.kind.and_then(string).ok_or_else(|| reader.invalid("type is missing or not a string"))?;
        let request = match dialect {
            Dialect::Game => RoomRequest::parse(&kind, &envelope, reader)?.map(Self::Room),
            Dialect::Hub => HubRequest::parse(&kind, &envelope, reader)?.map(Self::Hub),
            Dialect::Proxy => None,
        };
        if let Some(request) = request {
            return Ok(request);
        }
        let request = SessionRequest::parse(&kind, &envelope, reader)?.map(Self::Session);
        request.ok_or(FrameError {
            code: error_code::UNKNOWN_TYPE,
            message: match dialect {
                Dialect::Game => "type is one of auth, send, patch, ping, pong, leave",
                Dialect::Hub => "type is one of auth, subscribe, unsubscribe, publish, ping, pong",
                Dialect::Proxy => "type is one of auth, ping, pong",
            },
            id,
        })
    }
}

/// Parses the fields of one JSON object. `no_object` is the error text for a value that is not an
/// object, `unreadable` for text that cannot be parsed.
pub(super) fn object<'a, T: Deserialize<'a>>(
    text: &'a ByteString,
    no_object: &'static str,
    unreadable: &'static str,
) -> Result<T, FrameError> {
    let error = |code, message| FrameError { code, message, id: None };
    if is_too_deep(text) {
        return Err(error(error_code::TOO_DEEP, "arrays and objects may nest 127 deep at most"));
    }
    // serde would accept an array as the fields in their order.
    if !text.trim_start().starts_with('{') {
        return Err(error(error_code::BAD_JSON, no_object));
    }
    serde_json::from_str(text).map_err(|_| error(error_code::BAD_JSON, unreadable))
}

impl FieldReader<'_> {
    pub(super) fn invalid(self, message: &'static str) -> FrameError {
        FrameError { code: error_code::INVALID_FIELD, message, id: self.id }
    }

    /// Returns a value that is relayed to other clients exactly as it was written; it shares the
    /// text's memory.
    pub(super) fn passed_on(self, raw: &RawValue) -> Result<RawJson, FrameError> {
        match poison(raw.get()) {
            None => Ok(RawJson::within(self.text, raw)),
            Some(poison) => Err(FrameError { code: error_code::BAD_JSON, message: poison.message(), id: self.id }),
        }
    }

    /// `message` is the error text for a value that is no integer from `min` to 2^53-1.
    pub(super) fn integer(
        self,
        raw: Option<&RawValue>,
        min: u64,
        message: &'static str,
    ) -> Result<Option<u64>, FrameError> {
        let Some(raw) = raw else { return Ok(None) };
        match number::integer(raw).filter(|number| *number >= min) {
            Some(number) => Ok(Some(number)),
            None => Err(self.invalid(message)),
        }
    }
}
