//! Owns the tests of a proxy's upstreams that break the rules or read nothing, and of rare close
//! codes.

use std::io::Write as _;

use tempfile::NamedTempFile;

use super::Peer;
use crate::support::{
    Server,
    rogue::{Rogue, close_code, flood_pings},
};

fn serve(rogue: &Rogue) -> (Server, NamedTempFile) {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
    let yaml = format!("proxies:\n  test: {{ url: \"{}\", max_message_bytes: 1k }}\n", rogue.url());
    file.write_all(yaml.as_bytes()).expect("written");
    let server = Server::start(&[("CONFIG_FILE", file.path().to_str().expect("a path in UTF-8"))]);
    (server, file)
}

#[test]
fn x2_an_upstream_that_floods_pings_and_does_not_read_ends_the_session_by_name_and_takes_no_memory() {
    let rogue = Rogue::start();
    let (server, _file) = serve(&rogue);
    let before = server.resident_bytes();
    let mut client = Peer::enter(&server, "/proxy/test");
    flood_pings(rogue.connection());
    let (code, _, last) = client.ended();
    assert_eq!(code, 1011, "{last}");
    assert!(last.contains("it sends pings and does not read the answers"), "{last}");
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more");
}

#[test]
fn x4_an_upstream_that_breaks_rfc_6455_gets_a_close_frame_before_it_is_dropped() {
    let rogue = Rogue::start();
    let (server, _file) = serve(&rogue);
    for (bytes, code) in [
        (&[0x83, 1, b'a'][..], 1002),
        (&[0x81, 2, 0xff, 0xff], 1007),
        (&[0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0, b'a'], 1009),
    ] {
        let mut client = Peer::enter(&server, "/proxy/test");
        let mut connection = rogue.connection();
        connection.write_all(bytes).expect("written");
        assert_eq!(close_code(connection), Some(code));
        assert_eq!(client.ended().0, 1011);
    }
}

#[test]
fn x4_every_close_code_that_may_be_sent_passes() {
    let rogue = Rogue::start();
    let (server, _file) = serve(&rogue);
    for code in [1012_u16, 1013, 1014, 3000, 3999, 4000, 4999] {
        // The library of the other tests does not know all of them.
        let mut client = server.raw().upgrade("/proxy/test");
        client.until_type("welcome");
        let [high, low] = code.to_be_bytes();
        rogue.connection().write_all(&[0x88, 5, high, low, b'w', b'h', b'y']).expect("written");
        assert_eq!(client.close_code(), code);
    }
}
