//! Owns the tests of the back-end API while the store fails or the server stops: an answer comes
//! only after the change is stored (S3, D5). `tests/programs/faulty_store.rs` is the server whose
//! store fails on command.

use serde_json::json;

use super::{BackEnd, SECRET, assert_error};
use crate::{
    drain::{held_in_its_drain, let_go},
    faults::mend_store,
    support::{Response, Server, Witness},
};

fn start() -> Server {
    Server::start_example("faulty_store", &[("HTTP_API_SECRET", SECRET), ("SHARDS", "1"), ("RECONNECT_GRACE", "600")])
}

fn assert_unavailable(response: &Response) {
    assert_error(response, 503, "unavailable");
    assert!(response.headers.contains_key("retry-after"), "{response:?}");
}

#[test]
fn d5_while_the_store_fails_a_change_is_refused_with_503_and_lists_still_come() {
    let server = start();
    let back_end = BackEnd(&server);
    let mut alice = Witness::join(&server, "/ws/g/alice");
    server.break_store();
    alice.client.send(&json!({"type": "send", "id": 1, "data": "caught"}));
    server.wait_for_metric("innkeeper_store_failing", 1.0);
    let keyed = [("Idempotency-Key", "k")];
    assert_unavailable(&back_end.ask("POST", "/api/games/g/events", Some(&json!({"data": 1})), &keyed));
    assert_unavailable(&back_end.ask("POST", "/api/games/new/events", Some(&json!({"data": 1})), &[]));
    assert_unavailable(&back_end.kick("g", "alice"));
    assert_unavailable(&back_end.delete("g"));
    assert_unavailable(&back_end.ask("GET", "/api/games/g", None, &[]));
    let list = back_end.get("/api/games");
    assert_eq!((&list["games"][0]["game"], &list["games"][0]["seq"]), (&json!("g"), &json!(1)), "what is stored");
    mend_store(&server);
    assert_eq!(back_end.append_with_key("g", "k", &json!({"data": 1})), 3, "the key is still new");
    alice.until(|frame| frame["seq"] == 3);
}

#[test]
fn s3_an_append_is_answered_when_it_is_stored_and_not_before() {
    let server = start();
    let back_end = BackEnd(&server);
    let mut alice = Witness::join(&server, "/ws/g/alice");
    server.break_store();
    std::thread::scope(|scope| {
        let appending = scope.spawn(|| back_end.append("g", &json!({"data": "caught by the failure"})));
        server.wait_for_metric("innkeeper_store_failing", 1.0);
        alice.client.send(&json!({"type": "ping", "nonce": "nothing yet"}));
        assert_eq!(alice.client.next()["nonce"], "nothing yet", "nobody saw what is not stored");
        assert!(!appending.is_finished());
        mend_store(&server);
        let appended = appending.join().expect("an answer");
        assert_eq!(alice.until(|frame| frame["seq"] == appended)["data"], "caught by the failure");
    });
}

#[test]
fn s3_an_append_that_got_no_answer_before_a_kill_is_applied_once_when_it_is_sent_again() {
    let mut server = start();
    let alice = Witness::join(&server, "/ws/g/alice");
    let before = BackEnd(&server).append("g", &json!({"data": "before"}));
    server.break_store();
    // Nobody waits for the answer: the process is killed.
    let mut socket = server.raw();
    let body = r#"{"data":"once"}"#;
    let head =
        format!("Host: x\r\nAuthorization: Bearer {SECRET}\r\nIdempotency-Key: k\r\nContent-Length: {}", body.len());
    socket.write(format!("POST /api/games/g/events HTTP/1.1\r\n{head}\r\n\r\n{body}").as_bytes());
    server.wait_for_metric("innkeeper_store_failing", 1.0);
    server.kill();
    server.mend_store();
    server.restart();
    let back_end = BackEnd(&server);
    let applied = back_end.append_with_key("g", "k", &json!({"data": "once"}));
    assert!(applied > before);
    assert_eq!(back_end.append_with_key("g", "k", &json!({"data": "once"})), applied);
    let events = back_end.get("/api/games/g/events")["events"].clone();
    let once = events.as_array().expect("a list").iter().filter(|event| event["data"] == "once");
    assert_eq!(once.count(), 1, "{events}");
    drop(alice);
}

#[test]
fn s3_a_room_is_closed_when_its_log_is_gone_and_not_before() {
    let server = start();
    let back_end = BackEnd(&server);
    let mut alice = Witness::join(&server, "/ws/g/alice");
    server.break_store();
    std::thread::scope(|scope| {
        let deleting = scope.spawn(|| back_end.delete("g"));
        server.wait_for_metric("innkeeper_store_failing", 1.0);
        assert!(!deleting.is_finished());
        assert_eq!(server.metric("innkeeper_connections"), 1.0, "alice is still there");
        mend_store(&server);
        assert_eq!(deleting.join().expect("an answer").status, 200);
    });
    assert_eq!(alice.client.ended().0.code, 4004);
}

#[test]
fn d4_while_the_server_stops_every_call_is_refused_with_503() {
    let mut server = held_in_its_drain("/ws/g/alice", &[("HTTP_API_SECRET", SECRET)]);
    assert_error(&BackEnd(&server).ask("GET", "/api/games", None, &[]), 503, "draining");
    assert_error(&server.get("/api/games"), 401, "unauthorized");
    let_go(&mut server);
}
