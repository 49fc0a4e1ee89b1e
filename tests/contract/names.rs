//! Owns the tests of display names: how a player gets one, which clients see it, and how long it is
//! kept (S11).

use serde_json::{Value, json};

use crate::support::{Client, Server, token, unix_secs};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// `Bob 🐺`, as a query has it.
const BOB: &str = "Bob%20%F0%9F%90%BA";

/// Behind the welcome comes an error about the name, and the connection goes on without one.
fn assert_nameless(mut client: Client, what: &str) {
    let player = client.welcome["player"].as_str().expect("a player").to_owned();
    assert_eq!(client.welcome["players"][&player], json!({"status": "joined"}), "{what}");
    let error = client.until_type("error");
    assert_eq!(error["code"], "invalid_field", "{what}: {error}");
    assert!(error["message"].as_str().is_some_and(|message| message.contains("name")), "{error}");
    client.send(&json!({"type": "send", "data": what}));
    assert_eq!(client.until_type("message")["data"], what);
    assert!(!client.drain().iter().any(|frame| frame["type"] == "error"));
}

fn presence(seq: u64, status: &str, name: Option<&str>) -> Value {
    let mut presence = json!({"type": "presence", "seq": seq, "player": "bob", "status": status});
    if status == "left" {
        presence["reason"] = json!("leave");
    }
    if let Some(name) = name {
        presence["name"] = json!(name);
    }
    presence
}

#[test]
fn s11_who_asks_sees_names_and_who_does_not_sees_what_it_always_saw() {
    let server = Server::start(&[]);
    let mut asking = server.connect("/ws/g/asking?names=1").welcomed();
    let mut plain = server.connect("/ws/g/plain?names=true").welcomed();
    let mut watching = server.connect("/ws/g/watching?spectate=1&names=1").welcomed();
    asking.until(|frame| frame["player"] == "plain");
    let bob = server.connect(&format!("/ws/g/bob?name={BOB}")).welcomed();
    let statuses = json!({"asking": "joined", "bob": "joined", "plain": "joined"});
    assert_eq!(bob.welcome["players"], statuses);
    assert_eq!(asking.next(), presence(3, "joined", Some("Bob 🐺")));
    assert_eq!(watching.next(), presence(3, "joined", Some("Bob 🐺")));
    assert_eq!(plain.next(), presence(3, "joined", None));
    let newcomer = server.connect("/ws/g/newcomer?names=1&name=New").welcomed();
    let players = json!({
        "asking": {"status": "joined"}, "bob": {"status": "joined", "name": "Bob 🐺"},
        "newcomer": {"status": "joined", "name": "New"}, "plain": {"status": "joined"},
    });
    assert_eq!(newcomer.welcome["players"], players);
    // Names count with every change of the seat, and another one replaces the first.
    let way_back = format!("/ws/g/bob?session={}&seq=4&name=Rob", bob.session());
    bob.cut();
    asking.until(|frame| frame["player"] == "newcomer");
    assert_eq!(asking.next(), presence(5, "away", Some("Bob 🐺")));
    let mut bob = server.connect(&way_back).welcomed();
    assert_eq!(asking.next(), presence(6, "back", Some("Rob")));
    bob.send(&json!({"type": "leave"}));
    assert_eq!(asking.next(), presence(7, "left", Some("Rob")));
    assert_eq!(plain.until(|frame| frame["status"] == "left"), presence(7, "left", None));
}

#[test]
fn s11_a_takeover_or_a_resume_without_a_name_keeps_the_old_one() {
    let server = Server::start(&[]);
    let bob = server.connect("/ws/g/bob?name=Bob&names=1").welcomed();
    let again = format!("/ws/g/bob?names=1&session={}&seq=1", bob.session());
    let bob = server.connect(&again).welcomed();
    assert_eq!(bob.welcome["players"], json!({"bob": {"status": "joined", "name": "Bob"}}));
    let bob = server.connect(&format!("{again}&name=Robert")).welcomed();
    assert_eq!(bob.welcome["players"]["bob"]["name"], "Robert");
    bob.cut();
    let bob = server.connect(&again).welcomed();
    assert_eq!(bob.welcome["players"]["bob"]["name"], "Robert");
    // A seat that is given up takes its name along.
    { bob }.send(&json!({"type": "leave"}));
    server.wait_for_metric("innkeeper_sessions", 0.0);
    let bob = server.connect("/ws/g/bob?names=1").welcomed();
    assert_eq!(bob.welcome["players"], json!({"bob": {"status": "joined"}}));
}

