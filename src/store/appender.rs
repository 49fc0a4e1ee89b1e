//! Owns one thread's side of a journal: submits batches in order, and keeps values of the caller
//! until their batches are settled. `T` is the type of those values.

use std::{
    cell::RefCell,
    collections::VecDeque,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Batch, Journal, Log, MemoryStore, Store as _, StoreError, journal::ShardWaker};
use crate::store::LogName;

/// The result of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Stored as durably as `DURABILITY` promises.
    Stored,
    /// The batch did not fit its log: another writer was there, or the log is gone.
    Rejected,
}

/// Identifies a submitted batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// What `append` returns at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appended {
    Settled(Outcome),
    Pending(Ticket),
}

/// One shard's access to one store.
pub(crate) struct Appender<T> {
    home: LogHome,
    /// Deferred values with the tickets they wait for, in the order of their arrival.
    waiting: RefCell<VecDeque<(Ticket, T)>>,
}

enum LogHome {
    /// Batches are written at once: memory needs no grouping.
    Memory(Arc<Mutex<MemoryStore>>),
    Journal {
        journal: Journal,
        waker: Arc<ShardWaker>,
    },
}

impl<T> Appender<T> {
    pub(crate) fn memory(store: Arc<Mutex<MemoryStore>>) -> Rc<Self> {
        Self::new(LogHome::Memory(store))
    }

    pub(crate) fn journal(journal: Journal) -> Rc<Self> {
        Self::new(LogHome::Journal { journal, waker: Arc::default() })
    }

    fn new(home: LogHome) -> Rc<Self> {
        Rc::new(Self { home, waiting: RefCell::default() })
    }

    /// Writes a batch. `flush` asks a store on a disk to flush it (D1).
    pub(crate) fn append(&self, batch: Batch, flush: bool) -> Appended {
        match &self.home {
            LogHome::Memory(store) => {
                let rejected = locked(store).append(&[batch], false);
                let is_stored = rejected.is_ok_and(|rejected| rejected.is_empty());
                Appended::Settled(if is_stored { Outcome::Stored } else { Outcome::Rejected })
            }
            LogHome::Journal { journal, waker } => Appended::Pending(Ticket(journal.submit(batch, flush, waker))),
        }
    }

    /// Keeps `what` until the batch is settled. [`Appender::next`] returns deferred values in this
    /// order.
    pub(crate) fn defer(&self, ticket: Ticket, what: T) {
        self.waiting.borrow_mut().push_back((ticket, what));
    }

    /// Resolves when batches may have been settled; never for memory, where `append` settles them.
    pub(crate) async fn settled(&self) {
        match &self.home {
            LogHome::Memory(_) => std::future::pending().await,
            LogHome::Journal { waker, .. } => waker.settled.notified().await,
        }
    }

    /// Returns the first deferred value if its batch is settled.
    pub(crate) fn next(&self) -> Option<(Outcome, T)> {
        let LogHome::Journal { journal, .. } = &self.home else { return None };
        let mut waiting = self.waiting.borrow_mut();
        let (ticket, what) = waiting.pop_front_if(|(ticket, _)| journal.is_settled(ticket.0))?;
        let outcome = if journal.is_rejected(ticket.0) { Outcome::Rejected } else { Outcome::Stored };
        Some((outcome, what))
    }

    /// See [`Journal::is_failing`].
    pub(crate) fn is_failing(&self) -> bool {
        matches!(&self.home, LogHome::Journal { journal, .. } if journal.is_failing())
    }

    /// Returns the journal if its queue is over its bound: wait for [`Journal::space`].
    pub(crate) fn congested(&self) -> Option<Journal> {
        match &self.home {
            LogHome::Journal { journal, .. } if journal.is_full() && !journal.is_failing() => Some(journal.clone()),
            _ => None,
        }
    }

    /// Reads the whole log.
    ///
    /// # Errors
    /// Fails if the store cannot be read at the moment.
    pub(crate) async fn read(&self, name: LogName) -> Result<Option<Log>, StoreError> {
        match &self.home {
            LogHome::Memory(store) => locked(store).read(&name, 0),
            LogHome::Journal { journal, .. } => journal.read(name).await,
        }
    }
}

fn locked(store: &Mutex<MemoryStore>) -> std::sync::MutexGuard<'_, MemoryStore> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}
