//! Owns what one client has seen of its room, and every check that needs no other client. It gets
//! each frame of one client; the oracle reads it at the end.

use serde_json::Value;

use crate::script::{self, Script};

/// An event of a room's log, as far as clients must agree on it. Data is compared with the script
/// on arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Deed { from: usize, id: u64 },
    Presence { player: String, status: String },
}

/// A client from its first welcome on, through all of its connections.
pub struct Witness {
    pub room: usize,
    /// `None` is a spectator.
    pub seat: Option<usize>,
    pub epoch: String,
    pub session: String,
    /// The room's `seq` and state at the first welcome: what came before is not owed.
    pub start: (u64, Value),
    /// The `seq` of the last event it saw.
    pub seen: u64,
    pub log: Vec<(u64, Event)>,
    /// Every `ack`: `id` and `seq`.
    pub acks: Vec<(u64, u64)>,
    /// The newest of its own `id`s that came back as an event.
    pub applied: u64,
    /// Deeds that it is still to see.
    pub due: u64,
}

impl Witness {
    /// Begins with a welcome that must say `new`.
    pub fn begin(room: usize, seat: Option<usize>, welcome: &Value, script: &Script) -> Result<Self, String> {
        check(welcome["resume"] == "new", || format!("the first welcome must be new: {welcome}"))?;
        let seq = number(welcome, "seq")?;
        let witness = Self {
            room,
            seat,
            epoch: text(welcome, "epoch")?,
            session: text(welcome, "session")?,
            start: (seq, welcome["state"].clone()),
            seen: seq,
            log: Vec::new(),
            acks: Vec::new(),
            applied: 0,
            due: script.due(room, seat),
        };
        witness.welcome_names_us(welcome)?;
        check(welcome["state"].is_object(), || format!("a new welcome brings the state: {welcome}"))?;
        check(number(welcome, "last_id")? == 0, || format!("nothing was sent yet: {welcome}"))?;
        Ok(witness)
    }

    /// A welcome after a loss. `sent` is the newest `id` that was ever written to a socket. Returns
    /// `last_id`.
    pub fn resume(&mut self, welcome: &Value, sent: u64) -> Result<u64, String> {
        let at = || format!("after seq {}, sent {sent}, applied {}: {welcome}", self.seen, self.applied);
        check(welcome["resume"] == "continuous", || format!("wrong verdict {}", at()))?;
        check(welcome["epoch"] == *self.epoch, || format!("another epoch than {} {}", self.epoch, at()))?;
        check(welcome.get("state").is_none(), || format!("a state under continuous {}", at()))?;
        check(number(welcome, "seq")? >= self.seen, || format!("seq went back {}", at()))?;
        self.welcome_names_us(welcome)?;
        let last_id = number(welcome, "last_id")?;
        let known = self.acks.iter().map(|(id, _)| *id).max().unwrap_or(0).max(self.applied);
        check((known..=sent).contains(&last_id), || format!("wrong last_id {}", at()))?;
        self.session = text(welcome, "session")?;
        Ok(last_id)
    }

    pub fn name(&self) -> String {
        let who = self.seat.map_or_else(|| format!("a spectator since {}", self.start.0), script::player);
        format!("{who} of room {}", self.room)
    }

    fn welcome_names_us(&self, welcome: &Value) -> Result<(), String> {
        let Some(seat) = self.seat else { return Ok(()) };
        let player = script::player(seat);
        check(welcome["player"] == player, || format!("a welcome for somebody else: {welcome}"))?;
        check(welcome["players"][&player] == "joined", || format!("{player} is not joined: {welcome}"))
    }

    /// A `message`, `patch` or `presence`.
    pub fn event(&mut self, frame: &Value, script: &Script) -> Result<(), String> {
        let seq = number(frame, "seq")?;
        check(seq > self.seen, || format!("twice or out of order: {frame} came after seq {}", self.seen))?;
        self.seen = seq;
        if frame["type"] == "presence" {
            let event = Event::Presence { player: text(frame, "player")?, status: text(frame, "status")? };
            self.log.push((seq, event));
            return Ok(());
        }
        let id = number(frame, "id")?;
        let from = frame["from"].as_str().and_then(script::seat).ok_or_else(|| format!("from nobody: {frame}"))?;
        check((1..=script.share).contains(&id), || format!("an id that nobody has: {frame}"))?;
        check(script.deed(self.room, from, id).is_told_by(frame), || format!("not what was sent: {frame}"))?;
        check(script.is_for(self.room, from, id, self.seat), || format!("not for {:?}: {frame}", self.seat))?;
        if Some(from) == self.seat {
            check(id == self.applied + 1, || format!("own ids in order, after {}: {frame}", self.applied))?;
            self.applied = id;
        }
        self.due = self.due.saturating_sub(1);
        self.log.push((seq, Event::Deed { from, id }));
        Ok(())
    }

    pub fn ack(&mut self, frame: &Value) -> Result<(), String> {
        self.acks.push((number(frame, "id")?, number(frame, "seq")?));
        Ok(())
    }

    /// What has not come, for a run that does not end.
    pub fn missing(&self, script: &Script) -> String {
        let mut lists = String::new();
        for from in 0..script::SEATS {
            let seen: std::collections::HashSet<u64> =
                self.log.iter().filter_map(|(_, event)| own_id(event, from)).collect();
            let is_missing = |id: &u64| !seen.contains(id) && script.is_for(self.room, from, *id, self.seat);
            let missing: Vec<_> = (1..=script.share).filter(is_missing).collect();
            if let (Some(first), Some(last)) = (missing.first(), missing.last()) {
                lists += &format!(" {} of p{from} ({first}..{last})", missing.len());
            }
        }
        format!("{} is at seq {}, applied {}, due {}, missing:{lists}", self.name(), self.seen, self.applied, self.due)
    }
}

/// The `id` of this sender's deed.
pub fn own_id(event: &Event, sender: usize) -> Option<u64> {
    match event {
        Event::Deed { from, id } if *from == sender => Some(*id),
        _ => None,
    }
}

pub fn number(frame: &Value, field: &str) -> Result<u64, String> {
    frame[field].as_u64().ok_or_else(|| format!("no {field}: {frame}"))
}

fn text(frame: &Value, field: &str) -> Result<String, String> {
    frame[field].as_str().map(str::to_owned).ok_or_else(|| format!("no {field}: {frame}"))
}

fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
