//! Owns the attacks before a connection is a member: requests, sockets, bodies and handshakes.

use std::{
    io,
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
    time::Duration,
};

use super::super::{
    attacker::Stage,
    peer::{connect, handshake, paced, status},
};

/// More than one address may hold at once.
const SOCKETS: usize = 300;
const MALFORMED: [&str; 6] = [
    "GET /ws/g/p HTTP/1.0\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "GET /ws/g/p HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "GET /ws/g/p HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 7\r\n\r\n",
    "GET /ws/g/p HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
    "POST /ws/g/p HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
    "\u{1}\u{2} nonsense\r\n\r\n",
];

/// One-time connections, as many a second as the server answers, no more than 1,000.
fn knock(stage: &mut Stage, requests: &[String]) {
    let (server, mut turn) = (stage.server, 0);
    paced(stage.until, 1000.0, || {
        let request = &requests[turn % requests.len()];
        turn += 1;
        let answer = connect(server, None).and_then(|mut stream| {
            stream.write_all(request.as_bytes())?;
            status(&mut stream, &mut Vec::new())
        });
        stage.got.count(answer.unwrap_or_else(|error| format!("no answer ({})", error.kind())));
    });
}

/// # Errors
/// None.
pub fn foreign_origin(stage: &mut Stage) -> io::Result<()> {
    knock(stage, &[handshake("/ws/g/p", "Origin: https://elsewhere.example\r\n")]);
    Ok(())
}

/// # Errors
/// None.
pub fn malformed(stage: &mut Stage) -> io::Result<()> {
    knock(stage, &MALFORMED.map(str::to_owned));
    Ok(())
}

/// # Errors
/// None.
pub fn guesses(stage: &mut Stage) -> io::Result<()> {
    let guess = |number| {
        format!(
            "POST /api/games/quiet-0/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {number:064x}\r\n\
             Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{{\"data\":1}}"
        )
    };
    knock(stage, &(0..16).map(guess).collect::<Vec<_>>());
    Ok(())
}

/// Writes requests for this long into sockets whose answers are not read.
fn stuff(stage: &mut Stage, sockets: usize, path: &str, share: f64) -> Vec<TcpStream> {
    let requests = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").repeat(1000).into_bytes();
    let mut held: Vec<(Option<TcpStream>, usize)> = Vec::new();
    for _ in 0..sockets {
        let stream = connect(stage.server, Some(4096)).and_then(|stream| stream.set_nonblocking(true).map(|()| stream));
        if stream.is_err() {
            stage.got.count("no connection");
        }
        held.push((stream.ok(), 0));
    }
    let now = std::time::Instant::now();
    let until = now + stage.until.saturating_duration_since(now).mul_f64(share);
    let mut bytes = 0;
    paced(until, 300.0, || {
        for (stream, offset) in &mut held {
            let Some(socket) = stream else { continue };
            match socket.write(&requests[*offset..]) {
                Ok(written) => {
                    bytes += written as u64;
                    *offset = (*offset + written) % requests.len();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    stage.got.count("ended");
                    *stream = None;
                }
            }
        }
    });
    stage.got.add("KiB", bytes / 1024);
    held.into_iter().filter_map(|(stream, _)| stream).collect()
}

/// # Errors
/// None.
pub fn pipelined(stage: &mut Stage) -> io::Result<()> {
    let held = stuff(stage, 40, "/metrics", 1.0);
    stage.got.add("held", held.len() as u64);
    Ok(())
}

/// # Errors
/// None.
pub fn pipelined_rest(stage: &mut Stage) -> io::Result<()> {
    let held = stuff(stage, 1, "/ready", 0.25);
    paced(stage.until, 2.0, || {});
    stage.got.add("held", held.len() as u64);
    Ok(())
}

/// # Errors
/// None.
pub fn idle(stage: &mut Stage) -> io::Result<()> {
    let mut held = Vec::new();
    for _ in 0..SOCKETS {
        let answered = connect(stage.server, None).and_then(|mut stream| {
            stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")?;
            let status = status(&mut stream, &mut Vec::new())?;
            Ok((stream, status))
        });
        match answered {
            Ok((stream, status)) => {
                stage.got.count(status);
                held.push(stream);
            }
            Err(error) => stage.got.count(format!("no answer ({})", error.kind())),
        }
    }
    paced(stage.until, 2.0, || {});
    // Those that the server has not closed meanwhile.
    let is_open = |stream: &mut TcpStream| match stream.set_nonblocking(true).and_then(|()| stream.read(&mut [0; 4096]))
    {
        Ok(bytes) => bytes > 0,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    };
    let open = held.iter_mut().filter_map(|stream| is_open(stream).then_some(())).count();
    stage.got.add("held", open as u64);
    Ok(())
}

/// # Errors
/// None.
pub fn trickle(stage: &mut Stage) -> io::Result<()> {
    let mut held = Vec::new();
    for number in 0..SOCKETS {
        let target = ["POST /", "POST /api/games/g/events", "GET /health"][number % 3];
        let stream = connect(stage.server, None).and_then(|mut stream| {
            write!(stream, "{target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        });
        held.push(stream.ok());
    }
    let mut answers = 0;
    while !stage.is_over() {
        for held in &mut held {
            let Some(stream) = held else { continue };
            let mut chunk = [0; 4096];
            match stream.read(&mut chunk) {
                Ok(0) => *held = None,
                Ok(_) => answers += 1,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if stream.write_all(b"1\r\nx\r\n").is_err() {
                        *held = None;
                    }
                }
                Err(_) => *held = None,
            }
        }
        thread::sleep(Duration::from_millis(200));
    }
    stage.got.add("answers", answers);
    stage.got.add("held", held.iter().flatten().count() as u64);
    Ok(())
}
