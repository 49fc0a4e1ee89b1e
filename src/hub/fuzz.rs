//! Owns the fuzzers of what hubs read: a bus's log, and what an upstream sends.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use super::{bus::is_whole, uplink::Uplink};
use crate::{
    clock::Now,
    config::{Config, Overrides, feeds::FeedConfig},
    protocol::Topic,
    store::{Log, Records},
};

/// A snapshot of a bus, and behind a byte of 0 one record.
pub fn bus(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == 0xff).unwrap_or(data.len());
    let (snapshot, record) = data.split_at(at);
    let mut records = Records::default();
    if let Some((_, record)) = record.split_first() {
        records.push_with(|out| out.extend_from_slice(record));
    }
    let log = Log {
        snapshot: snapshot.to_vec(),
        records,
        is_intact: true,
        snapshot_position: 0,
        first: 0,
        downtime: Duration::ZERO,
    };
    let _ = is_whole(&log);
}

/// The shipped descriptions of feeds.
fn feeds() -> &'static [FeedConfig] {
    static FEEDS: OnceLock<Vec<FeedConfig>> = OnceLock::new();
    FEEDS.get_or_init(|| {
        let variables = HashMap::from([
            ("HUBS", "binance,alpaca,finnhub,kraken,massive-options,massive-indices"),
            ("MASSIVE_API_KEY", "a"),
            ("ALPACA_API_KEY", "a"),
            ("ALPACA_API_SECRET", "a"),
            ("FINNHUB_API_KEY", "a"),
        ]);
        let config = Config::from_source(&variables, None, Overrides::default()).expect("the shipped feeds");
        config.hubs.into_iter().filter_map(|hub| hub.feed).collect()
    })
}

/// Frames of an upstream, a line each. The first byte names the feed; an empty line lets a second
/// pass, a line of one dot loses the connection.
pub fn upstream(data: &[u8]) {
    let Some((feed, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let feeds = feeds();
    let Some(feed) = feeds.get(usize::from(*feed) % feeds.len()) else { return };
    let mut now = Now { unix_ms: 1_000_000, ..Now::read() };
    let mut uplink = Uplink::new(Arc::new(feed.clone()), fastrand::Rng::with_seed(7), now);
    for name in ["AAPL", "btcusdt@trade", "trade:BTC/USD", "T.AAPL", "V.I:SPX"] {
        uplink.want(&Topic::parse(name).expect("a name"), now);
    }
    uplink.set_active(true, now);
    let _ = uplink.drain();
    uplink.opened(now);
    for line in text.lines() {
        match line {
            "" => {
                now = now.later(Duration::from_secs(1));
                uplink.tick(now);
            }
            "." => {
                uplink.lost(None, "", now);
                now = now.later(Duration::from_secs(60));
                uplink.tick(now);
                uplink.opened(now);
            }
            text => uplink.on_message(text, now),
        }
        let _ = uplink.drain();
    }
}
