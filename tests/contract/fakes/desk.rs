//! Owns the state of a fake: its provider, its connections, and every frame that it received. Tests
//! read it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use serde_json::Value;
use tungstenite::{
    Message, WebSocket,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use super::{
    Peer, Provider,
    wire::{self, Wire},
};

/// How the next connection is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    Open,
    /// The handshake is answered with this HTTP status.
    Refusing(u16),
    /// The handshake is never answered.
    Silent,
}

pub struct Desk<P> {
    pub provider: P,
    pub links: BTreeMap<u64, Link>,
    /// Connections that were admitted.
    pub ever: usize,
    /// Most connections at once with the same path.
    pub most: usize,
    /// When each handshake came, the refused ones included.
    pub attempts: Vec<Instant>,
    /// Path and query of each of them.
    pub targets: Vec<String>,
    /// Every frame that was heard: on which connection, when, what. What is no JSON is a string.
    pub frames: Vec<(u64, Instant, Value)>,
    /// Topics that were subscribed again though they were subscribed.
    pub doubled: Vec<String>,
    /// Topics that were unsubscribed though they were not subscribed.
    pub unknown: Vec<String>,
    /// How clients ended their connections: the code of the close frame; 1006 where none came.
    pub closes: Vec<u16>,
    /// WebSocket pings and pongs from clients.
    pub pings: usize,
    pub pongs: usize,
    pub(super) door: Door,
    /// Paths of the handshakes that are being answered.
    pub(super) entering: Vec<String>,
    /// Grows when the fake goes down; a handshake from before leads nowhere.
    pub(super) life: u64,
}

/// An open connection.
pub struct Link {
    pub peer: Peer,
    pub opened: Instant,
    /// Nothing of what the client sends is read.
    pub frozen: bool,
    pub(super) wire: Wire,
    pub(super) writer: WebSocket<Wire>,
}

impl<P: Provider> Desk<P> {
    pub fn new(provider: P) -> Self {
        Self {
            provider,
            links: BTreeMap::new(),
            ever: 0,
            most: 0,
            attempts: Vec::new(),
            targets: Vec::new(),
            frames: Vec::new(),
            doubled: Vec::new(),
            unknown: Vec::new(),
            closes: Vec::new(),
            pings: 0,
            pongs: 0,
            door: Door::Open,
            entering: Vec::new(),
            life: 0,
        }
    }

    /// Connections now.
    pub fn now(&self) -> usize {
        self.links.len()
    }

    /// What the connections are subscribed to, all together.
    pub fn topics(&self) -> BTreeSet<String> {
        self.links.values().flat_map(|link| link.peer.topics.iter().cloned()).collect()
    }

    /// Frames of which this text is a part, e.g. `"subscribe"` with its quotes.
    pub fn frames_with(&self, text: &str) -> Vec<String> {
        self.frames.iter().map(|(_, _, frame)| frame.to_string()).filter(|frame| frame.contains(text)).collect()
    }

    /// Connections with this path that are read, or about to be.
    pub(super) fn same_path(&self, path: &str) -> usize {
        let open = self.links.values().filter(|link| !link.frozen && link.peer.path() == path).count();
        open + self.entering.iter().filter(|entering| *entering == path).count()
    }

    /// The handshake is about to be answered; `enter` or `withdraw` must follow.
    pub(super) fn let_in(&mut self, path: &str) {
        self.entering.push(path.to_owned());
        self.most = self.most.max(self.same_path(path));
    }

    pub(super) fn withdraw(&mut self, path: &str) {
        let place = self.entering.iter().position(|entering| entering == path).expect("it was let in");
        self.entering.swap_remove(place);
    }

    /// The handshake was answered; the connection's number, if the fake has not gone down
    /// meanwhile.
    pub(super) fn enter(&mut self, target: &str, wire: &Wire, life: u64) -> Option<u64> {
        let number = self.ever as u64;
        let mut peer = Peer { target: target.to_owned(), ..Peer::default() };
        self.withdraw(peer.path());
        if self.life != life {
            return None;
        }
        self.ever += 1;
        self.provider.greet(&mut peer);
        let link = Link { peer, opened: Instant::now(), frozen: false, wire: wire.clone(), writer: wire.writer() };
        self.links.insert(number, link);
        self.deliver(number);
        Some(number)
    }

    /// Nothing happens if the connection is over on this side.
    pub(super) fn hear(&mut self, number: u64, text: &str) {
        let Some(link) = self.links.get_mut(&number) else { return };
        let frame = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
        self.provider.hear(&mut link.peer, &frame);
        self.doubled.append(&mut link.peer.doubled);
        self.unknown.append(&mut link.peer.unknown);
        self.frames.push((number, Instant::now(), frame));
        self.deliver(number);
    }

    /// The client has ended it; `false` if the fake had before.
    pub(super) fn ended(&mut self, number: u64, code: u16) -> bool {
        let known = self.links.remove(&number).is_some();
        if known {
            self.closes.push(code);
        }
        known
    }

    /// Does this to each connection, and sends what came of it.
    pub(super) fn each(&mut self, mut act: impl FnMut(&mut P, &mut Peer)) {
        for number in self.links.keys().copied().collect::<Vec<_>>() {
            let link = self.links.get_mut(&number).expect("it is there");
            act(&mut self.provider, &mut link.peer);
            self.deliver(number);
        }
    }

    /// Sends values to whom they concern; how many that were.
    pub(super) fn publish(&mut self, values: &[(&str, Value)]) -> usize {
        let mut reached = 0;
        self.each(|provider, peer| {
            let concern = values.iter().filter(|(topic, _)| provider.reaches(peer, topic));
            let concern: Vec<_> = concern.map(|(topic, value)| (*topic, value)).collect();
            if !concern.is_empty() {
                reached += 1;
                peer.sayings.extend(provider.frames(&concern));
            }
        });
        reached
    }

    /// All connections are gone, without a close frame.
    pub(super) fn cut(&mut self) {
        std::mem::take(&mut self.links).into_values().for_each(|link| link.wire.cut());
    }

    fn deliver(&mut self, number: u64) {
        let link = self.links.get_mut(&number).expect("it is there");
        for saying in link.peer.sayings.drain(..) {
            wire::send(&mut link.writer, Message::text(saying));
        }
        if let Some((code, reason)) = link.peer.farewell.take() {
            let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
            wire::send(&mut link.writer, Message::Close(Some(frame)));
            // The client may answer, but a connection it is no more.
            self.links.remove(&number);
        }
    }
}
