//! Owns a stand-in for Massive (formerly Polygon.io): it speaks as the provider does and makes
//! prices up. The README's tour uses it.
//!
//! `MASSIVE_API_KEY=any MASSIVE_WS_URL=ws://127.0.0.1:9443 scripts/start` is the server for it.
//! Lines typed here: `stall` (silent, the socket open), `go`, `cut` (the connection is gone),
//! `evict` (max_connections, then 1008), `who`.

#![allow(clippy::print_stdout)] // It talks to the person in front of it.

use std::{
    collections::BTreeSet,
    io::{self, BufRead as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tungstenite::{
    Message, WebSocket,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

/// Between two prices of each topic, and between two looks at what is to be done.
const TICK: Duration = Duration::from_millis(250);

/// What the person wants done, and what there is to see.
#[derive(Default)]
struct Desk {
    stalled: bool,
    /// Each connection carries an order out when its number is below this one.
    cut: u64,
    evicted: u64,
    connections: u64,
    topics: BTreeSet<String>,
}

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(9443);
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("listening on ws://127.0.0.1:{port}; type stall, go, cut, evict or who");
    let desk = Arc::new(Mutex::new(Desk::default()));
    let served = desk.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let desk = served.clone();
            thread::spawn(move || {
                let number = next_number(&desk);
                println!("{number}: connected");
                let why = serve(stream, number, &desk).err().map_or_else(|| "done".into(), |error| error.to_string());
                println!("{number}: over ({why})");
                lock(&desk).topics.clear();
            });
        }
    });
    for line in io::stdin().lock().lines() {
        let mut desk = lock(&desk);
        match line?.trim() {
            "stall" => desk.stalled = true,
            "go" => desk.stalled = false,
            "cut" => desk.cut = desk.connections,
            "evict" => desk.evicted = desk.connections,
            "who" => println!("{} connections so far; topics {:?}", desk.connections, desk.topics),
            other => println!("not {other:?}: stall, go, cut, evict or who"),
        }
    }
    // Without a keyboard it goes on by itself.
    loop {
        thread::park();
    }
}

fn next_number(desk: &Mutex<Desk>) -> u64 {
    let mut desk = lock(desk);
    desk.connections += 1;
    desk.connections
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(stream: TcpStream, number: u64, desk: &Mutex<Desk>) -> Result<(), tungstenite::Error> {
    let mut socket = tungstenite::accept(stream).map_err(|error| io::Error::other(error.to_string()))?;
    socket.get_ref().set_read_timeout(Some(TICK))?;
    say(&mut socket, &[status("connected", "Connected Successfully")])?;
    let mut topics = BTreeSet::new();
    for made in 0_u64.. {
        match socket.read() {
            Ok(Message::Text(text)) => hear(&mut socket, &text, &mut topics)?,
            Ok(_) => {}
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        let (stalled, cut, evicted) = {
            let mut desk = lock(desk);
            desk.topics.clone_from(&topics);
            (desk.stalled, desk.cut >= number, desk.evicted >= number)
        };
        if cut {
            return Ok(());
        }
        if evicted {
            say(&mut socket, &[status("max_connections", "Maximum number of websocket connections exceeded.")])?;
            let frame = CloseFrame { code: CloseCode::Policy, reason: "Maximum number of connections exceeded".into() };
            socket.close(Some(frame))?;
            while socket.read().is_ok() {}
            return Ok(());
        }
        let prices: Vec<_> = topics.iter().filter_map(|topic| price(topic, made)).collect();
        if !stalled && !prices.is_empty() {
            say(&mut socket, &prices)?;
        }
    }
    Ok(())
}

fn hear(
    socket: &mut WebSocket<TcpStream>,
    text: &str,
    topics: &mut BTreeSet<String>,
) -> Result<(), tungstenite::Error> {
    let frame: Value = serde_json::from_str(text).unwrap_or_default();
    let params = frame["params"].as_str().unwrap_or_default();
    let names = params.split(',').map(str::to_owned);
    match frame["action"].as_str() {
        // Any key but an empty one: nothing is checked here but that one was sent. It is not shown
        // either.
        Some("auth") if params.is_empty() => say(socket, &[status("auth_failed", "authentication failed")]),
        Some("auth") => say(socket, &[status("auth_success", "authenticated")]),
        Some("subscribe") => {
            topics.extend(names.clone());
            let answers: Vec<_> = names.map(|name| status("success", &format!("subscribed to: {name}"))).collect();
            say(socket, &answers)
        }
        Some("unsubscribe") => {
            for name in names {
                topics.remove(&name);
            }
            say(socket, &[status("success", &format!("unsubscribed to: {params}"))])
        }
        _ => say(socket, &[status("error", "unknown action")]),
    }
}

fn status(status: &str, message: &str) -> Value {
    json!({"ev": "status", "status": status, "message": message})
}

fn price(topic: &str, made: u64) -> Option<Value> {
    let (event, symbol) = topic.split_once('.')?;
    let name = if event == "V" { "T" } else { "sym" };
    Some(json!({"ev": event, name: symbol, "p": 2.0 + (made % 50) as f64 / 100.0, "q": made}))
}

fn say(socket: &mut WebSocket<TcpStream>, events: &[Value]) -> Result<(), tungstenite::Error> {
    socket.send(Message::text(Value::from(events.to_vec()).to_string()))
}
