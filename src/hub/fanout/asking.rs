//! Owns a shard's interest in a hub's topics: which topics are wanted here, and which interest the
//! hub has handled.

use std::{
    collections::{BTreeSet, HashSet},
    time::Instant,
};

use super::{Fanout, Listed, TopicRefusal};
use crate::{
    hub::shares::{TopicReservation, fitting},
    protocol::{ServerFrame, Topic, error_code},
    ws::{Policy, json_frame},
};

/// A shard's interest: what it wants and no longer wants since the interest before. The hub handles
/// `unwanted` first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct InterestChange {
    /// Counts from 1 in the life of this shard.
    pub number: u64,
    pub unwanted: Vec<Topic>,
    pub wanted: Vec<Topic>,
    /// How many clients this shard has now.
    pub clients: usize,
}

/// Whose limit of topics a subscription would exceed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TooMany {
    /// The subscriber's own.
    Client,
    /// That of all subscribers of its address together.
    Address,
}

/// The state of reserved topics, to which a client is about to be subscribed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Availability {
    /// The hub has handled the interest in all of them: values from now on arrive here.
    Known,
    /// The hub has not handled the interest in some of them yet.
    Unknown,
    /// The hub refused this topic.
    Refused(Topic, TopicRefusal),
}

impl TopicRefusal {
    /// Returns the code and the reason for an `error`.
    pub(crate) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Full => (error_code::TOO_MANY_TOPICS, "the hub has as many topics as it may"),
            Self::Nameless => (error_code::UNKNOWN_TOPIC, "the feed has no topics of such a name"),
        }
    }
}

impl Fanout {
    /// Returns those of the topics, in their order, that the client has or may have; and whose
    /// limit excludes the others, if any are excluded.
    pub(crate) fn fitting(&self, connection: u64, topics: Vec<Topic>) -> (Vec<Topic>, Option<TooMany>) {
        let Some(client) = self.clients.get(&connection) else { return (topics, None) };
        let asked = topics.len();
        let left = self.max_topics_per_client.saturating_sub(client.topics.len());
        let mut fitting = fitting(topics, left, |topic| client.topics.contains_key(topic));
        let mut beyond = (fitting.len() < asked).then_some(TooMany::Client);
        if let Some(holder) = &client.holder {
            let own = fitting.len();
            fitting = holder.fitting(fitting);
            beyond = if fitting.len() < own { Some(TooMany::Address) } else { beyond };
        }
        (fitting, beyond)
    }

    /// Reserves topics that a client is about to subscribe to, so that the next interest asks for
    /// them. Call [`Fanout::cancel_reservation`] after the client has subscribed or given up, and
    /// keep the reservation until then.
    ///
    /// # Errors
    /// [`TooMany`]: nothing has changed.
    pub(crate) fn reserve(&mut self, connection: u64, topics: &[Topic]) -> Result<TopicReservation, TooMany> {
        let topics: BTreeSet<_> = topics.iter().collect();
        let client = self.clients.get(&connection);
        if let Some(client) = client {
            let new = topics.iter().filter(|topic| !client.topics.contains_key(**topic)).count();
            if client.topics.len() + new > self.max_topics_per_client {
                return Err(TooMany::Client);
            }
        }
        let holder = client.and_then(|client| client.holder.as_ref());
        let claim = TopicReservation::new(holder, &topics).ok_or(TooMany::Address)?;
        for topic in topics {
            let listed = self.topics.entry(topic.clone()).or_insert_with(|| Listed::new(topic));
            listed.reserved += 1;
            // Asks again: the hub may have room now, or the upstream may have the topic.
            listed.forgotten |= listed.refused.take().is_some() | listed.rejected.take().is_some();
            if listed.asked.is_none() || listed.forgotten {
                self.changed.insert(topic.clone());
            }
        }
        Ok(claim)
    }

    pub(crate) fn cancel_reservation(&mut self, topics: &[Topic]) {
        for topic in topics.iter().collect::<BTreeSet<_>>() {
            if let Some(listed) = self.topics.get_mut(topic) {
                listed.reserved -= 1;
                if listed.reserved == 0 && listed.subscribers.is_empty() {
                    self.changed.insert(topic.clone());
                }
            }
        }
    }

