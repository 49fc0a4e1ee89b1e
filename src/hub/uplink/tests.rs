//! Owns the tests of the whole machine, without a socket: a rig that drives it and records its
//! outputs.

mod feeds;
mod model;
mod outages;
mod phases;
mod rejections;
mod shapes;
mod silence;
mod subscriptions;

use std::{sync::Arc, time::Duration};

use super::{Note, Output, Uplink};
use crate::{
    clock::Now,
    config::feeds::FeedConfig,
    protocol::{FeedState, Topic},
};

/// Unix ms at which the tests begin.
const START: u64 = 1_000_000;

struct Rig {
    uplink: Uplink,
    now: Now,
    notes: Vec<Note>,
}

impl Rig {
    fn new(feed: FeedConfig) -> Self {
        Self::seeded(feed, 7)
    }

    fn seeded(feed: FeedConfig, seed: u64) -> Self {
        let now = Now { unix_ms: START, ..Now::read() };
        let uplink = Uplink::new(Arc::new(feed), fastrand::Rng::with_seed(seed), now);
        Self { uplink, now, notes: Vec::new() }
    }

    /// A client is here, and these topics are wanted; the connection is being dialled.
    fn dialling(feed: FeedConfig, topics: &[&str]) -> Self {
        let mut rig = Self::new(feed);
        topics.iter().for_each(|name| rig.want(name));
        assert_eq!(rig.active(true), ["connecting 0", "connect"]);
        rig
    }

    /// Like [`Rig::dialling`], for a feed that is live once it is open; the subscriptions were
    /// sent.
    fn live(feed: FeedConfig, topics: &[&str]) -> Self {
        let mut rig = Self::dialling(feed, topics);
        assert!(rig.open().iter().any(|word| word == "live 0"));
        rig.settle();
        rig
    }

    /// Returns the outputs of the machine, a word each: `connect`, `ping`, `disconnect 1000`, `live
    /// 0` (state and attempt), `gap a,b 0..30` (ms since the start), `topic = data`, `rejected
    /// topic: words`, or a frame's text. Notes are kept apart.
    fn drain(&mut self) -> Vec<String> {
        let mut words = Vec::new();
        for output in self.uplink.drain() {
            words.push(match output {
                Output::Connect => "connect".to_owned(),
                Output::Send(frame) => frame.expose().to_owned(),
                Output::Ping => "ping".to_owned(),
                Output::Disconnect(code) => format!("disconnect {code}"),
                Output::Feed(status) => format!("{} {}", status.state.name(), status.attempt),
                Output::Gap(gap) => {
                    let mut topics: Vec<&str> = gap.topics.iter().map(Topic::as_str).collect();
                    topics.sort_unstable();
                    format!("gap {} {}..{}", topics.join(","), gap.from - START, gap.to - START)
                }
                Output::Data(topic, data) => format!("{} = {}", topic.as_str(), data.as_str()),
                Output::Rejected(rejected) => format!("rejected {}: {}", rejected.topic.as_str(), rejected.said),
                Output::Note(note) => {
                    self.notes.push(note);
                    continue;
                }
            });
        }
        words
    }

    fn active(&mut self, is_active: bool) -> Vec<String> {
        self.uplink.set_active(is_active, self.now);
        self.drain()
    }

    fn want(&mut self, name: &str) {
        self.uplink.want(&topic(name), self.now);
    }

    fn unwant(&mut self, name: &str) {
        self.uplink.unwant(&topic(name), self.now);
    }

    fn open(&mut self) -> Vec<String> {
        self.uplink.opened(self.now);
        self.drain()
    }

    fn fail(&mut self) -> Vec<String> {
        self.uplink.failed("no route", None, self.now);
        self.drain()
    }

    fn receive(&mut self, text: &str) -> Vec<String> {
        self.uplink.on_message(text, self.now);
        self.drain()
    }

    fn lose(&mut self, code: Option<u16>) -> Vec<String> {
        self.uplink.lost(code, "", self.now);
        self.drain()
    }

    fn tick(&mut self) -> Vec<String> {
        self.uplink.tick(self.now);
        assert!(self.uplink.next_deadline().is_none_or(|at| at > self.now.instant), "what was due is done");
        self.drain()
    }

    /// Lets time pass, with one tick at its end.
    fn after(&mut self, ms: u64) -> Vec<String> {
        self.now = self.now.later(Duration::from_millis(ms));
        self.tick()
    }

    /// Ticks at every deadline of the next `ms` milliseconds.
    fn run(&mut self, ms: u64) -> Vec<String> {
        let end = self.now.later(Duration::from_millis(ms));
        let mut words = self.tick();
        while let Some(at) = self.uplink.next_deadline().filter(|at| *at <= end.instant) {
            self.now = self.now.later(at - self.now.instant);
            words.extend(self.tick());
        }
        self.now = end;
        words
    }

    /// Ticks without letting time pass.
    fn settle(&mut self) -> Vec<String> {
        self.run(0)
    }

    /// Waits until the pause is over, and opens the connection.
    fn reconnect(&mut self) -> Vec<String> {
        assert_eq!(self.uplink.status().state, FeedState::Down);
        let until = self.uplink.next_deadline().expect("an end of the pause");
        let mut words = self.run((until - self.now.instant).as_millis() as u64 + 1);
        assert_eq!(words.pop().as_deref(), Some("connect"));
        words.extend(self.open());
        words.extend(self.settle());
        words
    }

    fn state(&self) -> FeedState {
        self.uplink.status().state
    }
}

fn topic(name: &str) -> Topic {
    Topic::parse(name).expect("a name")
}
