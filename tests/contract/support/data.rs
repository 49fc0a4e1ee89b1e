//! Owns `DataDir`: a directory for the embedded store that tests may copy, replace, damage and
//! remove while nobody uses it.

use std::{fs, path::Path, process::Command};

use tempfile::TempDir;

/// A directory of its own, removed when dropped.
pub struct DataDir(TempDir);

impl DataDir {
    pub fn new() -> Self {
        Self(tempfile::Builder::new().prefix("innkeeper-data-").tempdir().expect("a directory"))
    }

    /// One for a command whose environment names none; it has to be kept until the process has
    /// ended.
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

    /// Another directory with the same files.
    pub fn copy(&self) -> Self {
        let copy = Self::new();
        copy.take(self, |_| true);
        copy
    }

    /// The files that `which` names become those of `other`: what `other` lacks goes, everything
    /// else stays.
    pub fn take(&self, other: &Self, which: impl Fn(&str) -> bool) {
        for name in self.files().iter().filter(|name| which(name)) {
            remove(&self.file(name));
        }
        for name in other.files().iter().filter(|name| which(name)) {
            copy(&other.file(name), &self.file(name));
        }
    }

    /// The directory is gone; dropping this is still right.
    pub fn remove(&self) {
        remove(self.0.path());
    }

    /// The names of what lies in it, in order.
    pub fn files(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.0.path()) else { return Vec::new() };
        let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("a name in UTF-8");
        let mut names: Vec<_> = entries.map(|entry| name(entry.expect("an entry"))).collect();
        names.sort_unstable();
        names
    }

    pub fn file(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir(to).expect("a directory");
        for entry in fs::read_dir(from).expect("a directory") {
            let entry = entry.expect("an entry");
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).expect("a copy");
    }
}

fn remove(path: &Path) {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("it can be removed");
}
