//! Owns the tests of disconnect and resume: what a welcome says and what follows it (R1 to R6).

use std::collections::HashSet;

use crate::support::{Client, Server, seed, token, unix_secs};
use serde_json::{Value, json};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn seqs(frames: &[Value]) -> Vec<u64> {
    frames.iter().filter_map(|frame| frame["seq"].as_u64()).collect()
}

/// Alice speaks `count` times, without ids.
fn speak(alice: &mut Client, count: u64) {
    for n in 1..=count {
        alice.send(&json!({"type": "send", "data": n}));
    }
    alice.drain();
}

#[test]
fn r2_a_welcome_says_everything_the_contract_lists() {
    let server = Server::start(&[("MAX_MESSAGE_BYTES", "5000"), ("RECONNECT_GRACE", "7"), ("WS_PING_INTERVAL", "29")]);
    let alice = server.connect("/ws/test-game/alice").welcomed();
    let mut welcome = alice.welcome.clone();
    let epoch = welcome["epoch"].take();
    let session = welcome["session"].take();
    assert_eq!(
        welcome,
        json!({
            "type": "welcome", "protocol": 1, "game": "test-game", "player": "alice", "role": "player",
            "epoch": null, "session": null, "resume": "new", "seq": 1, "last_id": 0,
            "players": {"alice": "joined"}, "heartbeat": {"interval_ms": 29000, "timeout_ms": 10000},
            "grace_ms": 7000, "max_message_bytes": 5000, "state": {},
        })
    );
    assert!(epoch.as_str().is_some_and(|epoch| epoch.len() >= 16));
    assert!(session.as_str().is_some_and(|session| session.len() >= 32));
    let bob = server.connect("/ws/test-game/bob").welcomed();
    assert_eq!(bob.welcome["epoch"], epoch);
    assert_ne!(bob.welcome["session"], session);
    let other = server.connect("/ws/other-game/alice").welcomed();
    assert_ne!(other.welcome["epoch"], epoch);
}

#[test]
fn r3_a_resume_within_the_history_is_continuous_and_in_order_before_anything_live() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let bob = server.connect("/ws/g/bob").welcomed();
    let bob = bob.cut();
    alice.until(|frame| frame["status"] == "away");
    speak(&mut alice, 20);
    alice.send(&json!({"type": "send", "data": "not for bob", "to": ["carol"]}));
    alice.send(&json!({"type": "send", "data": "for bob", "to": ["bob"]}));
    alice.drain();
    let session = bob.session.clone();
    let mut bob = server.resume(&bob.at(2));
    assert_eq!(bob.verdict(), "continuous");
    assert_eq!((bob.session(), bob.welcome.get("state"), bob.welcome.get("lost")), (&*session, None, None));
    assert_eq!(bob.welcome["seq"], 26);
    alice.send(&json!({"type": "send", "data": "live"}));
    alice.until(|frame| frame["data"] == "live");
    let missed = bob.drain();
    let expected: Vec<u64> = (3..=23).chain(25..=27).collect();
    assert_eq!(seqs(&missed), expected, "one gap: the event that is not bob's");
    assert_eq!(missed[0], json!({"type": "presence", "seq": 3, "player": "bob", "status": "away"}), "his own");
    assert_eq!(missed[22], json!({"type": "presence", "seq": 26, "player": "bob", "status": "back"}), "his own");
    assert_eq!(missed[1], json!({"type": "message", "seq": 4, "from": "alice", "data": 1}));
}

#[test]
fn r1_a_resume_in_the_auth_frame_is_as_good_as_in_the_query() {
    let server = Server::start(&[("JWT_SECRET", SECRET)]);
    let token = |name: &str| token(SECRET, &json!({"sub": name, "exp": unix_secs(600)}));
    let mut alice = server.connect(&format!("/ws/g/alice?token={}", token("alice"))).welcomed();
    let bob = server.connect(&format!("/ws/g/bob?token={}", token("bob"))).welcomed();
    let session = bob.cut().session;
    alice.until(|frame| frame["status"] == "away");
    speak(&mut alice, 3);
    let auth = json!({"type": "auth", "token": token("bob"), "session": session, "seq": 2});
    for (path, frame) in [
        ("/ws/g/bob".to_owned(), auth),
        (format!("/ws/g/bob?session={session}&seq=2"), json!({"type": "auth", "token": token("bob")})),
    ] {
        let mut bob = server.connect(&path);
        bob.send(&frame);
        let mut bob = bob.welcomed();
        assert_eq!((bob.verdict(), bob.session()), ("continuous", &*session), "{path}");
        assert_eq!(seqs(&bob.drain())[..5], [3, 4, 5, 6, 7], "{path}");
    }
}

