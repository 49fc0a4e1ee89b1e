//! Owns file operations beside SQLite: a file's identity, setting one aside, reading a database
//! header.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata},
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

/// Identifies an open file, to check whether a path still leads to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileIdentity(Option<(u64, u64)>);

impl FileIdentity {
    pub(super) fn of(file: &File) -> Self {
        Self(file.metadata().ok().and_then(|metadata| identity(&metadata)))
    }

    pub(super) fn is_at(self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|metadata| identity(&metadata) == self.0)
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    Some((metadata.dev(), metadata.ino()))
}

/// On other systems an open file cannot be deleted or replaced.
#[cfg(not(unix))]
fn identity(_: &Metadata) -> Option<(u64, u64)> {
    None
}

/// Appends `suffix` to the file name: `innkeeper.db` and `-wal` give `innkeeper.db-wal`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Returns true if the file exists and is not empty.
pub(super) fn has_content(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0)
}

/// Renames `path` to `path.damaged-SECONDS`, with a number behind it if that name is taken. Returns
/// the new name.
pub(super) fn set_aside(path: &Path, seconds: u64) -> io::Result<PathBuf> {
    let name = (0..).map(|again: u32| match again {
        0 => beside(path, &format!(".damaged-{seconds}")),
        _ => beside(path, &format!(".damaged-{seconds}-{again}")),
    });
    for name in name {
        if !name.exists() {
            fs::rename(path, &name)?;
            return Ok(name);
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Header fields of the database file itself, without its WAL: the store it belongs to, and its
/// version.
///
/// The file stays open as long as SQLite has it open: closing it would drop SQLite's locks (POSIX).
pub(super) struct FileHeader {
    file: Mutex<File>,
    /// A second handle for flushing, which is slow and must not hold the mutex.
    flushed: File,
    version: AtomicU32,
}

const VERSION_AT: u64 = 60;
const TAG_AT: u64 = 68;

impl FileHeader {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let header = Self { flushed: file.try_clone()?, file: Mutex::new(file), version: AtomicU32::new(0) };
        header.refresh();
        Ok(header)
    }

    /// Reads the version again; call this after a checkpoint.
    pub(super) fn refresh(&self) {
        if let Ok(version) = self.field(VERSION_AT) {
            self.version.store(version, Ordering::Relaxed);
        }
    }

    /// Flushes the database file, without its WAL, to the disk.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.flushed.sync_data()
    }

    /// `user_version` at the last refresh. Grows each time `meta` is stored; wraps.
    pub(super) fn version(&self) -> u32 {
        self.version.load(Ordering::Relaxed)
    }

    /// `application_id`; 0 as long as the file is empty.
    pub(super) fn tag(&self) -> u32 {
        self.field(TAG_AT).unwrap_or(0)
    }

    pub(super) fn identity(&self) -> FileIdentity {
        FileIdentity::of(&self.file.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn field(&self, at: u64) -> io::Result<u32> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = [0; 4];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }
}
