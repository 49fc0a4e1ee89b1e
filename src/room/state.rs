//! Owns a room's state, without actors or sockets: seats, document, logic, and the next `seq`.

mod act;
mod join;
mod operate;
mod patch;
mod presence;
mod read;
mod reopen;
mod resume;
mod rules;
pub(crate) mod testing;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ecow::EcoVec;

use super::{
    audience::Audience,
    bans::Bans,
    document::Document,
    effect::{Effect, Effects},
    history::{Bounds, Event, History},
    ledger::Account,
    lineage::Lineage,
    logic::RoomLogic,
    messages::Membership,
    record::RoomRecord,
    seats::Seats,
    text::MemberText,
};
use crate::{
    clock::Now,
    config::{Config, HistoryConfig},
    protocol::{
        Cause, DisplayName, GameId, PlayerId,
        server::{LeftReason, PresenceChange},
    },
    store::IdempotencyKeys,
};

/// The state of one room.
pub(super) struct RoomState {
    game: GameId,
    /// Identifies this life of the room (R3). Every session secret begins with it.
    epoch: Box<str>,
    lineage: Lineage,
    /// The room was restored from its log and has not yet reopened.
    is_restored: bool,
    /// The players that were connected when the room went down.
    cut_off: EcoVec<PlayerId>,
    seq: u64,
    /// The newest events, including those that are not stored yet.
    history: History,
    document: Document,
    seats: Seats,
    spectators: usize,
    logic: Box<dyn RoomLogic>,
    random: fastrand::Rng,
    config: Arc<Config>,
    /// When to send the next player count, in a room too big to list its players (S9).
    count_due: Option<Instant>,
    counted_at: Option<Instant>,
    /// S9a: the room had more seats than `PRESENCE_LIMIT`, and has not yet shrunk far enough below
    /// it.
    is_crowd: bool,
    /// The newest `seq` when the last crowd ended; 0 if there was none.
    crowd_over: u64,
    /// S11: a connection wanted names. Until then no other one is assumed to.
    has_been_asked_for_names: bool,
    bans: Bans,
    /// When the last ban ends. The room stays open until then (S13).
    banned_until: Option<Instant>,
    next_tick: Option<Instant>,
    tick_interval: Option<Duration>,
    /// When the last member left; `None` while the room has members (R6).
    empty_since: Option<Instant>,
    /// When the room was first created, in milliseconds since 1970.
    begun_ms: u64,
    keys: IdempotencyKeys,
    /// Patches of the logic that were refused; see [`RoomState::take_refused_patches`].
    refused_patches: u32,
}

impl RoomState {
    /// Makes a new, empty room. `seed` feeds the logic's randomness.
    pub(super) fn new(
        game: GameId,
        epoch: String,
        logic: Box<dyn RoomLogic>,
        config: Arc<Config>,
        seed: u64,
        now: Now,
    ) -> Self {
        let tick_interval = logic.tick_interval();
        Self {
            game,
            epoch: epoch.into(),
            lineage: Lineage::new(fastrand::u64(..)),
            is_restored: false,
            cut_off: EcoVec::new(),
            seq: 0,
            history: History::new(bounds(&config)),
            document: Document::new(&logic.initial_state(), config.room.max_state_bytes)
                .with_unread_field(logic.unread_field()),
            seats: Seats::new(config.room.reconnect_grace),
            spectators: 0,
            logic,
            random: fastrand::Rng::with_seed(seed),
            config,
            count_due: None,
            counted_at: None,
            is_crowd: false,
            crowd_over: 0,
            has_been_asked_for_names: false,
            bans: Bans::default(),
            banned_until: None,
            next_tick: None,
            tick_interval,
            empty_since: Some(now.instant),
            begun_ms: now.unix_ms,
            keys: IdempotencyKeys::default(),
            refused_patches: 0,
        }
    }

    /// A player gives up its seat, or a spectator leaves (3.1). The last event a player sees is its
    /// own `left`.
    pub(super) fn leave(&mut self, connection: u64, entry: &Membership, effects: &mut Effects) {
        let now = effects.now;
        match entry {
            Membership::Spectator => self.spectator_gone(now),
            Membership::Player(player) => {
                if self.seats.held_by(player, connection).is_some() {
                    let name = self.seats.remove(player).and_then(|seat| seat.name);
                    self.left(player, name, LeftReason::Leave, effects);
                }
            }
        }
        effects.push(Effect::Close { connection, cause: Cause::Left });
    }

