//! Owns the mark: a small file beside the database that records how new the database must be.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, Write as _},
    path::Path,
};

use super::file::FileIdentity;
use crate::store::private;

const BYTES: usize = 32;

/// The mark's contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MarkState {
    pub(super) store_id: u64,
    /// The newest committed group.
    pub(super) group: u64,
    /// When the process was last alive; unix milliseconds.
    pub(super) alive_ms: u64,
    /// [`super::file::FileHeader::version`] of the database file, without its WAL.
    pub(super) version: u32,
}

/// The open mark file. Written without a flush: it survives a crash of the process, and an older
/// mark after a crash of the machine does no harm.
pub(super) struct Mark {
    file: File,
    identity: FileIdentity,
}

impl Mark {
    /// Opens or creates the mark. Also returns its contents; `None` if it is new or damaged.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Option<MarkState>)> {
        let mut file = private::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = Vec::with_capacity(BYTES);
        file.read_to_end(&mut bytes)?;
        let seen = bytes.try_into().ok().and_then(|bytes| MarkState::from_bytes(&bytes));
        Ok((Self { identity: FileIdentity::of(&file), file }, seen))
    }

    pub(super) fn write(&mut self, seen: &MarkState) -> io::Result<()> {
        self.file.rewind()?;
        self.file.write_all(&seen.to_bytes())
    }

    pub(super) fn is_at(&self, path: &Path) -> bool {
        self.identity.is_at(path)
    }
}

impl MarkState {
    fn to_bytes(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&self.store_id.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.group.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.alive_ms.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.version.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; BYTES]) -> Option<Self> {
        let number = |at: usize| bytes[at..].first_chunk().map(|chunk| u64::from_le_bytes(*chunk));
        let seen = Self {
            store_id: number(0)?,
            group: number(8)?,
            alive_ms: number(16)?,
            version: bytes[24..].first_chunk().map(|chunk| u32::from_le_bytes(*chunk))?,
        };
        (seen.to_bytes() == *bytes).then_some(seen)
    }
}
