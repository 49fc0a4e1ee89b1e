//! Owns the tests of the main job: players meet in a room and play (P2, P4, S1, S2, 3.1, 3.2).

use crate::support::{Client, Server, token, unix_secs};
use serde_json::{Value, json};
use tungstenite::Message;

#[test]
fn p4_a_player_is_welcomed_and_a_ping_gets_its_pong() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/test-game/test-player").welcomed();
    assert_eq!(alice.welcome["protocol"], 1);
    assert_eq!(alice.welcome["resume"], "new");
    alice.send(&json!({"type": "ping"}));
    let pong = alice.next();
    assert_eq!((&pong["type"], pong.get("nonce")), (&json!("pong"), None));
    alice.send(&json!({"type": "ping", "nonce": {"a": [1, null]}}));
    assert_eq!(alice.next()["nonce"], json!({"a": [1, null]}));
}

#[test]
fn p2_each_kind_of_bad_frame_gets_an_error_and_the_connection_lives() {
    let server = Server::start(&[]);
    let array = r#"["ping",null,null,null,null,null,null,null,null,null,null]"#;
    for (name, text, code) in [
        ("unknown", r#"{"type":"fly"}"#, "unknown_type"),
        ("untyped", r#"{"id":3}"#, "invalid_field"),
        ("broken", r#"{"type":"#, "bad_json"),
        ("empty", "", "bad_json"),
        ("array", array, "bad_json"),
        ("field", r#"{"type":"send","id":"seven","data":1}"#, "invalid_field"),
        ("no-data", r#"{"type":"send","id":7}"#, "invalid_field"),
        ("to", r#"{"type":"send","data":1,"to":"bob"}"#, "invalid_field"),
        ("patch", r#"{"type":"patch","patch":[1]}"#, "invalid_field"),
    ] {
        let mut client = server.connect(&format!("/ws/g/{name}")).welcomed();
        client.send_text(text);
        let error = client.until_type("error");
        assert_eq!(error["code"], code, "{text}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{text}");
        assert_eq!(client.drain().iter().filter(|frame| frame["type"] == "error").count(), 0, "{text}");
        client.send(&json!({"type": "send", "id": 1, "data": 1, "an unknown field": true}));
        assert_eq!(client.until(|frame| frame["from"] == name)["data"], 1, "{text}");
    }
}

#[test]
fn p2_a_binary_frame_gets_error_unsupported_and_the_connection_lives() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    alice.send_message(Message::binary(br#"{"type":"ping"}"#.to_vec()));
    assert_eq!((&alice.next()["type"], alice.drain().len()), (&json!("error"), 0));
    alice.send_message(Message::binary(vec![0, 159, 146, 150]));
    assert_eq!(alice.next()["code"], "unsupported");
}

#[test]
fn p2_the_tenth_bad_frame_in_ten_seconds_closes_with_1008() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    for _ in 0..9 {
        alice.send(&json!({"type": "fly"}));
        assert_eq!(alice.next()["code"], "unknown_type");
    }
    assert!(alice.drain().is_empty(), "nine are forgiven, and good frames between them are answered");
    alice.send_message(Message::binary(vec![1]));
    let (ended, last) = alice.ended();
    assert_eq!((ended.code, ended.reason.as_str()), (1008, "too_many_errors"));
    assert_eq!(last["type"], "error");
    assert_eq!(server.wait_for_event("WS_CONNECTION_CLOSED")["cause"], "too_many_errors");
}

#[test]
fn p2_requests_that_the_room_refuses_are_not_bad_frames() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    alice.send(&json!({"type": "patch", "patch": {"a": 1}}));
    for _ in 0..20 {
        alice.send(&json!({"type": "patch", "patch": {"a": 2}, "if_seq": 0}));
    }
    assert_eq!(alice.drain().iter().filter(|frame| frame["code"] == "conflict").count(), 20);
}

#[test]
fn s1_everybody_sees_everything_in_one_order_the_sender_too() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let mut bob = server.connect("/ws/g/bob").welcomed();
    assert_eq!(bob.welcome["players"], json!({"alice": "joined", "bob": "joined"}));
    assert_eq!(alice.next(), json!({"type": "presence", "seq": 2, "player": "bob", "status": "joined"}));
    alice.send(&json!({"type": "send", "id": 7, "data": {"x": 1}}));
    let message = json!({"type": "message", "seq": 3, "from": "alice", "id": 7, "data": {"x": 1}});
    assert_eq!(alice.next(), message);
    assert_eq!(bob.next(), message);
}

#[test]
fn s1_several_senders_at_once_are_seen_in_one_order_by_all() {
    const EACH: usize = 200;
    let server = Server::start(&[("MESSAGE_RATE", "1000000"), ("MESSAGE_BURST", "1000000")]);
    let names = ["alice", "bob", "carol", "dave"];
    let clients: Vec<Client> = names.iter().map(|name| server.connect(&format!("/ws/g/{name}")).welcomed()).collect();
    let all_see = names.len() * EACH;
    let seen: Vec<Vec<Value>> = std::thread::scope(|scope| {
        let players = clients.into_iter().map(|mut client| {
            scope.spawn(move || {
                for id in 1..=EACH {
                    client.send(&json!({"type": "send", "id": id, "data": id}));
                }
                std::iter::repeat_with(|| client.until_type("message")).take(all_see).collect::<Vec<_>>()
            })
        });
        players.collect::<Vec<_>>().into_iter().map(|player| player.join().expect("a player")).collect()
    });
    assert!(seen.iter().all(|frames| *frames == seen[0]), "one order");
    let first = seen[0][0]["seq"].as_u64().expect("a seq");
    assert!(seen[0].iter().zip(first..).all(|(frame, seq)| frame["seq"] == seq), "no gap in a public room");
    for name in names {
        let ids = seen[0].iter().filter(|frame| frame["from"] == name).map(|frame| frame["id"].as_u64());
        assert!(ids.eq((1..=EACH as u64).map(Some)), "{name}'s own order is kept");
    }
}

#[test]
fn s1_a_private_message_is_seen_by_its_sender_and_those_it_names_and_leaves_a_gap_for_others() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let mut bob = server.connect("/ws/g/bob").welcomed();
    let mut carol = server.connect("/ws/g/carol").welcomed();
    alice.send(&json!({"type": "send", "id": 1, "data": "psst", "to": ["bob", "nobody-of-that-name"]}));
    alice.send(&json!({"type": "send", "id": 2, "data": "to myself", "to": []}));
    alice.send(&json!({"type": "send", "id": 3, "data": "hello all"}));
    let secret = json!({"type": "message", "seq": 4, "from": "alice", "id": 1, "data": "psst"});
    let note = json!({"type": "message", "seq": 5, "from": "alice", "id": 2, "data": "to myself"});
    let public = json!({"type": "message", "seq": 6, "from": "alice", "id": 3, "data": "hello all"});
    let messages =
        |client: &mut Client| client.drain().into_iter().filter(|frame| frame["type"] == "message").collect::<Vec<_>>();
    assert_eq!(messages(&mut alice), [secret.clone(), note, public.clone()]);
    assert_eq!(messages(&mut bob), [secret, public.clone()]);
    assert_eq!(messages(&mut carol), [public]);
}

#[test]
fn s1_a_player_whose_token_comes_late_is_a_member_like_any_other() {
    let secret = "0123456789abcdef0123456789abcdef";
    let server = Server::start(&[("JWT_SECRET", secret), ("SHARDS", "1")]);
    let token = |name: &str| token(secret, &json!({"sub": name, "exp": unix_secs(600)}));
    // Connected first, joins last: connections do not join in the order of their sockets.
    let mut late = server.connect("/ws/g/late");
    assert!(late.drain().is_empty(), "the socket is on its shard");
    let mut alice = server.connect(&format!("/ws/g/alice?token={}", token("alice"))).welcomed();
    late.send(&json!({"type": "auth", "token": token("late")}));
    let mut late = late.welcomed();
    alice.send(&json!({"type": "send", "id": 1, "data": 1}));
    assert_eq!(late.until_type("message")["data"], 1);
    late.send(&json!({"type": "patch", "id": 1, "patch": {"a": 1}}));
    late.send(&json!({"type": "patch", "id": 1, "patch": {"a": 1}}));
    assert_eq!(late.until_type("ack")["id"], 1, "replies find both");
    alice.send(&json!({"type": "send", "id": 1, "data": 1}));
    assert_eq!(alice.until_type("ack")["id"], 1);
    alice.cut();
    assert_eq!(late.until_type("presence")["status"], "away", "and so does the end");
}

#[test]
fn s2_a_repeated_id_is_not_applied_again_and_answered_with_its_seq() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let mut bob = server.connect("/ws/g/bob").welcomed();
    alice.send(&json!({"type": "send", "id": 7, "data": "first"}));
    alice.send(&json!({"type": "send", "id": 9, "data": "second"}));
    alice.send(&json!({"type": "patch", "id": 9007199254740991_u64, "patch": {"a": 1}}));
    alice.send(&json!({"type": "send", "id": 9, "data": "again, other data"}));
    alice.send(&json!({"type": "patch", "id": 7, "patch": {"b": 1}}));
    alice.send(&json!({"type": "send", "id": 9007199254740991_u64, "data": "again"}));
    let frames = alice.drain();
    let acks: Vec<&Value> = frames.iter().filter(|frame| frame["type"] == "ack").collect();
    assert_eq!(
        acks,
        [
            &json!({"type": "ack", "id": 9, "seq": 4}),
            &json!({"type": "ack", "id": 7, "seq": 3}),
            &json!({"type": "ack", "id": 9007199254740991_u64, "seq": 5}),
        ]
    );
    let seen: Vec<Value> = bob.drain();
    assert_eq!(seen.len(), 3, "nothing was applied twice, and acknowledgements are the sender's: {seen:?}");
}

#[test]
fn s2_an_id_below_the_last_one_is_not_applied_even_if_it_was_never_used() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    alice.send(&json!({"type": "send", "id": 10, "data": 1}));
    alice.send(&json!({"type": "send", "id": 4, "data": 1}));
    let frames = alice.drain();
    assert_eq!(frames.len(), 2);
    assert_eq!((&frames[1]["type"], &frames[1]["id"]), (&json!("ack"), &json!(4)));
}

#[test]
fn s2_ids_are_remembered_across_connections() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    alice.send(&json!({"type": "send", "id": 3, "data": 1}));
    assert_eq!(alice.next()["seq"], 2);
    let path = format!("/ws/g/alice?session={}&seq=2", alice.session());
    alice.cut();
    let mut alice = server.connect(&path).welcomed();
    assert_eq!(alice.welcome["last_id"], 3);
    alice.send(&json!({"type": "send", "id": 3, "data": 1}));
    assert_eq!(alice.until_type("ack"), json!({"type": "ack", "id": 3, "seq": 2}));
    alice.send(&json!({"type": "send", "id": 4, "data": 2}));
    assert_eq!(alice.until_type("message")["id"], 4);
}

#[test]
fn s2_a_message_without_id_is_applied_each_time_it_arrives_and_has_none() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    alice.send(&json!({"type": "send", "id": 5, "data": 0}));
    alice.send(&json!({"type": "send", "data": 1}));
    alice.send(&json!({"type": "send", "data": 1}));
    alice.send(&json!({"type": "send", "id": 6, "data": 2}));
    let frames = alice.drain();
    assert_eq!(frames.len(), 4);
    assert_eq!(frames[1], json!({"type": "message", "seq": 3, "from": "alice", "data": 1}));
    assert_eq!(frames[2]["seq"], 4);
    assert_eq!(frames[3]["id"], 6);
}

