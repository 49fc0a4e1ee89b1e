//! Owns the fake of Massive (formerly Polygon.io): statuses in arrays, one connection per asset
//! class, two ways of eviction.

use serde_json::{Value, json};

use super::{Peer, Provider, peer::with};

/// Whom the provider turns out when there are more connections than the account has. It does so
/// after the newcomer's authentication and first subscription have succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eviction {
    /// There is a place for everybody.
    Nobody,
    /// The newcomer, as long as somebody else has the place.
    Newcomer,
}

pub struct Massive {
    pub key: String,
    /// Whom the next one meets that subscribes.
    pub eviction: Eviction,
    /// Beginnings of topics that the account has not paid for.
    pub unpaid: Vec<String>,
    /// Whether an `auth` is answered at all.
    pub answers_auth: bool,
    /// Whether it says that one is connected.
    pub greets: bool,
}

impl Massive {
    pub fn new(key: &str) -> Self {
        Self { key: key.to_owned(), eviction: Eviction::Nobody, unpaid: Vec::new(), answers_auth: true, greets: true }
    }

    /// What the one who is turned out is told: a newcomer, or (told by the test) who was there
    /// before somebody else came.
    pub fn evict(&self, peer: &mut Peer) {
        let message = "Maximum number of websocket connections exceeded. You have reached the connection limit for your \
                       account. Please contact support to increase your limit.";
        peer.say(&status("max_connections", message));
        peer.close(1008, "Maximum number of connections exceeded");
    }

    /// Nobody said who they are in time.
    pub fn time_out(&self, peer: &mut Peer) {
        peer.say(&status("auth_timeout", "No authentication request received."));
        peer.close(1008, "");
    }

    fn auth(&self, peer: &mut Peer, key: &str) {
        peer.authenticated = key == self.key;
        if !self.answers_auth {
            return;
        }
        if peer.authenticated {
            peer.say(&status("auth_success", "authenticated"));
        } else {
            peer.say(&status("auth_failed", "authentication failed"));
            peer.close(1008, "");
        }
    }

    fn change(&self, peer: &mut Peer, action: &str, params: &str) {
        let newcomer = peer.topics.is_empty();
        let mut answers = Vec::new();
        for topic in params.split(',').map(str::trim) {
            if self.unpaid.iter().any(|unpaid| topic.starts_with(unpaid)) {
                answers.push(event("error", &format!("not authorized to subscribe to {topic}")));
            } else if action == "subscribe" {
                peer.subscribe(topic);
                answers.push(event("success", &format!("subscribed to: {topic}")));
            } else {
                peer.unsubscribe(topic);
                answers.push(event("success", &format!("unsubscribed to: {topic}")));
            }
        }
        peer.say(&answers.into());
        if newcomer && self.eviction == Eviction::Newcomer {
            self.evict(peer);
        }
    }
}

impl Provider for Massive {
    fn greet(&mut self, peer: &mut Peer) {
        if self.greets {
            peer.say(&status("connected", "Connected Successfully"));
        }
    }

    fn hear(&mut self, peer: &mut Peer, frame: &Value) {
        let params = frame["params"].as_str().unwrap_or_default();
        match frame["action"].as_str() {
            Some("auth") => self.auth(peer, params),
            Some("subscribe" | "unsubscribe") if !peer.authenticated => {
                peer.say(&status("error", "not authenticated"));
            }
            Some(action @ ("subscribe" | "unsubscribe")) => self.change(peer, action, params),
            _ => peer.say(&status("error", "unknown action")),
        }
    }

    fn reaches(&self, peer: &Peer, topic: &str) -> bool {
        let kind = topic.split('.').next().unwrap_or_default();
        peer.topics.contains(topic) || peer.topics.contains(&format!("{kind}.*"))
    }

    /// All in one frame.
    fn frames(&self, values: &[(&str, &Value)]) -> Vec<String> {
        let events = values.iter().map(|(topic, fields)| {
            let (kind, symbol) = topic.split_once('.').expect("a topic is a kind and a symbol");
            // The value of an index calls its symbol `T`.
            with(fields, &[("ev", kind), (if kind == "V" { "T" } else { "sym" }, symbol)])
        });
        vec![Value::from_iter(events).to_string()]
    }
}

fn event(status: &str, message: &str) -> Value {
    json!({"ev": "status", "status": status, "message": message})
}

/// A frame with one status.
fn status(status: &str, message: &str) -> Value {
    json!([event(status, message)])
}
