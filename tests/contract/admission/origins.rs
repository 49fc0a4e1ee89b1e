//! Owns the tests of which pages may connect (A2, A9).

use super::{SECRET, assert_refused, refusal, status_of, upgrade};
use crate::support::Server;

/// Which of these (origin, host) come in; everything else must be refused with 403.
fn assert_origins(server: &Server, cases: &[(&str, &str, bool)]) {
    for (origin, host, admitted) in cases {
        let headers = [("Origin", *origin), ("Host", *host)];
        let status = status_of(server, "/ws/g/p", &headers);
        assert_eq!(status, if *admitted { 101 } else { 403 }, "Origin {origin:?} at Host {host:?}");
        if !admitted {
            let message = assert_refused(&refusal(server, "/ws/g/p", &headers), 403, "invalid_origin");
            assert!(message.contains("ALLOWED_ORIGINS"), "{message}");
        }
    }
}

#[test]
fn a9_without_a_list_same_origin_pages_and_in_development_loopback_pages_come_in() {
    let server = Server::start(&[]);
    let host = "game.example:8080";
    assert_origins(
        &server,
        &[
            ("", host, true),
            ("http://game.example:8080", host, true),
            ("https://game.example", "game.example", true),
            ("http://GAME.example", "game.example", true),
            ("http://localhost:3000", host, true),
            ("http://127.0.0.1:5173", host, true),
            ("http://[::1]:3000", host, true),
            ("https://evil.example", host, false),
            ("http://game.example", host, false),
            ("http://game.example:8080.evil.example", host, false),
            ("http://localhost.evil.example", host, false),
            ("http://127.0.0.1.evil.example", host, false),
            ("null", host, false),
            ("file://", host, false),
            ("http://localhost:3000, https://evil.example", host, false),
        ],
    );
    let event = server.wait_for_event("WS_CONNECTION_BLOCKED_INVALID_ORIGIN");
    assert_eq!(event["address"], "127.0.0.1", "{event}");
}

#[test]
fn a9_with_tokens_required_a_loopback_page_comes_in_only_where_it_is_same_origin() {
    let server = Server::start(&[("JWT_SECRET", SECRET)]);
    assert_origins(
        &server,
        &[
            ("", "game.example", true),
            ("https://game.example", "game.example", true),
            ("http://localhost:3000", "localhost:3000", true),
            ("http://localhost:3000", "game.example", false),
            ("http://127.0.0.1:3000", "127.0.0.1:8080", false),
            ("null", "game.example", false),
        ],
    );
}

#[test]
fn a9_a_list_admits_its_exact_entries_and_what_a_wildcard_covers_and_no_other() {
    let server =
        Server::start(&[("ALLOWED_ORIGINS", "https://play.example, http://dev.example:3000, https://*.wild.example")]);
    let host = "game.example";
    assert_origins(
        &server,
        &[
            ("", host, true),
            ("https://play.example", host, true),
            ("https://PLAY.example:443", host, true),
            ("http://dev.example:3000", host, true),
            ("https://a.wild.example", host, true),
            ("https://a.b.wild.example", host, true),
            ("https://game.example", host, false),
            ("http://play.example", host, false),
            ("https://play.example:8443", host, false),
            ("https://play.example.evil.example", host, false),
            ("https://evilplay.example", host, false),
            ("http://dev.example", host, false),
            ("https://wild.example", host, false),
            ("https://evilwild.example", host, false),
            ("http://a.wild.example", host, false),
            ("https://a.wild.example:8443", host, false),
            ("http://localhost:3000", host, false),
            ("null", host, false),
        ],
    );
}

#[test]
fn a9_a_star_admits_every_origin_but_neither_two_at_once_nor_what_is_none() {
    let server = Server::start(&[("CORS_ORIGINS", "*")]);
    let host = "game.example";
    assert_origins(
        &server,
        &[
            ("https://any.example", host, true),
            ("", host, true),
            ("no origin", host, false),
            ("https://a,https://b", host, false),
        ],
    );
    let twice = [("Origin", "https://a.example"), ("Origin", "https://b.example")];
    assert_refused(&refusal(&server, "/ws/g/p", &twice), 403, "invalid_origin");
    assert_refused(&server.get_with("/ws/g/p", &twice), 403, "invalid_origin");
}

#[test]
fn a9_an_origin_that_is_repeated_or_no_text_is_not_taken_for_a_missing_one() {
    let server = Server::start(&[]);
    let own = "http://game.example";
    assert_eq!(status_of(&server, "/ws/g/p", &[("Origin", own)]), 101);
    for (first, second) in [(own, "https://evil.example"), ("https://evil.example", own), (own, own)] {
        let twice = [("Origin", first), ("Origin", second)];
        assert_refused(&refusal(&server, "/ws/g/p", &twice), 403, "invalid_origin");
    }
    for origin in ["https://évil.example", "\u{fffd}"] {
        assert_refused(&refusal(&server, "/ws/g/p", &[("Origin", origin)]), 403, "invalid_origin");
        assert_refused(&server.get_with("/ws/g/p", &[("Origin", origin)]), 403, "invalid_origin");
    }
}

#[test]
fn a2_what_foreign_pages_ask_in_a_visitors_name_never_counts_as_the_visitors_own_attempts() {
    let server = Server::start(&[("RATE_LIMIT_MAX_REQUESTS", "3"), ("ALLOWED_ORIGINS", "https://play.example")]);
    let evil = [("Origin", "https://evil.example")];
    for attempt in 0..10 {
        let response = refusal(&server, "/ws/g/p", &evil);
        assert_refused(&response, 403, "invalid_origin");
        assert_eq!(response.headers.contains_key("retry-after"), attempt >= 3, "they have a limit of their own");
    }
    // Images and frames come without `Origin`; each kind is told by one of these.
    let images = [[("Sec-Fetch-Site", "cross-site")], [("Referer", "https://evil.example/page")]];
    for image in images.iter().cycle().take(10) {
        assert_eq!(server.get_with("/ws/g/p", image).status, 429, "the limit is used up");
    }
    let own = [("Origin", "https://play.example")];
    for _ in 0..3 {
        assert_eq!(status_of(&server, "/ws/g/p", &own), 101);
    }
    assert_eq!(status_of(&server, "/ws/g/p", &own), 429);
    assert_refused(&refusal(&server, "/ws/g/p", &evil), 403, "invalid_origin");
}

#[test]
fn a9_a_host_or_a_token_that_is_no_text_is_neither_taken_for_a_missing_one_nor_for_another() {
    let server = Server::start(&[("JWT_SECRET", SECRET)]);
    let headers = [("Host", "g\u{e4}me.example"), ("Origin", "http://g\u{e4}me.example")];
    assert_refused(&refusal(&server, "/ws/g/p", &headers), 403, "invalid_origin");
    let mut socket = server.raw();
    socket.write(upgrade("GET", "/ws/g/p", &[("Authorization", "Bearer \u{e4}")]).as_bytes());
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        std::io::Read::read_exact(&mut socket.0, &mut byte).expect("an answer");
        head.push(byte[0]);
    }
    assert_eq!(socket.close_code(), 4003, "a wrong token, not one that is missing");
}
