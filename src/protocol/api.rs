//! Owns the request bodies of the back-end API (section 8), parsed field by field like clients'
//! frames.

use bytestring::ByteString;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    PlayerId,
    client::{EventRequest, FieldReader, FrameError, object, present},
    json::{RawJson, string},
};

/// Removes a player's seat: the body of `POST /api/games/{game}/kick`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KickRequest {
    pub player: PlayerId,
    /// S13: the ban in seconds, at most [`MAX_BAN_S`]. With a ban, a player without a seat is no
    /// error.
    pub ban_s: Option<u64>,
}

/// The longest ban, in seconds (S13).
pub(crate) const MAX_BAN_S: u64 = 86_400;

#[derive(Deserialize)]
struct RequestFields<'a> {
    // `null` is a value for `data`; for every other field it means absent.
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    to: Option<&'a RawValue>,
    #[serde(borrow)]
    patch: Option<&'a RawValue>,
    #[serde(borrow)]
    if_seq: Option<&'a RawValue>,
    #[serde(borrow)]
    player: Option<&'a RawValue>,
    #[serde(borrow)]
    ban_s: Option<&'a RawValue>,
}

fn fields(text: &ByteString) -> Result<RequestFields<'_>, FrameError> {
    object(text, "the body is one JSON object", "the body is one JSON object, each field given once")
}

fn reader(text: &ByteString) -> FieldReader<'_> {
    FieldReader { text, id: None }
}

/// Parses the body of `POST /api/games/{game}/events`. `data` and `patch` share its memory.
///
/// # Errors
/// [`FrameError`] with code `bad_json`, `too_deep` or `invalid_field`.
pub(crate) fn parse_event(text: &ByteString) -> Result<EventRequest, FrameError> {
    let (mut fields, reader) = (fields(text)?, reader(text));
    // Some serializers write every field they have, so `"data":null` beside a patch is not a
    // message (N1).
    fields.data = fields.data.filter(|data| fields.patch.is_none() || data.get() != "null");
    match (fields.data, fields.patch) {
        (Some(data), None) if fields.if_seq.is_none() => EventRequest::message(data, fields.to, reader),
        (None, Some(patch)) if fields.to.is_none() => EventRequest::patch(Some(patch), fields.if_seq, reader),
        _ => Err(reader.invalid(
            "the body is {\"data\":…}, with \"to\" if need be, or {\"patch\":{…}}, with \"if_seq\" if need be",
        )),
    }
}

/// Parses the body of `POST /api/games/{game}/kick`.
///
/// # Errors
/// As [`parse_event`].
pub(crate) fn parse_kick(text: &ByteString) -> Result<KickRequest, FrameError> {
    let (fields, reader) = (fields(text)?, reader(text));
    let player = fields.player.and_then(string).and_then(|player| PlayerId::parse(&player).ok());
    let player = player.ok_or_else(|| reader.invalid("player is a player's id"))?;
    let message = "ban_s is an integer from 0 to 86400";
    let ban_s = reader.integer(fields.ban_s, 0, message)?;
    if ban_s.is_some_and(|seconds| seconds > MAX_BAN_S) {
        return Err(reader.invalid(message));
    }
    Ok(KickRequest { player, ban_s })
}

/// Parses the body of `POST /api/hubs/{hub}/topics/{topic}`. The result shares its memory.
///
/// # Errors
/// As [`parse_event`].
pub(crate) fn parse_publish(text: &ByteString) -> Result<RawJson, FrameError> {
    let (fields, reader) = (fields(text)?, reader(text));
    let data = fields.data.ok_or_else(|| reader.invalid("the body is {\"data\":…}"))?;
    reader.passed_on(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(text: &str) -> Result<EventRequest, &'static str> {
        parse_event(&text.into()).map_err(|error| error.code)
    }

    #[test]
    fn a_body_keeps_its_values_as_written() {
        let json = |text| RawJson::parse(text).expect("JSON");
        let bob = PlayerId::parse("bob").expect("an id");
        let message = |data, to| Ok(EventRequest::Message { data: json(data), to });
        assert_eq!(append(r#"{"data":{"b":1.0,"a":2}}"#), message(r#"{"b":1.0,"a":2}"#, None));
        assert_eq!(append(r#"{"data":null,"to":["bob"],"x":1}"#), message("null", Some(vec![bob])));
        let patch = |if_seq| Ok(EventRequest::Patch { patch: json(r#"{"a":null}"#), if_seq });
        assert_eq!(append(r#"{"patch":{"a":null}}"#), patch(None));
        assert_eq!(append(r#"{"patch":{"a":null},"if_seq":7}"#), patch(Some(7)));
        assert_eq!(append(r#"{"patch":{"a":null},"if_seq":7.0}"#), patch(Some(7)));
    }

    #[test]
    fn n1_null_in_an_optional_field_of_a_body_is_its_absence() {
        let same = |with: &str, without: &str| assert_eq!(append(with), append(without), "{with}");
        same(r#"{"data":null,"patch":null,"to":null,"if_seq":null}"#, r#"{"data":null}"#);
        same(r#"{"data":1,"patch":null,"to":null}"#, r#"{"data":1}"#);
        same(r#"{"data":null,"patch":{},"if_seq":null,"to":null}"#, r#"{"patch":{}}"#);
    }

    #[test]
    fn e1_a_body_that_is_neither_a_message_nor_a_patch_is_refused() {
        let deep = format!(r#"{{"data":{}{}}}"#, "[".repeat(200), "]".repeat(200));
        for (text, code) in [
            ("", "bad_json"),
            ("[1]", "bad_json"),
            ("{", "bad_json"),
            (r#"{"data":1} 2"#, "bad_json"),
            (r#"{"data":1,"data":2}"#, "bad_json"),
            (r#"{"data":1e400}"#, "bad_json"),
            (r#"{"patch":{"a":"\ud800"}}"#, "bad_json"),
            (&*deep, "too_deep"),
            ("{}", "invalid_field"),
            (r#"{"data":1,"patch":{}}"#, "invalid_field"),
            (r#"{"data":1,"to":"bob"}"#, "invalid_field"),
            (r#"{"data":1,"to":["../x"]}"#, "invalid_field"),
            (r#"{"data":1,"if_seq":1}"#, "invalid_field"),
            (r#"{"patch":{},"to":["bob"]}"#, "invalid_field"),
            (r#"{"patch":[]}"#, "invalid_field"),
            (r#"{"patch":null}"#, "invalid_field"),
            (r#"{"patch":{},"if_seq":-1}"#, "invalid_field"),
            (r#"{"patch":{},"if_seq":1.5}"#, "invalid_field"),
        ] {
            assert_eq!(append(text), Err(code), "{text}");
        }
        assert_eq!(
            parse_kick(&r#"{"player":"bob","ban_s":6e2}"#.into()).map(|kick| (kick.player.to_string(), kick.ban_s)),
            Ok(("bob".into(), Some(600)))
        );
        for text in ["{}", r#"{"player":7}"#, r#"{"player":"@server"}"#, r#"{"player":"bob","ban_s":86401}"#] {
            assert!(parse_kick(&text.into()).is_err_and(|error| error.code == "invalid_field"), "{text}");
        }
        let publish = |text: &str| parse_publish(&text.into()).map_err(|error| error.code);
        assert_eq!(publish(r#"{"data":null}"#).map(|data| data.as_str().to_owned()), Ok("null".into()));
        assert_eq!((publish("{}"), publish("1")), (Err("invalid_field"), Err("bad_json")));
        assert_eq!(publish(r#"{"data":"\ud800"}"#), Err("bad_json"));
    }
}
