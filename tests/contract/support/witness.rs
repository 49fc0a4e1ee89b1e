//! Owns `Witness`: a client that remembers every event it saw of a room, over all its connections.

use serde_json::{Value, json};

use super::{Client, Seat, Server, client::Ended};

pub struct Witness {
    pub client: Client,
    /// Every event (message, patch, presence with a seq) since `since`, ascending; empty again
    /// after a verdict other than `continuous`.
    pub events: Vec<Value>,
    /// Events up to this seq came before its time.
    pub since: u64,
}

/// A witness whose connection is gone: what it knows, and what it needs to come back.
#[derive(Clone)]
pub struct Absent {
    pub seat: Seat,
    pub events: Vec<Value>,
    pub since: u64,
}

impl Witness {
    pub fn join(server: &Server, path: &str) -> Self {
        let client = server.connect(path).welcomed();
        Self { since: client.seen, client, events: Vec::new() }
    }

    pub fn name(&self) -> &str {
        self.client.welcome["player"].as_str().expect("a player")
    }

    /// The next frame, server pings included, or how the connection ended.
    pub fn try_next(&mut self) -> Result<Value, Ended> {
        let frame = self.client.next_of_any_kind()?;
        self.note(&frame);
        Ok(frame)
    }

    pub fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let frame = self.client.next();
            self.note(&frame);
            if fits(&frame) {
                return frame;
            }
        }
    }

    /// Sends a message and waits for it; its seq.
    pub fn say(&mut self, id: u64, data: impl Into<Value>) -> u64 {
        self.request(&json!({"type": "send", "id": id, "data": data.into()}))
    }

    /// Sends a frame with an `id` and waits for its event; its seq.
    pub fn request(&mut self, frame: &Value) -> u64 {
        self.client.send(frame);
        let name = self.name().to_owned();
        let event =
            self.until(|event| event["id"] == frame["id"] && (event["from"] == *name || event["type"] == "error"));
        event["seq"].as_u64().unwrap_or_else(|| panic!("{frame} was answered with {event}"))
    }

    /// Everything that has come up to now; what of it are events.
    pub fn drain(&mut self) -> Vec<Value> {
        let frames = self.client.drain();
        frames.iter().for_each(|frame| self.note(frame));
        frames.into_iter().filter(is_event).collect()
    }

    /// Cuts the connection.
    pub fn cut(self) -> Absent {
        Absent { seat: self.client.cut(), events: self.events, since: self.since }
    }

    /// The server is gone, or going: what it still wrote is read up to the end. Afterwards this is
    /// all the witness knows.
    pub fn orphaned(mut self) -> Absent {
        while self.try_next().is_ok() {}
        self.cut()
    }

    fn note(&mut self, frame: &Value) {
        if is_event(frame) {
            let newest = self.events.last().map_or(self.since, seq);
            assert!(seq(frame) > newest, "{} saw {newest} before {frame}", self.name());
            self.events.push(frame.clone());
        }
    }
}

impl Absent {
    /// Comes back; the verdict is in the welcome, and what was missed is still to be read.
    pub fn resume(self, server: &Server) -> Witness {
        let client = server.resume(&self.seat);
        if client.verdict() == "continuous" {
            return Witness { client, events: self.events, since: self.since };
        }
        Witness { since: client.seen, client, events: Vec::new() }
    }

    /// As `resume`, where nothing may be lost (R5).
    pub fn resume_without_loss(self, server: &Server, epoch: &Value) -> Witness {
        let (session, seen) = (self.seat.session.clone(), self.seat.seen);
        let witness = self.resume(server);
        let welcome = &witness.client.welcome;
        assert_eq!(welcome["resume"], "continuous", "after {seen}: {welcome}");
        assert_eq!(welcome["epoch"], *epoch, "{welcome}");
        // A spectator has no seat that knows in which life of the room it was welcomed: its session
        // says so.
        if welcome["role"] == "player" {
            assert_eq!(welcome["session"], *session, "{welcome}");
        }
        assert_eq!((welcome.get("state"), welcome.get("lost")), (None, None), "{welcome}");
        witness
    }

    /// The events it knows behind this one.
    pub fn behind(&self, seen: u64) -> Vec<Value> {
        self.events.iter().filter(|event| seq(event) > seen).cloned().collect()
    }
}

/// Everybody saw the same events in the same order, from where the last of them joined (S1). For
/// rooms without private messages, when all have read up to the same event.
pub fn assert_agreement(witnesses: &[&Witness]) {
    let since = witnesses.iter().map(|witness| witness.since).max().expect("a witness");
    let seen = |witness: &Witness| -> Vec<Value> {
        witness.events.iter().filter(|event| seq(event) > since).cloned().collect()
    };
    for pair in witnesses.windows(2) {
        assert_eq!(seen(pair[0]), seen(pair[1]), "{} and {}", pair[0].name(), pair[1].name());
    }
}

pub fn seqs(events: &[Value]) -> Vec<u64> {
    events.iter().map(seq).collect()
}

fn seq(event: &Value) -> u64 {
    event["seq"].as_u64().expect("a seq")
}

fn is_event(frame: &Value) -> bool {
    matches!(frame["type"].as_str(), Some("message" | "patch" | "presence")) && frame["seq"].is_u64()
}
