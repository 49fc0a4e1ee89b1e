//! Owns the way from the settings to a journal: the lock on the data directory, what the store
//! holds at the start, and the removal of abandoned rooms.

use std::{io, path::PathBuf, rc::Rc, sync::Arc, thread, time::Duration};

use actix::Addr;
use slog::{Logger, info, warn};
use tokio::{sync::oneshot, time::sleep};

use super::StartError;
use crate::{
    config::Config,
    observe::metrics::Metrics,
    registry::{
        Local, Shard,
        requests::{on_shard, owner},
    },
    room::{Opener, has_ban},
    store::{EmbeddedStore, Journal, JournalSetting, LogName, OpenError, Opened, Store},
};

/// The interval of groups under load: shorter ones cost more CPU than they save in latency.
const GROUP_INTERVAL: Duration = Duration::from_millis(2);
/// The bytes that may wait for the store before rooms stop reading their mailboxes.
const MAX_QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// Abandoned rooms are removed this many at a time, and this often.
const SWEEP_PORTION: usize = 100;
const SWEEP_INTERVAL: Duration = Duration::from_millis(100);
const SWEEP_RETRY: Duration = Duration::from_secs(60);

/// Opens every room with a running ban; it stays until the last of them ends.
async fn open_banned(journal: &Journal, shards: &[Addr<Shard>]) -> Result<(), String> {
    let mut after = None;
    loop {
        let names = journal.logs(after, SWEEP_PORTION).await.map_err(|error| error.to_string())?;
        for game in names.iter().filter_map(LogName::game) {
            let log = journal.read(game.clone().into()).await.map_err(|error| error.to_string())?;
            if log.is_some_and(|log| has_ban(&log)) {
                let banned = game.clone();
                // What is stored afterwards is what the sweep looks at.
                let open = |local: Rc<Local>| async move {
                    let room = local.rooms.find(&banned, Opener::BackEnd).await.map_err(|none| none.to_string())?;
                    room.show().await.map(drop).map_err(|_| "the room did not open".to_owned())
                };
                on_shard(owner(shards, game), open).await.unwrap_or_else(|| Err("a shard is gone".to_owned()))?;
            }
        }
        match names.last() {
            Some(last) => after = Some(last.clone()),
            None => return Ok(()),
        }
        sleep(SWEEP_INTERVAL).await;
    }
}

/// Wraps or replaces the configured store.
pub(super) type WrapStore = Box<dyn FnOnce(Box<dyn Store>) -> Box<dyn Store> + Send>;

/// Opens the store, if any game needs one.
pub(super) async fn open_journal(
    config: &Config,
    wrap: Option<WrapStore>,
    metrics: &Arc<Metrics>,
    logger: &Logger,
) -> Result<Option<Journal>, StartError> {
    if !config.store.needs_disk() {
        info!(logger, "rooms live in memory and end with this process");
        return Ok(None);
    }
    if config.platform.is_some() && config.store.data_dir_is_default {
        warn!(logger, "DATA_DIR is not set: on this platform, what is not on a volume is lost with each deploy");
    }
    let dir = &config.store.data_dir;
    let mut opened = EmbeddedStore::open(dir, Duration::ZERO);
    if let Err(error @ OpenError::Locked { .. }) = &opened
        && !config.store.data_dir_timeout.is_zero()
    {
        warn!(logger, "waiting for the data directory"; "reason" => %error);
        opened = wait_for(dir.clone(), config.store.data_dir_timeout).await?;
    }
    let Opened { store, notes } = opened.map_err(|error| StartError::Store(format!("DATA_DIR: {error}")))?;
    info!(logger, "rooms are kept"; "directory" => %dir.display());
    for note in notes {
        warn!(logger, "the store was not as it was left"; "note" => note);
    }
    let store: Box<dyn Store> = Box::new(store);
    let store = match wrap {
        Some(wrap) => wrap(store),
        None => store,
    };
    let setting = JournalSetting { interval: GROUP_INTERVAL, max_queue_bytes: MAX_QUEUE_BYTES };
    Ok(Some(Journal::start(store, setting, logger.clone(), metrics.clone())?))
}

/// Waits on its own thread until another process releases the directory, so that signals are
/// handled meanwhile.
async fn wait_for(dir: PathBuf, timeout: Duration) -> io::Result<Result<Opened, OpenError>> {
    let (opened, waiting) = oneshot::channel();
    thread::Builder::new().name("data-dir".into()).spawn(move || {
        let _ = opened.send(EmbeddedStore::open(&dir, timeout));
    })?;
    waiting.await.map_err(|_| io::Error::other("the store could not be opened"))
}

/// Writes what is queued and ends the journal, on its own thread, so that a disk that hangs cannot
/// delay the exit.
pub(super) async fn close(journal: Journal) {
    let (closed, closing) = oneshot::channel();
    let thread = thread::Builder::new().name("last-words".into()).spawn(move || {
        journal.close();
        let _ = closed.send(());
    });
    if thread.is_ok() {
        let _ = closing.await;
    }
}

/// R6: a room from before the start that is still not open has lost all its seats, and has been
/// empty for as long as an empty room is kept. One with a running ban is opened, and so is not
/// removed (R8).
pub(super) async fn sweep(journal: Journal, shards: Arc<[Addr<Shard>]>, after: Duration, logger: Logger) {
    sleep(after).await;
    while let Err(why) = open_banned(&journal, &shards).await {
        warn!(logger, "abandoned rooms cannot be removed now: their bans are not known"; "error" => why);
        sleep(SWEEP_RETRY).await;
    }
    let mut removed = 0;
    loop {
        match journal.sweep(SWEEP_PORTION).await {
            Ok(0) => break,
            Ok(count) => {
                removed += count;
                sleep(SWEEP_INTERVAL).await;
            }
            Err(error) => {
                warn!(logger, "abandoned rooms cannot be removed now"; "error" => %error);
                sleep(SWEEP_RETRY).await;
            }
        }
    }
    if removed > 0 {
        info!(logger, "removed rooms that nobody came back to"; "rooms" => removed);
    }
}
