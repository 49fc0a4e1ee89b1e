//! Owns the tests that no secret appears in the log or the metrics (A12).

use serde_json::{Value, json};

use super::{SECRET, assert_ended};
use crate::support::{Server, token, unix_secs};

#[test]
fn a12_neither_token_nor_session_secret_nor_jwt_secret_reaches_the_log_or_the_metrics() {
    let mut server =
        Server::start(&[("JWT_SECRET", SECRET), ("LOG_LEVEL", "debug"), ("LOG_HEARTBEAT_INTERVAL", "0.05")]);
    let mut secrets = vec![SECRET.to_owned()];
    let mut fresh = |claims: Value| {
        let token = token(SECRET, &claims);
        secrets.extend(token.split('.').skip(1).map(str::to_owned));
        token
    };
    let claims = |player: &str, n: i64| json!({"sub": player, "exp": unix_secs(3600 + n)});
    let (query, header, offered, framed) =
        (fresh(claims("q", 1)), fresh(claims("h", 2)), fresh(claims("s", 3)), fresh(claims("f", 4)));
    let (refused, renewal, wrong) = (fresh(claims("x", 5)), fresh(claims("q", 6)), fresh(claims("nobody", 7)));

    let mut by_query = server.connect(&format!("/ws/g/q?token={query}")).welcomed();
    let authorization = format!("Bearer {header}");
    let by_header = server.try_connect("/ws/g/h", &[("Authorization", &authorization)]).expect("accepted").welcomed();
    let subprotocol = format!("innkeeper.v1.json, bearer.{offered}");
    let by_subprotocol =
        server.try_connect("/ws/g/s", &[("Sec-WebSocket-Protocol", &subprotocol)]).expect("accepted").welcomed();
    let mut by_frame = server.connect("/ws/g/f");
    by_frame.send(&json!({"type": "auth", "token": framed}));
    let by_frame = by_frame.welcomed();
    by_query.send(&json!({"type": "auth", "token": renewal}));
    by_query.drain();
    for client in [&by_query, &by_header, &by_subprotocol, &by_frame] {
        secrets.push(client.session().to_owned());
    }
    // Resumed by the query and by the frame; and wrong secrets are somebody's secrets too.
    let (session, other) = (by_query.session().to_owned(), by_frame.session().to_owned());
    by_query.cut();
    by_frame.cut();
    server.connect(&format!("/ws/g/q?token={query}&session={session}&seq=1")).welcomed();
    let mut resumed = server.connect("/ws/g/f");
    resumed.send(&json!({"type": "auth", "token": framed, "session": other, "seq": 1}));
    resumed.welcomed();
    secrets.push("wrong-session-0123456789abcdef".to_owned());
    server.connect(&format!("/ws/g/h?token={header}&session=wrong-session-0123456789abcdef&seq=1")).welcomed();
    // Refused in every way that has a token at hand.
    assert_ended(server.connect(&format!("/ws/g/y?token={wrong}")), 4003, "token_wrong_player");
    let origin = [("Origin", "https://evil.example")];
    assert_eq!(server.try_connect(&format!("/ws/g/x?token={refused}"), &origin).err(), Some(403));
    assert_eq!(server.get(&format!("/ws/g/x?token={refused}")).status, 426);
    assert_eq!(server.get(&format!("/ws/{refused}/{refused}?token={refused}")).status, 400);
    assert_eq!(server.get(&format!("/{refused}?token={refused}")).status, 404);
    // Frames that are wrong, with a token in them.
    let mut clumsy = server.connect(&format!("/ws/g/x?token={refused}")).welcomed();
    clumsy.send_text(&format!("{{\"type\":\"auth\",\"token\":\"{refused}\""));
    clumsy.send(&json!({"type": refused, "token": refused}));
    clumsy.send(&json!({"type": "auth", "token": [refused]}));
    clumsy.drain();
    let metrics = server.get("/metrics").body;
    server.wait_for_event("WS_CONNECTION_BLOCKED_AUTH_FAILED");
    drop((by_header, by_subprotocol, clumsy));
    server.wait_for_metric("innkeeper_connections", 0.0);
    server.signal("TERM");
    assert!(server.wait().success());
    server.wait_for_log(|line| line["message"] == "stopped");
    let log = server.log_text();
    assert!(log.matches("WS_CONNECTION_CLOSED").count() >= 8, "{log}");
    for secret in &secrets {
        assert!(secret.len() >= 16, "too short to search for: {secret}");
        assert!(!log.contains(secret.as_str()), "{secret} is in the log");
        assert!(!metrics.contains(secret.as_str()), "{secret} is in the metrics");
    }
}
