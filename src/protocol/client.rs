//! Owns the frames a client may send (3.1, section 6), parsed and validated field by field.

use std::borrow::Cow;

use bytestring::ByteString;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{
    DisplayName, InvalidName, PlayerId, Topic, error_code,
    json::{RawJson, is_too_deep, string},
    number,
    poison::poison,
    recipients::{self, recipients},
    topic::MAX_TOPICS,
};

/// The longest name of a volatile value (S8), in bytes.
pub const MAX_VOLATILE_NAME_BYTES: usize = 64;

/// A client's request. Unknown fields are ignored (P2).
#[derive(Debug, Clone, PartialEq)]
pub enum ClientFrame {
    Auth {
        token: Option<String>,
        session: Option<String>,
        seq: Option<u64>,
        /// The display name (S11). An invalid name does not make the frame invalid.
        name: Option<Result<DisplayName, InvalidName>>,
    },
    /// `to` is parsed by `recipients`.
    Send {
        id: Option<u64>,
        data: RawJson,
        to: Option<Vec<PlayerId>>,
    },
    Volatile {
        name: String,
        data: RawJson,
        to: Option<Vec<PlayerId>>,
    },
    Patch {
        id: Option<u64>,
        patch: RawJson,
        if_seq: Option<u64>,
    },
    Ping {
        nonce: Option<RawJson>,
    },
    Pong,
    Leave,
    /// 1 to [`MAX_TOPICS`].
    Subscribe {
        topics: Vec<Topic>,
    },
    Unsubscribe {
        topics: Vec<Topic>,
    },
    /// Acknowledged with `published` if it has an `id`.
    Publish {
        id: Option<u64>,
        topic: Topic,
        data: RawJson,
    },
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

impl ClientFrame {
    /// Parses one text message. `data` and `nonce` share the message's memory.
    ///
    /// # Errors
    /// [`FrameError`] with code `bad_json`, `too_deep`, `unknown_type` or `invalid_field` (P2).
    pub fn parse(text: &ByteString, dialect: Dialect) -> Result<Self, FrameError> {
        let bad_json = "a frame is one JSON object, each field given once";
        let envelope: Envelope<'_> = object(text, bad_json, bad_json)?;
        let id = integer(envelope.id, 1, "id is a positive integer up to 2^53-1", None)?;
        let invalid = |message| FrameError { code: error_code::INVALID_FIELD, message, id };
        let bad_topics = || invalid("topics is a list of 1 to 1000 names of 1 to 128 bytes");
        let kind: Cow<'_, str> =
            envelope.kind.and_then(string).ok_or_else(|| invalid("type is missing or not a string"))?;
        match (&*kind, dialect) {
            ("send", Dialect::Game) => {
                let data = envelope.data.ok_or_else(|| invalid("data is missing"))?;
                let data = passed_on(text, data, id)?;
                let to = match envelope.to {
                    Some(raw) => Some(recipients(raw).ok_or_else(|| invalid(recipients::RULE))?),
                    None => None,
                };
                let Some(raw) = envelope.volatile else {
                    return Ok(Self::Send { id, data, to });
                };
                let name = string(raw)
                    .filter(|name| (1..=MAX_VOLATILE_NAME_BYTES).contains(&name.len()))
                    .ok_or_else(|| invalid("volatile is a name of 1 to 64 bytes"))?;
                Ok(Self::Volatile { name: name.into_owned(), data, to })
            }
            ("patch", Dialect::Game) => {
                let patch = envelope
                    .patch
                    .filter(|raw| raw.get().starts_with('{'))
                    .ok_or_else(|| invalid("patch is an object (RFC 7396)"))?;
                let if_seq = integer(envelope.if_seq, 0, "if_seq is an integer from 0 to 2^53-1", id)?;
                Ok(Self::Patch { id, patch: passed_on(text, patch, id)?, if_seq })
            }
            ("leave", Dialect::Game) => Ok(Self::Leave),
            ("subscribe", Dialect::Hub) => {
                Ok(Self::Subscribe { topics: topics(envelope.topics).ok_or_else(bad_topics)? })
            }
            ("unsubscribe", Dialect::Hub) => {
                Ok(Self::Unsubscribe { topics: topics(envelope.topics).ok_or_else(bad_topics)? })
            }
            ("publish", Dialect::Hub) => {
                let name = envelope.topic.and_then(string).and_then(|name| Topic::parse(&name));
                let topic = name.ok_or_else(|| invalid("topic is a name of 1 to 128 bytes"))?;
                let data = envelope.data.ok_or_else(|| invalid("data is missing"))?;
                Ok(Self::Publish { id, topic, data: passed_on(text, data, id)? })
            }
            ("ping", _) => Ok(Self::Ping { nonce: envelope.nonce.map(|raw| passed_on(text, raw, id)).transpose()? }),
            ("pong", _) => Ok(Self::Pong),
            ("auth", _) => Ok(Self::Auth {
                token: optional_string(envelope.token).ok_or_else(|| invalid("token is a string"))?,
                session: optional_string(envelope.session).ok_or_else(|| invalid("session is a string"))?,
                seq: integer(envelope.seq, 0, "seq is an integer from 0 to 2^53-1", id)?,
                name: envelope.name.map(display_name),
            }),
            _ => Err(FrameError {
                code: error_code::UNKNOWN_TYPE,
                message: match dialect {
                    Dialect::Game => "type is one of auth, send, patch, ping, pong, leave",
                    Dialect::Hub => "type is one of auth, subscribe, unsubscribe, publish, ping, pong",
                    Dialect::Proxy => "type is one of auth, ping, pong",
                },
                id,
            }),
        }
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

/// A value that is relayed to other clients exactly as it was written; it shares the text's memory.
pub(super) fn passed_on(text: &ByteString, raw: &RawValue, id: Option<u64>) -> Result<RawJson, FrameError> {
    match poison(raw.get()) {
        None => Ok(RawJson::within(text, raw)),
        Some(poison) => Err(FrameError { code: error_code::BAD_JSON, message: poison.message(), id }),
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

fn topics(raw: Option<&RawValue>) -> Option<Vec<Topic>> {
    let names: Vec<String> = serde_json::from_str(raw?.get()).ok()?;
    let topics: Option<Vec<_>> = names.iter().map(|name| Topic::parse(name)).collect();
    topics.filter(|topics| (1..=MAX_TOPICS).contains(&topics.len()))
}

pub(super) fn integer(
    raw: Option<&RawValue>,
    min: u64,
    message: &'static str,
    id: Option<u64>,
) -> Result<Option<u64>, FrameError> {
    let Some(raw) = raw else { return Ok(None) };
    match number::integer(raw).filter(|number| *number >= min) {
        Some(number) => Ok(Some(number)),
        None => Err(FrameError { code: error_code::INVALID_FIELD, message, id }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ClientFrame, FrameError> {
        ClientFrame::parse(&ByteString::from(text), Dialect::Game)
    }

    fn parse_for_hub(text: &str) -> Result<ClientFrame, FrameError> {
        ClientFrame::parse(&ByteString::from(text), Dialect::Hub)
    }

    fn code(text: &str) -> &'static str {
        parse(text).expect_err(text).code
    }

    #[test]
    fn a_send_keeps_its_data_as_written() {
        let frame = parse(r#"{"type":"send","id":7,"data":{"b":1.0,"a":12345678901234567890123},"x":1}"#);
        let Ok(ClientFrame::Send { id: Some(7), data, to: None }) = frame else { panic!("{frame:?}") };
        assert_eq!(data.as_str(), r#"{"b":1.0,"a":12345678901234567890123}"#);
    }

    #[test]
    fn data_null_is_a_value_and_data_absent_is_an_error() {
        assert!(matches!(parse(r#"{"type":"send","data":null}"#), Ok(ClientFrame::Send { .. })));
        assert_eq!(code(r#"{"type":"send"}"#), error_code::INVALID_FIELD);
    }

    #[test]
    fn s2_an_id_is_a_positive_integer_up_to_two_to_the_53_minus_1() {
        for bad in ["0", "-0.0", "-1", "1.5", "\"7\"", "9007199254740992", "9007199254740992.0", "[]", "true"] {
            assert_eq!(code(&format!(r#"{{"type":"send","data":1,"id":{bad}}}"#)), error_code::INVALID_FIELD, "{bad}");
        }
        assert!(parse(r#"{"type":"send","data":1,"id":9007199254740991}"#).is_ok());
    }

    #[test]
    fn n1_null_in_an_optional_field_is_its_absence() {
        let absent = |with: &str, without: &str| assert_eq!(parse(with), parse(without), "{with}");
        absent(r#"{"type":"send","id":null,"data":1,"to":null,"volatile":null}"#, r#"{"type":"send","data":1}"#);
        absent(r#"{"type":"patch","id":null,"patch":{},"if_seq":null}"#, r#"{"type":"patch","patch":{}}"#);
        absent(r#"{"type":"ping","nonce":null}"#, r#"{"type":"ping"}"#);
        absent(r#"{"type":"auth","token":null,"session":null,"seq":null,"name":null}"#, r#"{"type":"auth"}"#);
    }

    #[test]
    fn s11_a_name_is_read_and_a_bad_one_spoils_nothing_else() {
        let name = |raw: &str| match parse(&format!(r#"{{"type":"auth","token":"t","name":{raw}}}"#)) {
            Ok(ClientFrame::Auth { token: Some(_), name: Some(name), .. }) => name,
            other => panic!("{raw}: {other:?}"),
        };
        assert_eq!(name(r#""Bob \ud83d\udc3a""#), DisplayName::parse("Bob 🐺"));
        for bad in ["7", r#""""#, r#""\ud800""#, r#""a\u202eb""#, "[]"] {
            assert_eq!(name(bad), Err(InvalidName), "{bad}");
        }
    }

    #[test]
    fn p2_what_is_not_one_object_with_a_known_type_is_an_error() {
        for (text, expected) in [
            ("", error_code::BAD_JSON),
            ("null", error_code::BAD_JSON),
            ("7", error_code::BAD_JSON),
            (r#"["ping",1,1,1,1,1,1,1,1,1,1]"#, error_code::BAD_JSON),
            ("{", error_code::BAD_JSON),
            (r#"{"type":"ping"} x"#, error_code::BAD_JSON),
            (r#"{"type":"ping","type":"ping"}"#, error_code::BAD_JSON),
            ("{}", error_code::INVALID_FIELD),
            (r#"{"type":7}"#, error_code::INVALID_FIELD),
            (r#"{"type":"fly"}"#, error_code::UNKNOWN_TYPE),
            (r#"{"type":"patch"}"#, error_code::INVALID_FIELD),
            (r#"{"type":"patch","patch":[1]}"#, error_code::INVALID_FIELD),
            (r#"{"type":"send","data":1,"to":"bob"}"#, error_code::INVALID_FIELD),
            (r#"{"type":"send","data":1,"to":["../bob"]}"#, error_code::INVALID_FIELD),
            (r#"{"type":"send","data":1,"volatile":""}"#, error_code::INVALID_FIELD),
            (r#"{"type":"auth","token":7}"#, error_code::INVALID_FIELD),
            (r#"{"type":"send","data":"\ud800"}"#, error_code::BAD_JSON),
            (r#"{"type":"send","data":1,"volatile":"\ud800"}"#, error_code::INVALID_FIELD),
            (r#"{"type":"patch","patch":{"\udc00":1}}"#, error_code::BAD_JSON),
            (r#"{"type":"ping","nonce":1e400}"#, error_code::BAD_JSON),
        ] {
            assert_eq!(code(text), expected, "{text}");
        }
    }

    #[test]
    fn h1_topics_are_a_list_of_names_and_nothing_else() {
        let frame = parse_for_hub(r#"{"type":"subscribe","topics":["a","O:SPY 1"]}"#);
        let topics = ["a", "O:SPY 1"].map(|name| Topic::parse(name).expect("a name")).to_vec();
        assert_eq!(frame, Ok(ClientFrame::Subscribe { topics: topics.clone() }));
        let frame = parse_for_hub(r#"{"type":"unsubscribe","topics":["a","O:SPY 1"]}"#);
        assert_eq!(frame, Ok(ClientFrame::Unsubscribe { topics }));
        let many = format!("[{}]", vec![r#""a""#; MAX_TOPICS + 1].join(","));
        let long = format!(r#"["{}"]"#, "x".repeat(129));
        let bad_names = [r#""a""#, r#"[""]"#, r#"["a\u0000"]"#, r#"[["a"]]"#, &many, &long];
        for bad in ["[]", "null", "{}", "[1]"].into_iter().chain(bad_names) {
            let error = parse_for_hub(&format!(r#"{{"type":"subscribe","topics":{bad}}}"#)).expect_err(bad);
            assert_eq!(error.code, error_code::INVALID_FIELD, "{bad}");
        }
        assert_eq!(parse_for_hub(r#"{"type":"unsubscribe"}"#).expect_err("no topics").code, error_code::INVALID_FIELD);
    }

    #[test]
    fn p2_a_type_of_the_other_kind_of_connection_is_unknown() {
        assert_eq!(code(r#"{"type":"subscribe","topics":["a"]}"#), error_code::UNKNOWN_TYPE);
        for kind in ["send", "patch", "leave"] {
            let error = parse_for_hub(&format!(r#"{{"type":"{kind}","data":1,"patch":{{}}}}"#)).expect_err(kind);
            assert_eq!(error.code, error_code::UNKNOWN_TYPE, "{kind}");
            assert!(error.message.contains("subscribe"), "{error:?}");
        }
    }

    #[test]
    fn an_error_names_the_id_of_the_frame_that_caused_it() {
        assert_eq!(parse(r#"{"type":"send","id":9}"#).expect_err("no data").id, Some(9));
    }

    #[test]
    fn escapes_in_the_type_are_understood() {
        assert_eq!(parse(r#"{"type":"p\u0069ng"}"#), Ok(ClientFrame::Ping { nonce: None }));
    }

    #[test]
    fn deep_nesting_is_refused_without_recursion() {
        let text = format!(r#"{{"type":"send","data":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
        assert_eq!(code(&text), error_code::TOO_DEEP);
    }
}
