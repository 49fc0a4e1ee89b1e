//! Owns the attacks on hubs: subscribers that take topics, and upstreams that flood.

use std::{
    io,
    io::Write as _,
    net::{TcpListener, TcpStream},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
};

use tungstenite::{Message, WebSocket};

use super::super::{
    attacker::Stage,
    peer::{Peer, frame, paced, text},
};

/// Values in one frame of the upstream.
const BURST: usize = 5000;
const TOPIC: &str = "T.O:SPY251219C00650000";

/// What the upstream's threads did: connections of the server, and what they took.
static DIALS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

/// Ten subscribers that take a hundred new names each time and give them back.
///
/// # Errors
/// None.
pub fn topics(stage: &mut Stage) -> io::Result<()> {
    let mut peers = Vec::new();
    for _ in 0..10 {
        peers.push(Peer::open(stage.server, "/ws/lobby", &mut stage.got));
    }
    let mut turn = 0;
    paced(stage.until, 400.0, || {
        turn += 1;
        let index = turn % peers.len();
        let word = if turn / 10 % 2 == 0 { "subscribe" } else { "unsubscribe" };
        let names: Vec<_> = (0..100).map(|name| format!("\"junk-{index}-{}-{name}\"", turn / 20)).collect();
        let frame = text(&format!(r#"{{"type":"{word}","topics":[{}]}}"#, names.join(",")));
        let Some(peer) = &mut peers[index] else { return };
        if peer.drain(&mut stage.got).and_then(|()| peer.send(&frame)).is_err() {
            peers[index] = None;
        }
    });
    stage.got.add("frames", turn as u64);
    Ok(())
}

/// A subscriber, without which the server would not dial.
fn subscribe(stage: &mut Stage, path: &str, topic: &str) -> Option<Peer> {
    let mut peer = Peer::open(stage.server, path, &mut stage.got)?;
    peer.send(&text(&format!(r#"{{"type":"subscribe","topics":["{topic}"]}}"#))).ok()?;
    Some(peer)
}

/// The server's connections, one after the other, each on a thread of its own that ends with it.
fn serve(listener: &TcpListener, speak: fn(WebSocket<TcpStream>) -> tungstenite::Result<()>) -> io::Result<()> {
    let listener = listener.try_clone()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            DIALS.fetch_add(1, Relaxed);
            thread::spawn(move || tungstenite::accept(stream).map(speak).is_ok());
        }
    });
    Ok(())
}

/// # Errors
/// When the listener cannot be shared with a thread.
pub fn pings(stage: &mut Stage) -> io::Result<()> {
    serve(&stage.listener, |mut socket| {
        // Unmasked, as a server's frames are: two bytes of header and 125 of payload.
        let ping = [vec![0x89, 125], vec![b'a'; 125]].concat().repeat(500);
        loop {
            socket.get_mut().write_all(&ping)?;
            BYTES.fetch_add(ping.len() as u64, Relaxed);
        }
    })?;
    let mut peer = subscribe(stage, "/ws/kraken", "trade:BTC/USD");
    paced(stage.until, 5.0, || {
        if peer.as_mut().is_some_and(|peer| peer.drain(&mut stage.got).is_err()) {
            peer = None;
        }
    });
    tell(stage);
    Ok(())
}

/// One reads, nine do not: what is kept for them is bounded.
///
/// # Errors
/// When the listener cannot be shared with a thread.
pub fn bursts(stage: &mut Stage) -> io::Result<()> {
    serve(&stage.listener, massive)?;
    let mut peers = Vec::new();
    for _ in 0..10 {
        peers.push(subscribe(stage, "/ws/options", TOPIC));
    }
    let mut reader = peers.pop().flatten();
    paced(stage.until, 50.0, || {
        if reader.as_mut().is_some_and(|peer| peer.drain(&mut stage.got).is_err()) {
            reader = None;
        }
    });
    tell(stage);
    Ok(())
}

fn tell(stage: &mut Stage) {
    stage.got.add("dials", DIALS.load(Relaxed));
    stage.got.add("KiB taken", BYTES.load(Relaxed) / 1024);
}

/// Speaks as Massive does: agrees to everything, then four frames a second of many values each.
fn massive(mut socket: WebSocket<TcpStream>) -> tungstenite::Result<()> {
    let status = |word: &str| Message::text(format!(r#"[{{"ev":"status","status":"{word}","message":"{word}"}}]"#));
    socket.send(status("connected"))?;
    socket.read()?;
    socket.send(status("auth_success"))?;
    socket.read()?;
    socket.send(status("success"))?;
    let symbol = &TOPIC[2..];
    let trade =
        |q| format!(r#"{{"ev":"T","sym":"{symbol}","x":302,"p":2.5,"s":1,"c":[233],"t":1763740800000,"q":{q}}}"#);
    let trades: Vec<_> = (0..BURST).map(trade).collect();
    let burst = format!("[{}]", trades.join(","));
    loop {
        socket.send(Message::text(burst.as_str()))?;
        BYTES.fetch_add(burst.len() as u64, Relaxed);
        thread::sleep(std::time::Duration::from_millis(250));
    }
}

/// Pings of a client that reads no pongs.
///
/// # Errors
/// None.
pub fn client_pings(stage: &mut Stage) -> io::Result<()> {
    let ping = frame(9, &[b'a'; 125]);
    let mut peers: Vec<_> =
        (0..10).map(|index| Peer::open(stage.server, &format!("/ws/hostile-{index}/p"), &mut stage.got)).collect();
    let mut turn = 0;
    paced(stage.until, 950.0, || {
        turn += 1;
        let index = turn % peers.len();
        if peers[index].as_mut().is_some_and(|peer| peer.send(&ping).is_err()) {
            stage.got.count("ended");
            peers[index] = None;
        }
    });
    stage.got.add("frames", turn as u64);
    Ok(())
}
