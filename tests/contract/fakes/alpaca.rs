//! Owns the fake of Alpaca's market data: arrays, a key with a secret, subscriptions by channel,
//! told in full after each change. Topics are `trades.AAPL`, `quotes.AAPL`, `bars.AAPL` here.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Peer, Provider,
    peer::{texts, with},
};

const CHANNELS: [(&str, &str); 3] = [("trades", "t"), ("quotes", "q"), ("bars", "b")];

pub struct Alpaca {
    pub key: String,
    pub secret: String,
    /// Symbols that the plan has room for, per connection.
    pub limit: usize,
}

impl Alpaca {
    /// Another connection has the account's only place.
    pub fn evict(&self, peer: &mut Peer) {
        peer.say(&json!([{"T": "error", "code": 406, "msg": "connection limit exceeded"}]));
        peer.close(1008, "");
    }
}

fn asked(frame: &Value) -> usize {
    CHANNELS.iter().map(|(channel, _)| texts(&frame[*channel]).count()).sum()
}

impl Provider for Alpaca {
    fn greet(&mut self, peer: &mut Peer) {
        peer.say(&json!([{"T": "success", "msg": "connected"}]));
    }

    fn hear(&mut self, peer: &mut Peer, frame: &Value) {
        match frame["action"].as_str() {
            Some("auth") => {
                peer.authenticated = frame["key"] == *self.key && frame["secret"] == *self.secret;
                if peer.authenticated {
                    return peer.say(&json!([{"T": "success", "msg": "authenticated"}]));
                }
                peer.say(&json!([{"T": "error", "code": 402, "msg": "auth failed"}]));
                peer.close(1008, "");
            }
            Some("subscribe" | "unsubscribe") if !peer.authenticated => {
                peer.say(&json!([{"T": "error", "code": 401, "msg": "not authenticated"}]));
            }
            Some("subscribe") if peer.topics.len() + asked(frame) > self.limit => {
                peer.say(&json!([{"T": "error", "code": 405, "msg": "symbol limit exceeded"}]));
            }
            Some(action @ ("subscribe" | "unsubscribe")) => {
                for (channel, _) in CHANNELS {
                    for symbol in texts(&frame[channel]) {
                        let topic = format!("{channel}.{symbol}");
                        if action == "subscribe" { peer.subscribe(&topic) } else { peer.unsubscribe(&topic) }
                    }
                }
                let mut all: BTreeMap<&str, Value> =
                    CHANNELS.iter().map(|(channel, _)| (*channel, json!([]))).collect();
                for topic in &peer.topics {
                    let (channel, symbol) = topic.split_once('.').expect("a channel and a symbol");
                    all.get_mut(channel).and_then(Value::as_array_mut).expect("a channel").push(symbol.into());
                }
                let mut told = json!(all);
                told["T"] = json!("subscription");
                peer.say(&json!([told]));
            }
            _ => peer.say(&json!([{"T": "error", "code": 400, "msg": "invalid syntax"}])),
        }
    }

    /// All in one frame.
    fn frames(&self, values: &[(&str, &Value)]) -> Vec<String> {
        let items = values.iter().map(|(topic, fields)| {
            let (channel, symbol) = topic.split_once('.').expect("a channel and a symbol");
            let (_, kind) = CHANNELS.iter().find(|(name, _)| *name == channel).expect("a channel");
            with(fields, &[("T", kind), ("S", symbol)])
        });
        vec![Value::from_iter(items).to_string()]
    }
}