#[test]
fn r1_in_an_open_server_a_resume_in_the_auth_frame_is_answered_with_what_to_do() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    alice.send(&json!({"type": "auth", "session": "x", "seq": 1}));
    let error = alice.next();
    assert_eq!(error["type"], "error");
    assert!(error["message"].as_str().is_some_and(|message| message.contains("?session=")), "{error}");
    alice.send(&json!({"type": "auth"}));
    assert!(alice.drain().is_empty());
}

#[test]
fn r1_without_a_seq_it_is_no_resume_but_the_session_stays_and_the_state_comes() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/tic-tac-toe-1/alice").welcomed();
    alice.send(&json!({"type": "send", "id": 5, "data": {"move": 4}}));
    alice.until(|frame| frame["type"] == "patch" && frame["patch"]["turn"] == "O");
    let again = server.connect(&format!("/ws/tic-tac-toe-1/alice?session={}", alice.session())).welcomed();
    assert_eq!((again.verdict(), &again.welcome["reason"]), ("new", &json!("no_seq")));
    assert_eq!((again.session(), &again.welcome["last_id"]), (alice.session(), &json!(5)));
    assert_eq!(again.welcome["state"]["board"][4], "X");
}

/// Bob is cut at seq 2 and alice speaks until the room's seq is `newest` - 1; bob's `back` is
/// `newest`.
fn bob_misses(server: &Server, newest: u64) -> (Client, Client) {
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let bob = server.connect("/ws/g/bob").welcomed();
    let bob = bob.cut();
    alice.until(|frame| frame["status"] == "away");
    for n in 4..newest {
        alice.send(&json!({"type": "patch", "patch": {"n": n, "text": "0123456789"}}));
    }
    alice.drain();
    let bob = server.resume(&bob.at(2));
    assert_eq!(bob.welcome["seq"], newest);
    (alice, bob)
}

#[test]
fn r3_past_history_events_the_verdict_is_snapshot_and_lost_names_exactly_what_is_gone() {
    let server = Server::start(&[("HISTORY_EVENTS", "5")]);
    let (mut alice, mut bob) = bob_misses(&server, 20);
    assert_eq!((bob.verdict(), &bob.welcome["lost"]), ("snapshot", &json!([3, 15])));
    assert_eq!(bob.welcome["state"], json!({"n": 19, "text": "0123456789"}));
    speak(&mut alice, 1);
    assert_eq!(seqs(&bob.drain()), [16, 17, 18, 19, 20, 21], "what is not lost follows");
}

#[test]
fn r3_exactly_as_much_as_the_history_keeps_is_still_continuous() {
    let server = Server::start(&[("HISTORY_EVENTS", "18")]);
    let (_alice, mut bob) = bob_misses(&server, 20);
    assert_eq!(bob.verdict(), "continuous");
    assert!(seqs(&bob.drain()).into_iter().eq(3..=20));
}

#[test]
fn r3_past_history_bytes_the_verdict_is_snapshot() {
    let server = Server::start(&[("HISTORY_BYTES", "1500")]);
    let (_alice, mut bob) = bob_misses(&server, 40);
    let lost: (u64, u64) = serde_json::from_value(bob.welcome["lost"].clone()).expect("a range");
    assert_eq!((bob.verdict(), lost.0), ("snapshot", 3));
    let kept = seqs(&bob.drain());
    assert!(
        kept.len() > 2 && kept.len() < 10,
        "1500 bytes are a few events, with what the server notes of each: {kept:?}"
    );
    assert!(kept.into_iter().eq(lost.1 + 1..=40));
}

