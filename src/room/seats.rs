//! Owns the seats of a room: for each, the session, its last `id`, and since when its player is
//! away.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::record::{SeatName, SeatRecord};
use crate::{
    clock::Now,
    protocol::{DisplayName, PlayerId, server::Status},
};

/// A session secret as the server keeps it: hashed, and compared in constant time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SecretHash([u8; 32]);

impl SecretHash {
    pub(crate) fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    pub(crate) fn matches(&self, secret: &str) -> bool {
        bool::from(self.0.ct_eq(&Self::of(secret).0))
    }
}

/// A player's seat in the room. It outlives connections.
pub(crate) struct Seat {
    /// The display name (S11).
    pub name: Option<DisplayName>,
    pub secret: SecretHash,
    /// The newest `id` that was applied (S2); 0 before the first.
    pub last_id: u64,
    /// The life of the room in which the player was last welcomed.
    pub life: u64,
    /// The connection that holds the seat; `None` while the player is away.
    pub connection: Option<u64>,
    /// The address of the connection, as limits count it. Meaningless once the connection is gone.
    pub address: Option<IpAddr>,
}

struct Departure {
    deadline: Instant,
    player: PlayerId,
}

/// All seats of a room. Invariant: a seat without a connection has exactly one departure.
pub(super) struct Seats {
    /// Sorted by name. Most rooms have few seats: a map would cost more memory and time.
    seats: Vec<(PlayerId, Seat)>,
    /// Players that are away, by deadline. The grace is the same for all, so new departures go to
    /// the end.
    departures: VecDeque<Departure>,
    grace: Duration,
}

impl Seats {
    /// `grace` is `RECONNECT_GRACE` (R4).
    pub(super) fn new(grace: Duration) -> Self {
        Self { seats: Vec::new(), departures: VecDeque::new(), grace }
    }

    /// Adds a seat of a room that reopens. Its player is away; `left` is the rest of its grace.
    pub(super) fn restore(&mut self, record: SeatRecord, name: Option<DisplayName>, left: Duration, now: Instant) {
        let SeatRecord { player, secret, last_id, life, .. } = record;
        let deadline = now + left.min(self.grace);
        let place = self.departures.partition_point(|departure| departure.deadline <= deadline);
        self.departures.insert(place, Departure { deadline, player: player.clone() });
        self.insert(player, Seat { name, secret, last_id, life, connection: None, address: None });
    }

    /// Returns all seats as the log keeps them, in the order of their players' names.
    pub(super) fn records(&self, now: Now) -> Vec<SeatRecord> {
        let away: BTreeMap<_, _> = self.departures.iter().map(|gone| (&gone.player, gone.deadline)).collect();
        let until = |player| away.get(player).map(|deadline| until_ms(*deadline, now));
        self.seats.iter().map(|(player, seat)| record(player, seat, until(player))).collect()
    }

    /// Returns the display names as the log keeps them, of the seats that have one.
    pub(super) fn names(&self) -> Vec<SeatName> {
        let name =
            |(player, seat): &(PlayerId, Seat)| Some(SeatName { player: player.clone(), name: seat.name.clone()? });
        self.seats.iter().filter_map(name).collect()
    }

    /// Returns one seat as the log keeps it.
    pub(super) fn record(&self, player: &PlayerId, now: Now) -> Option<SeatRecord> {
        let seat = &self.seats[self.place(player).ok()?].1;
        // Searches from the newest departure, which is usually the one asked for.
        let gone = || self.departures.iter().rev().find(|gone| gone.player == *player);
        let away = if seat.connection.is_some() { None } else { gone() };
        Some(record(player, seat, away.map(|gone| until_ms(gone.deadline, now))))
    }

