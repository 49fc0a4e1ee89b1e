//! Owns how a room comes back from its log, and what its image is (R3, R4).
//! Called by the `Room` actor when it opens, and when a snapshot is due.

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use super::RoomState;
use crate::{
    clock::Now,
    protocol::server::Change,
    room::{
        effect::Effect,
        keys::Keys,
        lineage::Life,
        record::{Image, Record},
        recovery::Recovered,
    },
};

impl RoomState {
    /// Takes over what a log tells. `since`: from when on the grace of those counts who were connected at the end.
    pub fn restore(&mut self, recovered: Recovered, since: Instant, now: Now) {
        self.document = recovered.document(self.config.room.max_state_bytes);
        let Recovered { epoch, seq, lineage, seats, is_intact, downtime, keys, begun_ms, .. } = recovered;
        self.keys = Keys::restore(keys);
        self.seq = seq;
        // A damaged past is over: this epoch is new already, and so is the lineage.
        if is_intact {
            self.epoch = epoch.into();
            self.lineage = lineage;
            self.begun_ms = begun_ms;
        }
        self.is_restored = is_intact;
        let grace = self.config.room.reconnect_grace;
        for seat in seats.into_values() {
            let left = match seat.away_until_ms {
                // Grace that could not be used does not run. Clocks step: `Seats` bounds this by the grace.
                Some(until) => {
                    let until = Duration::from_millis(until).saturating_add(downtime);
                    until.saturating_sub(Duration::from_millis(now.unix_ms))
                }
                None => {
                    self.cut_off.push(seat.player.clone());
                    grace.saturating_sub(now.instant.saturating_duration_since(since))
                }
            };
            self.seats.restore(seat, left, now.instant);
        }
        self.empty_since = self.seats.is_empty().then_some(now.instant);
        self.start_ticking(now);
    }

    /// The first turn of every room: one that came back begins another life, and who was connected is away now.
    pub fn reopen(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if std::mem::take(&mut self.is_restored) {
            let life = Life { id: fastrand::u64(..), start: self.seq };
            self.lineage.begin(life);
            effects.push(Effect::Keep(Record::Opened(life)));
        }
        for player in std::mem::take(&mut self.cut_off) {
            self.keep_seat(&player, now, effects);
            self.presence(&player, Change::Away, None, now, effects);
        }
    }

    /// All there is to know of the room.
    pub fn image(&self, now: Now) -> Image<'_> {
        Image {
            epoch: Cow::Borrowed(&self.epoch),
            seq: self.seq,
            lives: Cow::Borrowed(self.lineage.lives()),
            document: self.document.value().to_string().into(),
            changed_at: self.document.changed_at(),
            seats: self.seats.records(now),
            begun_ms: self.begun_ms,
            keys: self.keys.current(now.unix_ms),
        }
    }

    /// Up to which `seq` a client may have seen this very room, when it was last welcomed in `life` (see `Lineage`).
    pub(super) fn shared_until(&self, life: u64, reached: u64) -> u64 {
        self.lineage.shared_until(life, reached).unwrap_or(0)
    }
}
