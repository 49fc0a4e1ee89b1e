//! Owns the tests of event buses: who may publish and subscribe, what late joiners get, order, and
//! bounds (section 6).

use serde_json::{Value, json};

use super::yaml::{self, HubServer};
use crate::support::{Client, assert_ended, token, unix_secs};

const JWT_SECRET: &str = "0123456789abcdef0123456789abcdef-jwt-secret";

const LOBBY: &str = r#"
hubs:
  lobby:
    provider: bus
    publish: [referee]
    topics: { "*": ["score.*", "chat"], referee: ["*"], nobody: [] }
    max_topics: 3
    max_topics_per_client: 2
"#;

/// With tokens, and a bus that everybody may look at.
fn lobby() -> HubServer {
    yaml::start(LOBBY, &[("JWT_SECRET", JWT_SECRET), ("MESSAGE_RATE", "100000"), ("MESSAGE_BURST", "100000")])
}

fn enter(server: &HubServer, role: &str) -> Client {
    let token = token(JWT_SECRET, &json!({"sub": "ann", "role": role, "exp": unix_secs(600)}));
    server.connect(&format!("/ws/lobby?token={token}")).welcomed()
}

fn publish(client: &mut Client, id: u64, topic: &str, data: &Value) {
    client.send(&json!({"type": "publish", "id": id, "topic": topic, "data": data}));
}

fn published(client: &mut Client, id: u64, topic: &str, data: &Value) -> u64 {
    publish(client, id, topic, data);
    let answer = client.until(|frame| frame["type"] == "published" || frame["type"] == "error");
    assert_eq!((&answer["type"], &answer["id"], &answer["topic"]), (&json!("published"), &json!(id), &json!(topic)));
    answer["seq"].as_u64().unwrap_or_else(|| panic!("{answer}"))
}

fn subscribe(client: &mut Client, topics: &[&str]) {
    client.send(&json!({"type": "subscribe", "topics": topics}));
    let answer = client.until_type("subscribed");
    assert_eq!(answer, json!({"type": "subscribed", "topics": topics, "feed": {"state": "live"}}));
}

fn error(client: &mut Client, frame: &Value, code: &str) -> Value {
    client.send(frame);
    let answer = client.next();
    assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!(code)), "{frame}: {answer}");
    answer
}

#[test]
fn h1_a_late_joiner_gets_the_last_value_though_nobody_was_there_when_it_was_published() {
    let server = lobby();
    let mut referee = enter(&server, "referee");
    assert_eq!(referee.welcome["hub"], "lobby");
    assert_eq!(referee.welcome["topics"], json!(["*"]));
    assert_eq!(published(&mut referee, 1, "score.1", &json!([0, 0])), 1);
    assert_eq!(published(&mut referee, 2, "score.1", &json!({"a": 1.0})), 2);
    let mut late = enter(&server, "player");
    assert_eq!(late.welcome["topics"], json!(["score.*", "chat"]));
    subscribe(&mut late, &["score.1"]);
    let data = json!({"a": 1.0});
    let expected = json!({"type": "data", "topic": "score.1", "seq": 2, "snapshot": true, "data": data});
    assert_eq!(late.next(), expected);
    assert_eq!(published(&mut referee, 3, "score.1", &Value::Null), 3);
    assert_eq!(late.next(), json!({"type": "data", "topic": "score.1", "seq": 3, "data": null}));
    // It stays when everybody has gone.
    late.close();
    server.wait_for_metric("innkeeper_hub_clients{hub=\"lobby\"}", 1.0);
    let mut later = enter(&server, "player");
    subscribe(&mut later, &["score.1"]);
    assert_eq!(later.next()["seq"], 3);
}

#[test]
fn a_publisher_is_answered_only_where_it_asks_and_hears_itself_only_where_it_subscribes() {
    let server = lobby();
    let mut referee = enter(&server, "referee");
    referee.send(&json!({"type": "publish", "topic": "chat", "data": "silent"}));
    assert!(referee.drain().is_empty(), "no id, no answer, no subscription");
    subscribe(&mut referee, &["chat"]);
    assert_eq!(referee.next()["data"], "silent");
    assert_eq!(published(&mut referee, 9, "chat", &json!("loud")), 2);
    assert_eq!(referee.until_type("data")["data"], "loud");
}

