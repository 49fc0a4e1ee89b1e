//! Owns the state of an event bus: the last value and number of each topic that was ever published,
//! kept in a log of its own.

use std::{
    collections::BTreeMap,
    rc::Rc,
    sync::{Arc, Mutex},
};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::handle::{NUMBERS_OF_A_LIFE, PublishError};
use crate::{
    protocol::{HubId, RawJson, Topic},
    store::{
        Appended, Appender, AppliedKey, BodyHash, IdempotencyKey, IdempotencyKeys, Journal, KeyMismatch, KnownKey, Log,
        LogName, LogWriter, MemoryStore, Records, Snapshot, Ticket, encode,
    },
};

/// In version 2 the idempotency keys follow the fields of version 1; version 1 is still read.
const IMAGE_VERSION: u8 = 2;

/// Where buses keep their logs. A log in memory outlives a hub that fails, but not the process.
#[derive(Clone)]
pub(crate) struct BusHome {
    journal: Option<Journal>,
    memory: Arc<Mutex<MemoryStore>>,
    flush: bool,
}

impl BusHome {
    /// Without a journal logs are kept in memory. `flush` is `DURABILITY=sync` (D1).
    pub(crate) fn new(journal: Option<Journal>, flush: bool) -> Self {
        Self { journal, memory: Arc::default(), flush }
    }
}

/// One bus as far as it is written, which is ahead of what shards have been sent.
pub(super) struct Bus {
    log: LogWriter<BusItem>,
    known: BusState,
    max_topics: usize,
    /// The newest batch. The store settles batches in order.
    ticket: Option<Ticket>,
}

/// What reading a log yields.
#[derive(Default)]
struct BusState {
    values: BTreeMap<Topic, (u64, RawJson)>,
    keys: IdempotencyKeys,
    /// Every new number is above this one.
    floor: u64,
}

/// What waits for the store.
#[derive(Debug)]
pub(super) enum BusItem {
    /// A value to show. `answer` sends its number to the publisher.
    Value { topic: Topic, seq: u64, data: RawJson, answer: oneshot::Sender<u64> },
    /// The reply to a publication whose value, an earlier one, has this number.
    Repeat { seq: u64, answer: oneshot::Sender<u64> },
}

/// The entries of a bus's log. As with a room's records, the format is postcard: new variants join
/// at the end, and no variant ever changes.
#[derive(Serialize, Deserialize)]
enum BusRecord<'a> {
    Value {
        topic: &'a str,
        seq: u64,
        data: &'a str,
    },
    /// The value in the record before this one was published with this idempotency key.
    Key(AppliedKey, BodyHash),
}

/// A value to publish, with its key and its time.
pub(super) struct Publication {
    pub topic: Topic,
    pub data: RawJson,
    pub key: Option<IdempotencyKey>,
    pub unix_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct BusImage<'a> {
    floor: u64,
    #[serde(borrow)]
    values: Vec<BusRecord<'a>>,
}

impl Bus {
    /// Empty until [`Bus::open`] is called.
    pub(super) fn new(id: &HubId, home: &BusHome, max_topics: usize) -> Self {
        let appender = match &home.journal {
            Some(journal) => Appender::journal(journal.clone()),
            None => Appender::memory(home.memory.clone()),
        };
        let log = LogWriter::new(LogName::Bus(id.clone()), appender, home.flush, 0);
        Self { log, known: BusState::default(), max_topics, ticket: None }
    }

    pub(super) fn log_name(&self) -> &LogName {
        self.log.name()
    }

    pub(super) fn appender(&self) -> &Rc<Appender<BusItem>> {
        self.log.appender()
    }

    /// Restores the state from the log, if there is one, and begins the log anew with it. A writer
    /// of an earlier life cannot append to it any more, and the store records that the bus is in
    /// use. Returns false if the log was damaged: values may be missing or older than the newest.
    pub(super) fn open(&mut self, log: Option<&Log>, unix_ms: u64) -> bool {
        let is_whole = log.is_none_or(|log| self.known.fold(log));
        if !is_whole {
            let highest = self.values().map(|(_, seq, _)| seq).max().unwrap_or(0);
            // The lost records may have had higher numbers.
            self.known.floor = self.known.floor.max(highest) + NUMBERS_OF_A_LIFE;
        }
        self.log.begin(self.known.image(unix_ms), true);
        is_whole
    }

    /// Returns all values in the order of their topics.
    pub(super) fn values(&self) -> impl Iterator<Item = (&Topic, u64, &RawJson)> {
        self.known.values.iter().map(|(topic, (seq, data))| (topic, *seq, data))
    }

