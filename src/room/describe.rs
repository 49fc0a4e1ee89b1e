//! Owns what operators are told of a room: one line of a list, the whole room, a page of its events
//! (section 8). The values leave the shard.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    audience::Audience,
    delivery::MemberLink,
    history::{Event, History},
    seats::Seat,
};
use crate::{
    protocol::{DisplayName, GameId, PlayerId, RawJson, server::Status},
    ws::frame::payload,
};

/// A room in few words. `P`: the number of players, or who they are.
#[derive(Debug, Clone, Serialize)]
pub struct RoomSummary<P> {
    pub game: GameId,
    pub players: P,
    /// Of the players.
    pub connected: usize,
    pub spectators: usize,
    pub seq: u64,
    pub epoch: String,
    /// Since the room was new; a restart does not make it so.
    pub age_ms: u64,
    /// Of the events that are kept and, at most, of the state.
    pub bytes: usize,
    pub events_kept: usize,
}

/// A whole room, as of one moment.
#[derive(Debug, Clone, Serialize)]
pub struct RoomDetail {
    #[serde(flatten)]
    pub summary: RoomSummary<BTreeMap<PlayerId, PlayerReport>>,
    pub state: RawJson,
    /// The oldest event that is kept, or the next one when none is.
    pub first_seq: u64,
}

/// A seat and, unless its player is away, its connection.
#[derive(Debug, Clone, Serialize)]
pub struct PlayerReport {
    status: Status,
    /// S11.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<DisplayName>,
    last_id: u64,
    /// What waits for this client.
    queue_bytes: usize,
    queue_frames: usize,
    /// From the last ping to its pong; `null` before the first.
    latency_ms: Option<f64>,
    connected_ms: Option<u64>,
}

impl PlayerReport {
    pub fn new(seat: &Seat, link: Option<MemberLink>) -> Self {
        Self {
            status: if seat.connection.is_some() { Status::Joined } else { Status::Away },
            name: seat.name.clone(),
            last_id: seat.last_id,
            queue_bytes: link.as_ref().map_or(0, |link| link.queue_bytes),
            queue_frames: link.as_ref().map_or(0, |link| link.queue_frames),
            latency_ms: link.as_ref().and_then(|link| link.latency).map(|latency| latency.as_micros() as f64 / 1000.0),
            connected_ms: link.map(|link| link.connected.as_millis() as u64),
        }
    }
}

/// Some events of a room's log.
#[derive(Debug, Clone)]
pub struct EventPage {
    /// A JSON array of frames as members got them, with `time` and, when private, `only`.
    pub events: String,
    /// As in [`RoomDetail`].
    pub first_seq: u64,
    pub seq: u64,
}

impl EventPage {
    /// At most `limit` events behind `after`.
    pub fn of(history: &History, after: u64, limit: usize) -> Self {
        let mut events = String::from("[");
        for (index, event) in history.after(after).take(limit).enumerate() {
            if index > 0 {
                events.push(',');
            }
            push(&mut events, event);
        }
        events.push(']');
        Self { events, first_seq: history.first_seq(), seq: history.newest() }
    }
}

/// A frame is one JSON object: what is added goes before its last brace.
fn push(out: &mut String, event: &Event) {
    let text = String::from_utf8_lossy(payload(&event.frame));
    out.push_str(text.strip_suffix('}').unwrap_or(&text));
    if let Audience::Only(players) = &event.audience {
        let players: Vec<&str> = players.iter().map(PlayerId::as_str).collect();
        out.push_str(&format!(",\"only\":{}", RawJson::from_serialize(&players).as_str()));
    }
    out.push_str(&format!(",\"time\":{}}}", event.made_ms));
}
