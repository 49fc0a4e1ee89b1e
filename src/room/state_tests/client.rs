//! Owns the model of a client: its state after each frame, and the check that no frame is false.

use std::{collections::HashMap, rc::Rc};

use serde_json::{Value, json};

use crate::{
    protocol::PlayerId,
    room::{audience::Audience, messages::Membership},
    ws::{Outbox, valve::Valve},
};

/// Returns the next complete frame on this wire: its first byte and its payload.
fn next_frame(wire: &Valve) -> Option<(u8, Vec<u8>)> {
    let mut bytes = wire.taken.borrow_mut();
    let (length, start) = match *bytes.get(1)? {
        126 => (usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])), 4),
        127 => panic!("no frame of these tests is that long"),
        short => (usize::from(short), 2),
    };
    let frame = (bytes[0], bytes.get(start..start + length)?.to_vec());
    bytes.drain(..start + length);
    Some(frame)
}

/// One socket, seen from both ends.
pub(super) struct Line {
    pub connection: u64,
    pub entry: Membership,
    pub outbox: Rc<Outbox>,
    pub wire: Rc<Valve>,
    /// The expected `welcome`.
    pub expected: Value,
    pub closed: Option<u16>,
}

/// An event as logged.
pub(super) struct Logged {
    pub text: Value,
    pub audience: Audience,
}

#[derive(Default)]
pub(super) struct Client {
    pub line: Option<Line>,
    pub session: Option<String>,
    /// The newest `seq` this client has seen.
    pub seen: u64,
    /// The client must get every event after this `seq`.
    pub base: u64,
    /// The events it got since.
    pub got: Vec<u64>,
    /// Its copy of the state, and the `seq` of that copy.
    document: Value,
    document_seq: u64,
    /// The copy of a client that applies every patch, even one that its state already includes.
    naive_document: Value,
    volatile: HashMap<String, u64>,
    pub verdicts: Vec<String>,
}

impl Client {
    /// A client that has seen nothing. At seq 0 every state is empty.
    pub(super) fn new() -> Self {
        Self { document: json!({}), naive_document: json!({}), ..Self::default() }
    }

    /// Reads at most `keep` frames from the wire.
    pub(super) fn hear_some(&mut self, keep: usize, log: &[Logged]) {
        for _ in 0..keep {
            let Some((first, payload)) = self.line.as_ref().and_then(|line| next_frame(&line.wire)) else { return };
            if first == 0x88 {
                let code = u16::from_be_bytes([payload[0], payload[1]]);
                self.line.as_mut().expect("checked").closed = Some(code);
                return;
            }
            assert_eq!(first, 0x81);
            self.hear(serde_json::from_slice(&payload).expect("frames are JSON"), log);
        }
    }

    fn hear(&mut self, frame: Value, log: &[Logged]) {
        match frame["type"].as_str().expect("a type") {
            "welcome" => self.welcome(frame),
            "ack" => {
                let at = frame["seq"].as_u64().map(|seq| &log[seq as usize - 1].text["id"]);
                assert!(at.is_none_or(|id| *id == frame["id"]), "an ack names another event: {frame}");
            }
            "error" => assert!(["conflict", "refused"].map(Value::from).contains(&frame["code"]), "{frame}"),
            "presence" if frame.get("count").is_some() => assert_eq!(frame.get("seq"), None),
            "message" if frame.get("volatile").is_some() => {
                let n = frame["data"].as_u64().expect("a number");
                let before = self.volatile.insert(format!("{} {}", frame["from"], frame["volatile"]), n);
                assert!(before < Some(n), "an older value after a newer one");
            }
            "message" | "patch" | "presence" => self.event(&frame, log),
            other => panic!("{other}"),
        }
    }

    fn event(&mut self, frame: &Value, log: &[Logged]) {
        let seq = frame["seq"].as_u64().expect("a seq");
        assert!(seq > self.seen, "{seq} after {}: doubled or out of order", self.seen);
        assert_eq!(*frame, log[seq as usize - 1].text);
        self.seen = seq;
        self.got.push(seq);
        if frame["type"] == "patch" {
            merge_patch(&mut self.naive_document, &frame["patch"]);
            if seq > self.document_seq {
                merge_patch(&mut self.document, &frame["patch"]);
                self.document_seq = seq;
            }
        }
    }

    fn welcome(&mut self, mut welcome: Value) {
        let expected = &self.line.as_ref().expect("a line").expected;
        let session = welcome["session"].take();
        if !expected["session"].is_null() {
            assert_eq!(session, expected["session"], "a known secret stays");
        }
        self.session = session.as_str().map(str::to_owned);
        for (name, value) in expected.as_object().expect("an object").iter().filter(|(name, _)| *name != "session") {
            assert_eq!(&welcome[name], value, "{name} of {welcome}");
        }
        let verdict = welcome["resume"].as_str().expect("a verdict");
        assert_eq!(welcome.get("state").is_none(), verdict == "continuous");
        assert_eq!(welcome.get("lost").is_some(), verdict == "snapshot");
        let seq = welcome["seq"].as_u64().expect("a seq");
        self.verdicts.push(verdict.to_owned());
        if verdict != "continuous" {
            self.got.clear();
            self.base = welcome["lost"][1].as_u64().unwrap_or(seq);
            self.seen = self.base;
            self.document = welcome["state"].take();
            self.document_seq = seq;
            self.naive_document = self.document.clone();
        }
    }

    /// Checks, after everything was read, that no event is missing and that the copies of the state
    /// are right.
    pub(super) fn check_complete(&self, player: Option<&PlayerId>, log: &[Logged], document: &Value) {
        let owed = (1..).zip(log).filter(|(seq, event)| *seq > self.base && event.audience.admits(player));
        let owed: Vec<u64> = owed.map(|(seq, _)| seq).collect();
        assert_eq!(self.got, owed, "{player:?} has seen {}, is owed what follows {}", self.seen, self.base);
        assert_eq!(&self.document, document, "{player:?}'s copy of the state");
        assert_eq!(&self.naive_document, document, "{player:?}'s copy of the state, patches applied again");
    }
}

/// RFC 7396 section 2, written independently of the server's.
pub(super) fn merge_patch(target: &mut Value, patch: &Value) {
    match patch.as_object() {
        None => *target = patch.clone(),
        Some(changes) => {
            let mut fields = target.as_object().cloned().unwrap_or_default();
            for (name, change) in changes {
                let mut value = fields.remove(name).unwrap_or(json!(null));
                if !change.is_null() {
                    merge_patch(&mut value, change);
                    fields.insert(name.clone(), value);
                }
            }
            *target = Value::Object(fields);
        }
    }
}
