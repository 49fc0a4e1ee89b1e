//! Owns the descriptions that this program ships, embedded as YAML, and the variables that they
//! use.

use super::{
    fields::{DescriptionScope, MapEntry},
    read::parsed,
};
use crate::config::{kind::SettingKind, table::settings};

pub(super) struct Shipped {
    pub name: &'static str,
    pub yaml: &'static str,
}

macro_rules! shipped {
    ($($name:literal),+) => {
        &[$(Shipped { name: $name, yaml: include_str!(concat!("shipped/", $name, ".yaml")) }),+]
    };
}

pub(super) const HUBS: &[Shipped] =
    shipped!["massive-options", "massive-indices", "binance", "alpaca", "finnhub", "kraken", "bus"];

pub(super) const PROXIES: &[Shipped] = shipped!["openai"];

/// The readers of descriptions check the values of these variables.
const ANY: SettingKind = SettingKind::Text("");
const KEY: SettingKind = SettingKind::Secret("");

settings! { pub VARIABLES, VARIABLE_SECTIONS:
    SHIPPED "Feeds and proxies" {
        MASSIVE_API_KEY = "", KEY,
            "Key of Massive (formerly Polygon.io); unset: the hubs options and indices are off";
        MASSIVE_WS_URL = "wss://socket.massive.com", ANY,
            "Where Massive is; /options and /indices are appended";
        BINANCE_WS_URL = "wss://stream.binance.com:9443", ANY,
            "Where Binance is; /stream is appended";
        ALPACA_API_KEY = "", KEY,
            "Key of Alpaca; unset: hubs by alpaca are off";
        ALPACA_API_SECRET = "", KEY,
            "What belongs to that key";
        ALPACA_WS_URL = "wss://stream.data.alpaca.markets", ANY,
            "Where Alpaca is; /v2/ and ALPACA_FEED are appended";
        ALPACA_FEED = "iex", ANY,
            "Which of Alpaca's feeds: iex, sip, delayed_sip or test";
        FINNHUB_API_KEY = "", KEY,
            "Key of Finnhub; unset: hubs by finnhub are off";
        FINNHUB_WS_URL = "wss://ws.finnhub.io", ANY,
            "Where Finnhub is";
        KRAKEN_WS_URL = "wss://ws.kraken.com", ANY,
            "Where Kraken is; /v2 is appended";
        OPENAI_API_KEY = "", KEY,
            "Key of OpenAI; unset: the proxy openai is off";
        OPENAI_REALTIME_URL = "wss://api.openai.com/v1/realtime", ANY,
            "Where OpenAI's Realtime API is";
    }
}

pub(super) fn entries(shipped: &Shipped, scope: &mut DescriptionScope<'_>) -> Vec<MapEntry> {
    parsed(shipped.yaml).unwrap_or_else(|wrong| {
        // A test reads every one of them.
        scope.problems.add_once(shipped.name, &wrong);
        Vec::new()
    })
}