    /// Call it for reserved topics only.
    pub(crate) fn availability(&self, topics: &[Topic]) -> Availability {
        let mut availability = Availability::Known;
        for topic in topics {
            let Some(listed) = self.topics.get(topic) else { return Availability::Unknown };
            if let Some(why) = listed.refused {
                return Availability::Refused(topic.clone(), why);
            }
            if listed.forgotten || listed.asked.is_none_or(|asked| asked > self.handled) {
                availability = Availability::Unknown;
            }
        }
        availability
    }

    /// Returns the interest that has not been sent yet, and counts it as sent. `None` if nothing
    /// has changed.
    pub(crate) fn take_change(&mut self) -> Option<InterestChange> {
        let clients = self.clients.len();
        let number = self.sent + 1;
        let mut change = InterestChange { number, clients, ..InterestChange::default() };
        for topic in std::mem::take(&mut self.changed) {
            let Some(listed) = self.topics.get_mut(&topic) else { continue };
            if listed.subscribers.is_empty() && listed.reserved == 0 {
                // A topic that was asked for earlier must be given up, even at a new hub: the
                // earlier interest may still be on its way to it.
                if listed.asked.is_some() {
                    change.unwanted.push(topic.clone());
                }
                self.topics.remove(&topic);
            } else if listed.asked.is_none() || listed.forgotten {
                (listed.asked, listed.forgotten) = (Some(number), false);
                change.wanted.push(topic);
            }
        }
        // The hub only distinguishes between no client and some.
        let is_known = self.clients_sent.is_some_and(|sent| (sent == 0) == (clients == 0));
        if is_known && change.wanted.is_empty() && change.unwanted.is_empty() {
            return None;
        }
        self.clients_sent = Some(clients);
        self.sent = number;
        Some(change)
    }

    /// The hub has handled the interest of this number, and refused these of the topics wanted in
    /// it.
    pub(crate) fn on_interest_handled(&mut self, number: u64, refused: Vec<(Topic, TopicRefusal)>, now: Instant) {
        self.handled = self.handled.max(number);
        for (topic, why) in refused {
            // A refusal of an older interest is out of date. Subscribers that the topic still has,
            // from an earlier life of the hub, lose it.
            if self.topics.get(&topic).is_some_and(|listed| listed.asked == Some(number)) {
                self.refuse(&topic, why, now);
            }
        }
    }

    /// The hub does not have the topic any more: its subscribers get an `error` and lose it.
    pub(super) fn refuse(&mut self, topic: &Topic, why: TopicRefusal, now: Instant) {
        let Some(listed) = self.topics.get_mut(topic) else { return };
        listed.refused = Some(why);
        let (code, reason) = why.words();
        let message = format!("{reason}; {topic:?} is not subscribed any more");
        let (message, id, named) = (message.as_str(), None, Some(topic));
        let frame = json_frame(|out| ServerFrame::Error { code, message, id, topic: named }.write(out));
        for (connection, outbox) in listed.subscribers.drain(..) {
            outbox.forget(&listed.key);
            outbox.queue(frame.clone(), Policy::Behind, now);
            if let Some(client) = self.clients.get_mut(&connection) {
                client.lose(topic);
            }
        }
        self.changed.insert(topic.clone());
    }

    /// Returns true if an event of this topic was sent after the hub had handled the interest in
    /// it. `handled` is the number of the newest interest that the hub had handled by then.
    pub(super) fn has_asked(&self, topic: &Topic, handled: u64) -> bool {
        self.topics.get(topic).is_some_and(|listed| listed.asked.is_some_and(|asked| asked <= handled))
    }

    /// The hub was replaced at this moment (unix ms): everything is asked for again.
    pub(super) fn ask_again(&mut self, at: u64) {
        let (from, mut topics) = self.missed.take().unwrap_or((at, HashSet::new()));
        for (topic, listed) in &mut self.topics {
            listed.forgotten = true;
            self.changed.insert(topic.clone());
            topics.insert(topic.clone());
        }
        self.missed = Some((from, topics));
        self.clients_sent = None;
    }
}