    /// A connection is gone. A player's seat is kept for the grace (R4).
    pub(super) fn detach(&mut self, connection: u64, entry: &Membership, effects: &mut Effects) {
        let now = effects.now;
        match entry {
            Membership::Spectator => self.spectator_gone(now),
            Membership::Player(player) => {
                if self.seats.depart(player, connection, now.instant) {
                    self.keep_seat(player, effects);
                    let name = self.name_of(player);
                    self.presence(player, name, PresenceChange::Away, None, effects);
                }
            }
        }
        effects.push(Effect::Exit { connection });
    }

    /// Carries out what is due. Call at, or any time after, [`RoomState::next_deadline`].
    pub(super) fn tick(&mut self, effects: &mut Effects) {
        let now = effects.now;
        while let Some((player, seat)) = self.seats.expire(now.instant) {
            self.left(&player, seat.and_then(|seat| seat.name), LeftReason::Timeout, effects);
        }
        if self.next_tick.is_some_and(|due| due <= now.instant) {
            self.next_tick = None;
            self.run_logic(effects, |logic, turn| logic.tick(turn));
            self.start_ticking(now);
        }
        self.count(effects);
        self.history.trim(now.instant);
    }

    /// Counts the history towards the bytes of all histories (S14).
    pub(super) fn attach(&mut self, account: Account) {
        self.history.attach(account);
    }

    /// S14: drops at least `bytes` of the oldest events.
    pub(super) fn cut_history(&mut self, bytes: usize) {
        self.history.cut(bytes);
    }

    /// R7: no grace ends before `until`.
    pub(super) fn postpone_graces(&mut self, until: Instant) {
        self.seats.postpone(until);
    }

    /// Returns when [`RoomState::tick`] is due next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        [self.seats.next_deadline(), self.count_due, self.next_tick, self.disposal()].into_iter().flatten().min()
    }

    /// R6: returns whether the room has been empty for `ROOM_LINGER` and has no current ban.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.disposal().is_some_and(|due| due <= now)
    }

    fn disposal(&self) -> Option<Instant> {
        let lingers = self.empty_since? + self.config.room.linger;
        Some(self.banned_until.map_or(lingers, |until| until.max(lingers)))
    }

    /// Logs and shows an event, which has the newest `seq`.
    fn append_event(&mut self, mut event: Event, effects: &mut Effects) {
        effects.event(&mut event);
        self.history.push(event);
    }

    fn spectator_gone(&mut self, now: Now) {
        self.spectators = self.spectators.saturating_sub(1);
        self.note_if_empty(now);
    }

    /// Logs that a player left, after its seat was removed. Returns the `seq` of its `left`.
    fn left(&mut self, player: &PlayerId, name: Option<DisplayName>, reason: LeftReason, effects: &mut Effects) -> u64 {
        let now = effects.now;
        effects.keep(RoomRecord::Left(player.clone()));
        self.presence(player, name, PresenceChange::Left, Some(reason), effects);
        let seq = self.seq;
        self.run_logic(effects, |logic, turn| logic.leave(turn, player));
        self.note_if_empty(now);
        seq
    }

    fn note_if_empty(&mut self, now: Now) {
        if self.seats.is_empty() && self.spectators == 0 && self.empty_since.is_none() {
            self.empty_since = Some(now.instant);
        }
        if self.seats.is_empty() {
            self.next_tick = None;
        }
    }

    fn start_ticking(&mut self, now: Now) {
        if self.next_tick.is_none() && !self.seats.is_empty() {
            self.next_tick = self.tick_interval.map(|interval| now.instant + interval);
        }
    }

    fn members(&self, to: Option<Vec<PlayerId>>) -> Option<Vec<PlayerId>> {
        to.map(|names| self.seats.members(names))
    }

    /// Logs the seat after a change to it.
    fn keep_seat(&self, player: &PlayerId, effects: &mut Effects) {
        let now = effects.now;
        if let Some(seat) = self.seats.record(player, now) {
            effects.keep(RoomRecord::Seat(seat));
        }
    }
}

fn bounds(config: &Config) -> Bounds {
    let HistoryConfig { max_events, max_bytes, max_age } = config.room.history;
    Bounds { max_events, max_bytes, max_age }
}

fn event(seq: u64, now: Now, audience: Audience, request: Option<(PlayerId, u64)>, text: MemberText) -> Event {
    Event {
        seq,
        position: 0,
        made: now.instant,
        made_ms: now.unix_ms,
        is_patch: false,
        audience,
        request,
        name: None,
        text,
    }
}

/// Returns the audience of `to` plus the sender.
fn audience(from: Option<&PlayerId>, to: Option<Vec<PlayerId>>) -> Audience {
    let Some(mut players) = to else { return Audience::Everyone };
    players.extend(from.cloned());
    Audience::only(players)
}
