//! Owns the fake upstreams of feed hubs: real WebSocket servers on this machine that behave as each
//! provider does, keep the state that it would keep, and fail as a test commands.

mod alpaca;
mod binance;
mod desk;
mod finnhub;
mod kraken;
mod liar;
mod massive;
mod peer;
mod port;
mod server;
mod tests;
mod wire;

pub use alpaca::Alpaca;
pub use binance::Binance;
pub use desk::Desk;
pub use finnhub::Finnhub;
pub use kraken::Kraken;
pub use liar::{Liar, Lie};
pub use massive::{Eviction, Massive};
pub use peer::Peer;
pub use server::Fake;

use serde_json::Value;

/// How one provider talks. Pure: it answers into the peer and knows no socket.
pub trait Provider: Send + 'static {
    /// `Err`: the handshake is refused with this HTTP status.
    fn admit(&self, _target: &str) -> Result<(), u16> {
        Ok(())
    }

    /// A connection has opened.
    fn greet(&mut self, _peer: &mut Peer) {}

    /// The client has sent a JSON frame.
    fn hear(&mut self, peer: &mut Peer, frame: &Value);

    /// Whether what happens to this topic is sent to this peer.
    fn reaches(&self, peer: &Peer, topic: &str) -> bool {
        peer.topics.contains(topic)
    }

    /// The frames in which these values (topic, fields) go out together.
    fn frames(&self, values: &[(&str, &Value)]) -> Vec<String>;
}
