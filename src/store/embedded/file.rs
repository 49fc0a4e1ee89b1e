//! Owns what is done with files beside SQLite: telling one from another, setting one aside, reading
//! a database's header.

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

/// Tells whether a path still leads to the file that was opened.
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

/// Elsewhere a file that is open cannot be deleted or replaced.
#[cfg(not(unix))]
fn identity(_: &Metadata) -> Option<(u64, u64)> {
    None
}

/// `path` with `suffix` behind its name: `innkeeper.db` and `-wal`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Whether there is a file with anything in it.
pub(super) fn has_content(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0)
}

/// Renames `path` to `path.damaged-SECONDS`, nothing that is there already; returns the new name.
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

/// What the database file itself says, beside its WAL: which store it is part of, and how new its contents are.
///
/// The file stays open as long as SQLite has it open: closing it would drop the locks SQLite holds on it (POSIX).
pub(super) struct FileHeader {
    file: Mutex<File>,
    /// The same file, for flushing: that takes long, and nobody is to wait for it.
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

    /// Reads the version again, after a checkpoint.
    pub(super) fn refresh(&self) {
        if let Ok(version) = self.field(VERSION_AT) {
            self.version.store(version, Ordering::Relaxed);
        }
    }

    /// Flushes the database itself to the disk.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.flushed.sync_data()
    }

    /// `user_version`, as of the last refresh. Counts up with every change of the tables; wraps.
    pub(super) fn version(&self) -> u32 {
        self.version.load(Ordering::Relaxed)
    }

    /// `application_id`; 0 while the file is empty.
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
