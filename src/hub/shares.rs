//! Owns how many topics of a hub one address may have, over all of its connections on all shards.

use std::{
    collections::{BTreeSet, HashMap, HashSet, hash_map::Entry},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::protocol::Topic;

/// Counts the distinct topics of each address. One instance serves all shards of a hub.
pub(super) struct Shares {
    most: usize,
    held: Mutex<HashMap<IpAddr, HashMap<Topic, usize>>>,
}

/// Counts topics for one address.
#[derive(Clone)]
pub(super) struct Holder {
    shares: Arc<Shares>,
    address: IpAddr,
}

/// Topics that are counted for an address until this is dropped.
pub(super) struct TopicReservation {
    holder: Option<Holder>,
    topics: Vec<Topic>,
}

impl Shares {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, held: Mutex::default() })
    }

    /// The most topics that one address may have.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, HashMap<Topic, usize>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holder {
    /// `address` is the address that limits count by.
    pub(super) fn new(shares: Arc<Shares>, address: IpAddr) -> Self {
        Self { shares, address }
    }

    /// Returns false if the address would have more topics than it may; nothing is counted then.
    fn take_all(&self, topics: &BTreeSet<&Topic>) -> bool {
        let mut held = self.shares.lock();
        let known = held.get(&self.address);
        let new = topics.iter().filter(|topic| known.is_none_or(|known| !known.contains_key(**topic))).count();
        if new > 0 && known.map_or(0, HashMap::len) + new > self.shares.most {
            return false;
        }
        let known = held.entry(self.address).or_default();
        for topic in topics {
            *known.entry((*topic).clone()).or_default() += 1;
        }
        true
    }

    /// Returns those of the topics, in their order, that the address has or may have.
    pub(super) fn fitting(&self, topics: Vec<Topic>) -> Vec<Topic> {
        let held = self.shares.lock();
        let known = held.get(&self.address);
        let left = self.shares.most.saturating_sub(known.map_or(0, HashMap::len));
        fitting(topics, left, |topic| known.is_some_and(|known| known.contains_key(topic)))
    }

    /// Counts a topic once more that this address has already.
    pub(super) fn take(&self, topic: &Topic) {
        *self.shares.lock().entry(self.address).or_default().entry(topic.clone()).or_default() += 1;
    }

    pub(super) fn give_back<'t>(&self, topics: impl Iterator<Item = &'t Topic>) {
        let mut held = self.shares.lock();
        let Some(known) = held.get_mut(&self.address) else { return };
        for topic in topics {
            if let Entry::Occupied(mut count) = known.entry(topic.clone()) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
        if known.is_empty() {
            held.remove(&self.address);
        }
    }
}

/// Returns, in their order, the topics that are known and the first `left` distinct others.
pub(super) fn fitting(topics: Vec<Topic>, mut left: usize, is_known: impl Fn(&Topic) -> bool) -> Vec<Topic> {
    let mut new = HashSet::new();
    let fits = |topic: &Topic| {
        if is_known(topic) || new.contains(topic) {
            return true;
        }
        let has_room = left > 0;
        if has_room {
            left -= 1;
            new.insert(topic.clone());
        }
        has_room
    };
    let fits: Vec<bool> = topics.iter().map(fits).collect();
    topics.into_iter().zip(fits).filter(|(_, fits)| *fits).map(|(topic, _)| topic).collect()
}

impl TopicReservation {
    /// Returns `None` if the holder's address would have more topics than it may. Without a holder
    /// nothing is counted.
    pub(super) fn new(holder: Option<&Holder>, topics: &BTreeSet<&Topic>) -> Option<Self> {
        if holder.is_some_and(|holder| !holder.take_all(topics)) {
            return None;
        }
        let topics = topics.iter().map(|topic| (*topic).clone()).collect();
        Some(Self { holder: holder.cloned(), topics })
    }
}

impl Drop for TopicReservation {
    fn drop(&mut self) {
        if let Some(holder) = &self.holder {
            holder.give_back(self.topics.iter());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> Topic {
        Topic::parse(name).expect("a name")
    }

    fn claim(holder: &Holder, names: &[&str]) -> Option<TopicReservation> {
        let topics: Vec<_> = names.iter().map(|name| topic(name)).collect();
        TopicReservation::new(Some(holder), &topics.iter().collect())
    }

    #[test]
    fn of_more_topics_than_fit_the_first_ones_do_and_those_that_are_there_already() {
        let topics: Vec<_> = ["a", "b", "a", "c", "known", "d"].map(topic).to_vec();
        let fitting = fitting(topics, 2, |topic| topic.as_str() == "known");
        assert_eq!(fitting, ["a", "b", "a", "known"].map(topic));
    }

    #[test]
    fn an_address_has_its_topics_once_however_many_connections_have_them_and_gives_all_back() {
        let shares = Shares::new(2);
        let holder = |address: &str| Holder::new(shares.clone(), address.parse().expect("an address"));
        let (here, neighbour, elsewhere) = (holder("2001:db8::"), holder("2001:db8::"), holder("192.0.2.1"));
        let first = claim(&here, &["a", "b"]).expect("two");
        assert!(claim(&neighbour, &["c"]).is_none(), "it is the same address");
        let again = claim(&neighbour, &["b", "a"]).expect("the same two");
        assert!(claim(&elsewhere, &["c", "d"]).is_some(), "another address has a share of its own");
        drop(first);
        assert!(claim(&here, &["c"]).is_none(), "the neighbour has them still");
        here.take(&topic("a"));
        drop(again);
        let one = claim(&here, &["c"]).expect("b is free");
        drop(one);
        here.give_back([topic("a")].iter());
        assert!(shares.lock().is_empty());
    }
}