#[test]
fn r3_past_history_age_the_verdict_is_snapshot() {
    let server = Server::start(&[("HISTORY_AGE", "0.1"), ("RECONNECT_GRACE", "0.4")]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    speak(&mut alice, 5);
    // Carol's grace is the clock: when she has left, everything before her absence is older than
    // the history.
    server.connect("/ws/g/carol").welcomed().cut();
    let left = alice.until(|frame| frame["status"] == "left")["seq"].as_u64().expect("a seq");
    let mut alice = server.resume(&alice.seat().at(2));
    assert_eq!(alice.verdict(), "snapshot");
    let lost: (u64, u64) = serde_json::from_value(alice.welcome["lost"].clone()).expect("a range");
    assert!(lost.0 == 3 && (left - 1..=left).contains(&lost.1), "{lost:?}, left is {left}");
    assert!(seqs(&alice.drain()).into_iter().eq(lost.1 + 1..=left));
}

#[test]
fn r3_without_any_history_a_resume_is_still_truthful() {
    let server = Server::start(&[("HISTORY_EVENTS", "0")]);
    let (_alice, mut bob) = bob_misses(&server, 10);
    assert_eq!((bob.verdict(), &bob.welcome["lost"]), ("snapshot", &json!([3, 10])));
    assert!(bob.drain().is_empty());
    let again = server.resume(&bob.seat().at(10));
    assert_eq!(again.verdict(), "continuous", "a takeover that missed nothing");
}

#[test]
fn r3_after_the_room_was_disposed_of_the_verdict_is_reset_with_the_reason() {
    let server = Server::start(&[("ROOM_LINGER", "0"), ("RECONNECT_GRACE", "0")]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    alice.send(&json!({"type": "send", "id": 9, "data": 1}));
    alice.next();
    let epoch = alice.welcome["epoch"].clone();
    let seat = alice.cut();
    server.wait_for_metric("innkeeper_rooms", 0.0);
    let alice = server.resume(&seat);
    assert_eq!((alice.verdict(), &alice.welcome["reason"]), ("reset", &json!("room_restarted")));
    assert_ne!(alice.welcome["epoch"], epoch);
    assert_ne!(alice.session(), seat.session);
    let rest = (&alice.welcome["seq"], &alice.welcome["last_id"], &alice.welcome["state"]);
    assert_eq!(rest, (&json!(1), &json!(0), &json!({})));
}

#[test]
fn r3_after_the_server_restarted_without_what_it_had_stored_the_verdict_is_reset_with_the_reason() {
    let mut server = Server::start(&[]);
    let alice = server.connect("/ws/g/alice").welcomed().seat();
    server.kill();
    server.data().remove();
    server.restart();
    let mut alice = server.resume(&alice);
    assert_eq!((alice.verdict(), &alice.welcome["reason"]), ("reset", &json!("room_restarted")));
    assert!(alice.drain().is_empty(), "nothing of the new life was missed");
}

#[test]
fn r3_a_seq_that_the_room_has_not_reached_is_a_reset() {
    let server = Server::start(&[]);
    let mut bob = server.connect("/ws/g/bob").welcomed();
    let alice = server.connect("/ws/g/alice").welcomed();
    let seat = alice.cut();
    bob.until(|frame| frame["status"] == "away");
    // The room is at 3. Its next event will be alice's own `back`, which she cannot have seen
    // either.
    let mut open = Vec::new();
    for (ahead, newest) in [(4, 4), (1000, 4), (9007199254740991, 4)] {
        let alice = server.resume(&seat.at(ahead));
        assert_eq!((alice.verdict(), &alice.welcome["reason"]), ("reset", &json!("seq_ahead")), "{ahead}");
        assert_eq!((&alice.welcome["seq"], &alice.welcome["state"]), (&json!(newest), &json!({})), "{ahead}");
        assert_eq!(alice.session(), seat.session);
        open.push(alice);
    }
}

#[test]
fn r5_a_resume_while_the_old_socket_still_seems_open_loses_nothing() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let bob = server.connect("/ws/g/bob").welcomed();
    // Bob's old socket stays open and unread; what the server wrote to it counts for nothing.
    speak(&mut alice, 10);
    let mut newer = server.resume(&bob.seat().at(5));
    assert_eq!(newer.verdict(), "continuous");
    assert_eq!(seqs(&newer.drain()), [6, 7, 8, 9, 10, 11, 12], "and neither away nor back");
    drop(bob);
    speak(&mut alice, 1);
    assert_eq!(seqs(&newer.drain()), [13]);
}

#[test]
fn r5_a_resume_works_any_number_of_times_in_a_row() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let mut bob = server.connect("/ws/g/bob").welcomed();
    let seat = bob.seat();
    let mut seen = 2;
    for round in 0..60 {
        if round % 3 > 0 {
            bob.cut();
        }
        alice.send(&json!({"type": "send", "data": round}));
        bob = server.resume(&seat.at(seen));
        assert_eq!((bob.verdict(), bob.session()), ("continuous", &*seat.session));
        loop {
            let frame = bob.next();
            seen += 1;
            assert_eq!(frame["seq"], seen);
            if frame["data"] == round {
                break;
            }
        }
    }
}

