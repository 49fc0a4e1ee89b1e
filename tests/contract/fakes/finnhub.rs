//! Owns the fake of Finnhub: the key in the URL, one symbol a request, no acknowledgements, trades
//! in a list.

use serde_json::{Value, json};

use super::{Peer, Provider, peer::with};

#[derive(Default)]
pub struct Finnhub {
    pub key: String,
    /// Symbols that it does not have, for the time being.
    pub unlisted: Vec<String>,
}

impl Provider for Finnhub {
    fn admit(&self, target: &str) -> Result<(), u16> {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let token = query.split('&').find_map(|pair| pair.strip_prefix("token="));
        if token == Some(&self.key) { Ok(()) } else { Err(401) }
    }

    fn hear(&mut self, peer: &mut Peer, frame: &Value) {
        match (frame["type"].as_str(), frame["symbol"].as_str()) {
            (Some("subscribe"), Some(symbol)) if self.unlisted.iter().any(|unlisted| unlisted == symbol) => {
                peer.say(&json!({"type": "error", "msg": format!("Invalid symbol {symbol}")}));
            }
            (Some("subscribe"), Some(symbol)) => peer.subscribe(symbol),
            (Some("unsubscribe"), Some(symbol)) => peer.unsubscribe(symbol),
            _ => peer.say(&json!({"type": "error", "msg": "Invalid message"})),
        }
    }

    /// All in one frame.
    fn frames(&self, values: &[(&str, &Value)]) -> Vec<String> {
        let trades: Value = values.iter().map(|(symbol, fields)| with(fields, &[("s", symbol)])).collect();
        vec![json!({"type": "trade", "data": trades}).to_string()]
    }
}
