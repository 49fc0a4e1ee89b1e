//! Owns the store in memory: its logs live as long as the process (D1, `DURABILITY=memory`). A room
//! whose logic failed is restored from it.

use std::{collections::BTreeMap, time::Duration};

use super::{Batch, Change, Log, Records, Snapshot, Store, StoreError};
use crate::store::LogName;

#[derive(Default)]
pub struct MemoryStore {
    logs: BTreeMap<LogName, MemoryLog>,
}

struct MemoryLog {
    snapshot: Vec<u8>,
    snapshot_position: u64,
    /// The position of the first record.
    first: u64,
    records: Records,
}

impl MemoryLog {
    fn end(&self) -> u64 {
        self.first + self.records.len()
    }

    fn append(&mut self, records: &Records, snapshot: Option<&Snapshot>) {
        self.records.extend(records);
        if let Some(Snapshot { body, keep_from }) = snapshot {
            self.snapshot_position = self.end();
            self.snapshot.clone_from(body);
            let keep_from = (*keep_from).clamp(self.first, self.end());
            self.records.drop_first(keep_from - self.first);
            self.first = keep_from;
        }
    }
}

impl MemoryStore {
    /// Applies one batch; returns `false` if it does not fit its log.
    fn carry_out(&mut self, Batch { name, change }: &Batch) -> bool {
        match change {
            Change::Begin { snapshot, records, replace } => {
                if !replace && self.logs.contains_key(name) {
                    return false;
                }
                let log =
                    MemoryLog { snapshot: snapshot.clone(), snapshot_position: 0, first: 0, records: records.clone() };
                self.logs.insert(name.clone(), log);
            }
            Change::Append { position, records, snapshot } => {
                let Some(log) = self.logs.get_mut(name).filter(|log| log.end() == *position) else { return false };
                log.append(records, snapshot.as_ref());
            }
            Change::Remove { position } => {
                if self.logs.get(name).is_none_or(|log| log.end() != *position) {
                    return false;
                }
                self.logs.remove(name);
            }
        }
        true
    }
}

impl Store for MemoryStore {
    fn append(&mut self, group: &[Batch], _: bool) -> Result<Vec<usize>, StoreError> {
        let rejected = group.iter().enumerate().filter(|(_, batch)| !self.carry_out(batch)).map(|(index, _)| index);
        Ok(rejected.collect())
    }

    fn read(&mut self, name: &LogName, from: u64) -> Result<Option<Log>, StoreError> {
        Ok(self.logs.get(name).map(|log| {
            let skipped = from.clamp(log.first, log.end()) - log.first;
            let mut records = log.records.clone();
            records.drop_first(skipped);
            Log {
                snapshot: log.snapshot.clone(),
                snapshot_position: log.snapshot_position,
                first: log.first + skipped,
                records,
                is_intact: true,
                downtime: Duration::ZERO,
            }
        }))
    }

    fn logs(&mut self, after: Option<&LogName>, limit: usize) -> Result<Vec<LogName>, StoreError> {
        Ok(self.logs.keys().filter(|name| after.is_none_or(|after| *name > after)).take(limit).cloned().collect())
    }

    /// Removes nothing: every log was written since this store was opened.
    fn sweep(&mut self, _: usize) -> Result<usize, StoreError> {
        Ok(0)
    }
}
