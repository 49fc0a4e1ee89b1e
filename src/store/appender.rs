//! Owns one thread's side of a journal: what was written there, in order, and what waits until that
//! is stored. `T` is whatever they want back when a batch is settled.

use std::{
    cell::RefCell,
    collections::VecDeque,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Batch, Journal, Log, MemoryStore, Store as _, StoreError, journal::ShardWaker};
use crate::protocol::GameId;

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It will survive what the durability promises.
    Stored,
    /// It did not fit its log: somebody else has written there, or the log is gone.
    Rejected,
}

/// Names a batch that is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

/// What is known of a batch at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    Settled(Outcome),
    Pending(Ticket),
}

/// One shard's way to one home.
pub struct Appender<T> {
    home: LogHome,
    /// What waits, by the ticket it waits for, in the order it came.
    waiting: RefCell<VecDeque<(Ticket, T)>>,
}

enum LogHome {
    /// Written on the spot: memory needs no grouping.
    Memory(Arc<Mutex<MemoryStore>>),
    Journal {
        journal: Journal,
        bell: Arc<ShardWaker>,
    },
}

impl<T> Appender<T> {
    pub fn memory(store: Arc<Mutex<MemoryStore>>) -> Rc<Self> {
        Self::new(LogHome::Memory(store))
    }

    pub fn journal(journal: Journal) -> Rc<Self> {
        Self::new(LogHome::Journal { journal, bell: Arc::default() })
    }

    fn new(home: LogHome) -> Rc<Self> {
        Rc::new(Self { home, waiting: RefCell::default() })
    }

    /// Writes a batch; `flush` to the disk, if the home has one (D1).
    pub fn append(&self, batch: Batch, flush: bool) -> Appended {
        match &self.home {
            LogHome::Memory(store) => {
                let rejected = locked(store).append(&[batch], false);
                let is_stored = rejected.is_ok_and(|rejected| rejected.is_empty());
                Appended::Settled(if is_stored { Outcome::Stored } else { Outcome::Rejected })
            }
            LogHome::Journal { journal, bell } => Appended::Pending(Ticket(journal.submit(batch, flush, bell))),
        }
    }

    /// Keeps `what` until the batch is settled, and everything deferred before has come back.
    pub fn defer(&self, ticket: Ticket, what: T) {
        self.waiting.borrow_mut().push_back((ticket, what));
    }

    /// Resolves when something may have been settled.
    pub async fn settled(&self) {
        match &self.home {
            LogHome::Memory(_) => std::future::pending().await,
            LogHome::Journal { bell, .. } => bell.settled.notified().await,
        }
    }

    /// What was deferred first, if its time has come.
    pub fn next(&self) -> Option<(Outcome, T)> {
        let LogHome::Journal { journal, .. } = &self.home else { return None };
        let mut waiting = self.waiting.borrow_mut();
        let (ticket, what) = waiting.pop_front_if(|(ticket, _)| journal.is_settled(ticket.0))?;
        let outcome = if journal.is_rejected(ticket.0) { Outcome::Rejected } else { Outcome::Stored };
        Some((outcome, what))
    }

    /// See [`Journal::is_failing`].
    pub fn is_failing(&self) -> bool {
        matches!(&self.home, LogHome::Journal { journal, .. } if journal.is_failing())
    }

    /// The journal, when it holds more than it may: wait for its space.
    pub fn congested(&self) -> Option<Journal> {
        match &self.home {
            LogHome::Journal { journal, .. } if journal.is_full() && !journal.is_failing() => Some(journal.clone()),
            _ => None,
        }
    }

    /// The whole log of a game.
    ///
    /// # Errors
    /// When the home cannot be read now.
    pub async fn read(&self, game: GameId) -> Result<Option<Log>, StoreError> {
        match &self.home {
            LogHome::Memory(store) => locked(store).read(&game, 0),
            LogHome::Journal { journal, .. } => journal.read(game).await,
        }
    }
}

fn locked(store: &Mutex<MemoryStore>) -> std::sync::MutexGuard<'_, MemoryStore> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}
