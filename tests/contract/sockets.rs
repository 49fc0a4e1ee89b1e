//! Owns the tests of the bounds of one address and one connection in plain HTTP.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::support::{RawSocket, Server};

const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";

/// Reads one answer of an open connection; `None` when the server has ended it.
fn answer(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).expect("text").to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8(body).expect("text"))
}

/// A socket whose request has begun: its head is read, and the server waits for the body.
fn in_use(server: &Server) -> RawSocket {
    let mut socket = server.raw();
    let key = server.operator_key().expect("a key");
    socket.write(
        format!(
            "POST /api/games/busy/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\
             Expect: 100-continue\r\nContent-Length: 10\r\n\r\n"
        )
        .as_bytes(),
    );
    assert!(answer(&mut socket.0).is_some_and(|answer| answer.starts_with("http/1.1 100 ")));
    socket
}

fn ask(socket: &mut RawSocket) -> Option<String> {
    socket.try_write(HEALTH).then(|| answer(&mut socket.0)).flatten()
}

/// Writes until the server takes no more for a while.
fn stuff(socket: &mut RawSocket, bytes: &[u8]) -> usize {
    socket.0.set_write_timeout(Some(Duration::from_millis(300))).expect("timeout");
    let mut written = 0;
    loop {
        match socket.0.write(bytes) {
            Ok(some) => written += some,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return written,
            Err(error) => panic!("the server hung up: {error}"),
        }
    }
}

/// Waits for the end of a connection whose peer goes on sending; the time it took.
fn time_until_closed(socket: &mut RawSocket, trickle: &[u8]) -> Duration {
    let begun = Instant::now();
    socket.0.set_read_timeout(Some(Duration::from_millis(50))).expect("timeout");
    let mut bytes = [0; 4096];
    loop {
        assert!(begun.elapsed() < Duration::from_secs(20), "the connection is held");
        if !socket.try_write(trickle) {
            return begun.elapsed();
        }
        match socket.0.read(&mut bytes) {
            Ok(0) => return begun.elapsed(),
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return begun.elapsed();
            }
            _ => {}
        }
    }
}

