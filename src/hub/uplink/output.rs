//! Owns what an uplink wants done: connections, frames to the upstream, and what the hub has to tell its subscribers.
//! Made by `machine`; carried out, in order, by the hub's actor.

use std::{collections::HashSet, sync::Arc};

use super::note::Note;
use crate::{
    config::Secret,
    protocol::{FeedState, RawJson, Topic},
};

/// One thing to do. They are to be done in the order in which they come.
#[derive(Debug)]
pub enum Output {
    /// Dial the endpoint; the answer is `opened` or `failed`. Never while another connection is there or being dialled. After a
    /// `Disconnect` the old socket is to be closed first (within a bound of the hub's): some upstreams count it until then.
    Connect,
    /// One text frame. A secret, because the first ones carry keys.
    Send(Secret),
    /// A WebSocket ping.
    Ping,
    /// Close with this code, or give up dialling. Nothing of that connection may be told to the uplink any more.
    Disconnect(u16),
    /// H3: the state changed, or the count of attempts while there is no connection.
    Feed(FeedStatus),
    /// H4: before the first `Data` of a new connection.
    Gap(Gap),
    /// A value of a topic that is wanted, as the upstream wrote it.
    Data(Topic, RawJson),
    /// The upstream does not have a topic that is wanted.
    Rejected(Rejected),
    /// Worth a line in the log.
    Note(Note),
}

/// What the upstream says no to. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    pub topic: Topic,
    /// Its own words, cut and without secrets.
    pub said: Arc<str>,
}

/// H3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedStatus {
    pub state: FeedState,
    /// Unix ms.
    pub since: u64,
    /// Connections that failed or were lost since the last one that was stable; 0 while nobody is there.
    pub attempt: u32,
    /// The upstream refused for good (a wrong key, say), and no connection has been live since.
    pub fatal: bool,
}

/// H4: values of these topics between these moments may have been missed.
#[derive(Debug, Clone)]
pub struct Gap {
    /// Never empty.
    pub topics: Arc<HashSet<Topic>>,
    /// Unix ms: when something was last heard before the connection was lost.
    pub from: u64,
    /// Unix ms.
    pub to: u64,
}

impl Gap {
    /// What may have been missed of a topic since its last value, this gap included, when `known` was known before.
    pub fn widen(from: u64, to: u64, known: Option<(u64, u64)>) -> (u64, u64) {
        (known.map_or(from, |(before, _)| before.min(from)), to)
    }
}

/// Sums since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Values put out.
    pub values: u64,
    /// Items without topic or data that no rule knows.
    pub unknown: u64,
    /// Frames that are no JSON, or nest too deep.
    pub unreadable: u64,
    /// Topics that the upstream rejected.
    pub rejected: u64,
    /// Gaps put out.
    pub gaps: u64,
}
