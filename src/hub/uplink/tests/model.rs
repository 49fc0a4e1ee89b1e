//! Owns the property test of the machine: in any order of events, a model of the upstream agrees
//! with what is wanted.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::{feeds::*, topic};
use crate::{
    clock::Now,
    config::{
        Secret,
        feeds::{AuthExchange, FeedConfig, FeedHeartbeat, Template},
    },
    hub::uplink::{FeedStatus, Gap, Output, Uplink},
    protocol::FeedState,
};

const NAMES: [&str; 8] = ["x.1", "x.2", "x.3", "x.4", "y.1", "y.2", "y.3", "z.1"];

#[derive(Debug, Clone)]
enum Happening {
    Active(bool),
    Want(usize),
    Unwant(usize),
    Opened,
    Failed,
    Lost(Option<u16>),
    /// A value, if the upstream has a subscription to it.
    Value(usize),
    /// The upstream rejects a topic, if it has a subscription to it.
    Reject(usize),
    Frame(&'static str),
    Pong,
    /// So many ms pass, with a tick at every deadline or with one late tick.
    Wait(u64, bool),
}

const FRAMES: [&str; 7] = [
    r#"{"ready":1}"#,
    r#"{"success":1}"#,
    r#"{"failure":1}"#,
    r#"{"status":"max_connections"}"#,
    r#"{"fatal":1}"#,
    r#"{"topic":"nobody","data":1}"#,
    "}{",
];

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        2 => prop::bool::weighted(0.7).prop_map(Happening::Active),
        8 => (0..NAMES.len()).prop_map(Happening::Want),
        6 => (0..NAMES.len()).prop_map(Happening::Unwant),
        5 => Just(Happening::Opened),
        1 => Just(Happening::Failed),
        2 => prop::sample::select(&[None, Some(1006), Some(1008)][..]).prop_map(Happening::Lost),
        8 => (0..NAMES.len()).prop_map(Happening::Value),
        2 => (0..NAMES.len()).prop_map(Happening::Reject),
        // The greeting and the welcome are more frequent than frames that end a connection.
        6 => prop::sample::select(&[0, 0, 0, 0, 1, 1, 1, 1, 2, 3, 4, 5, 6][..]).prop_map(|n| Happening::Frame(FRAMES[n])),
        1 => Just(Happening::Pong),
        6 => (prop_oneof![0u64..50, 0u64..3000, 0u64..100_000], any::<bool>()).prop_map(|(ms, fine)| Happening::Wait(ms, fine)),
    ]
}

fn feed() -> impl Strategy<Value = FeedConfig> {
    let templates = prop::sample::select(&["{topics}", "{topic}", "{channel}.{names}"][..]);
    let rates = prop::sample::select(&[0.5, 2.5, 20.0][..]);
    (templates, any::<[bool; 4]>(), 1usize..4, rates).prop_map(|(template, [shy, beats, ages, drops], batch, rate)| {
        let mut feed = plain();
        feed.subscribe = Some(Template(format!("+{template}")));
        feed.unsubscribe = drops.then(|| Template(format!("-{template}")));
        (feed.batch, feed.messages_per_second) = (batch, rate);
        feed.max_age = ages.then(|| ms(40_000));
        feed.heartbeat =
            beats.then(|| FeedHeartbeat { interval: ms(9_000), timeout: ms(4_000), send: None, expect: Vec::new() });
        if shy {
            feed.ready = vec![matcher(&[("/ready", "*")])];
            feed.auth = Some(AuthExchange {
                send: Secret::new("key"),
                success: vec![matcher(&[("/success", "*")])],
                failure: vec![matcher(&[("/failure", "*")])],
                timeout: ms(3000),
            });
        }
        feed
    })
}

#[derive(PartialEq)]
enum Socket {
    None,
    Dialled,
    Open,
}

struct World {
    feed: Arc<FeedConfig>,
    uplink: Uplink,
    now: Now,
    socket: Socket,
    /// The subscriptions of this connection, as the upstream has them.
    subscribed: BTreeSet<String>,
    wanted: BTreeSet<String>,
    /// Those of the wanted topics that were rejected.
    rejected: BTreeSet<String>,
    /// On this connection.
    ever_rejected: BTreeSet<String>,
    is_active: bool,
    status: FeedStatus,
    /// Unix ms.
    last_message: u64,
    live_at: Instant,
    /// The topics of the gap that must still come.
    missed: HashSet<String>,
    missed_from: u64,
    gap: Option<Gap>,
    sent: Vec<Instant>,
    values: usize,
}

impl World {
    fn new(feed: FeedConfig, seed: u64) -> Self {
        let (feed, now) = (Arc::new(feed), Now::read());
        let uplink = Uplink::new(feed.clone(), fastrand::Rng::with_seed(seed), now);
        Self {
            status: uplink.status(),
            feed,
            uplink,
            now,
            socket: Socket::None,
            subscribed: BTreeSet::new(),
            wanted: BTreeSet::new(),
            rejected: BTreeSet::new(),
            ever_rejected: BTreeSet::new(),
            is_active: false,
            last_message: 0,
            live_at: now.instant,
            missed: HashSet::new(),
            missed_from: 0,
            gap: None,
            sent: Vec::new(),
            values: 0,
        }
    }

