//! Owns the tests of proxies (section 7): entry, the handshake at the upstream, and the frames that
//! are relayed.

mod autobahn;
mod budgets;
mod claims;
mod ends;
mod errors;
mod fake;
mod flow;
mod hostile;
mod peer;
mod rates;
mod resume;
mod subprotocols;
mod tls;

use std::io::Write as _;

use serde_json::json;
use tempfile::NamedTempFile;
use tungstenite::{Bytes, Message};

use self::{
    fake::{KEY, Upstream},
    peer::Peer,
};
use crate::support::{Server, token, unix_secs};

const SECRET: &str = "a secret of at least thirty-two bytes";

/// X5: without tokens a proxy with a key needs this.
fn open(settings: &[(&str, &str)]) -> Vec<(&'static str, &'static str)> {
    let has_tokens = settings.iter().any(|(name, _)| *name == "JWT_SECRET");
    if has_tokens { Vec::new() } else { vec![("AUTH", "off")] }
}

/// The server with the shipped proxy `openai` in front of this upstream.
fn serve(upstream: &Upstream, more: &[(&str, &str)]) -> Server {
    let url = upstream.url();
    let open = open(more);
    Server::start(&[&[("OPENAI_API_KEY", KEY), ("OPENAI_REALTIME_URL", &url)], &open[..], more].concat())
}

/// A configuration file with the proxy `test` in front of this upstream; `keys` are lines of YAML.
fn described(upstream: &Upstream, keys: &[&str]) -> NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
    let (url, keys) = (upstream.url(), keys.join("\n    "));
    let text = format!(
        "proxies:\n  test:\n    url: \"{url}\"\n    headers: {{ Authorization: \"Bearer ${{TEST_KEY}}\" }}\n    {keys}\n"
    );
    file.write_all(text.as_bytes()).expect("written");
    file
}

/// The server with the proxy `test`.
fn serve_described(upstream: &Upstream, keys: &[&str], more: &[(&str, &str)]) -> (Server, NamedTempFile) {
    let file = described(upstream, keys);
    let path = file.path().to_str().expect("a path in UTF-8");
    let open = open(more);
    let server = Server::start(&[&[("CONFIG_FILE", path), ("TEST_KEY", KEY)], &open[..], more].concat());
    (server, file)
}

#[test]
fn x1_frames_pass_both_ways_in_order_text_and_binary_up_to_large_ones() {
    let upstream = Upstream::start();
    let server = serve(&upstream, &[]);
    let mut client = Peer::enter(&server, "/proxy/openai");
    assert_eq!(client.welcome["resume"], "new");
    let mut leg = upstream.leg();
    let audio = "A".repeat(100_000);
    for i in 0..20 {
        client.send(&format!("{i} {audio}"));
        client.socket.send(Message::binary(vec![i; 1000])).expect("sent");
    }
    for i in 0..20 {
        assert_eq!(leg.text(), format!("{i} {audio}"));
        assert_eq!(leg.message(), Message::binary(vec![i; 1000]));
        leg.send(&format!("{audio} {i}"));
        leg.socket.send(Message::Binary(Bytes::from(vec![i; 70_000]))).expect("sent");
    }
    for i in 0..20 {
        assert_eq!(client.text(), format!("{audio} {i}"));
        assert_eq!(client.message(), Message::binary(vec![i; 70_000]));
    }
    assert!(upstream.is_alone(), "one upstream connection for one client");
}

#[test]
fn x1_the_upstream_sees_the_servers_credentials_and_nothing_of_the_clients() {
    let upstream = Upstream::start();
    let server = serve(&upstream, &[("JWT_SECRET", SECRET)]);
    let jwt = token(SECRET, &json!({"sub": "alice", "exp": unix_secs(600)}));
    let path = format!("/proxy/openai?model=m%201&token={jwt}&voice=x&seq=4");
    let headers = [
        ("cookie", "session=client-cookie"),
        ("x-forwarded-for", "203.0.113.9"),
        ("user-agent", "client-agent"),
        ("openai-beta", "client-beta"),
        ("accept-language", "client-language"),
    ];
    let _client = Peer::connect_with(&server, &path, &headers);
    let leg = upstream.leg();
    assert_eq!(leg.uri, "/v1/realtime?model=m+1");
    let mut names: Vec<_> = leg.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let expected = ["authorization", "connection", "host", "sec-websocket-key", "sec-websocket-version", "upgrade"];
    assert_eq!(names, expected, "no beta header either");
}

