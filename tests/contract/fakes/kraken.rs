//! Owns the fake of Kraken v2: a status first, one answer a symbol, a snapshot behind each
//! subscription, pings in JSON. Topics are `ticker:BTC/USD` here.

use serde_json::{Value, json};

use super::{
    Peer, Provider,
    peer::{texts, with},
};

const TIMES: [(&str, &str); 2] =
    [("time_in", "2026-01-01T00:00:00.000001Z"), ("time_out", "2026-01-01T00:00:00.000002Z")];

#[derive(Default)]
pub struct Kraken {
    /// Whether a `ping` gets its `pong`.
    pub deaf_to_pings: bool,
    /// Pairs that it does not have, for the time being.
    pub unlisted: Vec<String>,
}

impl Provider for Kraken {
    fn greet(&mut self, peer: &mut Peer) {
        let status = json!({"version": "2.0.10", "system": "online", "api_version": "v2", "connection_id": 12345});
        peer.say(&json!({"channel": "status", "type": "update", "data": [status]}));
    }

    fn hear(&mut self, peer: &mut Peer, frame: &Value) {
        let (method, params) = (frame["method"].as_str().unwrap_or_default(), &frame["params"]);
        match method {
            "ping" if self.deaf_to_pings => {}
            "ping" => peer.say(&with(&json!({"method": "pong", "req_id": frame["req_id"]}), &TIMES)),
            "subscribe" | "unsubscribe" => {
                let channel = params["channel"].as_str().unwrap_or_default();
                for symbol in texts(&params["symbol"]) {
                    if self.unlisted.iter().any(|unlisted| unlisted == symbol) {
                        let error = format!("Currency pair not supported {symbol}");
                        let answer = json!({"method": method, "error": error, "success": false, "symbol": symbol,
                            "req_id": frame["req_id"]});
                        peer.say(&with(&answer, &TIMES));
                        continue;
                    }
                    let topic = format!("{channel}:{symbol}");
                    if method == "subscribe" {
                        peer.subscribe(&topic)
                    } else {
                        peer.unsubscribe(&topic)
                    }
                    let result = json!({"channel": channel, "symbol": symbol});
                    let answer =
                        json!({"method": method, "result": result, "success": true, "req_id": frame["req_id"]});
                    peer.say(&with(&answer, &TIMES));
                    if method == "subscribe" {
                        let first = json!({"symbol": symbol, "last": 1.0});
                        peer.say(&json!({"channel": channel, "type": "snapshot", "data": [first]}));
                    }
                }
            }
            _ => peer.say(&with(&json!({"method": method, "error": "Method not found", "success": false}), &TIMES)),
        }
    }

    fn frames(&self, values: &[(&str, &Value)]) -> Vec<String> {
        let updates = values.iter().map(|(topic, fields)| {
            let (channel, symbol) = topic.split_once(':').expect("a channel and a symbol");
            json!({"channel": channel, "type": "update", "data": [with(fields, &[("symbol", symbol)])]}).to_string()
        });
        updates.collect()
    }
}
