//! Owns the encoding of a group: the body of a row of the table `groups`, and its CRC.

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

use crate::{
    store::LogName,
    store::{Batch, Change, Records, Snapshot},
};

/// A batch as it is encoded in a group's body, which is a sequence of these.
#[derive(Serialize, Deserialize)]
struct BatchEntry<'a> {
    name: &'a str,
    #[serde(borrow)]
    change: BatchKind<'a>,
}

#[derive(Serialize, Deserialize)]
enum BatchKind<'a> {
    Begin {
        #[serde(borrow)]
        snapshot: &'a Bytes,
        #[serde(borrow)]
        records: &'a Bytes,
    },
    Append {
        position: u64,
        #[serde(borrow)]
        records: &'a Bytes,
        #[serde(borrow)]
        snapshot: Option<(u64, &'a Bytes)>,
    },
    Remove {
        position: u64,
    },
}

impl BatchEntry<'_> {
    fn batch(&self) -> Option<Batch> {
        let change = match &self.change {
            BatchKind::Begin { snapshot, records } => Change::Begin {
                snapshot: snapshot.to_vec(),
                records: Records::from_bytes(records.to_vec())?,
                replace: true,
            },
            BatchKind::Append { position, records, snapshot } => Change::Append {
                position: *position,
                records: Records::from_bytes(records.to_vec())?,
                snapshot: snapshot.map(|(keep_from, body)| Snapshot { body: body.to_vec(), keep_from }),
            },
            BatchKind::Remove { position } => Change::Remove { position: *position },
        };
        Some(Batch { name: LogName::parse(self.name).ok()?, change })
    }
}

/// Appends a batch to a group's body.
pub(super) fn encode(body: Vec<u8>, batch: &Batch) -> Result<Vec<u8>, postcard::Error> {
    let change = match &batch.change {
        Change::Begin { snapshot, records, .. } => {
            BatchKind::Begin { snapshot: Bytes::new(snapshot), records: Bytes::new(records.as_bytes()) }
        }
        Change::Append { position, records, snapshot } => BatchKind::Append {
            position: *position,
            records: Bytes::new(records.as_bytes()),
            snapshot: snapshot.as_ref().map(|snapshot| (snapshot.keep_from, Bytes::new(&snapshot.body))),
        },
        Change::Remove { position } => BatchKind::Remove { position: *position },
    };
    postcard::to_extend(&BatchEntry { name: &batch.name.text(), change }, body)
}

/// Decodes a group's batches, in order; `None` if [`encode`] did not make this body.
pub(super) fn decode(body: &[u8]) -> Option<Vec<Batch>> {
    let (mut rest, mut batches) = (body, Vec::new());
    while !rest.is_empty() {
        let (entry, after) = postcard::take_from_bytes::<BatchEntry<'_>>(rest).ok()?;
        batches.push(entry.batch()?);
        rest = after;
    }
    Some(batches)
}

/// The CRC of a whole row.
pub(super) fn sum(number: u64, run: u64, body: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&number.to_le_bytes());
    sum.update(&run.to_le_bytes());
    sum.update(body);
    sum.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_comes_back_as_it_was_encoded_and_is_none_when_cut() {
        let mut records = Records::default();
        records.push_with(|out| out.extend_from_slice(b"one"));
        let name = LogName::parse("g").unwrap();
        let batch = |change| Batch { name: name.clone(), change };
        let snapshot = Some(Snapshot { body: b"state".to_vec(), keep_from: 7 });
        let batches = [
            batch(Change::Begin { snapshot: b"begin".to_vec(), records: records.clone(), replace: true }),
            batch(Change::Append { position: 300, records, snapshot }),
            batch(Change::Remove { position: u64::MAX }),
        ];
        let body = batches.iter().fold(Vec::new(), |body, batch| encode(body, batch).unwrap());
        assert_eq!(decode(&body).as_deref(), Some(&batches[..]));
        assert_eq!(decode(&body[..body.len() - 1]), None);
    }
}
