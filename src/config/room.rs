//! Owns the settings of connections (`ConnectionConfig`) and of rooms (`RoomConfig`).

use std::time::Duration;

use super::{
    kind::Binary,
    prefix::{self, Prefixed},
    reader::SettingReader,
    table,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionConfig {
    /// B1.
    pub ping_interval: Duration,
    /// B1: silence after a ping.
    pub ping_timeout: Duration,
    /// S4: 64 to 16 MiB.
    pub max_message_bytes: usize,
    /// S5: frames per second, at least 1.
    pub message_rate: u32,
    /// S5: frames at once, at least 1.
    pub message_burst: u32,
    /// S5a: bytes of payload per second, at least 1024.
    pub byte_rate: u32,
    /// S5a: bytes at once, at least `max_message_bytes`.
    pub byte_burst: u32,
    /// S6: at least `max_message_bytes` + 4096.
    pub outbox_bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomConfig {
    /// R4. Zero: a dropped player has left at once.
    pub reconnect_grace: Duration,
    /// R6. Zero: at once.
    pub linger: Duration,
    pub history: HistoryConfig,
    /// S14: of all rooms together.
    pub history_total_bytes: usize,
    /// S9: seats above which presence is a count.
    pub presence_limit: usize,
    /// S14.
    pub max_rooms: usize,
    /// S14.
    pub max_rooms_per_address: usize,
    pub max_state_bytes: usize,
    /// Zero: frames are written at the end of the event-loop turn.
    pub flush_interval: Duration,
    /// Longest prefix first: the first that matches a game's name is the one.
    pub logics: Vec<LogicPrefix>,
}

/// What a room keeps for those who resume; whichever bound is reached first. Zero of any: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryConfig {
    pub max_events: usize,
    pub max_bytes: usize,
    pub max_age: Duration,
}

/// Games whose name begins with `prefix` run the logic registered as `logic`. The registry of
/// logics checks that the logic exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogicPrefix {
    pub prefix: String,
    pub logic: String,
}

pub(super) fn connection(reader: &mut SettingReader<'_>) -> ConnectionConfig {
    let (max_message_bytes, byte_burst) = message_bytes(reader);
    ConnectionConfig {
        ping_interval: reader.get(&table::WS_PING_INTERVAL),
        ping_timeout: reader.get(&table::WS_PING_TIMEOUT),
        max_message_bytes,
        message_rate: reader.get(&table::MESSAGE_RATE),
        message_burst: reader.get(&table::MESSAGE_BURST),
        byte_rate: reader.get(&table::BYTE_RATE),
        byte_burst,
        outbox_bytes: reader.get(&table::OUTBOX_BYTES),
    }
}

/// S5a: a burst shorter than one message would close a client that sends one. If unset, it grows
/// with `MAX_MESSAGE_BYTES`.
fn message_bytes(reader: &mut SettingReader<'_>) -> (usize, u32) {
    let (max, burst): (u32, u32) = (reader.get(&table::MAX_MESSAGE_BYTES), reader.get(&table::BYTE_BURST));
    let is_known = !reader.is_bad(&table::MAX_MESSAGE_BYTES) && !reader.is_bad(&table::BYTE_BURST);
    if burst < max && is_known && reader.is_set(&table::BYTE_BURST) {
        let (burst, max) = (Binary(burst.into()), Binary(max.into()));
        reader.report(
            &table::BYTE_BURST,
            &format!("is {burst}, less than MAX_MESSAGE_BYTES, which is {max}: no message of that length could pass; raise it, or lower MAX_MESSAGE_BYTES"),
        );
    }
    (max as usize, burst.max(max))
}

pub(super) fn room(reader: &mut SettingReader<'_>) -> RoomConfig {
    RoomConfig {
        reconnect_grace: reader.get(&table::RECONNECT_GRACE),
        linger: reader.get(&table::ROOM_LINGER),
        history: HistoryConfig {
            max_events: reader.get(&table::HISTORY_EVENTS),
            max_bytes: reader.get(&table::HISTORY_BYTES),
            max_age: reader.get(&table::HISTORY_AGE),
        },
        history_total_bytes: reader.get(&table::HISTORY_TOTAL_BYTES),
        presence_limit: reader.get(&table::PRESENCE_LIMIT),
        max_rooms: reader.get(&table::MAX_ROOMS),
        max_rooms_per_address: reader.get(&table::MAX_ROOMS_PER_ADDRESS),
        max_state_bytes: reader.get(&table::MAX_STATE_BYTES),
        flush_interval: reader.get(&table::FLUSH_INTERVAL_MS),
        logics: logics(reader),
    }
}

fn logics(reader: &mut SettingReader<'_>) -> Vec<LogicPrefix> {
    let entries = prefix::by_prefix(reader, &table::GAME_LOGICS, prefix::id).into_iter();
    entries.map(|Prefixed { prefix, value }| LogicPrefix { prefix, logic: value }).collect()
}
