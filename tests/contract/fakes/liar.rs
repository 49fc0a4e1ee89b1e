//! Owns a fake room server that tells its players something else than what happened, once.

use std::{
    collections::HashMap,
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tungstenite::{
    Message, WebSocket,
    handshake::server::{Request, Response},
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use super::wire::{Wire, send};

/// What becomes of one delivery, the ten-thousandth, or of one resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    Nothing,
    Lose,
    Twice,
    /// It comes behind the next one of the same member.
    Late,
    Change,
    /// A `send` that nobody ever sees, its sender included.
    Swallow,
    /// The first missed event of the first resume does not come, and the verdict is `continuous`.
    FalseContinuous,
}

const EVERY: u64 = 10_000;

/// A server of rooms, until the process ends.
pub struct Liar {
    pub port: u16,
}

#[derive(Default)]
struct Fiction {
    rooms: HashMap<String, FakeRoom>,
    deliveries: u64,
    sends: u64,
    has_lied: bool,
}

#[derive(Default)]
struct FakeRoom {
    /// The frames, from `seq` 1 on.
    log: Vec<String>,
    members: HashMap<String, FakeMember>,
    last_ids: HashMap<String, u64>,
}

struct FakeMember {
    writer: WebSocket<Wire>,
    held: Option<String>,
}

impl Liar {
    pub fn start(lie: Lie) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let fiction = Arc::new(Mutex::new(Fiction::default()));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let fiction = fiction.clone();
                std::thread::spawn(move || serve(stream, lie, &fiction));
            }
        });
        Self { port }
    }
}

/// One connection; ends with it.
fn serve(stream: TcpStream, lie: Lie, fiction: &Mutex<Fiction>) -> Option<()> {
    let wire = Wire::new(stream);
    let mut target = String::new();
    #[expect(clippy::result_large_err, reason = "the library's type")]
    let look = |request: &Request, response: Response| {
        target = request.uri().to_string();
        Ok(response)
    };
    let mut reader = tungstenite::accept_hdr(wire.clone(), look).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut parts = path.split('/').skip(2).map(str::to_owned);
    let (game, player) = (parts.next()?, parts.next()?);
    let seen = query.split('&').find_map(|field| field.strip_prefix("seq=")?.parse::<usize>().ok());
    fiction.lock().expect("fiction").enter(&game, &player, seen, wire.writer(), lie);
    loop {
        let Ok(Message::Text(text)) = reader.read() else { break };
        let frame: Value = serde_json::from_str(&text).ok()?;
        if frame["type"] == "leave" {
            let close = CloseFrame { code: CloseCode::Normal, reason: "left".into() };
            let _ = reader.close(Some(close));
            break;
        }
        fiction.lock().expect("fiction").send(&game, &player, &frame, lie);
    }
    Some(())
}

impl Fiction {
    fn enter(&mut self, game: &str, player: &str, seen: Option<usize>, mut writer: WebSocket<Wire>, lie: Lie) {
        let room = self.rooms.entry(game.to_owned()).or_default();
        let resume = if seen.is_some() { "continuous" } else { "new" };
        let last_id = room.last_ids.get(player).copied().unwrap_or(0);
        let welcome = json!({
            "type": "welcome", "resume": resume, "session": "s", "seq": room.log.len(), "last_id": last_id,
        });
        send(&mut writer, Message::text(welcome.to_string()));
        let mut missed = room.log.get(seen.unwrap_or(room.log.len())..).unwrap_or_default();
        if lie == Lie::FalseContinuous && missed.len() > 1 && !self.has_lied {
            self.has_lied = true;
            missed = &missed[1..];
        }
        for frame in missed {
            send(&mut writer, Message::text(frame.as_str()));
        }
        room.members.insert(player.to_owned(), FakeMember { writer, held: None });
    }

    fn send(&mut self, game: &str, player: &str, frame: &Value, lie: Lie) {
        let room = self.rooms.get_mut(game).expect("the player is in it");
        let id = frame["id"].as_u64().expect("an id");
        if id <= room.last_ids.get(player).copied().unwrap_or(0) {
            return;
        }
        room.last_ids.insert(player.to_owned(), id);
        self.sends += 1;
        if lie == Lie::Swallow && self.sends == EVERY / 10 {
            return;
        }
        let (seq, data) = (room.log.len() + 1, &frame["data"]);
        let text = format!(r#"{{"type":"message","seq":{seq},"from":"{player}","id":{id},"data":{data}}}"#);
        room.log.push(text.clone());
        for member in room.members.values_mut() {
            self.deliveries += 1;
            let now = if self.deliveries == EVERY { lie } else { Lie::Nothing };
            let mut say = |text: &str| send(&mut member.writer, Message::text(text));
            match now {
                Lie::Lose => {}
                Lie::Twice => {
                    say(&text);
                    say(&text);
                }
                Lie::Late => member.held = Some(text.clone()),
                Lie::Change => drop(say(&text.replacen("x\"", "y\"", 1))),
                _ => {
                    say(&text);
                    if let Some(held) = member.held.take() {
                        say(&held);
                    }
                }
            }
        }
    }
}