#[test]
fn who_may_not_publish_or_subscribe_is_told_so_and_everything_stays_as_it_was() {
    let server = lobby();
    let mut player = enter(&server, "player");
    let frame = json!({"type": "publish", "id": 4, "topic": "score.1", "data": 1});
    assert_eq!(error(&mut player, &frame, "forbidden")["id"], 4);
    let refused = error(&mut player, &json!({"type": "subscribe", "topics": ["chat", "secret"]}), "forbidden");
    assert!(refused["message"].as_str().is_some_and(|message| message.contains("secret")), "{refused}");
    let wrong = [json!({"type": "publish", "data": 1}), json!({"type": "publish", "topic": "", "data": 1})];
    for frame in wrong.iter().chain([&json!({"type": "publish", "topic": "chat"})]) {
        error(&mut player, frame, "invalid_field");
    }
    let mut nobody = enter(&server, "nobody");
    assert_eq!(nobody.welcome["topics"], json!([]));
    error(&mut nobody, &json!({"type": "subscribe", "topics": ["chat"]}), "forbidden");
    let mut referee = enter(&server, "referee");
    assert_eq!(published(&mut referee, 1, "chat", &json!(1)), 1, "nothing was published before");
    assert!(player.drain().is_empty() && nobody.drain().is_empty(), "nothing was subscribed");
    // A token for another hub is none here.
    let other = token(JWT_SECRET, &json!({"role": "referee", "hub": ["other"], "exp": unix_secs(60)}));
    assert_ended(server.connect(&format!("/ws/lobby?token={other}")), 4003, "token_wrong_hub");
}

#[test]
fn a_bus_has_only_so_many_topics_and_a_subscriber_too() {
    let server = lobby();
    let mut referee = enter(&server, "referee");
    for (id, topic) in (1..).zip(["a", "b", "c"]) {
        assert_eq!(published(&mut referee, id, topic, &json!(0)), 1);
    }
    publish(&mut referee, 4, "d", &json!(0));
    let full = referee.next();
    assert_eq!((&full["code"], &full["id"]), (&json!("too_many_topics"), &json!(4)), "{full}");
    assert_eq!(published(&mut referee, 5, "a", &json!(1)), 2, "those that are there go on");
    subscribe(&mut referee, &["a"]);
    assert_eq!(referee.next()["seq"], 2);
    error(&mut referee, &json!({"type": "subscribe", "topics": ["b", "c"]}), "too_many_topics");
    // Topics that nobody has published yet have a bound of their own, for all subscribers together.
    // The oldest makes room.
    let mut players: Vec<_> = (0..2).map(|_| enter(&server, "player")).collect();
    subscribe(&mut players[0], &["score.1", "score.2"]);
    subscribe(&mut players[1], &["score.3", "score.4"]);
    let evicted = players[0].next();
    assert_eq!((&evicted["code"], &evicted["topic"]), (&json!("too_many_topics"), &json!("score.1")), "{evicted}");
    server.wait_for_metric("innkeeper_hub_topics{hub=\"lobby\"}", 6.0);
    assert_eq!(server.metric("innkeeper_hub_evicted_total{hub=\"lobby\"}"), 1.0);
}

/// A bus of 40 topics, of which an address may have 25, where everybody is a player who may
/// publish, and the addresses are told by a proxy.
fn open_bus() -> HubServer {
    let yaml = "hubs: { lobby: { publish: [player], max_topics: 40, max_topics_per_address: 25 } }";
    yaml::start(yaml, &[("CLIENT_IP_HEADER", "X-Real-IP"), ("HTTP_API_SECRET", SECRET), ("MESSAGE_BURST", "1000")])
}

const SECRET: &str = "0123456789abcdef0123456789abcdef-api-secret";

fn from(server: &HubServer, address: &str) -> Client {
    server.try_connect("/ws/lobby", &[("X-Real-IP", address)]).expect("let in").welcomed()
}

