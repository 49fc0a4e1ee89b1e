//! Owns the tests of peers that never finish a request, or never begin one.

use super::*;

/// The server ends the connection by itself, after an answer with `status` or without any.
fn is_ended(mut socket: RawSocket, status: &[u16]) {
    let answer = String::from_utf8_lossy(&socket.read_to_end()).into_owned();
    let fits = status.iter().any(|status| answer.starts_with(&format!("HTTP/1.1 {status} ")));
    assert!(answer.is_empty() || fits, "{answer}");
}

#[test]
fn a_request_that_never_finishes_is_ended() {
    let mut server = Server::start(&[("REQUEST_TIMEOUT_MS", "1500")]);
    let sockets = server.open_sockets();
    let parts = ["G", "GET /ws/g/alice HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nX: "];
    let unfinished = parts.map(|part| {
        let mut socket = server.raw();
        socket.write(part.as_bytes());
        socket
    });
    // A body nobody asked for, promised and never sent.
    let mut socket = server.raw();
    socket.write(b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\nabc");
    unfinished.into_iter().for_each(|socket| is_ended(socket, &[408]));
    is_ended(socket, &[404, 405, 408]);
    wait_for_sockets(&server, sockets);
    is_unharmed(&mut server);
}

#[test]
fn a_head_that_trickles_in_byte_by_byte_is_ended() {
    let mut server = Server::start(&[("REQUEST_TIMEOUT_MS", "1500")]);
    let socket = server.raw();
    let mut writer = socket.0.try_clone().expect("a second handle");
    let trickle = thread::spawn(move || {
        let head = b"GET /ws/g/alice HTTP/1.1\r\nX-Slow: ".iter().chain(std::iter::repeat(&b'x'));
        let start = Instant::now();
        for byte in head {
            if start.elapsed() > PATIENCE || writer.write_all(&[*byte]).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        start.elapsed()
    });
    is_ended(socket, &[408]);
    assert!(trickle.join().expect("the trickle") < PATIENCE, "the server took every byte");
    is_unharmed(&mut server);
}

#[test]
fn a_head_without_end_is_refused_and_costs_no_memory() {
    let mut server = Server::start(&[]);
    let sockets = server.open_sockets();
    server.get("/health");
    let before = server.resident_bytes();
    for line in ["GET / HTTP/1.1\r\nX-Long: ", "GET /", "GET / HTTP/1.1\r\n"] {
        let filler = if line.ends_with('\n') { "a: b\r\n".repeat(100) } else { "x".repeat(600) };
        let socket = server.raw();
        let mut writer = socket.0.try_clone().expect("a second handle");
        let stream = thread::spawn(move || {
            let _ = writer.write_all(line.as_bytes());
            for _ in 0..50_000 {
                if writer.write_all(filler.as_bytes()).is_err() {
                    return;
                }
            }
            panic!("the server took a head of 30 MB");
        });
        is_ended(socket, &[400, 413, 414, 431]);
        stream.join().expect("the server hangs up");
    }
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "grew by {grown} bytes");
    wait_for_sockets(&server, sockets);
    is_unharmed(&mut server);
}

#[test]
fn connections_that_never_say_a_word_are_ended_and_keep_nobody_out() {
    let mut server = Server::start(&[("REQUEST_TIMEOUT_MS", "1500"), ("MAX_CONNECTIONS_PER_IP", "3")]);
    let sockets = server.open_sockets();
    let silent: Vec<_> = (0..200).map(|_| server.raw()).collect();
    // They are no connections of the game: they take nobody's place, and idle sockets make room
    // once they are known as such.
    let is_served = || {
        let mut socket = server.raw();
        socket.try_write(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        String::from_utf8_lossy(&socket.read_to_end()).contains("healthy")
    };
    server.wait_until(is_served, "a place");
    let alice = server.connect("/ws/g/alice").welcomed();
    for socket in silent {
        is_ended(socket, &[408, 429]);
    }
    alice.close();
    wait_for_sockets(&server, sockets);
    is_unharmed(&mut server);
}

// ---- peers that come and go
