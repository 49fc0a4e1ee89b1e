//! Owns the fake of Binance's combined streams: requests with an id, empty acknowledgements.

use serde_json::{Value, json};

use super::{Peer, Provider, peer::texts};

#[derive(Default)]
pub struct Binance;

impl Provider for Binance {
    /// Combined streams are to be had here only.
    fn admit(&self, target: &str) -> Result<(), u16> {
        if target.split('?').next() == Some("/stream") { Ok(()) } else { Err(404) }
    }

    fn hear(&mut self, peer: &mut Peer, frame: &Value) {
        let id = &frame["id"];
        if !id.is_u64() {
            return peer
                .say(&json!({"error": {"code": 2, "msg": "Invalid request: request ID must be an unsigned integer"}}));
        }
        match frame["method"].as_str() {
            Some("SUBSCRIBE") => texts(&frame["params"]).for_each(|topic| peer.subscribe(topic)),
            Some("UNSUBSCRIBE") => texts(&frame["params"]).for_each(|topic| peer.unsubscribe(topic)),
            _ => return peer.say(&json!({"error": {"code": 0, "msg": "Unknown property"}, "id": id})),
        }
        peer.say(&json!({"result": null, "id": id}));
    }

    fn frames(&self, values: &[(&str, &Value)]) -> Vec<String> {
        values.iter().map(|(topic, fields)| json!({"stream": topic, "data": fields}).to_string()).collect()
    }
}
