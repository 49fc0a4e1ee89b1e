//! Owns the tests of the operators' feed `/ws/_server` as a hub: topics, values, slow and silent
//! subscribers (P1, H1, H2, H6).

mod bus;
mod entry;
mod health;
mod publish;
mod stored;
mod storm;
mod yaml;

use serde_json::{Value, json};

use crate::support::{Client, PATIENCE, RawSocket, Server};

/// Development mode, by the operator key.
fn subscriber(server: &Server) -> Client {
    server.connect_operator().welcomed()
}

fn subscribe(client: &mut Client, topics: &[&str]) {
    client.send(&json!({"type": "subscribe", "topics": topics}));
    let answer = client.until_type("subscribed");
    assert_eq!(answer, json!({"type": "subscribed", "topics": topics, "feed": {"state": "live"}}));
}

/// The next `data` of this topic; its `data`.
fn data(client: &mut Client, topic: &str) -> Value {
    client.until(|frame| frame["type"] == "data" && frame["topic"] == topic)["data"].clone()
}

/// The next `stats` for which it is so; they come once a second.
fn stats_until(client: &mut Client, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let stats = data(client, "stats");
        if is_so(&stats) {
            return stats;
        }
        assert!(std::time::Instant::now() < deadline, "never came; the last: {stats}");
    }
}

/// Reads security lines up to the first that fits.
fn line(client: &mut Client, fits: impl Fn(&Value) -> bool) -> Value {
    loop {
        let data = data(client, "security");
        let lines = data["lines"].as_array().expect("lines");
        if let Some(line) = lines.iter().find(|line| fits(line)) {
            return line.clone();
        }
    }
}

#[test]
fn h1_a_subscriber_is_welcomed_then_gets_subscribed_the_last_values_and_what_follows() {
    let server = Server::start(&[("WS_PING_INTERVAL", "29")]);
    let mut ops = subscriber(&server);
    let heartbeat = json!({"interval_ms": 29000, "timeout_ms": 10000});
    let expected = json!({"type": "welcome", "protocol": 1, "hub": "_server", "topics": ["stats", "security"],
        "heartbeat": heartbeat});
    assert_eq!(ops.welcome, expected);
    assert!(ops.drain().is_empty(), "nothing comes unasked");
    subscribe(&mut ops, &["stats", "security"]);
    let mut first = [ops.next(), ops.next()];
    first.sort_by_key(|frame| frame["topic"].as_str().map(str::to_owned));
    for (frame, topic) in first.iter().zip(["security", "stats"]) {
        assert_eq!((&frame["type"], &frame["topic"]), (&json!("data"), &json!(topic)), "{frame}");
        assert_eq!(frame["snapshot"], true, "{frame}");
    }
    assert!(first[0]["data"]["lines"].as_array().is_some_and(|lines| lines.len() == 1), "its own line: {}", first[0]);
    let mut seq = first[1]["seq"].as_u64().expect("a seq");
    for _ in 0..3 {
        let frame = ops.until(|frame| frame["topic"] == "stats");
        seq += 1;
        assert_eq!((&frame["seq"], frame.get("snapshot")), (&json!(seq), None), "{frame}");
    }
    // One who comes later gets what is known at once, and the same from then on; so does who asks
    // again.
    let mut late = subscriber(&server);
    for _ in 0..2 {
        subscribe(&mut late, &["stats"]);
        let frame = late.until(|frame| frame["topic"] == "stats");
        assert_eq!(frame["snapshot"], true, "{frame}");
        assert!(frame["seq"].as_u64() >= Some(seq), "{frame}");
    }
    let (mine, its) = (ops.until(|frame| frame["topic"] == "stats"), late.until(|frame| frame["topic"] == "stats"));
    let (slower, newer) = if mine["seq"].as_u64() < its["seq"].as_u64() { (&mut ops, its) } else { (&mut late, mine) };
    let same = slower.until(|frame| frame["topic"] == "stats" && frame["seq"].as_u64() >= newer["seq"].as_u64());
    if same["seq"] == newer["seq"] {
        assert_eq!(same["data"], newer["data"], "one value for all");
    }
}

