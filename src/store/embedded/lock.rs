//! Owns the lock that keeps a second process out of a data directory. The store holds it as long as
//! it lives; the system releases it however the process ends.

use std::{
    fs::{File, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use super::file::FileIdentity;
use crate::store::private;

/// Pause between attempts to take the lock.
const POLL: Duration = Duration::from_millis(25);

pub(super) struct Lock {
    _file: File,
    identity: FileIdentity,
}

#[derive(Debug)]
pub(super) enum LockError {
    /// Another process holds it; its id, if the lock file contains one.
    Held(Option<u32>),
    Io(io::Error),
}

impl Lock {
    /// Takes the lock; waits up to `wait` for another holder to release it.
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
                // If the file was deleted meanwhile, the next process would lock another file: try
                // again.
                Ok(()) if FileIdentity::of(&file).is_at(path) => return Self::signed(file).map_err(LockError::Io),
                Ok(()) => continue,
                Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(POLL),
                Err(TryLockError::WouldBlock) => return Err(LockError::Held(holder(&mut file))),
                Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
            }
        }
    }

    /// Writes this process's id into the lock file, for the error of the next process.
    fn signed(mut file: File) -> io::Result<Self> {
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { identity: FileIdentity::of(&file), _file: file })
    }

    /// Returns true if the file at `path` is still the locked one.
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