#[test]
fn a_player_who_leaves_is_closed_with_1000_and_the_seat_is_free() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let mut bob = server.connect("/ws/g/bob").welcomed();
    let session = bob.session().to_owned();
    bob.send(&json!({"type": "send", "id": 1, "data": "bye"}));
    bob.send(&json!({"type": "leave"}));
    bob.send(&json!({"type": "send", "id": 2, "data": "from beyond"}));
    assert_eq!(bob.next()["seq"], 3, "what came before the leave is still acknowledged");
    let left = json!({"type": "presence", "seq": 4, "player": "bob", "status": "left", "reason": "leave"});
    let (ended, last) = bob.ended();
    assert_eq!((ended.code, ended.reason.as_str(), &last), (1000, "left", &left));
    assert_eq!(alice.until(|frame| frame["status"] == "left"), left);
    let bob = server.connect(&format!("/ws/g/bob?session={session}&seq=4")).welcomed();
    assert_eq!((&bob.welcome["resume"], &bob.welcome["reason"]), (&json!("new"), &json!("session_expired")));
    assert_eq!(alice.next(), json!({"type": "presence", "seq": 5, "player": "bob", "status": "joined"}));
    let drained = alice.drain();
    assert!(drained.is_empty(), "a player who left is not away as well: {drained:?}");
}

