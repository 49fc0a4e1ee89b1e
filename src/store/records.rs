//! Owns `Records`: consecutive records of a log in one buffer, each with its length in front.

use serde::Serialize;

/// Consecutive records, oldest first, of at most 4 GiB each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// Each record follows its length: 4 bytes, little endian.
    bytes: Vec<u8>,
    count: u64,
}

const LENGTH_BYTES: usize = 4;
/// A shorter buffer grows by exactly what it needs, a longer one by doubling.
const SHORT_BYTES: usize = 1024;

impl Records {
    /// Takes over a buffer made by [`Records::as_bytes`]; `None` if its lengths do not add up.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        let (mut rest, mut count) = (&bytes[..], 0);
        while !rest.is_empty() {
            (_, rest) = split(rest)?;
            count += 1;
        }
        Some(Self { bytes, count })
    }

    /// Appends a record. `write` must only append to the buffer it gets, which already holds the
    /// others.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; LENGTH_BYTES]);
        write(&mut self.bytes);
        let length = (self.bytes.len() - start - LENGTH_BYTES) as u32;
        self.bytes[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
        self.count += 1;
    }

    pub fn extend(&mut self, more: &Self) {
        // Saves memory: most logs stay short, and there may be many.
        if self.bytes.len() < SHORT_BYTES {
            self.bytes.reserve_exact(more.bytes.len());
        }
        self.bytes.extend_from_slice(&more.bytes);
        self.count += more.count;
    }

    pub fn len(&self) -> u64 {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            let (record, after) = split(rest)?;
            rest = after;
            Some(record)
        })
    }

    /// Drops the first `count` records; all if there are fewer.
    pub fn drop_first(&mut self, count: u64) {
        let gone: usize = self.iter().take(count as usize).map(|record| LENGTH_BYTES + record.len()).sum();
        self.bytes.drain(..gone);
        self.count -= count.min(self.count);
    }
}

/// Appends a value in postcard's stable encoding, the format of all records and images.
pub(crate) fn encode(value: &impl Serialize, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail, and all stored sequences have a known length.
    let written = postcard::to_extend(value, std::mem::take(out));
    debug_assert!(written.is_ok());
    *out = written.unwrap_or_default();
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(texts: &[&str]) -> Records {
        let mut records = Records::default();
        texts.iter().for_each(|text| records.push_with(|out| out.extend_from_slice(text.as_bytes())));
        records
    }

    #[test]
    fn records_come_back_as_they_were_put_in_also_through_their_bytes() {
        let mut some = records(&["one", "", "three"]);
        some.extend(&records(&["four"]));
        assert_eq!(some.iter().collect::<Vec<_>>(), [&b"one"[..], b"", b"three", b"four"]);
        assert_eq!(Records::from_bytes(some.as_bytes().to_vec()), Some(some.clone()));
        some.drop_first(2);
        assert_eq!((some.len(), some), (2, records(&["three", "four"])));
    }

    #[test]
    fn a_buffer_that_is_cut_anywhere_inside_a_record_is_none() {
        let whole = records(&["one", "three"]);
        let ends = [0, 7, 16];
        for cut in 0..=whole.as_bytes().len() {
            assert_eq!(Records::from_bytes(whole.as_bytes()[..cut].to_vec()).is_some(), ends.contains(&cut), "{cut}");
        }
    }
}
