//! Owns the tails: for each log, what the groups on the disk contain that is not yet in its head
//! and parts.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::{
    store::LogName,
    store::{Batch, Change, Records},
};

/// A tail with more bytes of records than this is settled before its turn, so that no portion is
/// large.
const MAX_TAIL_BYTES: usize = 64 << 10;
/// Cost of a batch beside its payload, in memory and at replay.
const BATCH_BYTES: usize = 64;

/// The writes to one log since it was settled.
pub(super) struct Tail {
    /// The tail is the whole log: any head and parts of this log are obsolete.
    pub(super) replaces: bool,
    pub(super) is_removed: bool,
    /// A group is missing before or among these writes.
    pub(super) is_broken: bool,
    /// The position of the first write. The head must end here.
    pub(super) begins: u64,
    /// The position of the first of `records`; after `begins` if earlier ones are no longer needed.
    pub(super) first: u64,
    pub(super) records: Records,
    /// The newest snapshot and its position.
    pub(super) snapshot: Option<(u64, Vec<u8>)>,
    /// Records before this position are no longer needed, neither here nor in parts.
    pub(super) keep_from: u64,
    /// The oldest group that contains a write of this tail.
    group: u64,
    /// Runs of the oldest and of the newest write.
    pub(super) oldest_run: u64,
    pub(super) run: u64,
}

impl Tail {
    fn new(group: u64, run: u64) -> Self {
        Self {
            replaces: false,
            is_removed: false,
            is_broken: false,
            begins: 0,
            first: 0,
            records: Records::default(),
            snapshot: None,
            keep_from: 0,
            group,
            oldest_run: run,
            run,
        }
    }

    pub(super) fn end(&self) -> u64 {
        self.first + self.records.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.records.as_bytes().len() + self.snapshot.as_ref().map_or(0, |(_, body)| body.len())
    }

    fn apply(&mut self, change: &Change, is_new: bool, run: u64) {
        self.run = run;
        match change {
            Change::Begin { snapshot, records, .. } => {
                *self = Self {
                    replaces: true,
                    records: records.clone(),
                    snapshot: Some((0, snapshot.clone())),
                    ..Self::new(self.group, run)
                };
            }
            Change::Append { position, records, snapshot } => {
                if is_new {
                    (self.begins, self.first) = (*position, *position);
                } else if self.is_removed || self.end() != *position {
                    // Happens only when a replay meets a damaged group: live writes are fenced.
                    (self.is_removed, self.is_broken) = (false, true);
                    (self.first, self.records) = (*position, Records::default());
                }
                self.records.extend(records);
                if let Some(snapshot) = snapshot {
                    self.snapshot = Some((self.end(), snapshot.body.clone()));
                    self.trim(snapshot.keep_from.min(self.end()));
                }
            }
            Change::Remove { .. } => *self = Self { replaces: true, is_removed: true, ..Self::new(self.group, run) },
        }
    }

    fn trim(&mut self, keep_from: u64) {
        self.keep_from = self.keep_from.max(keep_from);
        if keep_from > self.first {
            self.records.drop_first(keep_from - self.first);
            self.first = keep_from;
        }
    }
}

/// All tails, and the unsettled groups.
#[derive(Default)]
pub(super) struct Tails {
    map: HashMap<LogName, Tail>,
    /// Logs by the oldest group of their tail. An entry is stale, and skipped, if the log has no
    /// tail or one with another oldest group.
    order: BTreeMap<u64, Vec<LogName>>,
    large: VecDeque<LogName>,
    /// The unsettled groups and their weights, oldest first.
    groups: VecDeque<(u64, usize)>,
    weight: usize,
}

impl Tails {
    pub(super) fn get(&self, name: &LogName) -> Option<&Tail> {
        self.map.get(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&LogName, &Tail)> {
        self.map.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// Approximate bytes for keeping and replaying the unsettled groups.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// Applies a stored group. `batches` are those that fitted; `bytes` is the length of its body.
    pub(super) fn apply<'a>(&mut self, group: u64, run: u64, bytes: usize, batches: impl Iterator<Item = &'a Batch>) {
        let mut weight = bytes;
        for batch in batches {
            weight += BATCH_BYTES;
            let is_new = !self.map.contains_key(&batch.name);
            if is_new {
                self.order.entry(group).or_default().push(batch.name.clone());
            }
            let tail = self.map.entry(batch.name.clone()).or_insert_with(|| Tail::new(group, run));
            let was = tail.records.as_bytes().len();
            tail.apply(&batch.change, is_new, run);
            if was <= MAX_TAIL_BYTES && tail.records.as_bytes().len() > MAX_TAIL_BYTES {
                self.large.push_back(batch.name.clone());
            }
        }
        self.groups.push_back((group, weight));
        self.weight += weight;
    }

    /// Takes the tails to settle next, oldest first: about `bytes`, at most `limit` tails.
    /// `is_over` means that the groups exceed their bound; otherwise only large tails are due.
    pub(super) fn take_due(&mut self, is_over: bool, bytes: usize, limit: usize) -> Vec<(LogName, Tail)> {
        let (mut due, mut sum) = (Vec::new(), 0);
        while due.len() < limit && sum < bytes {
            let Some(name) = self.next_due(is_over) else { break };
            if let Some(tail) = self.map.remove(&name) {
                sum += tail.bytes();
                due.push((name, tail));
            }
        }
        due
    }

    fn next_due(&mut self, is_over: bool) -> Option<LogName> {
        while let Some(name) = self.large.pop_front() {
            if self.map.get(&name).is_some_and(|tail| tail.records.as_bytes().len() > MAX_TAIL_BYTES) {
                return Some(name);
            }
        }
        if !is_over {
            return None;
        }
        let oldest = self.oldest()?;
        self.order.get_mut(&oldest)?.pop()
    }

    /// The oldest group that a tail needs.
    fn oldest(&mut self) -> Option<u64> {
        while let Some(mut entry) = self.order.first_entry() {
            let group = *entry.key();
            let names = entry.get_mut();
            while names.pop_if(|name| self.map.get(name).is_none_or(|tail| tail.group != group)).is_some() {}
            if !names.is_empty() {
                return Some(group);
            }
            entry.remove();
        }
        None
    }

    /// Returns the newest group such that no tail needs it or an older one. `newest` is the newest
    /// group.
    pub(super) fn settled_through(&mut self, newest: u64) -> u64 {
        self.oldest().map_or(newest, |oldest| oldest - 1)
    }

    /// Puts tails from [`Tails::take_due`] back after settling failed.
    pub(super) fn put_back(&mut self, due: Vec<(LogName, Tail)>) {
        for (name, tail) in due {
            self.order.entry(tail.group).or_default().push(name.clone());
            if tail.records.as_bytes().len() > MAX_TAIL_BYTES {
                self.large.push_back(name.clone());
            }
            self.map.insert(name, tail);
        }
    }

    /// Removes the groups up to `group`, which are settled, from the weight.
    pub(super) fn drop_groups(&mut self, group: u64) {
        while let Some((_, weight)) = self.groups.pop_front_if(|(number, _)| *number <= group) {
            self.weight -= weight;
        }
    }
}