#[test]
fn pipelined_requests_are_answered_in_order_and_an_upgrade_may_be_the_last_of_them() {
    let server = Server::start(&[]);
    let mut socket = server.raw();
    let requests = [&b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n"[..], HEALTH].concat().repeat(100);
    let writer = {
        let mut stream = socket.0.try_clone().expect("clone");
        std::thread::spawn(move || stream.write_all(&requests))
    };
    for _ in 0..100 {
        assert!(answer(&mut socket.0).is_some_and(|answer| answer.contains("\"status\":\"ready\"")));
        assert!(answer(&mut socket.0).is_some_and(|answer| answer.contains("\"status\":\"healthy\"")));
    }
    writer.join().expect("joins").expect("written");
    socket.write(HEALTH);
    socket.write(
        b"GET /ws/g/p HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert!(answer(&mut socket.0).is_some_and(|answer| answer.contains("healthy")), "the answer before the upgrade");
    assert!(answer(&mut socket.0).is_some_and(|answer| answer.starts_with("http/1.1 101")));
    assert_eq!(socket.until_type("welcome")["player"], "p");
}

#[test]
fn answers_that_nobody_reads_take_neither_memory_nor_time() {
    let server = Server::start(&[]);
    let requests = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
    let before = server.resident_bytes();
    let mut sockets: Vec<RawSocket> = (0..10).map(|_| server.raw()).collect();
    let written: usize = sockets.iter_mut().map(|socket| stuff(socket, &requests)).sum();
    assert!(written > 1 << 20, "the attack did not take place: {written} bytes");
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 10 << 20, "{} KiB for {} KiB of requests", grown >> 10, written >> 10);
    let used = server.cpu_time();
    std::thread::sleep(Duration::from_secs(2));
    let used = server.cpu_time() - used;
    assert!(used < Duration::from_millis(500), "idle connections cost {used:?} in 2 s");
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn idle_sockets_of_an_address_make_room_for_the_next_and_a_player_of_that_address_gets_in() {
    let server = Server::start(&[("MAX_SOCKETS_PER_IP", "20"), ("MAX_CONNECTIONS_PER_IP", "5")]);
    let mut sockets = Vec::new();
    for _ in 0..60 {
        let mut socket = server.raw();
        assert!(ask(&mut socket).is_some(), "the newcomer is served");
        sockets.push(socket);
    }
    let _player = server.connect("/ws/g/p").welcomed();
    server.wait_until(|| server.metric("innkeeper_http_sockets") <= 20.0, "sockets of one address are bounded");
    let alive = sockets.iter_mut().filter_map(ask).count();
    assert!((15..=20).contains(&alive), "{alive} of 60 connections still serve");
    assert!(ask(sockets.last_mut().expect("some")).is_some(), "the one that was used last is not the one that goes");
}

#[test]
fn an_address_that_uses_all_its_sockets_is_told_429_at_once_and_served_again_afterwards() {
    let settings = [("MAX_SOCKETS_PER_IP", "3"), ("MAX_CONNECTIONS_PER_IP", "1"), ("REQUEST_TIMEOUT_MS", "600000")];
    // Unset: on a socket for both families every IPv4 peer is a mapped one.
    let server = Server::start(&[&settings[..], &[("HOST", "")]].concat());
    let mut busy: Vec<RawSocket> = (0..3).map(|_| in_use(&server)).collect();
    server.wait_until(
        || answer(&mut server.raw().0).is_some_and(|answer| answer.contains("429") && answer.contains("socket_limit")),
        "a refusal",
    );
    assert_eq!(server.wait_for_event("HTTP_CONNECTION_BLOCKED_SOCKET_LIMIT")["address"], "127.0.0.1");
    for socket in &mut busy {
        socket.write(br#"{"data":1}"#);
        assert!(answer(&mut socket.0).is_some_and(|answer| answer.contains("seq")));
    }
    assert_eq!(server.get("/health").status, 200, "idle ones make room");
}

#[test]
fn behind_a_declared_proxy_sockets_are_not_counted_by_the_address_they_come_from() {
    let server = Server::start(&[
        ("MAX_SOCKETS_PER_IP", "3"),
        ("MAX_CONNECTIONS_PER_IP", "1"),
        ("CLIENT_IP_HEADER", "x-real-ip"),
    ]);
    let mut sockets: Vec<RawSocket> = (0..20).map(|_| server.raw()).collect();
    assert!(sockets.iter_mut().all(|socket| ask(socket).is_some()));
    assert!(sockets.iter_mut().all(|socket| ask(socket).is_some()), "all are kept");
}

#[test]
fn the_last_tenth_of_the_descriptors_serves_upgrades_alone() {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -n 160; exec \"$0\"", env!("CARGO_BIN_EXE_innkeeper")]);
    let quiet = Server::command("sh", &[("MAX_SOCKETS_PER_IP", "1000"), ("REQUEST_TIMEOUT_MS", "600000")]);
    command.env_clear().envs(quiet.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    let server = Server::start_command(command);
    // Nine tenths of 160, less the hundred of the server's own.
    let busy: Vec<RawSocket> = (0..44).map(|_| in_use(&server)).collect();
    let refused = server.get("/health");
    let code = refused.json()["error"]["code"].as_str().map(str::to_owned);
    assert_eq!((refused.status, code.as_deref(), &*refused.headers["connection"]), (503, Some("overloaded"), "close"));
    let _player = server.connect("/ws/g/p").welcomed();
    drop(busy);
    server.wait_until(|| server.get("/health").status == 200, "plain requests are served again");
}

#[test]
fn a_connection_is_closed_after_a_thousand_requests_and_says_so_before() {
    let server = Server::start(&[]);
    let mut socket = server.raw();
    for _ in 1..1000 {
        let answer = ask(&mut socket).expect("an answer");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
    let last = ask(&mut socket).expect("the last answer");
    assert!(last.contains("connection: close") && last.contains("healthy"), "{last}");
    assert_eq!(socket.read_to_end(), b"");
}

#[test]
fn a_request_that_trickles_is_cut_off_whether_in_its_head_its_body_or_behind_an_answer() {
    let server = Server::start(&[("REQUEST_TIMEOUT_MS", "500")]);
    let chunked = "Host: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let sized = "Host: x\r\nContent-Length: 100000\r\n\r\n";
    let kinds: [(&str, String, &[u8]); 7] = [
        ("the first head", "GET / HTTP/1.1\r\nX: ".into(), b"a"),
        ("a later head", "GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nX: ".into(), b"a"),
        ("a chunked body for a page", format!("POST / HTTP/1.1\r\n{chunked}"), b"1\r\nx\r\n"),
        ("a chunked body of a GET", format!("GET /health HTTP/1.1\r\n{chunked}"), b"1\r\nx\r\n"),
        ("a body of a GET", format!("GET /health HTTP/1.1\r\n{sized}"), b"a"),
        ("a chunked body for the API", format!("POST /api/games/g/events HTTP/1.1\r\n{chunked}"), b"1\r\nx\r\n"),
        ("a body for the API", format!("POST /api/games/g/events HTTP/1.1\r\n{sized}"), b"a"),
    ];
    std::thread::scope(|scope| {
        for (name, head, trickle) in &kinds {
            let mut socket = server.raw();
            scope.spawn(move || {
                socket.write(head.as_bytes());
                let took = time_until_closed(&mut socket, trickle);
                assert!(took < Duration::from_secs(10), "{name} was held for {took:?}");
            });
        }
    });
    server.wait_until(|| server.metric("innkeeper_http_sockets") <= 1.0, "all are gone");
}

#[test]
fn a_body_that_is_declared_too_long_is_refused_before_it_comes() {
    let server = Server::start(&[("REQUEST_TIMEOUT_MS", "600000")]);
    let key = server.operator_key().expect("a key");
    for path in ["/api/games/g/events", "/api/games/g/kick"] {
        let mut socket = server.raw();
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n");
        socket.write(format!("{head}Content-Length: 1000000000\r\n\r\n{{").as_bytes());
        let answer = answer(&mut socket.0).expect("an answer");
        assert!(answer.starts_with("http/1.1 413 ") && answer.contains("body_too_large"), "{answer}");
    }
}
