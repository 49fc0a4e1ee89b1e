//! Owns the lock that keeps a second process out of a data directory. Held for the life of the
//! store, given back by the system however the process ends.

use std::{
    fs::{File, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use super::file::FileIdentity;
use crate::store::private;

/// Between attempts to take the lock.
const POLL: Duration = Duration::from_millis(25);

pub(super) struct Lock {
    _file: File,
    identity: FileIdentity,
}

#[derive(Debug)]
pub(super) enum LockError {
    /// Held by another process; its id, if the file tells.
    Held(Option<u32>),
    Io(io::Error),
}

impl Lock {
    /// Waits up to `wait` for whoever holds it.
    pub(super) fn take(path: &Path, wait: Duration) -> Result<Self, LockError> {
        let until = Instant::now() + wait;
        loop {
            let mut file = private::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
                .map_err(LockError::Io)?;
            match file.try_lock() {
                // Deleted meanwhile: what is locked is not what the next process would find.
                Ok(()) if FileIdentity::of(&file).is_at(path) => return Self::signed(file).map_err(LockError::Io),
                Ok(()) => continue,
                Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(POLL),
                Err(TryLockError::WouldBlock) => return Err(LockError::Held(holder(&mut file))),
                Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
            }
        }
    }

    /// Says in the file whose it is, for whoever finds it taken.
    fn signed(mut file: File) -> io::Result<Self> {
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { identity: FileIdentity::of(&file), _file: file })
    }

    /// Whether the file at `path` is still the one that is locked.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        self.identity.is_at(path)
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
