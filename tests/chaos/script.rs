//! Owns what every player of the chaos test does: a pure function of the seed, the room, the seat
//! and the `id`.

use fastrand::Rng;
use serde_json::{Value, json};

pub const ROOMS: usize = 5;
pub const SEATS: usize = 4;

/// Characters of one to four bytes, so that cuts and splits also fall inside of one.
const LETTERS: [char; 8] = ['a', 'Z', '7', '"', '\\', 'é', '汉', '🎲'];

/// The seed of a run, and how many numbered frames each player sends: ids 1 to `share`.
pub struct Script {
    pub seed: u64,
    pub share: u64,
}

/// What a player does under one `id`.
pub enum Deed {
    Say {
        data: Value,
    },
    /// For these seats and the sender alone.
    Whisper {
        to: Vec<usize>,
        data: Value,
    },
    Patch {
        patch: Value,
    },
}

/// Seats have the same names in every room: what strays from one room into another is seen by its
/// data.
pub fn player(seat: usize) -> String {
    format!("p{seat}")
}

pub fn seat(player: &str) -> Option<usize> {
    (0..SEATS).find(|seat| self::player(*seat) == player)
}

impl Script {
    pub fn deed(&self, room: usize, seat: usize, id: u64) -> Deed {
        let mut random = self.random(room, seat, id);
        let kind = random.u32(..100);
        if kind < 15 {
            return Deed::Patch { patch: patch(&mut random, seat, id) };
        }
        let to = (kind < 35).then(|| confidants(&mut random, seat));
        let length = match random.u32(..100) {
            0..80 => random.usize(..80),
            80..99 => random.usize(..500),
            _ => random.usize(..8000),
        };
        let text: String = (0..length).map(|_| LETTERS[random.usize(..LETTERS.len())]).collect();
        let data = json!({ "room": room, "n": id, "text": text });
        match to {
            Some(to) => Deed::Whisper { to, data },
            None => Deed::Say { data },
        }
    }

    /// Whether `viewer` is to see what `sender` does under this `id`; `None` is a spectator.
    pub fn is_for(&self, room: usize, sender: usize, id: u64, viewer: Option<usize>) -> bool {
        let mut random = self.random(room, sender, id);
        let is_whisper = (15..35).contains(&random.u32(..100));
        !is_whisper
            || viewer == Some(sender)
            || viewer.is_some_and(|seat| confidants(&mut random, sender).contains(&seat))
    }

    /// How many of the room's deeds this viewer is to see, from the first to the last.
    pub fn due(&self, room: usize, viewer: Option<usize>) -> u64 {
        let all = (0..SEATS).flat_map(|seat| (1..=self.share).map(move |id| (seat, id)));
        all.filter(|(seat, id)| self.is_for(room, *seat, *id, viewer)).count() as u64
    }

    fn random(&self, room: usize, seat: usize, id: u64) -> Rng {
        // Through a generator each time: seeds that differ in one bit would begin alike.
        [room as u64, seat as u64, id]
            .iter()
            .fold(Rng::with_seed(self.seed), |mut random, part| Rng::with_seed(random.u64(..) ^ part))
    }
}

impl Deed {
    /// The frame that asks for it.
    pub fn frame(&self, id: u64) -> String {
        match self {
            Self::Say { data } => json!({ "type": "send", "id": id, "data": data }),
            Self::Whisper { to, data } => {
                let to: Vec<_> = to.iter().map(|seat| player(*seat)).collect();
                json!({ "type": "send", "id": id, "data": data, "to": to })
            }
            Self::Patch { patch } => json!({ "type": "patch", "id": id, "patch": patch }),
        }
        .to_string()
    }

    /// Whether this is the event that follows from it.
    pub fn is_told_by(&self, event: &Value) -> bool {
        match self {
            Self::Say { data } | Self::Whisper { data, .. } => event["type"] == "message" && event["data"] == *data,
            Self::Patch { patch } => event["type"] == "patch" && event["patch"] == *patch,
        }
    }
}

fn confidants(random: &mut Rng, sender: usize) -> Vec<usize> {
    let first = (sender + random.usize(1..SEATS)) % SEATS;
    let second = (sender + random.usize(1..SEATS)) % SEATS;
    if first == second { vec![first] } else { vec![first, second] }
}

/// A counter of its own, a word that depends on the order of all, and keys that come and go.
fn patch(random: &mut Rng, seat: usize, id: u64) -> Value {
    let slot = format!("slot{}", random.u32(..6));
    let value = if random.bool() { Value::Null } else { json!({ "by": seat, "id": id }) };
    json!({ "counters": { player(seat): id }, "last": [seat, id], "slots": { slot: value } })
}
