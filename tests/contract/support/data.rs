//! Owns `DataDir`: a directory for the embedded store that tests may remove while nobody uses it.
//! Called by `Server`, which has one of its own unless the settings name one, and by the tests of restarts.

use std::{fs, process::Command};

use tempfile::TempDir;

/// A directory of its own, removed when dropped.
pub struct DataDir(TempDir);

impl DataDir {
    pub fn new() -> Self {
        Self(tempfile::Builder::new().prefix("innkeeper-data-").tempdir().expect("a directory"))
    }

    /// One for a command whose environment names none; it has to be kept until the process has ended.
    pub fn of_its_own(command: &mut Command) -> Option<Self> {
        let names = ["DATA_DIR", "RAILWAY_VOLUME_MOUNT_PATH"];
        if command.get_envs().any(|(name, value)| names.iter().any(|known| name == *known) && value.is_some()) {
            return None;
        }
        let data = Self::new();
        command.env("DATA_DIR", data.path());
        Some(data)
    }

    /// For `DATA_DIR`.
    pub fn path(&self) -> &str {
        self.0.path().to_str().expect("a path in UTF-8")
    }

    /// The directory is gone; dropping this is still right.
    pub fn remove(&self) {
        fs::remove_dir_all(self.0.path()).expect("it can be removed");
    }
}