    pub(super) fn len(&self) -> usize {
        self.seats.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    pub(super) fn get_mut(&mut self, player: &PlayerId) -> Option<&mut Seat> {
        self.place(player).ok().map(|place| &mut self.seats[place].1)
    }

    /// Returns the seat if this connection holds it. A connection that was replaced does not.
    pub(super) fn held_by(&mut self, player: &PlayerId, connection: u64) -> Option<&mut Seat> {
        self.get_mut(player).filter(|seat| seat.connection == Some(connection))
    }

    /// Adds a seat. Does nothing if the player has one.
    pub(super) fn insert(&mut self, player: PlayerId, seat: Seat) {
        if let Err(place) = self.place(&player) {
            if self.seats.capacity() == 0 {
                self.seats.reserve_exact(2);
            }
            self.seats.insert(place, (player, seat));
        }
    }

    fn place(&self, player: &PlayerId) -> Result<usize, usize> {
        self.seats.binary_search_by(|(known, _)| known.cmp(player))
    }

    /// Removes the seat.
    pub(super) fn remove(&mut self, player: &PlayerId) -> Option<Seat> {
        self.forget_departure(player);
        self.place(player).ok().map(|place| self.seats.remove(place).1)
    }

    /// Gives the seat to `connection`: its player is back, or a newer connection replaces the
    /// present one.
    pub(super) fn occupy(&mut self, player: &PlayerId, connection: u64, address: IpAddr) {
        self.forget_departure(player);
        if let Some(seat) = self.get_mut(player) {
            (seat.connection, seat.address) = (Some(connection), Some(address));
        }
    }

    /// Returns the seats in the order of their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&PlayerId, &Seat)> {
        self.seats.iter().map(|(player, seat)| (player, seat))
    }

    pub(super) fn players(&self) -> impl Iterator<Item = &PlayerId> {
        self.seats.iter().map(|(player, _)| player)
    }

    /// Returns the names that have a seat (S1a), as clones of the seats' own keys, which share
    /// their text.
    pub(super) fn members(&self, names: Vec<PlayerId>) -> Vec<PlayerId> {
        names.iter().filter_map(|name| Some(self.seats[self.place(name).ok()?].0.clone())).collect()
    }

    pub(super) fn statuses(&self) -> impl Iterator<Item = (&PlayerId, Status, Option<&DisplayName>)> {
        let status = |seat: &Seat| if seat.connection.is_some() { Status::Joined } else { Status::Away };
        self.seats.iter().map(move |(player, seat)| (player, status(seat), seat.name.as_ref()))
    }

    /// Keeps the seat of a lost connection for the grace. Returns `false` if the connection does
    /// not hold the seat.
    pub(super) fn depart(&mut self, player: &PlayerId, connection: u64, now: Instant) -> bool {
        let grace = self.grace;
        let Some(seat) = self.held_by(player, connection) else { return false };
        seat.connection = None;
        self.departures.push_back(Departure { deadline: now + grace, player: player.clone() });
        true
    }

    /// Removes one player whose grace is over. Call until it returns `None`.
    pub(super) fn expire(&mut self, now: Instant) -> Option<(PlayerId, Option<Seat>)> {
        let due = self.departures.pop_front_if(|departure| departure.deadline <= now)?;
        let seat = self.place(&due.player).ok().map(|place| self.seats.remove(place).1);
        Some((due.player, seat))
    }

    /// Ends no grace before `until`.
    pub(super) fn postpone(&mut self, until: Instant) {
        for departure in self.departures.iter_mut().take_while(|departure| departure.deadline < until) {
            departure.deadline = until;
        }
    }

    /// Returns when the next grace runs out.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.departures.front().map(|departure| departure.deadline)
    }

    fn forget_departure(&mut self, player: &PlayerId) {
        self.departures.retain(|departure| departure.player != *player);
    }
}

fn record(player: &PlayerId, seat: &Seat, away_until_ms: Option<u64>) -> SeatRecord {
    let Seat { secret, last_id, life, .. } = *seat;
    SeatRecord { player: player.clone(), secret, last_id, life, away_until_ms }
}

fn until_ms(deadline: Instant, now: Now) -> u64 {
    now.unix_ms + deadline.saturating_duration_since(now.instant).as_millis() as u64
}