#[test]
fn s11_missed_presence_has_its_names_also_after_kill_9_for_those_who_ask() {
    let data = crate::support::DataDir::new();
    let api = "an-api-secret-of-the-tests-0123456789";
    let mut server = Server::start(&[("DATA_DIR", data.path()), ("HTTP_API_SECRET", api)]);
    let mut stays = server.connect("/ws/g/stays").welcomed();
    let seat = server.connect("/ws/g/gone").welcomed().cut();
    stays.until(|frame| frame["status"] == "away");
    let _bob = server.connect(&format!("/ws/g/bob?name={BOB}")).welcomed();
    for is_restarted in [false, true] {
        if is_restarted {
            server.kill();
            server.restart();
        }
        let status = if is_restarted { "away" } else { "joined" };
        for asks in [true, false] {
            let path = format!("{}{}", seat.resume_path(), if asks { "&names=1" } else { "" });
            let mut back = server.connect(&path).welcomed();
            assert_eq!(back.verdict(), "continuous");
            let seen = &back.welcome["players"]["bob"];
            let named = json!({"status": status, "name": "Bob 🐺"});
            assert_eq!(*seen, if asks { named } else { json!(status) });
            let joined = back.until(|frame| frame["player"] == "bob");
            assert_eq!(joined, presence(4, "joined", asks.then_some("Bob 🐺")));
            if is_restarted {
                let away = back.until(|frame| frame["player"] == "bob");
                assert_eq!((&away["status"], &away["name"]), (&json!("away"), &json!(asks.then_some("Bob 🐺"))));
            }
        }
    }
    let bearer = format!("Bearer {api}");
    let room = server.request("GET", "/api/games/g", &[("Authorization", &bearer)], None).json();
    assert_eq!(room["players"]["bob"]["name"], "Bob 🐺");
    assert!(room["players"]["stays"].get("name").is_none(), "{room}");
}

#[test]
fn s11_the_list_at_the_end_of_a_crowd_has_names_for_those_who_ask() {
    let server = Server::start(&[("PRESENCE_LIMIT", "3")]);
    let mut asking = server.connect("/ws/g/asking?names=1&name=A").welcomed();
    let mut plain = server.connect("/ws/g/plain").welcomed();
    let others = ["x", "y"].map(|player| server.connect(&format!("/ws/g/{player}")).welcomed());
    asking.until(|frame| frame["count"] == 4);
    for mut other in others {
        other.send(&json!({"type": "leave"}));
        assert_eq!(other.ended().0.code, 1000);
    }
    let named = json!({"asking": {"status": "joined", "name": "A"}, "plain": {"status": "joined"}});
    for (member, players) in [(&mut asking, named), (&mut plain, json!({"asking": "joined", "plain": "joined"}))] {
        let list = member.until(|frame| frame.get("players").is_some());
        assert_eq!(list, json!({"type": "presence", "players": players, "count": 2}));
    }
}

#[test]
fn s11_a_bad_name_is_an_error_behind_the_welcome_and_the_player_goes_on_without_one() {
    let server = Server::start(&[]);
    let long = "x".repeat(65);
    for (index, bad) in ["", &long, "a%00", "a%0Ab", "%E2%80%AEevil", "Zoe%CC%88", "%D8%9C"].iter().enumerate() {
        let path = format!("/ws/bad/p{index}?names=1&name={bad}");
        assert_nameless(server.connect(&path).welcomed(), bad);
    }
    // 64 characters of four bytes each are a name.
    let wolves = server.connect(&format!("/ws/g/bob?names=1&name={}", "%F0%9F%90%BA".repeat(64))).welcomed();
    assert_eq!(wolves.welcome["players"]["bob"]["name"], "🐺".repeat(64));
}

#[test]
fn s11_in_an_open_server_a_later_auth_changes_the_name() {
    let server = Server::start(&[]);
    let mut bob = server.connect("/ws/g/bob?name=Bob").welcomed();
    bob.send(&json!({"type": "auth", "name": "a\u{202e}b"}));
    assert_eq!(bob.until_type("error")["code"], "invalid_field");
    bob.send(&json!({"type": "auth", "name": "Rob"}));
    bob.drain();
    let alice = server.connect("/ws/g/alice?names=1").welcomed();
    assert_eq!(alice.welcome["players"]["bob"], json!({"status": "joined", "name": "Rob"}));
}

#[test]
fn s11_with_a_token_only_its_name_claim_counts() {
    let server = Server::start(&[("JWT_SECRET", SECRET)]);
    let exp = unix_secs(3600);
    let signed = |player: &str, name: Value| token(SECRET, &json!({"sub": player, "exp": exp, "name": name}));
    let mut bob = server.connect("/ws/g/bob?names=1&name=Query");
    bob.send(&json!({"type": "auth", "token": signed("bob", json!("Claim")), "name": "Frame"}));
    let mut bob = bob.welcomed();
    assert_eq!(bob.welcome["players"]["bob"], json!({"status": "joined", "name": "Claim"}));
    let path = format!("/ws/g/carol?names=1&name=Query&token={}", signed("carol", json!("Ca\u{202e}rol")));
    let carol = server.connect(&path).welcomed();
    assert_eq!(carol.welcome["players"]["carol"], json!({"status": "joined"}), "a claim that is no name is no claim");
    // A renewal may bring another name.
    bob.send(&json!({"type": "auth", "token": signed("bob", json!("Renewed"))}));
    assert!(!bob.drain().iter().any(|frame| frame["type"] == "error"));
    let mut dave = server.connect("/ws/g/dave?names=1");
    dave.send(&json!({"type": "auth", "token": signed("dave", json!(null)), "name": 7}));
    let dave = dave.welcomed();
    assert_eq!(dave.welcome["players"]["bob"]["name"], "Renewed");
    assert_nameless(dave, "a name in the frame that is none");
}
