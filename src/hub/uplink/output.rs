//! Owns what an uplink wants done: connections, frames to the upstream, and events for subscribers.
//! The hub's actor carries them out in order.

use std::{collections::HashSet, sync::Arc};

use super::note::Note;
use crate::{
    config::Secret,
    protocol::{FeedState, RawJson, Topic},
};

/// One thing to do. The order matters.
#[derive(Debug)]
pub(crate) enum Output {
    /// Dial the endpoint, and call `opened` or `failed`. Never comes while another connection is
    /// open or being dialled. After a `Disconnect` close the old socket first (within a bound of
    /// the hub's): some upstreams count it until then.
    Connect,
    /// Send one text frame. A secret, because the first frames carry keys.
    Send(Secret),
    /// Send a WebSocket ping.
    Ping,
    /// Close the connection with this code, or stop dialling. Pass nothing more of that connection
    /// to the uplink.
    Disconnect(u16),
    /// H3: the state has changed, or, without a connection, the count of attempts.
    Feed(FeedStatus),
    /// H4: comes before the first `Data` of a new connection.
    Gap(Gap),
    /// A value of a wanted topic, as the upstream wrote it.
    Data(Topic, RawJson),
    /// The upstream does not have a topic that is wanted.
    Rejected(Rejected),
    /// A line for the log.
    Note(Note),
}

/// A topic that the upstream rejected. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejected {
    pub topic: Topic,
    /// The upstream's text, cut and without secrets.
    pub said: Arc<str>,
}

/// The state of a feed (H3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FeedStatus {
    pub state: FeedState,
    /// Unix ms.
    pub since: u64,
    /// Connections that failed or were lost since the last stable one; 0 while no client is here.
    pub attempt: u32,
    /// The upstream refused for good (because of a wrong key, for instance), and no connection has
    /// been live since.
    pub fatal: bool,
}

/// H4: values of these topics between these moments may have been missed.
#[derive(Debug, Clone)]
pub(crate) struct Gap {
    /// Never empty.
    pub topics: Arc<HashSet<Topic>>,
    /// Unix ms: when the last frame came before the connection was lost.
    pub from: u64,
    /// Unix ms.
    pub to: u64,
}

impl Gap {
    /// Returns the gap since a topic's last value: this gap, joined with the one that was `known`
    /// before.
    pub(crate) fn widen(from: u64, to: u64, known: Option<(u64, u64)>) -> (u64, u64) {
        (known.map_or(from, |(before, _)| before.min(from)), to)
    }
}

/// Totals since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Values put out.
    pub values: u64,
    /// Items without topic or data that match no rule.
    pub unknown: u64,
    /// Frames that are not JSON, or nest too deep.
    pub unreadable: u64,
    /// Topics that the upstream rejected.
    pub rejected: u64,
    /// Gaps put out.
    pub gaps: u64,
}
