//! Owns the recovery of a room from its log: applies the records after the newest snapshot to it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    bans::Bans,
    document::{Patch, Tree},
    history::Event,
    lineage::Lineage,
    record::{EventRecord, More, RoomImage, RoomRecord, SeatName, SeatRecord},
    text::MemberText,
};
use crate::{
    clock::Now,
    protocol::{DisplayName, PlayerId},
    store::{KnownKey, Log},
};

/// A room as its log describes it.
pub(super) struct Recovered {
    pub epoch: String,
    pub seq: u64,
    pub lineage: Lineage,
    pub document: Tree,
    pub changed_at: u64,
    pub seats: BTreeMap<PlayerId, SeatRecord>,
    /// The kept events of the log, oldest first, up to `seq`, without a gap.
    pub events: Vec<Event>,
    /// The position behind the last record.
    pub end: u64,
    /// The log is whole, so that clients can resume. Otherwise this is what could be saved, and the
    /// room needs a new epoch.
    pub is_intact: bool,
    pub begun_ms: u64,
    /// Oldest first.
    pub keys: Vec<KnownKey>,
    pub more: More,
    /// The display names (S11).
    pub names: BTreeMap<PlayerId, DisplayName>,
    pub downtime: Duration,
}

/// The fields of a `patch` event that the recovery needs.
#[derive(Deserialize)]
struct PatchText<'a> {
    #[serde(borrow)]
    patch: &'a RawValue,
}

/// Returns whether this player has a seat in the room of this log.
pub(crate) fn has_seat(log: &Log, player: &PlayerId) -> bool {
    Recovered::from_log(log, Now::read()).is_some_and(|recovered| recovered.seats.contains_key(player))
}

/// Returns whether the room of this log has a current ban.
pub(crate) fn has_ban(log: &Log) -> bool {
    let now = Now::read();
    let recovered = Recovered::from_log(log, now);
    recovered.is_some_and(|recovered| Bans::restore(recovered.more.bans).end_ms(now.unix_ms).is_some())
}

impl Recovered {
    /// Recovers a room. Returns `None` if the snapshot cannot be read, so that nothing can be
    /// saved.
    pub(super) fn from_log(log: &Log, now: Now) -> Option<Self> {
        let image = RoomImage::read(&log.snapshot)?;
        let keys = image.known_keys();
        let RoomImage { epoch, seq, lives, document, changed_at, seats, begun_ms, more, names, .. } = image;
        let mut recovered = Self {
            epoch: epoch.into_owned(),
            seq,
            lineage: Lineage::restore(&lives)?,
            document: Tree::parse(&document)?,
            changed_at,
            seats: seats.into_iter().map(|seat| (seat.player.clone(), seat)).collect(),
            events: Vec::new(),
            end: log.end(),
            is_intact: log.is_intact && log.first <= log.snapshot_position,
            begun_ms,
            keys,
            more,
            names: names.into_iter().map(|SeatName { player, name }| (player, name)).collect(),
            downtime: log.downtime,
        };
        for (position, bytes) in (log.first..).zip(log.records.iter()) {
            let is_new = position >= log.snapshot_position;
            if recovered.fold(position, bytes, is_new, now).is_none() {
                recovered.is_intact = false;
                break;
            }
        }
        recovered.is_intact &= recovered.events.last().is_none_or(|event| event.seq == recovered.seq);
        Some(recovered)
    }

    /// Applies one record. Records before the snapshot only add to the history. Returns `None` if
    /// the record is invalid or does not continue the log.
    fn fold(&mut self, position: u64, bytes: &[u8], is_new: bool, now: Now) -> Option<()> {
        let (record, name) = match RoomRecord::read(bytes)? {
            RoomRecord::Named { event, name } => (RoomRecord::Event(event), Some(name)),
            record => (record, None),
        };
        match record {
            RoomRecord::Event(event) => {
                let follows = self.events.last().map(|last| last.seq + 1);
                if follows.is_some_and(|next| next != event.seq) || (is_new && event.seq != self.seq + 1) {
                    return None;
                }
                if is_new {
                    self.apply(&event)?;
                }
                self.events.push(Event { name, ..restored(event, position, self.downtime, now) });
            }
            RoomRecord::Seat(seat) if is_new => {
                self.seats.insert(seat.player.clone(), seat);
            }
            RoomRecord::Left(player) if is_new => {
                self.seats.remove(&player);
                self.names.remove(&player);
            }
            RoomRecord::Opened(life) if is_new => self.lineage.begin(life),
            RoomRecord::Key(key) if is_new => self.keys.push((key, None)),
            RoomRecord::KeyedBody(key, body) if is_new => self.keys.push((key, Some(body))),
            RoomRecord::Ban(ban) if is_new => self.more.bans.push(ban),
            RoomRecord::CrowdOver(seq) if is_new => self.more.crowd_over = seq,
            RoomRecord::Name(SeatName { player, name }) if is_new => drop(self.names.insert(player, name)),
            RoomRecord::Seat(_)
            | RoomRecord::Left(_)
            | RoomRecord::Opened(_)
            | RoomRecord::Key(_)
            | RoomRecord::KeyedBody(..)
            | RoomRecord::Ban(_)
            | RoomRecord::CrowdOver(_)
            | RoomRecord::Name(_)
            | RoomRecord::Named { .. } => {}
        }
        Some(())
    }

    fn apply(&mut self, event: &EventRecord<'_>) -> Option<()> {
        self.seq = event.seq;
        if event.is_patch {
            let text: PatchText<'_> = serde_json::from_slice(event.text).ok()?;
            self.document.merge(&Patch::parse(text.patch.into())?);
            self.changed_at = event.seq;
        }
        if let Some((player, id)) = &event.request
            && let Some(seat) = self.seats.get_mut(player)
        {
            seat.last_id = *id;
        }
        Some(())
    }
}

/// Subtracts the downtime from the event's age, as no client could fetch the event meanwhile.
fn restored(event: EventRecord<'_>, position: u64, downtime: Duration, now: Now) -> Event {
    let EventRecord { seq, made_ms, is_patch, audience, request, text } = event;
    let age = Duration::from_millis(now.unix_ms.saturating_sub(made_ms)).saturating_sub(downtime);
    Event {
        seq,
        position,
        made_ms,
        // A machine that booted recently cannot represent an `Instant` that old.
        made: now.instant.checked_sub(age).unwrap_or_else(|| earliest(now.instant)),
        is_patch,
        audience: audience.into_owned().normalised(),
        request,
        name: None,
        text: MemberText::write(|out| out.extend_from_slice(text)),
    }
}

/// Returns about the earliest `Instant` that this machine can represent.
fn earliest(now: Instant) -> Instant {
    let halves = std::iter::successors(Some(Duration::from_secs(1 << 30)), |step| Some(*step / 2));
    halves.take_while(|step| !step.is_zero()).fold(now, |at, step| at.checked_sub(step).unwrap_or(at))
}
