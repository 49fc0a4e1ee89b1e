//! Owns the tests of upstreams that break the rules, read nothing, send Retry-After, or are in a
//! private network.

use std::{
    io::Write as _,
    net::{IpAddr, UdpSocket},
};

use serde_json::json;

use super::{Config, data, subscribe};
use crate::support::{
    Server,
    rogue::{Rogue, close_code, flood_pings},
};

const KEYS: [&str; 3] =
    ["topic: { parts: [/t] }", "subscribe: '{\"s\":{topic_list}}'", "backoff: { base_ms: 2, max_ms: 20 }"];

fn serve(rogue: &Rogue, more: &[&str]) -> (Server, Config) {
    let url = format!("url: \"{}\"", rogue.url());
    let config = Config::new(&[("feed", &[&[url.as_str()], &KEYS[..], more].concat())]);
    (config.start(&[]), config)
}

#[test]
fn an_upstream_that_floods_pings_and_does_not_read_is_given_up_by_name_and_takes_no_memory() {
    let rogue = Rogue::start();
    let (server, _config) = serve(&rogue, &[]);
    let before = server.resident_bytes();
    let _client = server.connect("/ws/feed").welcomed();
    for _ in 0..3 {
        flood_pings(rogue.connection());
    }
    server.wait_for_line(|line| line.contains("it sends pings and does not read the answers").then_some(()));
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more");
}

#[test]
fn an_upstream_that_breaks_rfc_6455_gets_a_close_frame_before_it_is_dropped() {
    let rogue = Rogue::start();
    let (server, _config) = serve(&rogue, &["max_message_bytes: 1k"]);
    let _client = server.connect("/ws/feed").welcomed();
    for (bytes, code) in [
        (&[0x83, 1, b'a'][..], 1002),
        (&[0x81, 2, 0xff, 0xff], 1007),
        (&[0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0, b'a'], 1009),
    ] {
        let mut connection = rogue.connection();
        connection.write_all(bytes).expect("written");
        assert_eq!(close_code(connection), Some(code));
    }
}

#[test]
fn h5_an_upstream_that_says_when_to_come_back_is_left_alone_until_then_within_bounds() {
    for (answer, pause) in [
        ("HTTP/1.1 429 No\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n", "next connection in 30000 ms"),
        ("HTTP/1.1 503 No\r\nRetry-After: 999999999\r\nContent-Length: 0\r\n\r\n", "next connection in 900000 ms"),
    ] {
        let rogue = Rogue::refusing(answer);
        let (server, _config) = serve(&rogue, &[]);
        let _client = server.connect("/ws/feed").welcomed();
        server.wait_for_line(|line| line.contains(pause).then_some(()));
    }
}

/// An address of this machine in a private network, if it has one.
fn private_address() -> Option<IpAddr> {
    ["10.255.255.1:9", "[fd00::1]:9"].into_iter().find_map(|target| {
        let unspecified = if target.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
        let socket = UdpSocket::bind(unspecified).ok()?;
        socket.connect(target).ok()?;
        let address = socket.local_addr().ok()?.ip();
        let is_private = match address {
            IpAddr::V4(address) => address.is_private() || address.is_documentation(),
            IpAddr::V6(address) => address.is_unique_local(),
        };
        is_private.then_some(address)
    })
}

#[test]
fn ws_to_a_private_network_works_where_the_description_allows_it() {
    let Some(address) = private_address() else {
        eprintln!("this machine is in no private network");
        return;
    };
    let rogue = Rogue::start_at(address);
    let (server, _config) = serve(&rogue, &["allow_insecure: true"]);
    let mut client = server.connect("/ws/feed").welcomed();
    let mut upstream = rogue.connection();
    subscribe(&mut client, &["a"]);
    let value = br#"{"t":"a","n":1}"#;
    server.wait_for_metric("innkeeper_hub_upstream_topics{hub=\"feed\"}", 1.0);
    upstream.write_all(&[&[0x81, value.len() as u8], &value[..]].concat()).expect("written");
    assert_eq!(data(&mut client, "a")["data"], json!({"t": "a", "n": 1}));
}
