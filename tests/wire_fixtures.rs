//! Owns the Rust half of `tests/fixtures/wire`: the frames that this server and the TypeScript
//! client must agree on. The other half is `frontend-client/client/test/fixtures.test.ts`.

use std::{fs, path::Path};

use innkeeper::internals::protocol::{
    ClientFrame, Dialect, DisplayName, EventRequest, GameId, HubRequest, PlayerId, RawJson, ResumeReason, RoomRequest,
    ServerFrame, SessionRequest, Topic, Verdict,
    server::{
        HeartbeatTerms, LeftReason, PresenceChange, Status, Welcome, named_players_map, players_map, write_message,
        write_named, write_patch, write_pong, write_volatile,
    },
};
use serde_json::{Value, json, value::to_raw_value};

/// The fixtures of one direction; of the server's, those of rooms: tests/contract/hub.rs reads a
/// hub's frames.
fn fixtures(direction: &str) -> Vec<(String, Value)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wire");
    let mut found: Vec<_> = fs::read_dir(directory)
        .expect("the fixtures")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let text = fs::read_to_string(&path).expect("a text");
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let fixture: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, fixture)
        })
        .filter(|(_, fixture)| {
            fixture["direction"] == direction && (direction == "client" || fixture.get("on").is_none())
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn parse(text: &str, fixture: &Value) -> Result<ClientFrame, &'static str> {
    let dialect = if fixture["on"] == "hub" { Dialect::Hub } else { Dialect::Game };
    ClientFrame::parse(&text.into(), dialect).map_err(|error| error.code)
}

/// What was understood, written as JSON again.
fn understood(frame: ClientFrame) -> Value {
    let raw = |json: RawJson| serde_json::from_str::<Value>(json.as_str()).expect("JSON");
    let names = |to: Option<Vec<PlayerId>>| to.map(|to| to.iter().map(|name| json!(name)).collect::<Vec<_>>());
    let mut fields = match frame {
        ClientFrame::Session(SessionRequest::Auth { token, session, seq, name }) => {
            let name = name.map(|name| name.expect("a name").as_str().to_owned());
            json!({"type": "auth", "token": token, "session": session, "seq": seq, "name": name})
        }
        ClientFrame::Room(RoomRequest::Append { id, event: EventRequest::Message { data, to } }) => {
            return with_data(json!({"type": "send", "id": id, "to": names(to)}), raw(data));
        }
        ClientFrame::Room(RoomRequest::Volatile { name, data, to }) => {
            return with_data(json!({"type": "send", "volatile": name, "to": names(to)}), raw(data));
        }
        ClientFrame::Room(RoomRequest::Append { id, event: EventRequest::Patch { patch, if_seq } }) => {
            let mut fields = json!({"type": "patch", "id": id, "if_seq": if_seq});
            drop_nulls(&mut fields);
            fields["patch"] = raw(patch);
            return fields;
        }
        ClientFrame::Session(SessionRequest::Ping { nonce }) => json!({"type": "ping", "nonce": nonce.map(raw)}),
        ClientFrame::Session(SessionRequest::Pong) => json!({"type": "pong"}),
        ClientFrame::Room(RoomRequest::Leave) => json!({"type": "leave"}),
        ClientFrame::Hub(HubRequest::Subscribe { topics }) => {
            json!({"type": "subscribe", "topics": topics_of(&topics)})
        }
        ClientFrame::Hub(HubRequest::Unsubscribe { topics }) => {
            json!({"type": "unsubscribe", "topics": topics_of(&topics)})
        }
        ClientFrame::Hub(HubRequest::Publish { id, topic, data }) => {
            return with_data(json!({"type": "publish", "id": id, "topic": topic.as_str()}), raw(data));
        }
    };
    drop_nulls(&mut fields);
    fields
}

fn topics_of(topics: &[Topic]) -> Vec<&str> {
    topics.iter().map(Topic::as_str).collect()
}

fn with_data(mut fields: Value, data: Value) -> Value {
    drop_nulls(&mut fields);
    fields["data"] = data;
    fields
}

fn drop_nulls(fields: &mut Value) {
    fields.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
}

#[test]
fn p2_every_client_frame_of_the_fixtures_is_understood_as_it_stands() {
    let mut understood_types = std::collections::BTreeSet::new();
    for (name, fixture) in fixtures("client").iter().filter(|(_, fixture)| fixture.get("error").is_none()) {
        let frame = parse(&fixture["frame"].to_string(), fixture).unwrap_or_else(|code| panic!("{name}: {code}"));
        assert_eq!(understood(frame), fixture["frame"], "{name}");
        understood_types.insert(fixture["frame"]["type"].as_str().expect("type").to_owned());
    }
    let all = ["auth", "leave", "patch", "ping", "pong", "publish", "send", "subscribe", "unsubscribe"];
    assert!(understood_types.iter().eq(all), "a type without a fixture: {understood_types:?}");
}

#[test]
fn p2_every_invalid_frame_of_the_fixtures_is_refused_with_its_code() {
    let mut refused = 0;
    for (name, fixture) in fixtures("client").iter().filter(|(_, fixture)| fixture.get("error").is_some()) {
        let code = parse(fixture["text"].as_str().expect("text"), fixture).expect_err(name);
        assert_eq!(code, fixture["error"], "{name}");
        refused += 1;
    }
    assert!(refused > 0, "there are none");
}

/// The frame as this server writes it, from nothing but the fixture's values.
fn written(frame: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let number = |field: &str| frame[field].as_u64();
    let text = |field: &str| frame[field].as_str();
    let raw = |field: &str| RawJson::from_serialize(&frame[field]);
    let player = text("player").map(|name| PlayerId::parse(name).expect("a player"));
    let need = |field: &str| number(field).unwrap_or_else(|| panic!("{field} of {frame}"));
    match text("type").expect("type") {
        "welcome" => welcome(frame, &mut out),
        "message" if frame.get("volatile").is_some() => {
            write_volatile(&mut out, text("from").expect("from"), text("volatile").expect("name"), &raw("data"));
        }
        "message" => {
            write_message(&mut out, need("seq"), text("from").expect("from"), number("id"), &raw("data"));
        }
        "patch" => write_patch(&mut out, need("seq"), text("from").expect("from"), number("id"), &raw("patch")),
        "pong" => write_pong(&mut out, frame.get("nonce").map(|_| raw("nonce")).as_ref(), need("time")),
        "presence" => {
            let status = text("status").map(|status| match status {
                "joined" => PresenceChange::Joined,
                "away" => PresenceChange::Away,
                "back" => PresenceChange::Back,
                "left" => PresenceChange::Left,
                other => panic!("no status: {other}"),
            });
            let reason = text("reason").map(|reason| match reason {
                "leave" => LeftReason::Leave,
                "timeout" => LeftReason::Timeout,
                "kicked" => LeftReason::Kicked,
                other => panic!("no reason: {other}"),
            });
            let count = number("count").map(|count| count as usize);
            let (seq, player) = (number("seq"), player.as_ref());
            let players = frame.get("players").map(|_| raw("players"));
            ServerFrame::Presence { seq, player, status, reason, players: players.as_ref(), count }.write(&mut out);
            if let Some(name) = text("name") {
                let plain = std::mem::take(&mut out);
                write_named(&mut out, &plain, &DisplayName::parse(name).expect("a name"));
            }
        }
        "ack" => ServerFrame::Ack { id: need("id"), seq: number("seq") }.write(&mut out),
        "ping" => ServerFrame::Ping { time: need("time") }.write(&mut out),
        "error" => {
            let (code, message) = (text("code").expect("code"), text("message").expect("message"));
            ServerFrame::Error { code, message, id: number("id"), topic: None }.write(&mut out);
        }
        "token_expiring" => ServerFrame::TokenExpiring { in_ms: need("in_ms") }.write(&mut out),
        "going_away" => {
            let code = u16::try_from(need("code")).expect("a close code");
            ServerFrame::GoingAway { code, reconnect_after_ms: need("reconnect_after_ms") }.write(&mut out);
        }
        other => panic!("this server sends no {other}"),
    }
    out
}

/// With names where the fixture has objects (S11).
fn players(players: &Value) -> RawJson {
    let players = players.as_object().expect("players");
    let wants_names = players.values().any(Value::is_object);
    let entries: Vec<_> = players
        .iter()
        .map(|(player, entry)| {
            let status = if wants_names { &entry["status"] } else { entry };
            let status = if status == "joined" { Status::Joined } else { Status::Away };
            let name = entry["name"].as_str().map(|name| DisplayName::parse(name).expect("a name"));
            (PlayerId::parse(player).expect("a player"), status, name)
        })
        .collect();
    if wants_names {
        let entries = entries.iter().map(|(player, status, name)| (player, *status, name.as_ref()));
        named_players_map(&entries.collect::<Vec<_>>())
    } else {
        players_map(&entries.iter().map(|(player, status, _)| (player, *status)).collect::<Vec<_>>())
    }
}

fn welcome(frame: &Value, out: &mut Vec<u8>) {
    let text = |field: &str| frame[field].as_str().unwrap_or_else(|| panic!("{field} of {frame}"));
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("a number of {frame}"));
    let game = GameId::parse(text("game")).expect("a game");
    let player = PlayerId::parse(text("player")).expect("a player");
    let players = players(&frame["players"]);
    let state = frame.get("state").map(|state| to_raw_value(state).expect("JSON"));
    let reason = frame.get("reason").map(|_| match text("reason") {
        "history_too_short" => ResumeReason::HistoryTooShort,
        "room_restarted" => ResumeReason::RoomRestarted,
        other => panic!("no reason: {other}"),
    });
    ServerFrame::Welcome(Welcome {
        protocol: 1,
        game: &game,
        player: &player,
        role: if text("role") == "spectator" { "spectator" } else { "player" },
        epoch: text("epoch"),
        session: text("session"),
        resume: [Verdict::New, Verdict::Continuous, Verdict::Snapshot, Verdict::Reset]
            .into_iter()
            .find(|verdict| verdict.name() == text("resume"))
            .expect("a verdict"),
        reason,
        lost: frame.get("lost").map(|lost| (number(&lost[0]), number(&lost[1]))),
        seq: number(&frame["seq"]),
        last_id: number(&frame["last_id"]),
        players: &players,
        player_count: frame.get("player_count").map(|count| number(count) as usize),
        heartbeat: HeartbeatTerms {
            interval_ms: number(&frame["heartbeat"]["interval_ms"]),
            timeout_ms: number(&frame["heartbeat"]["timeout_ms"]),
        },
        grace_ms: number(&frame["grace_ms"]),
        max_message_bytes: number(&frame["max_message_bytes"]) as usize,
        state: state.as_deref(),
    })
    .write(out);
}

#[test]
fn r2_every_server_frame_of_the_fixtures_is_written_as_it_stands() {
    let mut types = std::collections::BTreeSet::new();
    for (name, fixture) in fixtures("server") {
        let frame = &fixture["frame"];
        let text = written(frame);
        let value: Value = serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(value, *frame, "{name}");
        types.insert(frame["type"].as_str().expect("type").to_owned());
    }
    let all =
        ["ack", "error", "going_away", "message", "patch", "ping", "pong", "presence", "token_expiring", "welcome"];
    assert!(types.iter().eq(all), "a type without a fixture: {types:?}");
}
