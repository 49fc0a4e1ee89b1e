//! Owns who has a seat in a room: the session behind it, its last `id`, and since when its player
//! is away.

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

/// A session secret as the server keeps it: hashed, compared in constant time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    pub fn matches(&self, secret: &str) -> bool {
        bool::from(self.0.ct_eq(&Self::of(secret).0))
    }
}

/// A player's place in the room; it outlives connections.
pub struct Seat {
    /// S11.
    pub name: Option<DisplayName>,
    pub secret: SecretHash,
    /// The newest `id` applied (S2); 0 before the first.
    pub last_id: u64,
    /// The life of the room in which the player was last welcomed.
    pub life: u64,
    /// The connection that holds the seat; `None` while away.
    pub connection: Option<u64>,
    /// Where the connection comes from, as limits count; of one that is gone it says nothing.
    pub address: Option<IpAddr>,
}

struct Departure {
    deadline: Instant,
    player: PlayerId,
}

/// All seats of a room. Invariant: a seat without a connection has exactly one departure.
pub struct Seats {
    /// In the order of their names. Most rooms have a few: a map would cost more, in memory and in time.
    seats: Vec<(PlayerId, Seat)>,
    /// Lost connections, oldest first: the grace is the same for all, so the order is that of the deadlines.
    departures: VecDeque<Departure>,
    grace: Duration,
}

impl Seats {
    /// `grace` is `RECONNECT_GRACE` (R4).
    pub fn new(grace: Duration) -> Self {
        Self { seats: Vec::new(), departures: VecDeque::new(), grace }
    }

    /// A seat of a room that is open again. Its player is away; `left` is what remains of its grace.
    pub fn restore(&mut self, record: SeatRecord, name: Option<DisplayName>, left: Duration, now: Instant) {
        let SeatRecord { player, secret, last_id, life, .. } = record;
        let deadline = now + left.min(self.grace);
        let place = self.departures.partition_point(|departure| departure.deadline <= deadline);
        self.departures.insert(place, Departure { deadline, player: player.clone() });
        self.insert(player, Seat { name, secret, last_id, life, connection: None, address: None });
    }

    /// All seats as they are to be kept, in the order of their players' names.
    pub fn records(&self, now: Now) -> Vec<SeatRecord> {
        let away: BTreeMap<_, _> = self.departures.iter().map(|gone| (&gone.player, gone.deadline)).collect();
        let until = |player| away.get(player).map(|deadline| until_ms(*deadline, now));
        self.seats.iter().map(|(player, seat)| record(player, seat, until(player))).collect()
    }

    /// The names of those seats that have one, as they are to be kept.
    pub fn names(&self) -> Vec<SeatName> {
        let name =
            |(player, seat): &(PlayerId, Seat)| Some(SeatName { player: player.clone(), name: seat.name.clone()? });
        self.seats.iter().filter_map(name).collect()
    }

    /// One seat as it is to be kept.
    pub fn record(&self, player: &PlayerId, now: Now) -> Option<SeatRecord> {
        let seat = &self.seats[self.place(player).ok()?].1;
        // The newest departure is the last: the one that is asked about.
        let gone = || self.departures.iter().rev().find(|gone| gone.player == *player);
        let away = if seat.connection.is_some() { None } else { gone() };
        Some(record(player, seat, away.map(|gone| until_ms(gone.deadline, now))))
    }

    pub fn len(&self) -> usize {
        self.seats.len()
    }

    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    pub fn get_mut(&mut self, player: &PlayerId) -> Option<&mut Seat> {
        self.place(player).ok().map(|place| &mut self.seats[place].1)
    }

    /// The seat, if this connection holds it: a connection that was replaced has no say any more.
    pub fn held_by(&mut self, player: &PlayerId, connection: u64) -> Option<&mut Seat> {
        self.get_mut(player).filter(|seat| seat.connection == Some(connection))
    }

    /// A seat that was not there.
    pub fn insert(&mut self, player: PlayerId, seat: Seat) {
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

    /// The seat is given up.
    pub fn remove(&mut self, player: &PlayerId) -> Option<Seat> {
        self.forget_departure(player);
        self.place(player).ok().map(|place| self.seats.remove(place).1)
    }

    /// An away player is back, or another one takes its place: `connection` holds the seat from now on.
    pub fn occupy(&mut self, player: &PlayerId, connection: u64, address: IpAddr) {
        self.forget_departure(player);
        if let Some(seat) = self.get_mut(player) {
            (seat.connection, seat.address) = (Some(connection), Some(address));
        }
    }

    /// In the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&PlayerId, &Seat)> {
        self.seats.iter().map(|(player, seat)| (player, seat))
    }

    pub fn players(&self) -> impl Iterator<Item = &PlayerId> {
        self.seats.iter().map(|(player, _)| player)
    }

    /// Those of these names that have a seat (S1a), as the seats hold them: their texts are shared.
    pub fn members(&self, names: Vec<PlayerId>) -> Vec<PlayerId> {
        names.iter().filter_map(|name| Some(self.seats[self.place(name).ok()?].0.clone())).collect()
    }

    pub fn statuses(&self) -> impl Iterator<Item = (&PlayerId, Status, Option<&DisplayName>)> {
        let status = |seat: &Seat| if seat.connection.is_some() { Status::Joined } else { Status::Away };
        self.seats.iter().map(move |(player, seat)| (player, status(seat), seat.name.as_ref()))
    }

    /// The connection is lost; the seat is kept for the grace. `false` when it does not hold the seat.
    pub fn depart(&mut self, player: &PlayerId, connection: u64, now: Instant) -> bool {
        let grace = self.grace;
        let Some(seat) = self.held_by(player, connection) else { return false };
        seat.connection = None;
        self.departures.push_back(Departure { deadline: now + grace, player: player.clone() });
        true
    }

    /// Takes out one player whose grace is over. Call until it returns `None`.
    pub fn expire(&mut self, now: Instant) -> Option<(PlayerId, Option<Seat>)> {
        let due = self.departures.pop_front_if(|departure| departure.deadline <= now)?;
        let seat = self.place(&due.player).ok().map(|place| self.seats.remove(place).1);
        Some((due.player, seat))
    }

    /// No grace ends before this moment.
    pub fn postpone(&mut self, until: Instant) {
        for departure in self.departures.iter_mut().take_while(|departure| departure.deadline < until) {
            departure.deadline = until;
        }
    }

    /// When the next grace may run out.
    pub fn next_deadline(&self) -> Option<Instant> {
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
