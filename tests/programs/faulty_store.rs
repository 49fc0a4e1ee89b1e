//! Owns a server whose store fails, as on a full disk, while a file called `fail` is in its data
//! directory (D5). It shows how to wrap the configured store.

use std::path::PathBuf;

use innkeeper::{
    Innkeeper,
    config::{Config, Overrides},
    store::{Batch, Log, LogName, Store, StoreError},
};

struct FaultyStore {
    inner: Box<dyn Store>,
    switch: PathBuf,
}

impl FaultyStore {
    fn check(&self) -> Result<(), StoreError> {
        if self.switch.exists() { Err(StoreError("the disk is full".into())) } else { Ok(()) }
    }
}

impl Store for FaultyStore {
    fn append(&mut self, group: &[Batch], flush: bool) -> Result<Vec<usize>, StoreError> {
        self.check()?;
        self.inner.append(group, flush)
    }

    fn read(&mut self, name: &LogName, from: u64) -> Result<Option<Log>, StoreError> {
        self.check()?;
        self.inner.read(name, from)
    }

    fn logs(&mut self, after: Option<&LogName>, limit: usize) -> Result<Vec<LogName>, StoreError> {
        self.check()?;
        self.inner.logs(after, limit)
    }

    fn sweep(&mut self, limit: usize) -> Result<usize, StoreError> {
        self.check()?;
        self.inner.sweep(limit)
    }

    fn tend(&mut self) -> Result<(), StoreError> {
        self.inner.tend()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::load(Overrides::default()).map_err(|problems| problems.to_string())?;
    let switch = config.store.data_dir.join("fail");
    Innkeeper::new(config).wrap_store(move |inner| Box::new(FaultyStore { inner, switch })).run()?;
    Ok(())
}
