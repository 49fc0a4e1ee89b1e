//! Owns the tests of plain HTTP: health, ready, metrics, client-config, split listeners (section
//! 1).

use serde_json::json;

use crate::support::{Response, Server};

/// `2026-11-21T04:00:00.123Z`, the fraction of any length or none: RFC 3339 in UTC.
fn is_rfc3339(text: &str) -> bool {
    let Some((whole, fraction)) = text.strip_suffix('Z').and_then(|text| text.split_at_checked(19)) else {
        return false;
    };
    let shape: String = whole.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    let digits = fraction.strip_prefix('.').unwrap_or("0");
    shape == "9999-99-99T99:99:99" && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// What `/api/client-config` says the address is, asked with this `Host`.
fn websocket_url(server: &Server, host: &str) -> String {
    let config = server.get_with("/api/client-config", &[("Host", host)]).json();
    assert_eq!(config["websocket"]["enabled"], true, "{config}");
    config["websocket"]["url"].as_str().expect("a url").to_owned()
}

fn is_json_404(response: &Response) -> bool {
    response.status == 404 && response.json()["error"]["code"] == "not_found"
}

#[test]
fn health_tells_the_time_and_counts_the_connections_that_are_open_now() {
    let server = Server::start(&[]);
    for path in ["/health", "/api/health"] {
        let response = server.get(path);
        assert_eq!((response.status, &*response.headers["content-type"]), (200, "application/json"), "{path}");
        let body = response.json();
        assert_eq!((&body["status"], &body["connections"]), (&json!("healthy"), &json!(0)), "{body}");
        assert!(body["timestamp"].as_str().is_some_and(is_rfc3339), "{body}");
        assert!(body["timestamp"].as_str() >= Some("2026"), "{body}");
    }
    let alice = server.connect("/ws/g/alice").welcomed();
    let bob = server.connect("/ws/g2/bob").welcomed();
    let counts = |server: &Server| {
        let body = server.get("/api/health").json();
        [&body["connections"], &body["sessions"], &body["rooms"]].map(|count| count.as_u64())
    };
    assert_eq!(server.get("/health").json()["connections"], 2);
    server.wait_until(|| counts(&server) == [Some(2); 3], "two of each");
    alice.close();
    // The seat is kept for RECONNECT_GRACE.
    server.wait_until(|| counts(&server) == [Some(1), Some(2), Some(2)], "one connection");
    bob.close();
    server.wait_until(|| server.get("/health").json()["connections"] == 0, "no connection");
}

#[test]
fn ready_is_200_once_the_server_listens() {
    let server = Server::start(&[]);
    server.wait_until(|| server.get("/ready").status == 200, "ready");
    assert_eq!(server.get("/ready").json(), json!({"status": "ready"}));
}

#[test]
fn what_is_not_there_is_a_404_in_json() {
    let server = Server::start(&[]);
    for path in ["/nothing", "/api/nothing", "/wsx/g/p", "/metrics/", "/../etc/passwd"] {
        assert!(is_json_404(&server.get(path)), "{path}");
    }
    assert!(is_json_404(&server.request("POST", "/nothing", &[], Some(""))));
}

#[test]
fn head_is_answered_wherever_get_is_with_the_same_head_and_no_body() {
    let server = Server::start(&[]);
    let _alice = server.connect("/ws/head/alice").welcomed();
    for path in [
        "/health",
        "/api/health",
        "/ready",
        "/metrics",
        "/api/client-config",
        "/api/ws-health",
        "/api/games",
        "/api/games/head",
        "/api/games/head/events",
        "/api/hubs",
        "/",
    ] {
        let (get, head) = (server.get(path), server.request("HEAD", path, &[], None));
        assert_eq!((get.status, head.status, &*head.body), (200, 200, ""), "{path}");
        assert_eq!(get.headers["content-type"], head.headers["content-type"], "{path}");
    }
}

#[test]
fn a_method_that_a_path_does_not_know_is_405_and_allow_names_those_it_knows() {
    let server = Server::start(&[]);
    for (method, path, allow) in [
        ("POST", "/health", "GET, HEAD"),
        ("DELETE", "/metrics", "GET, HEAD"),
        ("POST", "/", "GET, HEAD"),
        ("PUT", "/api/games/g/kick", "POST"),
        ("GET", "/api/games/g/kick", "POST"),
        ("POST", "/api/games/g", "GET, HEAD, DELETE"),
        ("PATCH", "/api/games/g/events", "GET, HEAD, POST"),
        ("OPTIONS", "/api/games", "GET, HEAD"),
        ("GET", "/api/hubs/h/topics/t", "POST"),
    ] {
        let response = server.request(method, path, &[], Some(""));
        assert_eq!((response.status, &*response.headers["allow"]), (405, allow), "{method} {path}");
        assert_eq!(response.json()["error"]["code"], "method_not_allowed", "{method} {path}");
    }
}

#[test]
fn metrics_has_every_series_from_the_start_in_the_prometheus_format() {
    let server = Server::start(&[]);
    let response = server.get("/metrics");
    assert!(response.headers["content-type"].starts_with("text/plain; version=0.0.4"), "{response:?}");
    for name in [
        "innkeeper_connections",
        "innkeeper_connections_total",
        "innkeeper_sessions",
        "innkeeper_rooms",
        "innkeeper_events_in_total",
        "innkeeper_events_out_total",
        "innkeeper_bytes_in_total",
        "innkeeper_bytes_out_total",
        "innkeeper_outbox_bytes",
        "innkeeper_outbox_frames",
        "innkeeper_refusals_total{reason=\"invalid_origin\"}",
        "innkeeper_refusals_total{reason=\"auth_failed\"}",
        "innkeeper_disconnects_total{cause=\"too_slow\"}",
        "innkeeper_disconnects_total{cause=\"heartbeat_timeout\"}",
        "innkeeper_event_to_wire_seconds_count",
        "innkeeper_event_to_wire_seconds_bucket{le=\"+Inf\"}",
    ] {
        assert_eq!(server.metric(name), 0.0, "{name}");
    }
    assert!(response.body.contains("# TYPE innkeeper_event_to_wire_seconds histogram"));
}

#[test]
fn metrics_move_with_what_happens() {
    let server = Server::start(&[]);
    let (mut alice, mut bob) = (server.connect("/ws/g/alice").welcomed(), server.connect("/ws/g/bob").welcomed());
    for (name, value) in [
        ("innkeeper_connections", 2.0),
        ("innkeeper_connections_total", 2.0),
        ("innkeeper_sessions", 2.0),
        ("innkeeper_rooms", 1.0),
        ("innkeeper_addresses", 1.0),
    ] {
        server.wait_for_metric(name, value);
    }
    for id in 1..=10 {
        alice.send(&json!({"type": "send", "id": id, "data": "x".repeat(100)}));
    }
    bob.until(|frame| frame["id"] == 10);
    alice.until(|frame| frame["id"] == 10);
    // Shards add what they counted about once a second.
    server.wait_for_metric("innkeeper_events_in_total", 10.0);
    // Two welcomes, one presence, ten messages to both; server pings are far away.
    server.wait_for_metric("innkeeper_events_out_total", 23.0);
    assert!(server.metric("innkeeper_bytes_in_total") > 1000.0);
    assert!(server.metric("innkeeper_bytes_out_total") > 2000.0);
    let count = server.metric("innkeeper_event_to_wire_seconds_count");
    assert!((1.0..=23.0).contains(&count), "{count}");
    assert_eq!(server.metric("innkeeper_event_to_wire_seconds_bucket{le=\"+Inf\"}"), count);
    assert!(server.metric("innkeeper_event_to_wire_seconds_sum") > 0.0);
    server.wait_for_metric("innkeeper_outbox_bytes", 0.0);

    alice.send(&json!({"type": "leave"}));
    assert_eq!(alice.ended().0.code, 1000);
    bob.cut();
    server.wait_for_metric("innkeeper_disconnects_total{cause=\"left\"}", 1.0);
    server.wait_for_metric("innkeeper_disconnects_total{cause=\"connection_lost\"}", 1.0);
    server.wait_for_metric("innkeeper_connections", 0.0);
    server.wait_for_metric("innkeeper_sessions", 1.0);
    assert_eq!(server.metric("innkeeper_connections_total"), 2.0);
    assert_eq!(server.get("/ws/g/p").status, 426);
    assert_eq!(server.metric("innkeeper_refusals_total{reason=\"upgrade_required\"}"), 1.0);
}

#[test]
fn client_config_tells_the_first_public_address_that_is_set() {
    let settings = [
        ("PUBLIC_URL", "https://one.example/inn/", "wss://one.example/inn"),
        ("WEBSOCKET_PUBLIC_DOMAIN", "two.example", "wss://two.example"),
        ("RAILWAY_PUBLIC_DOMAIN", "three.up.railway.app", "wss://three.up.railway.app"),
        ("RAILWAY_STATIC_URL", "http://four.example:8080", "ws://four.example:8080"),
    ];
    for first in 0..settings.len() {
        let set: Vec<_> = settings[first..].iter().map(|(name, value, _)| (*name, *value)).collect();
        let server = Server::start(&set);
        assert_eq!(websocket_url(&server, "ignored.example"), settings[first].2);
    }
}

#[test]
fn client_config_falls_back_to_the_host_that_was_asked() {
    let server = Server::start(&[]);
    assert_eq!(websocket_url(&server, "game.example:8080"), "ws://game.example:8080");
    assert_eq!(websocket_url(&server, "[::1]:8080"), "ws://[::1]:8080");
    let config = server.get("/api/client-config").json();
    let url = config["websocket"]["url"].as_str().expect("a url");
    assert_eq!(url, format!("ws://127.0.0.1:{}", server.port), "the very address works");
    // Not behind a platform's proxy: what a client says of the scheme is not believed.
    let https =
        server.get_with("/api/client-config", &[("Host", "game.example"), ("X-Forwarded-Proto", "https")]).json();
    assert_eq!(https["websocket"]["url"], "ws://game.example");

    let hosted = Server::start(&[("RENDER", "true"), ("AUTH", "off")]);
    let headers = [("Host", "game.example"), ("X-Forwarded-Proto", "https")];
    assert_eq!(hosted.get_with("/api/client-config", &headers).json()["websocket"]["url"], "wss://game.example");
}

#[test]
fn a9_an_admitted_origin_may_read_the_answers_and_ask_before_and_another_may_not() {
    let server = Server::start(&[("ALLOWED_ORIGINS", "https://*.play.example")]);
    const ALLOW: &str = "access-control-allow-origin";
    let good = [("Origin", "https://a.play.example")];
    for path in ["/health", "/api/client-config", "/api/games", "/ready", "/nothing"] {
        let response = server.get_with(path, &good);
        assert_eq!(response.headers[ALLOW], "https://a.play.example", "{path}");
        assert_eq!(response.headers["vary"], "Origin", "{path}");
    }
    for origin in
        ["https://evil.example", "https://play.example", "null", "https://a.play.example https://b.play.example"]
    {
        let response = server.get_with("/health", &[("Origin", origin)]);
        assert_eq!((response.status, response.headers.get(ALLOW)), (200, None), "{origin}");
        assert_eq!(response.headers["vary"], "Origin", "a cache must not mix them up");
    }
    let twice = [("Origin", "https://a.play.example"), ("Origin", "https://b.play.example")];
    assert_eq!(server.get_with("/health", &twice).headers.get(ALLOW), None);
    assert_eq!(server.get("/health").headers.get(ALLOW), None);

    let preflight = |origin: &str| {
        server.answer_to(&format!(
            "OPTIONS /api/client-config HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n\r\n"
        ))
    };
    let admitted = preflight("https://a.play.example");
    assert_eq!((admitted.status, &*admitted.headers[ALLOW]), (204, "https://a.play.example"));
    assert!(admitted.headers["access-control-allow-methods"].contains("POST"), "{admitted:?}");
    assert!(admitted.headers["access-control-allow-headers"].contains("authorization"), "{admitted:?}");
    let refused = preflight("https://evil.example");
    assert!(refused.headers.keys().all(|name| !name.starts_with("access-control-")), "{refused:?}");
}

#[test]
fn ws_port_and_http_port_split_the_listeners() {
    let mut server = Server::start(&[("WS_PORT", "0"), ("HTTP_PORT", "0"), ("ALLOWED_ORIGINS", "*")]);
    let port_of = |scheme: &str| {
        let line = server.wait_for_log(|line| line["url"].as_str().is_some_and(|url| url.starts_with(scheme)));
        line["port"].as_u64().expect("a port") as u16
    };
    let (ws, http) = (port_of("ws://"), port_of("http://"));
    assert_ne!(ws, http);

    server.port = ws;
    server.connect("/ws/g/alice").welcomed();
    assert_eq!(server.get("/ws/g/alice").status, 426);
    // A load balancer asks the port it forwards to; everything else is on the other one.
    assert_eq!((server.get("/health").status, server.get("/ready").status), (200, 200));
    assert!(["/", "/metrics", "/api/client-config"].iter().all(|path| is_json_404(&server.get(path))));

    server.port = http;
    for path in ["/", "/metrics", "/api/client-config", "/health", "/ready"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    assert!(is_json_404(&server.get("/ws/g/alice")));
    assert_eq!(server.try_connect("/ws/g/alice", &[]).err(), Some(404));
    assert_eq!(websocket_url(&server, &format!("game.example:{http}")), format!("ws://game.example:{ws}"));
}
