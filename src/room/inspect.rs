//! Owns reading a room's log without opening the room: a report, and the events as JSON lines.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{audience::Audience, record::RoomRecord, recovery::Recovered};
use crate::{
    clock::Now,
    protocol::{DisplayName, GameId, PlayerId},
    store::Log,
};

/// A room as its log describes it.
#[derive(Debug, Serialize)]
pub(crate) struct RoomReport {
    pub game: GameId,
    /// The log is whole, so that clients can resume.
    pub is_intact: bool,
    pub epoch: String,
    pub seq: u64,
    pub players: Vec<SeatReport>,
    /// The `seq` of the oldest kept event.
    pub first_seq: Option<u64>,
    pub events: usize,
    /// The bytes of the records and the snapshot.
    pub bytes: usize,
    pub state: Box<RawValue>,
}

/// A seat, without its secret hash.
#[derive(Debug, Serialize)]
pub(crate) struct SeatReport {
    pub player: PlayerId,
    /// The display name (S11).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<DisplayName>,
    pub last_id: u64,
    /// Milliseconds since 1970; absent if the player was connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub away_until_ms: Option<u64>,
}

/// One event, as a line of an export.
#[derive(Debug, Serialize)]
struct EventLine<'a> {
    game: &'a GameId,
    seq: u64,
    /// Milliseconds since 1970.
    time: u64,
    /// The players that saw the event; absent if everyone did.
    #[serde(skip_serializing_if = "Option::is_none")]
    only: Option<&'a [PlayerId]>,
    /// The frame that members got.
    event: &'a RawValue,
}

impl RoomReport {
    /// Returns `None` if not even the snapshot can be read.
    pub(crate) fn new(game: GameId, log: &Log, now: Now) -> Option<Self> {
        let mut recovered = Recovered::from_log(log, now)?;
        let names = &mut recovered.names;
        let players = recovered.seats.into_values().map(|seat| {
            let name = names.remove(&seat.player);
            SeatReport { player: seat.player, name, last_id: seat.last_id, away_until_ms: seat.away_until_ms }
        });
        Some(Self {
            game,
            is_intact: recovered.is_intact,
            epoch: recovered.epoch,
            seq: recovered.seq,
            players: players.collect(),
            first_seq: recovered.events.first().map(|event| event.seq),
            events: recovered.events.len(),
            bytes: log.snapshot.len() + log.records.as_bytes().len(),
            state: recovered.document.to_raw(),
        })
    }
}

/// Returns the events of a log, oldest first, each as one JSON object. Skips records that cannot be
/// read; `verify` reports them.
pub(crate) fn event_lines(game: &GameId, log: &Log) -> impl Iterator<Item = String> {
    log.records.iter().filter_map(move |bytes| {
        let Some(RoomRecord::Event(event) | RoomRecord::Named { event, .. }) = RoomRecord::read(bytes) else {
            return None;
        };
        let line = EventLine {
            game,
            seq: event.seq,
            time: event.made_ms,
            only: match event.audience.as_ref() {
                Audience::Everyone => None,
                Audience::Only(players) => Some(players),
            },
            event: serde_json::from_slice(event.text).ok()?,
        };
        serde_json::to_string(&line).ok()
    })
}