#[test]
fn x1_any_player_with_a_token_gets_in_and_nobody_else() {
    let upstream = Upstream::start();
    let server = serve(&upstream, &[("JWT_SECRET", SECRET), ("AUTH_TIMEOUT_MS", "1500")]);
    let jwt = |more: serde_json::Value| {
        let mut claims = json!({"sub": "alice", "exp": unix_secs(600)});
        claims.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        token(SECRET, &claims)
    };
    let path = |jwt: &str| format!("/proxy/openai?token={jwt}");
    Peer::connect(&server, "/proxy/openai").refused(4001, "auth_timeout");
    Peer::connect(&server, &path("wrong")).refused(4003, "token_malformed");
    let elsewhere = jwt(json!({"proxy": ["another"]}));
    Peer::connect(&server, &path(&elsewhere)).refused(4003, "token_wrong_proxy");
    let role = Peer::connect(&server, &path(&jwt(json!({"role": "spectator"})))).refused(4003, "forbidden");
    assert!(role.contains("spectator"), "{role}");
    assert!(upstream.is_alone(), "no upstream is opened for whoever is not let in");

    let mut client = Peer::connect(&server, "/proxy/openai");
    client.send(&json!({"type": "auth", "token": jwt(json!({"sub": "bob", "proxy": "openai"}))}).to_string());
    let mut client = client.welcomed();
    // What comes behind the token is the upstream's, also where it looks like ours.
    client.send(r#"{"type":"ping"}"#);
    let mut leg = upstream.leg();
    assert_eq!(leg.text(), r#"{"type":"ping"}"#);
    let established = server.wait_for_event("WS_CONNECTION_ESTABLISHED");
    assert_eq!((&established["proxy"], &established["player"]), (&json!("openai"), &json!("bob")));
    assert_eq!((&established["role"], &established["resume"]), (&json!("player"), &json!("new")));
}

#[test]
fn a13_at_its_tokens_expiry_a_client_is_closed_with_4005_and_may_come_back_with_a_new_one() {
    let upstream = Upstream::start();
    let server = serve(&upstream, &[("JWT_SECRET", SECRET)]);
    let jwt = token(SECRET, &json!({"sub": "alice", "exp": unix_secs(4)}));
    let mut client = Peer::enter(&server, &format!("/proxy/openai?token={jwt}"));
    let mut leg = upstream.leg();
    client.refused(4005, "token_expired");
    leg.send("while away");
    for (name, verdict) in [("mallory", "reset"), ("alice", "continuous")] {
        let jwt = token(SECRET, &json!({"sub": name, "exp": unix_secs(600)}));
        let back = Peer::enter(&server, &format!("{}&token={jwt}", client.way_back(0)));
        assert_eq!(back.welcome["resume"], verdict, "{name}");
        if name == "alice" {
            assert_eq!({ back }.text(), "while away");
        }
    }
}

#[test]
fn x1_a_proxy_without_its_key_closes_with_4004_and_names_the_variable() {
    let server = Server::start(&[]);
    let message = Peer::connect(&server, "/proxy/openai").refused(4004, "no_such_proxy");
    assert!(message.contains("OPENAI_API_KEY"), "{message}");
    Peer::connect(&server, "/proxy/nobody").refused(4004, "no_such_proxy");
}

#[test]
fn x5_without_tokens_a_proxy_with_a_credential_is_off_unless_that_is_said_on_purpose() {
    let upstream = Upstream::start();
    let url = upstream.url();
    let openai = [("OPENAI_API_KEY", KEY), ("OPENAI_REALTIME_URL", url.as_str())];
    let server = Server::start(&openai);
    let message = Peer::connect(&server, "/proxy/openai").refused(4004, "no_such_proxy");
    assert!(message.contains("JWT_SECRET") && message.contains("AUTH=off"), "{message}");
    assert!(upstream.is_alone());

    let server = Server::start(&[&openai[..], &[("AUTH", "off")]].concat());
    let warning = server.wait_for_log(|line| line["level"] == "warn" && line["proxy"] == "openai");
    assert!(warning["message"].as_str().is_some_and(|text| text.contains("AUTH=off")), "{warning}");
    Peer::enter(&server, "/proxy/openai");

    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
    let kinds = [
        ("free", format!("url: \"{url}?lang=de\"\n    headers: {{ User-Agent: innkeeper }}")),
        ("header", format!("url: \"{url}\"\n    headers: {{ X-Whatever: \"${{TEST_KEY}}\" }}")),
        ("literal", format!("url: \"{url}\"\n    headers: {{ X-Api-Key: sk-1 }}")),
        ("parameter", format!("url: \"{url}?k=${{TEST_KEY}}\"")),
        ("named", format!("url: \"{url}?api-key=sk-1\"")),
        ("added", format!("url: \"{url}\"\n    query: [k]\n    query_defaults: {{ k: \"${{TEST_KEY}}\" }}")),
        ("elsewhere", "url: \"${TEST_URL}\"".to_owned()),
    ];
    let proxies: Vec<String> = kinds.iter().map(|(name, keys)| format!("  {name}:\n    {keys}\n")).collect();
    file.write_all(format!("proxies:\n{}", proxies.concat()).as_bytes()).expect("written");
    let path = file.path().to_str().expect("a path in UTF-8");
    let server = Server::start(&[("CONFIG_FILE", path), ("TEST_KEY", KEY), ("TEST_URL", &url)]);
    for (name, _) in &kinds {
        let path = format!("/proxy/{name}");
        if ["free", "elsewhere"].contains(name) {
            Peer::enter(&server, &path);
        } else {
            Peer::connect(&server, &path).refused(4004, "no_such_proxy");
        }
    }
}

#[test]
fn x1_the_key_is_never_in_a_log_a_metric_or_a_frame() {
    let upstream = Upstream::start();
    let server = serve(&upstream, &[("LOG_LEVEL", "debug")]);
    let mut seen = Vec::new();
    for status in [0, 401, 429, 500] {
        upstream.refuse_with(status);
        let mut client = Peer::enter(&server, "/proxy/openai?model=m");
        if status == 0 {
            upstream.leg().close(1008, "bye");
        }
        let (_, reason, last) = client.ended();
        seen.extend([reason, last, client.welcome.to_string()]);
    }
    let session = server.wait_for_log(|line| line["message"] == "[Proxy openai] upstream closed");
    assert_eq!((&session["cause"], &session["code"]), (&json!("upstream_closed"), &json!(1008)), "{session}");
    assert!(session["duration_ms"].is_u64(), "{session}");
    server.wait_for_log(|line| line["message"] == "[Proxy openai] upstream failed");
    server.wait_for_metric("innkeeper_proxy_sessions_total{proxy=\"openai\"}", 4.0);
    seen.extend([server.get("/metrics").body, server.get("/api/ws-health").body, server.log_text()]);
    for text in seen {
        assert!(!text.contains(KEY) && !text.contains("sk-test"), "{text}");
    }
}
