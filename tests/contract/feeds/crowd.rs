//! Owns `Crowd`: very many subscribers of one hub that come, go, and change their minds, driven by
//! a handful of threads.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Barrier,
};

use fastrand::Rng;
use serde_json::{Value, json};

use crate::support::{Client, Server};

/// Each has a thread and its share of the seats.
const THREADS: usize = 4;
/// Topics that one has at most.
const MOST_HELD: usize = 6;

pub struct Crowd {
    seats: Vec<Seat>,
}

/// Somebody who is there, or may be.
struct Seat {
    rng: Rng,
    member: Option<Member>,
}

struct Member {
    client: Client,
    held: BTreeSet<usize>,
    /// Per topic the number of what came last.
    seqs: BTreeMap<usize, u64>,
}

impl Crowd {
    /// Nobody is there yet.
    pub fn new(size: usize, rng: &mut Rng) -> Self {
        Self { seats: (0..size).map(|_| Seat { rng: rng.fork(), member: None }).collect() }
    }

    /// How many are there.
    pub fn present(&self) -> usize {
        self.seats.iter().filter(|seat| seat.member.is_some()).count()
    }

    /// Every topic that somebody holds.
    pub fn held(&self) -> BTreeSet<usize> {
        self.members().flat_map(|member| member.held.iter().copied()).collect()
    }

    /// Subscriptions of all of them together.
    pub fn subscriptions(&self) -> usize {
        self.members().map(|member| member.held.len()).sum()
    }

    /// Everybody does something at random, all at the same time; the server has heard all of it
    /// when this returns. Of twenty so many leave, and of those who are not there so many stay
    /// away.
    pub fn churn(&mut self, server: &Server, topics: &[String], leaving: u8) {
        self.together(|seat| seat.act(server, topics, leaving));
    }

    /// Everybody reads until it has this value of each of its topics, and nothing of any other.
    pub fn read_up_to(&mut self, topics: &[String], last: u64) {
        self.together(|seat| {
            if let Some(member) = &mut seat.member {
                member.read_up_to(topics, last);
            }
        });
    }

    /// Everybody leaves, this way or that.
    pub fn leave(&mut self) {
        self.together(Seat::leave);
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        self.seats.iter().filter_map(|seat| seat.member.as_ref())
    }

    fn together(&mut self, act: impl Fn(&mut Seat) + Sync) {
        let share = self.seats.len().div_ceil(THREADS);
        let start = Barrier::new(self.seats.chunks(share).count());
        std::thread::scope(|scope| {
            for seats in self.seats.chunks_mut(share) {
                let (act, start) = (&act, &start);
                scope.spawn(move || {
                    start.wait();
                    seats.iter_mut().for_each(act);
                });
            }
        });
    }
}

impl Seat {
    fn act(&mut self, server: &Server, topics: &[String], leaving: u8) {
        if self.rng.u8(..20) < leaving {
            self.leave();
        }
        if self.member.is_none() {
            if self.rng.u8(..20) < leaving {
                return;
            }
            let client = server.connect("/ws/options").welcomed();
            self.member = Some(Member { client, held: BTreeSet::new(), seqs: BTreeMap::new() });
        }
        let Some(member) = &mut self.member else { return };
        for _ in 0..self.rng.usize(1..4) {
            member.change_its_mind(&mut self.rng, topics);
        }
        member.fence(topics);
    }

    fn leave(&mut self) {
        match self.member.take() {
            Some(member) if self.rng.bool() => member.client.close(),
            Some(member) => drop(member.client.cut()),
            None => {}
        }
    }
}

impl Member {
    fn change_its_mind(&mut self, rng: &mut Rng, topics: &[String]) {
        if rng.bool() && !self.held.is_empty() {
            let some: Vec<_> = self.held.iter().copied().filter(|_| rng.bool()).collect();
            // What one never had may be given back, too.
            let named =
                some.iter().copied().chain([rng.usize(..topics.len())].into_iter().filter(|n| !self.held.contains(n)));
            self.say("unsubscribe", named.collect(), topics);
            self.held.retain(|topic| !some.contains(topic));
        } else {
            // Few topics are popular, so that many are held by one alone; and what one has may be
            // asked for again.
            let mut new: BTreeSet<_> =
                (0..rng.usize(1..4)).map(|_| rng.usize(..topics.len()) * rng.usize(..4) / 3).collect();
            new.extend(self.held.iter().next().filter(|_| rng.bool()));
            while self.held.union(&new).count() > MOST_HELD {
                new.pop_last();
            }
            if !new.is_empty() {
                self.say("subscribe", new.iter().copied().collect(), topics);
                self.held.extend(new);
            }
        }
    }

    fn say(&mut self, kind: &str, named: Vec<usize>, topics: &[String]) {
        if !named.is_empty() {
            let names: Vec<_> = named.iter().map(|topic| &topics[*topic]).collect();
            self.client.send(&json!({"type": kind, "topics": names}));
        }
    }

    /// Reads up to the answer of a ping: everything said before has been heard.
    fn fence(&mut self, topics: &[String]) {
        for frame in self.client.drain() {
            self.note(&frame, topics);
        }
    }

    /// The topic of a `data` frame. What comes once after another has a higher number.
    fn note(&mut self, frame: &Value, topics: &[String]) -> Option<usize> {
        assert_ne!(frame["type"], "error", "{frame}");
        if frame["type"] != "data" {
            return None;
        }
        let name = frame["topic"].as_str().expect("a topic");
        let topic = topics.binary_search_by(|topic| topic.as_str().cmp(name)).expect("a known topic");
        let seq = frame["seq"].as_u64().expect("a seq");
        let before = self.seqs.insert(topic, seq);
        let is_snapshot = frame["snapshot"] == true;
        assert!(before.is_none_or(|before| before < seq || (is_snapshot && before == seq)), "{before:?}, then {frame}");
        Some(topic)
    }

    fn read_up_to(&mut self, topics: &[String], last: u64) {
        let mut left = self.held.clone();
        while !left.is_empty() {
            let frame = self.client.next();
            if let Some(topic) = self.note(&frame, topics) {
                assert!(self.held.contains(&topic), "{frame} came behind the pong to its unsubscription");
                if frame["data"]["last"] == last {
                    left.remove(&topic);
                }
            }
        }
    }
}