#[test]
fn h1_an_unknown_topic_is_an_error_and_leaves_everything_as_it_was() {
    let server = Server::start(&[]);
    let mut ops = subscriber(&server);
    ops.send(&json!({"type": "subscribe", "topics": ["stats", "no-such-topic"]}));
    let error = ops.next();
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("unknown_topic")), "{error}");
    assert!(error["message"].as_str().is_some_and(|message| message.contains("no-such-topic")), "{error}");
    for _ in 0..20 {
        ops.send(&json!({"type": "subscribe", "topics": ["no-such-topic"]}));
    }
    let errors = ops.drain();
    assert_eq!(errors.len(), 20, "not a bad frame, and stats were not subscribed: {errors:?}");
    subscribe(&mut ops, &["stats"]);
    data(&mut ops, "stats");
}

#[test]
fn h2_after_unsubscribe_nothing_of_the_topic_comes_and_the_others_and_other_subscribers_go_on() {
    let server = Server::start(&[]);
    let (mut ops, mut other) = (subscriber(&server), subscriber(&server));
    subscribe(&mut ops, &["stats", "security"]);
    subscribe(&mut other, &["stats"]);
    data(&mut ops, "stats");
    ops.send(&json!({"type": "unsubscribe", "topics": ["stats", "stats", "never-had"]}));
    ops.drain();
    for _ in 0..2 {
        data(&mut other, "stats");
    }
    server.connect("/ws/g/alice").welcomed().cut();
    line(&mut ops, |line| line["player"] == "alice");
    // Whatever came while the others got stats is read by now, but for what this fence brings.
    ops.send(&json!({"type": "unsubscribe", "topics": ["security"]}));
    let rest = ops.drain();
    assert!(rest.iter().all(|frame| frame["topic"] == "security"), "{rest:?}");
}

#[test]
fn h2_when_the_last_subscriber_is_gone_and_another_comes_the_topic_starts_again_above_its_numbers() {
    let server = Server::start(&[]);
    let mut seen = 0;
    for _ in 0..3 {
        let mut ops = subscriber(&server);
        subscribe(&mut ops, &["stats"]);
        for expected in [json!(true), Value::Null] {
            let frame = ops.until(|frame| frame["topic"] == "stats");
            assert_eq!(frame["snapshot"], expected, "{frame}");
            assert!(frame["seq"].as_u64() > Some(seen), "{frame} after {seen}");
            seen = frame["seq"].as_u64().expect("a seq");
        }
        ops.close();
        server.wait_for_metric("innkeeper_connections", 0.0);
    }
}