    fn carry_out(&mut self, happening: &Happening) {
        let (before, now) = (self.values, self.now);
        match happening {
            Happening::Active(is_active) => {
                self.is_active = *is_active;
                self.uplink.set_active(*is_active, now);
                self.drain();
                if !is_active {
                    assert!(self.socket == Socket::None, "closed at once");
                    self.missed.clear();
                }
            }
            Happening::Want(name) => {
                self.wanted.insert(NAMES[*name].to_owned());
                self.rejected.remove(NAMES[*name]);
                self.uplink.want(&topic(NAMES[*name]), now);
            }
            Happening::Unwant(name) => {
                self.wanted.remove(NAMES[*name]);
                self.rejected.remove(NAMES[*name]);
                self.missed.remove(NAMES[*name]);
                self.uplink.unwant(&topic(NAMES[*name]), now);
            }
            Happening::Opened if self.socket == Socket::Dialled => {
                self.socket = Socket::Open;
                self.uplink.opened(now);
            }
            Happening::Failed if self.socket == Socket::Dialled => {
                self.socket = Socket::None;
                self.uplink.failed("no route", None, now);
            }
            Happening::Lost(code) if self.socket == Socket::Open => {
                self.gone();
                self.uplink.lost(*code, "", now);
            }
            Happening::Value(name) if self.subscribed.contains(NAMES[*name]) => {
                let is_wanted = self.wanted.contains(NAMES[*name]);
                self.receive(&format!(r#"{{"topic":"{}","data":1}}"#, NAMES[*name]));
                assert_eq!(self.values - before, usize::from(is_wanted), "told once, to whom it concerns");
            }
            Happening::Reject(name) if self.subscribed.remove(NAMES[*name]) => {
                self.ever_rejected.insert(NAMES[*name].to_owned());
                self.receive(&format!(r#"{{"rejected":"{}"}}"#, NAMES[*name]));
                assert_eq!(self.rejected.contains(NAMES[*name]), self.wanted.contains(NAMES[*name]), "it is told");
            }
            Happening::Frame(text) if self.socket == Socket::Open => self.receive(text),
            // A late frame of a connection that was given up.
            Happening::Frame(text) => {
                self.uplink.on_message(text, now);
                assert_eq!(self.uplink.drain().count(), 0);
            }
            Happening::Pong => self.uplink.ponged(),
            Happening::Wait(ms, is_fine) => self.wait(Duration::from_millis(*ms), *is_fine),
            _ => {}
        }
        self.drain();
    }

    fn receive(&mut self, text: &str) {
        self.last_message = self.now.unix_ms;
        self.uplink.on_message(text, self.now);
        self.drain();
    }

    fn wait(&mut self, time: Duration, is_fine: bool) {
        let end = self.now.later(time);
        while let Some(at) = self.uplink.next_deadline().filter(|at| is_fine && *at <= end.instant) {
            self.now = self.now.later(at.saturating_duration_since(self.now.instant));
            self.tick();
        }
        self.now = end;
        self.tick();
    }

    fn tick(&mut self) {
        self.uplink.tick(self.now);
        assert!(self.uplink.next_deadline().is_none_or(|at| at > self.now.instant), "what was due is done");
        self.drain();
    }

    /// The connection is gone, whichever side ended it.
    fn gone(&mut self) {
        if self.socket == Socket::Open && matches!(self.status.state, FeedState::Live | FeedState::Stale) {
            if self.missed.is_empty() {
                self.missed_from = self.last_message;
            }
            self.missed.extend(self.wanted.difference(&self.rejected).cloned());
        }
        self.rejected.clear();
        self.ever_rejected.clear();
        self.socket = Socket::None;
        self.subscribed.clear();
    }

    fn drain(&mut self) {
        let outputs: Vec<Output> = self.uplink.drain().collect();
        for output in outputs {
            if self.gap.is_some() && !matches!(output, Output::Data(..)) {
                self.check_lone_gap();
            }
            match output {
                Output::Connect => {
                    assert!(self.socket == Socket::None && self.is_active, "never two, and none for nobody");
                    self.socket = Socket::Dialled;
                }
                Output::Disconnect(_) => {
                    assert!(self.socket != Socket::None, "there is one to close");
                    self.gone();
                }
                Output::Ping => assert!(self.socket == Socket::Open),
                Output::Send(frame) => self.take(frame.expose()),
                Output::Feed(status) => self.on_status(status),
                Output::Gap(gap) => self.gap = Some(gap),
                Output::Data(topic, _) => {
                    assert!(self.wanted.contains(topic.as_str()) && self.status.state == FeedState::Live);
                    self.values += 1;
                    self.check_gap();
                }
                Output::Rejected(rejected) => {
                    assert!(self.wanted.contains(rejected.topic.as_str()) && !rejected.said.is_empty());
                    assert!(self.rejected.insert(rejected.topic.as_str().to_owned()), "once");
                }
                Output::Note(note) => assert!(!note.to_string().is_empty()),
            }
        }
        if self.gap.is_some() {
            self.check_lone_gap();
        }
        let told = (self.status.state, self.status.since);
        assert_eq!((self.uplink.status().state, self.uplink.status().since), told, "every change was told");
    }

    fn on_status(&mut self, status: FeedStatus) {
        assert!(status.state != self.status.state || status.attempt != self.status.attempt, "it is news");
        let is_connected = matches!(status.state, FeedState::Live | FeedState::Stale);
        assert!(!is_connected || self.socket == Socket::Open, "{status:?}");
        if status.state == FeedState::Live && self.status.state == FeedState::Connecting {
            (self.last_message, self.live_at) = (self.now.unix_ms, self.now.instant);
        }
        self.status = status;
    }

    fn check_gap(&mut self) {
        let Some(gap) = self.gap.take() else {
            return assert!(self.missed.is_empty(), "no gap before this value: {:?}", self.missed);
        };
        let topics: HashSet<String> = gap.topics.iter().map(|topic| topic.as_str().to_owned()).collect();
        assert_eq!((topics, gap.from, gap.to), (std::mem::take(&mut self.missed), self.missed_from, self.now.unix_ms));
    }

    /// Without a value, the gap comes when the connection has been live for a while.
    fn check_lone_gap(&mut self) {
        assert!(self.socket == Socket::Open && self.now.instant >= self.live_at + ms(1000), "too soon");
        let was_asked = |name| self.subscribed.contains(name) || self.ever_rejected.contains(name);
        assert!(self.missed.iter().all(was_asked), "before all was asked for again");
        self.check_gap();
    }

    /// The upstream reads a frame.
    fn take(&mut self, frame: &str) {
        assert!(self.socket == Socket::Open);
        if frame == "key" {
            return;
        }
        assert_ne!(self.status.state, FeedState::Connecting, "nothing is asked for before it is live");
        let (sign, names) = frame.split_at(1);
        let (channel, rest) = match names.split_once('.') {
            Some((channel, rest)) if !rest.contains('.') => (Some(channel), rest),
            _ => (None, names),
        };
        let names: Vec<String> = rest
            .split(',')
            .map(|name| channel.map_or(name.to_owned(), |channel| format!("{channel}.{name}")))
            .collect();
        assert!(names.len() <= self.feed.batch, "{frame}");
        for name in names {
            assert!(NAMES.contains(&name.as_str()), "{frame}");
            let is_news = if sign == "+" { self.subscribed.insert(name) } else { self.subscribed.remove(&name) };
            assert!(is_news, "{frame}: neither twice nor for nothing");
        }
        self.sent.push(self.now.instant);
        let second = self.now.instant - Duration::from_secs(1);
        let recent = self.sent.iter().filter(|at| **at > second).count();
        assert!(recent as f64 <= self.feed.messages_per_second.ceil(), "{recent} in a second");
    }

    /// The subscriptions that the upstream should have.
    fn expected(&self) -> BTreeSet<String> {
        self.wanted.difference(&self.rejected).cloned().collect()
    }

    /// Nothing fails for as long as it takes: the connection stays open, and all interest is
    /// carried out.
    fn rest(&mut self) {
        self.carry_out(&Happening::Active(true));
        for _ in 0..200 {
            let expected = self.expected();
            let calm = expected == self.subscribed || self.feed.unsubscribe.is_none();
            if self.socket == Socket::Open && calm && expected.is_subset(&self.subscribed) {
                return;
            }
            match self.socket {
                Socket::Dialled => self.carry_out(&Happening::Opened),
                Socket::Open if self.status.state == FeedState::Connecting => {
                    self.receive(FRAMES[0]);
                    self.receive(FRAMES[1]);
                }
                Socket::Open | Socket::None => {
                    let at = self.uplink.next_deadline().expect("something is to come");
                    self.wait(at.saturating_duration_since(self.now.instant), true);
                    self.carry_out(&Happening::Pong);
                }
            }
        }
        panic!("it never came to rest: {:?} are wanted, {:?} subscribed", self.wanted, self.subscribed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]
    /// proptest prints the failing input and its seed.
    #[test]
    fn h2_h3_h4_h5_whatever_happens_the_upstream_has_what_is_wanted_and_gaps_and_states_are_true(
        feed in feed(),
        seed in any::<u64>(),
        happenings in prop::collection::vec(happening(), 0..150),
    ) {
        let mut world = World::new(feed, seed);
        for happening in &happenings {
            world.carry_out(happening);
        }
        world.rest();
        prop_assert!(world.expected().is_subset(&world.subscribed));
        if world.feed.unsubscribe.is_some() {
            prop_assert_eq!(&world.expected(), &world.subscribed);
        }
        prop_assert_eq!(world.uplink.upstream_topics(), world.subscribed.len());
        for name in 0..NAMES.len() {
            world.carry_out(&Happening::Unwant(name));
        }
        world.rest();
        prop_assert!(world.subscribed.is_empty() || world.feed.unsubscribe.is_none());
        world.carry_out(&Happening::Active(false));
        prop_assert_eq!(world.uplink.upstream_topics(), 0);
    }
}