/// One player of the load test: sends ids 1 to `EACH`, is cut at random, and notes every event.
struct Reckless<'a> {
    server: &'a Server,
    name: String,
    random: fastrand::Rng,
    client: Client,
    seen: u64,
    resumes: usize,
    messages: HashSet<(String, u64)>,
}

const EACH: u64 = 150;

impl Reckless<'_> {
    fn read(&mut self) -> u64 {
        let frame = self.client.until(|frame| frame.get("seq").is_some());
        if frame["type"] == "ack" {
            return 0;
        }
        self.seen += 1;
        assert_eq!(frame["seq"], self.seen, "{} lost or doubled an event: {frame}", self.name);
        if frame["type"] != "message" {
            return 0;
        }
        let (from, id) = (frame["from"].as_str().expect("from"), frame["id"].as_u64().expect("an id"));
        assert!(self.messages.insert((from.to_owned(), id)), "{from}'s {id} was applied twice");
        if from == self.name { id } else { 0 }
    }

    /// Returns the newest id the server has applied.
    fn resume(&mut self) -> u64 {
        let path = format!("/ws/load/{}?session={}&seq={}", self.name, self.client.session(), self.seen);
        let newer = self.server.connect(&path).welcomed();
        let old = std::mem::replace(&mut self.client, newer);
        if self.random.bool() {
            old.cut();
        }
        self.resumes += 1;
        assert_eq!(self.client.welcome["resume"], "continuous", "{}", self.client.welcome);
        self.client.welcome["last_id"].as_u64().expect("last_id")
    }

    fn play(mut self, players: usize) -> usize {
        let (mut sent, mut acknowledged) = (0, 0);
        while acknowledged < EACH {
            let burst = self.random.u64(1..=6).min(EACH - sent);
            for _ in 0..burst {
                sent += 1;
                self.client.send(&json!({"type": "send", "id": sent, "data": "x"}));
            }
            let reads = self.random.usize(0..20);
            for _ in 0..reads {
                if acknowledged == sent {
                    break;
                }
                acknowledged = self.read().max(acknowledged);
            }
            match self.random.u32(..10) {
                0 => {
                    // The socket is dead before its replacement: whatever was on its way, both
                    // ways, is gone.
                    let _ = self.client.stream().shutdown(std::net::Shutdown::Both);
                    sent = self.resume();
                }
                1 => sent = self.resume(),
                _ => {}
            }
        }
        while self.messages.len() < players * EACH as usize {
            self.read();
        }
        self.resumes
    }
}

#[test]
fn r5_players_who_are_cut_at_random_under_load_lose_nothing_and_see_nothing_twice() {
    const PLAYERS: usize = 4;
    let mut random = fastrand::Rng::with_seed(seed());
    let settings = [("MESSAGE_RATE", "1000000"), ("MESSAGE_BURST", "1000000"), ("HISTORY_BYTES", "64m")];
    let server = Server::start(&settings);
    let resumes: usize = std::thread::scope(|scope| {
        let players: Vec<_> = (0..PLAYERS)
            .map(|n| {
                let name = format!("p{n}");
                let client = server.connect(&format!("/ws/load/{name}")).welcomed();
                let seen = client.welcome["seq"].as_u64().expect("a seq");
                let random = random.fork();
                Reckless { server: &server, name, random, client, seen, resumes: 0, messages: HashSet::new() }
            })
            .collect();
        let running: Vec<_> = players.into_iter().map(|player| scope.spawn(move || player.play(PLAYERS))).collect();
        running.into_iter().map(|player| player.join().expect("a player")).sum()
    });
    assert!(resumes >= PLAYERS, "only {resumes} resumes: the test did not test much");
}
