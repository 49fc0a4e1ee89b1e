//! Owns the tests of integers that clients write with a zero fraction, and of `null` in optional
//! fields (N1).

use serde_json::{Value, json};

use crate::support::Server;

const SECRET: &str = "an-api-secret-of-the-tests-0123456789";

/// What a client is answered to this text, up to the answer of a ping.
fn answers(server: &Server, texts: &[&str]) -> Vec<Value> {
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let answers = texts.iter().flat_map(|text| {
        alice.send_text(text);
        alice.drain()
    });
    answers.collect()
}

#[test]
fn n1_a_client_that_writes_integers_as_floats_is_understood() {
    let server = Server::start(&[]);
    let answers = answers(
        &server,
        &[
            r#"{"type":"send","id":1.0,"data":1.0}"#,
            r#"{"type":"send","id":2e0,"data":1}"#,
            r#"{"type":"send","id":2.0,"data":"again"}"#,
            r#"{"type":"patch","id":3.0,"patch":{"a":1.0},"if_seq":-0}"#,
            r#"{"type":"send","id":null,"data":null,"to":null,"volatile":null}"#,
        ],
    );
    let told: Vec<_> = answers.iter().map(|frame| json!([frame["type"], frame["id"]])).collect();
    let expected = [json!(["message", 1]), json!(["message", 2]), json!(["ack", 2]), json!(["patch", 3])];
    assert_eq!((&told[..4], &told[4..]), (&expected[..], &[json!(["message", null])][..]));
    assert_eq!(answers[0]["data"].to_string(), "1.0", "data is as its sender wrote it");
}

#[test]
fn n1_what_is_no_integer_is_refused_with_invalid_field() {
    let server = Server::start(&[]);
    let ids = ["1.5", "9007199254740992", "9007199254740992.0", "-0.0", "\"1\"", "9007199254740990.5"];
    let texts = ids.map(|id| format!(r#"{{"type":"send","id":{id},"data":1}}"#));
    let answers = answers(&server, &texts.each_ref().map(String::as_str));
    let codes: Vec<_> = answers.iter().map(|frame| frame["code"].as_str()).collect();
    assert_eq!(codes, [Some("invalid_field"); 6], "{answers:?}");
}

#[test]
fn n1_a_resume_may_write_its_seq_with_a_zero_fraction_and_an_empty_one_is_none() {
    let server = Server::start(&[]);
    let alice = server.connect("/ws/g/alice").welcomed();
    let session = alice.cut().session;
    for (seq, verdict, reason) in [
        ("1.0", json!("continuous"), Value::Null),
        ("1e0", json!("continuous"), Value::Null),
        ("", json!("new"), json!("no_seq")),
    ] {
        let mut alice = server.connect(&format!("/ws/g/alice?session={session}&seq={seq}")).welcomed();
        assert_eq!((&alice.welcome["resume"], &alice.welcome["reason"]), (&verdict, &reason), "{seq}");
        assert!(alice.drain().iter().all(|frame| frame["type"] == "presence"), "{seq}");
    }
}

#[test]
fn n1_a_seq_of_the_query_that_is_no_integer_is_told_behind_the_welcome_and_the_seat_is_kept() {
    let server = Server::start(&[]);
    let alice = server.connect("/ws/g/alice").welcomed();
    let session = alice.cut().session;
    for seq in ["1.5", "9007199254740992", "x", "-1"] {
        let mut alice = server.connect(&format!("/ws/g/alice?session={session}&seq={seq}")).welcomed();
        assert_eq!((alice.verdict(), &alice.welcome["reason"]), ("new", &json!("no_seq")), "{seq}");
        assert_eq!(alice.session(), session);
        let error = alice.until_type("error");
        assert_eq!(error["code"], "invalid_field", "{error}");
        assert!(error["message"].as_str().is_some_and(|message| message.starts_with("seq ")), "{error}");
    }
}

#[test]
fn n1_bodies_and_queries_of_the_back_end_api_are_read_alike() {
    let server = Server::start(&[("HTTP_API_SECRET", SECRET)]);
    let bearer = format!("Bearer {SECRET}");
    let ask = |method: &str, path: &str, body: Option<&str>| {
        server.request(method, path, &[("Authorization", &bearer)], body)
    };
    let append = |body| ask("POST", "/api/games/g/events", Some(body));
    for (body, seq) in [
        (r#"{"data":null,"patch":null,"to":null,"if_seq":null}"#, 1),
        (r#"{"data":null,"patch":{"a":1},"if_seq":0.0,"to":null}"#, 2),
        (r#"{"patch":{"b":1},"if_seq":2.0}"#, 3),
    ] {
        assert_eq!(append(body).json(), json!({"seq": seq}), "{body}");
    }
    for body in [r#"{"patch":{},"if_seq":1.5}"#, r#"{"patch":{},"if_seq":9007199254740992}"#, r#"{"patch":null}"#] {
        let refused = append(body);
        assert_eq!((refused.status, refused.json()["error"]["code"].clone()), (400, json!("invalid_field")), "{body}");
    }
    let page = ask("GET", "/api/games/g/events?after=1.0&limit=1e0", None).json();
    assert_eq!((page["events"].as_array().map(Vec::len), &page["events"][0]["seq"]), (Some(1), &json!(2)), "{page}");
    assert_eq!(ask("GET", "/api/games?limit=2.0&after=", None).json()["games"][0]["game"], "g");
    assert_eq!(
        ask("GET", "/api/games/g/events?after=&limit=", None).json()["events"].as_array().map(Vec::len),
        Some(3)
    );
    for query in ["after=1.5", "limit=9007199254740992", "limit=0.0", "after=x"] {
        assert_eq!(ask("GET", &format!("/api/games/g/events?{query}"), None).status, 400, "{query}");
    }
}