#[test]
fn with_a_flush_interval_messages_arrive_in_order_and_a_pong_does_not_wait() {
    let server = Server::start(&[("FLUSH_INTERVAL_MS", "50")]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let mut bob = server.connect("/ws/g/bob").welcomed();
    for id in 1..=20 {
        alice.send(&json!({"type": "send", "id": id, "data": id}));
    }
    let ids: Vec<u64> = (0..20).map(|_| bob.until_type("message")["id"].as_u64().expect("an id")).collect();
    assert!(ids.into_iter().eq(1..=20));
    alice.send(&json!({"type": "send", "volatile": "v", "data": 1}));
    assert_eq!(bob.next()["volatile"], "v");
    alice.drain();
    // The longest interval there is: if the pong waited for it, so would each of these rounds, and
    // all of them for 29 s or more. In memory, so that none waits for the disk.
    let server = Server::start(&[("FLUSH_INTERVAL_MS", "1000"), ("DURABILITY", "memory")]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let started = std::time::Instant::now();
    for id in 1..=30 {
        alice.send(&json!({"type": "send", "id": id, "data": id}));
        assert_eq!(alice.drain().len(), 1, "what was held goes out in front of the pong");
    }
    assert!(started.elapsed().as_secs() < 29, "a pong waited for the room's flush");
}
