//! Owns the tests of a second connection for a seat that is taken or away (S7).

use crate::support::{Server, token, unix_secs};
use serde_json::json;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn s7_with_the_session_secret_a_second_connection_takes_over_and_the_old_one_is_closed_with_4000() {
    let server = Server::start(&[]);
    let mut bob = server.connect("/ws/g/bob").welcomed();
    let mut old = server.connect("/ws/g/alice").welcomed();
    let mut new = server.connect(&format!("/ws/g/alice?session={}&seq=2", old.session())).welcomed();
    assert_eq!((&new.welcome["resume"], new.session()), (&json!("continuous"), old.session()));
    let (ended, _) = old.ended();
    assert_eq!((ended.code, ended.reason.as_str()), (4000, "replaced"));
    new.send(&json!({"type": "send", "id": 1, "data": "still me"}));
    assert_eq!(new.next()["id"], 1);
    let seen = bob.drain();
    let kinds: Vec<_> = seen.iter().map(|frame| (&frame["type"], &frame["status"])).collect();
    assert_eq!(
        kinds,
        [(&json!("presence"), &json!("joined")), (&json!("message"), &json!(null))],
        "a seat that changes hands is neither away nor back"
    );
}

#[test]
fn s7_a_token_takes_the_seat_over_without_the_secret() {
    let server = Server::start(&[("JWT_SECRET", SECRET)]);
    let path = format!("/ws/g/alice?token={}", token(SECRET, &json!({"sub": "alice", "exp": unix_secs(600)})));
    let mut old = server.connect(&path).welcomed();
    old.send(&json!({"type": "send", "id": 4, "data": 1}));
    assert_eq!(old.next()["id"], 4);
    let mut new = server.connect(&path).welcomed();
    assert_eq!(old.ended().0.code, 4000);
    assert_eq!((&new.welcome["resume"], &new.welcome["last_id"]), (&json!("new"), &json!(4)));
    assert_ne!(new.session(), old.session());
    new.send(&json!({"type": "send", "id": 5, "data": 2}));
    assert_eq!(new.next()["seq"], 3, "the seat was never away");
    // The secret of the connection that was thrown out opens nothing any more, the token does.
    let third = server.connect(&format!("{path}&session={}&seq=2", old.session())).welcomed();
    assert_eq!(third.welcome["resume"], "new");
}

#[test]
fn s7_in_development_mode_a_taken_seat_is_refused_with_4002_and_its_holder_notices_nothing() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    for path in ["/ws/g/alice".to_owned(), format!("/ws/g/alice?session={}x&seq=1", alice.session())] {
        let (ended, last) = server.connect(&path).ended();
        assert_eq!((ended.code, ended.reason.as_str()), (4002, "already_connected"), "{path}");
        assert_eq!((&last["type"], &last["code"]), (&json!("error"), &json!("already_connected")), "{path}");
    }
    let noticed = alice.drain();
    assert!(noticed.is_empty(), "{noticed:?}");
}

#[test]
fn s7_in_development_mode_an_away_seat_may_be_taken_by_anyone_who_names_the_player() {
    let server = Server::start(&[]);
    let mut bob = server.connect("/ws/g/bob").welcomed();
    let alice = server.connect("/ws/g/alice").welcomed();
    let first_secret = alice.session().to_owned();
    alice.cut();
    bob.until(|frame| frame["status"] == "away");
    let mut other = server.connect("/ws/g/alice").welcomed();
    assert_eq!(other.welcome["resume"], "new");
    assert_ne!(other.session(), first_secret);
    assert_eq!(bob.next(), json!({"type": "presence", "seq": 4, "player": "alice", "status": "back"}));
    // The seat has another owner now: the first secret is worth nothing.
    let (ended, _) = server.connect(&format!("/ws/g/alice?session={first_secret}&seq=2")).ended();
    assert_eq!(ended.code, 4002);
    other.send(&json!({"type": "send", "data": 1}));
    assert_eq!(bob.next()["from"], "alice");
}

#[test]
fn s7_a_seat_taken_over_many_times_in_a_row_always_belongs_to_the_newest() {
    let server = Server::start(&[]);
    let mut bob = server.connect("/ws/g/bob").welcomed();
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let path = format!("/ws/g/alice?session={}&seq=2", alice.session());
    for _ in 0..30 {
        let newer = server.connect(&path).welcomed();
        assert_eq!(newer.welcome["resume"], "continuous");
        assert_eq!(alice.ended().0.code, 4000);
        alice = newer;
    }
    alice.send(&json!({"type": "send", "data": "the last one"}));
    assert_eq!(alice.next()["seq"], 3);
    assert_eq!(bob.drain().len(), 2, "joined, and the message");
}