#[test]
fn a_client_that_publishes_to_ever_new_topics_leaves_room_for_others_and_for_the_back_end() {
    let server = open_bus();
    let publish_new = |client: &mut Client, name: &str, count: u64| {
        (0..count).for_each(|id| publish(client, id + 1, &format!("{name} {id}"), &json!(id)));
        (0..count).filter(|_| client.next()["type"] == "published").count()
    };
    let mut first = from(&server, "2001:db8::1");
    assert_eq!(publish_new(&mut first, "junk", 15), 10, "a tenth of the topics, or ten");
    assert_eq!(published(&mut first, 20, "junk 0", &json!(1)), 2, "those that are there go on");
    // A client that comes back has a new share, its address has not.
    let mut made = 10;
    for connection in 0..4 {
        let mut again = from(&server, &format!("2001:db8::{connection}:2"));
        made += publish_new(&mut again, &format!("more {connection}"), 11);
    }
    assert_eq!(made, 25);
    let path = "/api/hubs/lobby/topics/news";
    let secret = [("Authorization", &*format!("Bearer {SECRET}"))];
    assert_eq!(server.request("POST", path, &secret, Some(r#"{"data":1}"#)).json(), json!({"seq": 1}));
}

#[test]
fn one_address_cannot_take_all_topics_of_a_hub_and_junk_makes_room_for_what_is_asked_for() {
    let server = open_bus();
    let names = |name: &str, count: usize| (0..count).map(|n| format!("{name} {n}")).collect::<Vec<_>>();
    let mut junk = Vec::new();
    for number in 0..4 {
        let mut client = from(&server, &format!("2001:db8:0:{number}::1"));
        let frame = json!({"type": "subscribe", "topics": names(&format!("junk {number}"), 11)});
        let refused = error(&mut client, &frame, "too_many_topics");
        assert!(refused["message"].as_str().is_some_and(|words| words.contains("max_topics_per_client")), "{refused}");
        // What is within its share it has.
        assert_eq!(client.next()["topics"], json!(names(&format!("junk {number}"), 10)));
        junk.push(client);
    }
    // The hub is full of names that nobody publishes to. Whoever wants another one gets it.
    let mut other = from(&server, "192.0.2.1");
    subscribe(&mut other, &["chat"]);
    let evicted = junk[0].next();
    assert_eq!((&evicted["code"], &evicted["topic"]), (&json!("too_many_topics"), &json!("junk 0 0")), "{evicted}");
    assert_eq!(published(&mut other, 1, "chat", &json!("hello")), 1);
    assert_eq!(other.until_type("data")["data"], "hello");
    // What was evicted may be asked for again.
    subscribe(&mut junk[0], &["junk 0 0"]);
}

#[test]
fn all_connections_of_one_address_have_a_share_of_a_hubs_topics_together() {
    let yaml = "hubs: { lobby: { max_topics: 100, max_topics_per_address: 25 } }";
    let server = yaml::start(yaml, &[("CLIENT_IP_HEADER", "X-Real-IP")]);
    let ten = |name: &str| (0..10).map(|n| format!("{name} {n}")).collect::<Vec<_>>();
    let mut clients: Vec<_> = (1..=3).map(|number| from(&server, &format!("2001:db8::{number}"))).collect();
    for (client, name) in clients.iter_mut().zip(["a", "b"]) {
        subscribe(client, &ten(name).iter().map(String::as_str).collect::<Vec<_>>());
    }
    // The topics that the address has already cost nothing.
    subscribe(&mut clients[2], &["a 1", "b 1", "c 1"]);
    let refused = error(&mut clients[2], &json!({"type": "subscribe", "topics": ten("d")[..5]}), "too_many_topics");
    assert!(refused["message"].as_str().is_some_and(|words| words.contains("max_topics_per_address")), "{refused}");
    assert_eq!(clients[2].next()["topics"], json!(ten("d")[..4]), "the first ones");
    subscribe(&mut from(&server, "2001:db8:0:1::1"), &["d 0", "d 1", "d 2", "d 3", "d 4"]);
    // What one connection gives back, another may take.
    clients[0].send(&json!({"type": "unsubscribe", "topics": ten("a")}));
    clients[0].drain();
    subscribe(&mut clients[2], &["d 0", "d 1", "d 2", "d 3", "d 4"]);
}

#[test]
fn h6_a_subscriber_that_keeps_up_sees_every_value_in_order_however_fast_they_come() {
    let server = lobby();
    let (mut referee, mut player) = (enter(&server, "referee"), enter(&server, "player"));
    subscribe(&mut player, &["score.1", "chat"]);
    let mut next = [2, 1];
    for values in (1..=2000).collect::<Vec<_>>().chunks(500) {
        for value in values {
            let topic = ["chat", "score.1"][value % 2];
            referee.send(&json!({"type": "publish", "topic": topic, "data": value}));
        }
        for _ in values {
            let frame = player.next();
            let topic = usize::from(frame["topic"] == "score.1");
            assert_eq!(frame["data"], next[topic], "{frame}");
            next[topic] += 2;
        }
    }
}

#[test]
fn in_development_mode_everybody_is_a_player() {
    let server = yaml::start(&LOBBY.replace("[referee]", "[player]"), &[]);
    let mut anybody = server.connect("/ws/lobby").welcomed();
    assert_eq!(published(&mut anybody, 1, "chat", &json!("hello")), 1);
    let mut spectator = server.connect("/ws/lobby?spectate=1").welcomed();
    error(&mut spectator, &json!({"type": "publish", "topic": "chat", "data": 1}), "forbidden");
    subscribe(&mut spectator, &["chat"]);
    assert_eq!(spectator.next()["data"], "hello");
}

#[test]
fn a_hub_that_is_off_or_is_not_there_is_4004_and_the_error_says_what_to_set() {
    let server = yaml::start(LOBBY, &[]);
    let mut client = server.connect("/ws/options");
    let (ended, last) = client.ended();
    assert_eq!((ended.code, &last["code"]), (4004, &json!("no_such_hub")), "{last}");
    assert!(last["message"].as_str().is_some_and(|message| message.contains("MASSIVE_API_KEY")), "{last}");
    assert_ended(server.connect("/ws/no-such"), 4004, "no_such_hub");
    let event = server.wait_for_log(|line| line["event"] == "WS_CONNECTION_CLOSED" && line["hub"] == "options");
    assert_eq!(event["code"], 4004, "{event}");
}

#[test]
fn d4_subscribers_of_a_bus_get_their_slot_and_1012_like_everybody_else() {
    let server = lobby();
    let mut player = enter(&server, "player");
    subscribe(&mut player, &["chat"]);
    server.signal("TERM");
    let (ended, last) = player.ended();
    assert_eq!((ended.code, &last["type"]), (1012, &json!("going_away")), "{last}");
}

#[test]
fn the_log_tells_of_the_first_and_the_last_client_of_a_hub() {
    let server = yaml::start(LOBBY, &[("LOG_LEVEL", "debug")]);
    let line = |what: &str, clients: u64| {
        let message = format!("[ConnectionPool] client {what}");
        server.wait_for_log(|line| line["message"] == message.as_str() && line["clients"] == clients)
    };
    let first = server.connect("/ws/lobby").welcomed();
    let second = server.connect("/ws/lobby").welcomed();
    let registered = line("registered", 1);
    assert_eq!((&registered["level"], &registered["hub"]), (&json!("info"), &json!("lobby")), "{registered}");
    assert_eq!(line("registered", 2)["level"], "debug");
    first.close();
    assert_eq!(line("left", 1)["level"], "debug");
    second.cut();
    assert_eq!(line("left", 0)["level"], "info");
}

#[test]
fn h1_d1_what_one_connection_publishes_without_waiting_is_stored_and_answered_in_its_order() {
    let mut server = lobby();
    let mut referee = enter(&server, "referee");
    (1..=500).for_each(|id| publish(&mut referee, id, "score.a", &json!(id)));
    for id in 1..=500 {
        let expected = json!({"type": "published", "id": id, "topic": "score.a", "seq": id});
        assert_eq!(referee.next(), expected);
    }
    server.kill();
    server.restart();
    let mut late = enter(&server, "player");
    subscribe(&mut late, &["score.a"]);
    let last = late.next();
    assert_eq!((&last["seq"], &last["data"], &last["snapshot"]), (&json!(500), &json!(500), &json!(true)), "{last}");
}