    /// Returns true if the topic has a value, stored or on its way to the store.
    pub(super) fn has(&self, topic: &Topic) -> bool {
        self.known.values.contains_key(topic)
    }

    /// Returns the number of the value that was published with this key, if there is one.
    ///
    /// # Errors
    /// [`PublishError::Mismatch`]
    pub(super) fn known(&self, key: &IdempotencyKey, unix_ms: u64) -> Result<Option<u64>, PublishError> {
        self.known.keys.seq_of(key, unix_ms).map_err(|KeyMismatch| PublishError::Mismatch)
    }

    /// Sends the number to a repeating publisher once everything written so far is stored.
    pub(super) fn repeat(&self, seq: u64, answer: oneshot::Sender<u64>) {
        match self.ticket {
            Some(ticket) => self.appender().defer(ticket, BusItem::Repeat { seq, answer }),
            // The publisher may be gone.
            None => drop(answer.send(seq)),
        }
    }

    /// Numbers a value and writes it.
    ///
    /// # Errors
    /// The bus has as many topics as it may, or the store accepts nothing now (D5). Nothing has
    /// changed.
    pub(super) fn write(
        &mut self,
        publication: Publication,
        answer: oneshot::Sender<u64>,
    ) -> Result<(Appended, BusItem), PublishError> {
        let Publication { topic, data, key, unix_ms } = publication;
        if self.appender().is_failing() {
            return Err(PublishError::Gone);
        }
        let BusState { values, floor, keys } = &mut self.known;
        let known = values.get(&topic);
        if known.is_none() && values.len() >= self.max_topics {
            return Err(PublishError::Full);
        }
        let seq = known.map_or(0, |(seq, _)| *seq).max(*floor) + 1;
        values.insert(topic.clone(), (seq, data.clone()));
        let mut records = Records::default();
        let record = BusRecord::Value { topic: topic.as_str(), seq, data: data.as_str() };
        records.push_with(|out| encode(&record, out));
        if let Some(IdempotencyKey { key, body }) = key {
            let applied = AppliedKey { key, seq, made_ms: unix_ms };
            keys.note((applied, Some(body)));
            records.push_with(|out| encode(&BusRecord::Key(applied, body), out));
        }
        let keep_from = self.log.position() + records.len();
        let snapshot = || Snapshot { body: self.known.image(unix_ms), keep_from };
        let appended = self.log.write(records, snapshot).ok_or(PublishError::Gone)?;
        if let Appended::Pending(ticket) = appended {
            self.ticket = Some(ticket);
        }
        Ok((appended, BusItem::Value { topic, seq, data, answer }))
    }
}

impl BusState {
    /// Restores the state from a log. Returns false if the log is damaged; what could be read is
    /// restored.
    fn fold(&mut self, log: &Log) -> bool {
        let Some((image, keys)) = read_image(&log.snapshot) else { return false };
        self.floor = image.floor;
        self.keys = IdempotencyKeys::restore(keys);
        let mut is_whole = image.values.iter().all(|record| self.take(record)) && log.is_intact;
        for (position, record) in (log.first..).zip(log.records.iter()) {
            let record = postcard::from_bytes(record);
            is_whole &= record.is_ok_and(|record| position < log.snapshot_position || self.take(&record));
        }
        is_whole
    }

    fn take(&mut self, record: &BusRecord<'_>) -> bool {
        match record {
            BusRecord::Value { topic, seq, data } => {
                let (Some(topic), Ok(data)) = (Topic::parse(topic), RawJson::parse(data)) else { return false };
                self.values.insert(topic, (*seq, data));
            }
            BusRecord::Key(applied, body) => self.keys.note((*applied, Some(*body))),
        }
        true
    }

    fn image(&self, unix_ms: u64) -> Vec<u8> {
        let records = self.values.iter().map(|(topic, (seq, data))| BusRecord::Value {
            topic: topic.as_str(),
            seq: *seq,
            data: data.as_str(),
        });
        let mut body = vec![IMAGE_VERSION];
        encode(&BusImage { floor: self.floor, values: records.collect() }, &mut body);
        encode(&self.keys.current(unix_ms), &mut body);
        body
    }
}

/// Returns true if all of a bus's log can be read.
pub(crate) fn is_whole(log: &Log) -> bool {
    BusState::default().fold(log)
}

fn read_image(snapshot: &[u8]) -> Option<(BusImage<'_>, Vec<KnownKey>)> {
    let (version, body) = snapshot.split_first()?;
    let (image, rest) = postcard::take_from_bytes(body).ok()?;
    match version {
        1 => Some((image, Vec::new())),
        2 => Some((image, postcard::from_bytes(rest).ok()?)),
        _ => None,
    }
}

#[cfg(test)]
#[path = "bus_tests.rs"]
mod tests;
