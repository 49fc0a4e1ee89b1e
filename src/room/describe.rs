//! Owns what operators see of a room (section 8): its summary in a list, the whole room, a page of
//! its events. The values may leave the shard.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    audience::Audience,
    delivery::MemberLink,
    history::{Event, History},
    seats::Seat,
};
use crate::protocol::{DisplayName, GameId, PlayerId, RawJson, server::Status};

/// A summary of one room. `P` is the number of players, or a map of them.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RoomSummary<P> {
    pub game: GameId,
    pub players: P,
    /// How many players are connected.
    pub connected: usize,
    pub spectators: usize,
    pub seq: u64,
    pub epoch: String,
    /// Since the room was first created. A restart does not reset it.
    pub age_ms: u64,
    /// The bytes of the kept events plus those of the state's text.
    pub bytes: usize,
    pub events_kept: usize,
}

/// A whole room at one moment.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RoomDetail {
    #[serde(flatten)]
    pub summary: RoomSummary<BTreeMap<PlayerId, PlayerReport>>,
    pub state: RawJson,
    /// The oldest kept `seq`, or the next one if no event is kept.
    pub first_seq: u64,
}

/// A seat and, unless its player is away, its connection.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PlayerReport {
    status: Status,
    /// The display name (S11).
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<DisplayName>,
    last_id: u64,
    /// The size of this client's outbox.
    queue_bytes: usize,
    queue_frames: usize,
    /// From the last ping to its pong; `null` before the first pong.
    latency_ms: Option<f64>,
    connected_ms: Option<u64>,
}

impl PlayerReport {
    pub(crate) fn new(seat: &Seat, link: Option<MemberLink>) -> Self {
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

/// A page of events of a room's log.
#[derive(Debug, Clone)]
pub(crate) struct EventPage {
    /// A JSON array of the events as members got them, each with `time` and, if private, `only`.
    pub events: String,
    /// As in [`RoomDetail`].
    pub first_seq: u64,
    pub seq: u64,
}

impl EventPage {
    /// Returns at most `limit` events after `after`, up to `newest`: what is newer may not be
    /// stored yet.
    pub(crate) fn of(history: &History, after: u64, limit: usize, newest: u64) -> Self {
        let mut events = String::from("[");
        let listed = history.after(after).take_while(|event| event.seq <= newest).take(limit);
        for (index, event) in listed.enumerate() {
            if index > 0 {
                events.push(',');
            }
            push(&mut events, event);
        }
        events.push(']');
        Self { events, first_seq: history.first_seq().min(newest + 1), seq: newest }
    }
}

/// Writes the event's text. It is one JSON object, so the added fields go before its last
/// brace.
fn push(out: &mut String, event: &Event) {
    let text = String::from_utf8_lossy(event.text.json());
    out.push_str(text.strip_suffix('}').unwrap_or(&text));
    if let Audience::Only(players) = &event.audience {
        let players: Vec<&str> = players.iter().map(PlayerId::as_str).collect();
        out.push_str(&format!(",\"only\":{}", RawJson::from_serialize(&players).as_str()));
    }
    out.push_str(&format!(",\"time\":{}}}", event.made_ms));
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::room::{history::Bounds, text::MemberText};

    #[test]
    fn e1_a_page_ends_before_what_may_not_be_stored_yet() {
        let bounds = Bounds { max_events: 2, max_bytes: usize::MAX, max_age: Duration::from_secs(60) };
        let mut history = History::new(bounds);
        for seq in 1..=4 {
            history.push(Event {
                seq,
                position: seq,
                made: Instant::now(),
                made_ms: 9,
                is_patch: false,
                audience: Audience::Everyone,
                request: None,
                name: None,
                text: MemberText::write(|out| out.extend_from_slice(format!(r#"{{"seq":{seq}}}"#).as_bytes())),
            });
        }
        let page = EventPage::of(&history, 0, 10, 3);
        assert_eq!((&*page.events, page.first_seq, page.seq), (r#"[{"seq":3,"time":9}]"#, 3, 3));
        let page = EventPage::of(&history, 0, 10, 1);
        assert_eq!((&*page.events, page.first_seq, page.seq), ("[]", 2, 1));
    }
}
