//! Owns the messages of the `Hub` actor and what it sends to shards.

use std::net::IpAddr;

use actix::{Message, Recipient};
use serde::Serialize;

use super::{
    event::{HubEvent, TopicRefusal},
    fanout::Wishes,
    handle::{PublishError, Receipt},
};
use crate::{
    protocol::{HubId, RawJson, Topic},
    store::IdempotencyKey,
};

// ---- commands

/// Sent by a branch whose shard's wishes have changed; the next one only when this is answered, with those wanted topics that the
/// hub does not have. Mailbox full: it waits.
#[derive(Message)]
#[rtype(result = "Vec<(Topic, TopicRefusal)>")]
pub struct Interest {
    pub shard: usize,
    /// The shard itself.
    pub reply: Recipient<Deliver>,
    pub wishes: Wishes,
}

/// Sent for a connection or a back end that may publish; answers with a receipt: where the topic's new number will come when the
/// value is stored. Mailbox full: the publisher waits, and nothing more is read from it.
#[derive(Message)]
#[rtype(result = "Result<Receipt, PublishError>")]
pub struct Publish {
    pub topic: Topic,
    pub data: RawJson,
    pub by: Publisher,
}

/// Who publishes, which says how many new topics it may make.
#[derive(Debug, Clone, Copy)]
pub enum Publisher {
    /// As many as the bus may have. A value with the same idempotency key is applied once.
    BackEnd { key: Option<IdempotencyKey> },
    /// A connection from this address (as limits count it), and whether its own share leaves room for a new topic.
    Client { address: IpAddr, may_make: bool },
}

/// Sent when the server stops (D4); answered when the upstream's connection is closed, a second later at most, and there will be
/// none any more. Mailbox full: it waits.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Stop;

// ---- queries

/// Sent for an operator; answers the topics that are there, by name. Mailbox full: the request waits.
#[derive(Message)]
#[rtype(result = "Vec<TopicLine>")]
pub struct ListTopics;

/// One topic, for an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopicLine {
    pub topic: Topic,
    /// Of its newest value; 0: it has none.
    pub seq: u64,
    /// Whether anybody subscribes to it; or it lingers, or it is kept.
    pub wanted: bool,
}

// ---- events

/// Sent to each shard with what is new for it; the next one only when this is answered, and at the hub's pace. Mailbox full:
/// it waits, and past a bound newer values take the place of older ones meanwhile.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Deliver {
    pub hub: HubId,
    /// The number of the shard's newest wish that was heard by then.
    pub heard: u64,
    pub news: Vec<HubEvent>,
}
