//! Owns the tests of the frames a client may send.

use bytestring::ByteString;

use super::*;
use crate::protocol::{DisplayName, InvalidName, Topic, topic::MAX_TOPICS};

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
    let Ok(ClientFrame::Room(RoomRequest::Append { id: Some(7), event })) = &frame else { panic!("{frame:?}") };
    let EventRequest::Message { data, to: None } = event else { panic!("{frame:?}") };
    assert_eq!(data.as_str(), r#"{"b":1.0,"a":12345678901234567890123}"#);
}

#[test]
fn data_null_is_a_value_and_data_absent_is_an_error() {
    assert!(matches!(parse(r#"{"type":"send","data":null}"#), Ok(ClientFrame::Room(RoomRequest::Append { .. }))));
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
        Ok(ClientFrame::Session(SessionRequest::Auth { token: Some(_), name: Some(name), .. })) => name,
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
    assert_eq!(frame, Ok(ClientFrame::Hub(HubRequest::Subscribe { topics: topics.clone() })));
    let frame = parse_for_hub(r#"{"type":"unsubscribe","topics":["a","O:SPY 1"]}"#);
    assert_eq!(frame, Ok(ClientFrame::Hub(HubRequest::Unsubscribe { topics })));
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
    assert_eq!(parse(r#"{"type":"p\u0069ng"}"#), Ok(ClientFrame::Session(SessionRequest::Ping { nonce: None })));
}

#[test]
fn deep_nesting_is_refused_without_recursion() {
    let text = format!(r#"{{"type":"send","data":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
    assert_eq!(code(&text), error_code::TOO_DEEP);
}
