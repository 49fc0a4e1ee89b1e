//! Owns the messages of the `Hub` actor and what it sends to shards.

use std::net::IpAddr;

use actix::{Message, Recipient};
use serde::Serialize;

use super::{
    event::{HubEvent, TopicRefusal},
    fanout::InterestChange,
    handle::{PublishError, Receipt},
};
use crate::{
    protocol::{HubId, RawJson, Topic},
    store::IdempotencyKey,
};

// ---- commands

/// Sent by a local hub when its shard's interest has changed; the next one only after the reply,
/// which lists the wanted topics that the hub refuses. If the mailbox is full, the message waits.
#[derive(Message)]
#[rtype(result = "Vec<(Topic, TopicRefusal)>")]
pub(super) struct Interest {
    pub shard: usize,
    /// The shard, which gets the hub's events.
    pub reply: Recipient<Deliver>,
    pub change: InterestChange,
}

/// Sent for a connection or a back end that may publish. The reply is a receipt, which resolves to
/// the topic's new number when the value is stored. If the mailbox is full, the publisher waits,
/// and nothing more is read from it.
#[derive(Message)]
#[rtype(result = "Result<Receipt, PublishError>")]
pub(super) struct Publish {
    pub topic: Topic,
    pub data: RawJson,
    pub by: Publisher,
}

/// Who publishes, and so how many new topics it may create.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Publisher {
    /// Limited by the bus's own bound only. A value with the same idempotency key is applied once.
    BackEnd { key: Option<IdempotencyKey> },
    /// A connection from this address, as limits count it. `may_make` is false if the connection
    /// has created its share of topics.
    Client { address: IpAddr, may_make: bool },
}

/// Sent when the server stops (D4). The reply comes when the connection to the upstream is closed,
/// after a second at most; the hub opens none from then on. If the mailbox is full, the message
/// waits.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Stop;

// ---- queries

/// Sent for an operator. The reply lists the hub's topics by name. If the mailbox is full, the
/// request waits.
#[derive(Message)]
#[rtype(result = "Vec<TopicLine>")]
pub(super) struct ListTopics;

/// One topic, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct TopicLine {
    pub topic: Topic,
    /// The number of its newest value; 0 if it has none.
    pub seq: u64,
    /// True if any shard wants it; false while it lingers, or while a bus keeps it without
    /// subscribers.
    pub wanted: bool,
}

// ---- events

/// Sent to each shard with its events; the next one only after the reply, and after the flush
/// interval. If the mailbox is full, the message waits. Past a bound, newer values meanwhile
/// replace older ones.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Deliver {
    pub hub: HubId,
    /// The number of the shard's newest interest that the hub had handled when it sent this.
    pub handled: u64,
    pub events: Vec<HubEvent>,
}