#[test]
fn stats_move_with_what_happens_and_totals_only_grow() {
    let server = Server::start(&[]);
    let mut ops = subscriber(&server);
    subscribe(&mut ops, &["stats"]);
    let before = data(&mut ops, "stats");
    assert!(before["time"].as_u64() > Some(1_600_000_000_000), "{before}");
    assert_eq!(before["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(before["store"]["failing"], false, "{before}");
    assert!(before["memory_bytes"].as_u64() > Some(1_000_000) && before["open_files"].as_u64() > Some(5), "{before}");
    let mut players: Vec<_> = (0..5).map(|n| server.connect(&format!("/ws/room-{}/p{n}", n % 2)).welcomed()).collect();
    for (n, player) in players.iter_mut().enumerate() {
        player.send(&json!({"type": "send", "id": 1, "data": n}));
        player.until(|frame| frame["id"] == 1 && frame["data"] == n);
    }
    let busy = stats_until(&mut ops, |stats| {
        stats["connections"] == 6 && stats["rooms"] == 2 && stats["events_in"].as_u64() >= Some(5)
    });
    assert_eq!((&busy["sessions"], &busy["addresses"]), (&json!(5), &json!(1)), "{busy}");
    assert!(busy["store"]["groups"].as_u64() > before["store"]["groups"].as_u64(), "{busy}");
    assert!(busy["latency"]["count"].as_u64() > before["latency"]["count"].as_u64(), "{busy}");
    assert_eq!(server.try_connect("/ws/g/p", &[("Origin", "https://evil.example")]).err(), Some(403));
    players.drain(..).for_each(|player| drop(player.cut()));
    let after = stats_until(&mut ops, |stats| stats["connections"] == 1 && stats["refusals"]["invalid_origin"] == 1);
    assert_eq!(after["disconnects"]["connection_lost"], 5, "{after}");
    for (older, newer) in [(&before, &busy), (&busy, &after)] {
        for total in ["time", "uptime_ms", "events_in", "events_out", "bytes_in", "bytes_out"] {
            assert!(older[total].as_u64().is_some() && older[total].as_u64() <= newer[total].as_u64(), "{total}");
        }
        assert!(older["cpu_seconds"].as_f64() <= newer["cpu_seconds"].as_f64());
        for map in ["refusals", "disconnects"] {
            for (name, count) in older[map].as_object().expect("a map") {
                assert!(count.as_u64() <= newer[map][name].as_u64(), "{map} {name}");
            }
        }
        let buckets = |stats: &Value| stats["latency"]["buckets"].as_array().expect("buckets").clone();
        for (older, newer) in buckets(older).iter().zip(&buckets(newer)) {
            assert!(older[0] == newer[0] && older[1].as_u64() <= newer[1].as_u64(), "{older} {newer}");
        }
    }
    let buckets = after["latency"]["buckets"].as_array().expect("buckets");
    assert!(buckets.is_sorted_by_key(|bucket| bucket[1].as_u64()), "cumulative: {buckets:?}");
    assert_eq!(buckets.last(), Some(&json!([null, after["latency"]["count"]])));
    let in_memory = Server::start(&[("DURABILITY", "memory")]);
    let mut ops = subscriber(&in_memory);
    subscribe(&mut ops, &["stats"]);
    assert_eq!(data(&mut ops, "stats")["store"], Value::Null);
}

#[test]
fn security_lines_come_as_they_are_logged_numbered_and_without_what_was_seen_before() {
    let server = Server::start(&[]);
    let mut ops = subscriber(&server);
    subscribe(&mut ops, &["security"]);
    let snapshot = data(&mut ops, "security");
    assert_eq!(snapshot["lines"].as_array().map(Vec::len), Some(1), "{snapshot}");
    let own = &snapshot["lines"][0];
    assert_eq!((&own["event"], &own["hub"]), (&json!("WS_CONNECTION_ESTABLISHED"), &json!("_server")), "{own}");
    let mut alice = server.connect("/ws/chess/alice").welcomed();
    let entered = line(&mut ops, |line| line["player"] == "alice");
    assert_eq!(entered["n"].as_u64(), own["n"].as_u64().map(|n| n + 1), "the next number: {entered}");
    let fields = ["level", "event", "game", "player", "address", "role", "resume"].map(|name| &entered[name]);
    let values = ["info", "WS_CONNECTION_ESTABLISHED", "chess", "alice", "127.0.0.1", "player", "new"];
    assert_eq!(fields.map(|field| field.as_str().unwrap_or("-")), values, "{entered}");
    alice.send(&json!({"type": "leave"}));
    alice.ended();
    let left = line(&mut ops, |line| line["event"] == "WS_CONNECTION_CLOSED");
    assert_eq!((&left["player"], &left["cause"], &left["code"]), (&json!("alice"), &json!("left"), &json!(1000)));
    assert!(left["duration_ms"].is_u64() && left["bytes_in"].is_u64() && left["bytes_out"].is_u64(), "{left}");
    assert!(left["time"].as_u64() >= entered["time"].as_u64(), "{left}");
    assert_eq!(server.try_connect("/ws/g/p", &[("Origin", "https://evil.example")]).err(), Some(403));
    let refused = line(&mut ops, |line| line["event"] == "WS_CONNECTION_BLOCKED_INVALID_ORIGIN");
    assert_eq!((&refused["level"], &refused["n"]), (&json!("warn"), &json!(own["n"].as_u64().unwrap_or(0) + 3)));
}

#[test]
fn h6_a_subscriber_that_does_not_read_is_kept_and_then_gets_the_newest_with_no_line_missed_unseen() {
    // The lines of 1200 connections are more than the kernel holds for a small window, and than
    // what is kept.
    let server = Server::start(&[("OUTBOX_BYTES", "256k")]);
    let mut slow = subscriber(&server);
    socket2::SockRef::from(slow.stream()).set_recv_buffer_size(4096).expect("a smaller buffer");
    subscribe(&mut slow, &["security", "stats"]);
    let mut quick = subscriber(&server);
    subscribe(&mut quick, &["security"]);
    let mut newest = 0;
    let mut queued = Vec::new();
    for round in 0..24 {
        // Each asks for the whole again and again: the surest way to make a queue grow, if it
        // could.
        for _ in 0..10 {
            slow.send(&json!({"type": "subscribe", "topics": ["security"]}));
        }
        for n in 0..50 {
            server.connect(&format!("/ws/g/p{round}-{n}")).welcomed().cut();
        }
        let last = format!("p{round}-49");
        let seen = line(&mut quick, |line| line["player"] == *last && line["event"] == "WS_CONNECTION_CLOSED");
        newest = seen["n"].as_u64().expect("a number");
        queued.push(server.metric("innkeeper_outbox_bytes"));
    }
    assert!(newest > 2000, "two lines each: {newest}");
    let most = queued.iter().copied().fold(0.0, f64::max);
    assert!(most > 10_000.0, "the slow one was never behind: {queued:?}");
    assert!(most < 300_000.0, "the queue grew past its bound: {queued:?}");
    // Now it reads: steps follow one another, and where they cannot there is a snapshot.
    let (mut seq, mut last, mut skipped) = (None, 0, false);
    while last < newest {
        let frame = slow.until(|frame| frame["type"] == "data" && frame["topic"] == "security");
        let now = frame["seq"].as_u64().expect("a seq");
        let lines = frame["data"]["lines"].as_array().expect("lines");
        let numbers: Vec<u64> = lines.iter().map(|line| line["n"].as_u64().expect("a number")).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
        if frame["snapshot"] == true {
            skipped |= seq.is_some_and(|seq| now > seq + 1);
            assert!(lines.len() <= 200);
        } else {
            assert_eq!(seq.map(|seq: u64| seq + 1), Some(now), "a step was missed unseen");
            assert_eq!(numbers.first().copied(), Some(last + 1), "a line was missed unseen");
        }
        assert!(seq <= Some(now), "older after newer");
        seq = Some(now);
        last = numbers.last().copied().unwrap_or(last);
    }
    assert!(skipped, "it was never behind");
    data(&mut slow, "stats");
    assert_eq!(server.metric(r#"innkeeper_disconnects_total{cause="too_slow"}"#), 0.0);
}

#[test]
fn b1_a_subscriber_is_pinged_and_its_silence_closes_with_4009() {
    let fast = [("MESSAGE_RATE", "1000000"), ("MESSAGE_BURST", "1000000")];
    let server = Server::start(&[("WS_PING_INTERVAL", "0.1"), ("WS_PING_TIMEOUT", "3"), fast[0], fast[1]]);
    let mut alive = subscriber(&server);
    let mut silent = server.raw().upgrade(&format!("/ws/_server?token={}", server.operator_key().expect("a key")));
    silent.write(&RawSocket::frame(0x81, br#"{"type":"subscribe","topics":["stats"]}"#));
    silent.until_type("subscribed");
    let server = &server;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            assert_eq!(silent.close_code(), 4009);
        });
        // The other answers, and outlives it.
        while server.metric(r#"innkeeper_disconnects_total{cause="heartbeat_timeout"}"#) == 0.0 {
            alive.send(&json!({"type": "pong"}));
            alive.drain();
        }
    });
    let closed = server.wait_for_event("WS_CONNECTION_CLOSED");
    assert_eq!((&closed["hub"], &closed["cause"]), (&json!("_server"), &json!("heartbeat_timeout")), "{closed}");
}

#[test]
fn d4_subscribers_get_their_slot_and_1012_like_everybody_else() {
    let mut server = Server::start(&[]);
    let mut clients: Vec<_> = (0..4).map(|_| subscriber(&server)).collect();
    for client in &mut clients {
        subscribe(client, &["stats", "security"]);
    }
    server.signal("TERM");
    for client in &mut clients {
        let (ended, last) = client.ended();
        assert_eq!((&last["type"], &last["code"], ended.code), (&json!("going_away"), &json!(1012), 1012), "{last}");
    }
    drop(clients);
    assert_eq!(server.wait().code(), Some(0));
}
