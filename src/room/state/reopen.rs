//! Owns how a room is restored from its log, and its image for a snapshot (R3, R4).

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use super::{RoomState, bounds};
use crate::{
    clock::Now,
    protocol::server::PresenceChange,
    room::{
        bans::Bans,
        document::Document,
        effect::Effects,
        history::History,
        lineage::Life,
        record::{More, RoomImage, RoomRecord},
        recovery::Recovered,
    },
    store::IdempotencyKeys,
};

impl RoomState {
    /// Restores a log. The grace of players that were connected at the end of the log counts from
    /// `since`.
    pub(crate) fn restore(&mut self, recovered: Recovered, since: Instant, now: Now) {
        let Recovered {
            epoch,
            seq,
            lineage,
            document,
            changed_at,
            seats,
            is_intact,
            downtime,
            keys,
            begun_ms,
            more,
            mut names,
            events,
            ..
        } = recovered;
        self.document = Document::restore(document, changed_at, self.config.room.max_state_bytes)
            .with_unread_field(self.logic.unread_field());
        self.keys = IdempotencyKeys::restore(keys);
        self.bans = Bans::restore(more.bans);
        self.keep_for_bans(now);
        self.crowd_over = more.crowd_over;
        self.seq = seq;
        // A damaged log cannot be resumed: the new room's own epoch and lineage stay.
        if is_intact {
            self.epoch = epoch.into();
            self.lineage = lineage;
            self.begun_ms = begun_ms;
        }
        self.is_restored = is_intact;
        // A client cannot resume from events of an earlier epoch.
        let events = if is_intact { events } else { Vec::new() };
        self.history = History::restore(bounds(&self.config), events, seq, now.instant);
        let grace = self.config.room.reconnect_grace;
        for seat in seats.into_values() {
            let left = match seat.away_until_ms {
                // Grace does not run during downtime. The wall clock may step, so `Seats` limits
                // the rest to the grace.
                Some(until) => {
                    let until = Duration::from_millis(until).saturating_add(downtime);
                    until.saturating_sub(Duration::from_millis(now.unix_ms))
                }
                None => {
                    self.cut_off.push(seat.player.clone());
                    grace.saturating_sub(now.instant.saturating_duration_since(since))
                }
            };
            let name = names.remove(&seat.player);
            self.seats.restore(seat, name, left, now.instant);
        }
        self.is_crowd = self.seats.len() > self.config.room.presence_limit;
        self.empty_since = self.seats.is_empty().then_some(now.instant);
        self.start_ticking(now);
    }

    /// The first turn of every room. A restored room begins another life, and marks players that
    /// were connected as away.
    pub(crate) fn reopen(&mut self, effects: &mut Effects) {
        if std::mem::take(&mut self.is_restored) {
            let life = Life { id: fastrand::u64(..), start: self.seq };
            self.lineage.begin(life);
            effects.keep(RoomRecord::Opened(life));
        }
        for player in std::mem::take(&mut self.cut_off) {
            self.keep_seat(&player, effects);
            let name = self.name_of(&player);
            self.presence(&player, name, PresenceChange::Away, None, effects);
        }
    }

    /// Returns the whole state for a snapshot.
    pub(crate) fn image(&self, now: Now) -> RoomImage<'_> {
        let (keys, bodies) = self.keys.current(now.unix_ms).into_iter().unzip();
        RoomImage {
            epoch: Cow::Borrowed(&self.epoch),
            seq: self.seq,
            lives: Cow::Borrowed(self.lineage.lives()),
            document: self.document.text().get().into(),
            changed_at: self.document.changed_at(),
            seats: self.seats.records(now),
            begun_ms: self.begun_ms,
            keys,
            more: More { bans: self.bans.current(now.unix_ms), crowd_over: self.crowd_over },
            bodies,
            names: self.seats.names(),
        }
    }

    /// Returns the last `seq` of this room's log that a client last welcomed in `life` can have
    /// seen (see `Lineage`).
    pub(super) fn shared_until(&self, life: u64, reached: u64) -> u64 {
        self.lineage.shared_until(life, reached).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use super::*;
    use crate::{
        config::Config,
        protocol::{GameId, PlayerId},
        room::{document::Tree, lineage::Lineage, record::SeatRecord, relay::Relay, seats::SecretHash},
    };

    const GRACE: Duration = Duration::from_secs(60);
    const HOUR_MS: u64 = 3_600_000;

    /// How long a restored room keeps a seat whose player was away until `away_until_ms`, or
    /// connected.
    fn kept(away_until_ms: Option<u64>, downtime: Duration, since: Duration, now: Now) -> Duration {
        let mut config = Config::default();
        config.room.reconnect_grace = GRACE;
        let game = GameId::parse("g").expect("an id");
        let mut state = RoomState::new(game, "e".into(), Box::new(Relay), Arc::new(config), 1, now);
        let player = PlayerId::parse("bob").expect("an id");
        let seat = SeatRecord { player, secret: SecretHash::of("s"), last_id: 3, life: 1, away_until_ms };
        let recovered = Recovered {
            epoch: "e".into(),
            seq: 9,
            lineage: Lineage::new(1),
            document: Tree::parse("{}").expect("JSON"),
            changed_at: 0,
            seats: BTreeMap::from([(seat.player.clone(), seat)]),
            events: Vec::new(),
            end: 20,
            is_intact: true,
            downtime,
            begun_ms: 0,
            keys: Default::default(),
            more: Default::default(),
            names: Default::default(),
        };
        state.restore(recovered, now.instant - since, now);
        state.reopen(&mut Effects::at(now, 20));
        state.next_deadline().expect("a seat that is away").saturating_duration_since(now.instant)
    }

    #[test]
    fn r4_grace_goes_on_but_not_while_the_server_is_down() {
        let now = Now { instant: Instant::now() + Duration::from_secs(10_000), unix_ms: 1_000_000_000 };
        let until = |ms: u64| Some(now.unix_ms + ms);
        assert_eq!(kept(until(40_000), Duration::ZERO, Duration::ZERO, now), Duration::from_secs(40));
        let down = Duration::from_secs(600);
        assert_eq!(kept(Some(now.unix_ms - 590_000), down, Duration::ZERO, now), Duration::from_secs(10));
        assert_eq!(kept(None, down, Duration::from_secs(20), now), Duration::from_secs(40), "it counts from the start");
        assert_eq!(kept(None, down, Duration::from_secs(90), now), Duration::ZERO);
    }

    #[test]
    fn r4_whatever_the_calendars_clock_did_a_seat_is_kept_no_longer_than_its_grace() {
        let now = Now { instant: Instant::now() + Duration::from_secs(10_000), unix_ms: 1_000_000_000 };
        let none = Duration::ZERO;
        assert_eq!(kept(Some(now.unix_ms + HOUR_MS), none, none, now), GRACE, "it was set back by an hour");
        assert_eq!(kept(Some(u64::MAX), Duration::MAX, none, now), GRACE);
        assert_eq!(kept(Some(now.unix_ms - HOUR_MS), none, none, now), none, "it was set forward");
        assert_eq!(kept(Some(0), none, none, now), none);
    }
}
