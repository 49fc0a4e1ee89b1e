//! Owns the measurement of throughput and latency: rooms full of players on one thread, at an
//! offered load or as fast as they go.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{sync::Semaphore, task::JoinSet, time};

use super::{
    bursts::{Bursts, Seen},
    kit::{
        figures::percentile,
        server::{self, Cpu, Server},
        socket::{Player, Reader},
    },
    start,
};

/// Players that join at the same time.
const JOINING: usize = 64;
/// What is still on its way when the load ends may take so long.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);

#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub durability: &'static str,
    pub rooms: usize,
    /// Of each room; the first one publishes, and everyone receives.
    pub members: usize,
    /// Events a second of all rooms together. `None`: each publisher sends its next burst when it
    /// has seen its last one.
    pub offered: Option<u64>,
    /// Events in one write of a publisher.
    pub burst: u64,
}

/// What one run showed.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// Events that came back to their publishers, a second.
    pub events: f64,
    /// Events that came to any member, a second.
    pub deliveries: f64,
    /// From the write of a publisher to a member's read, in milliseconds.
    pub p50: f64,
    pub p99: f64,
    /// Microseconds of the server's CPU for each event, and of that the journal's thread.
    pub cpu: f64,
    pub journal_cpu: f64,
    /// Cores that the server and that this load generator used.
    pub server_cores: f64,
    pub own_cores: f64,
    /// Deliveries that never came, came twice or out of order; and connections that ended.
    pub lost: u64,
    pub disk_bytes: u64,
}

/// What the members of all rooms have seen.
#[derive(Default)]
struct Tally {
    /// Only while this is set do figures count.
    measuring: bool,
    latencies: Vec<u64>,
    events: u64,
    /// Since the beginning, in order and without a gap.
    delivered: u64,
    disorder: u64,
    ended: u64,
}

struct Field {
    case: Case,
    /// The clock of all publishers and members.
    clock: Instant,
    tally: Mutex<Tally>,
    publishers: Vec<Mutex<Bursts>>,
    stopped: Mutex<bool>,
}

/// Starts a server on this directory and puts the case's load on it: `warm_up`, then `time`, which
/// counts.
///
/// # Errors
/// When the server does not start or refuses players, or the system shows no `/proc`.
pub async fn run(case: Case, directory: &Path, warm_up: Duration, time: Duration) -> io::Result<Figures> {
    let server = start(directory, case.durability)?;
    let (publishers, members) = join(&server, case).await?;
    let field = Arc::new(Field {
        case,
        clock: Instant::now(),
        tally: Mutex::default(),
        publishers,
        stopped: Mutex::new(false),
    });
    for (index, reader) in members.into_iter().enumerate() {
        tokio::spawn(watch(field.clone(), index, reader));
    }
    match case.offered {
        Some(rate) => drop(tokio::spawn(offer(field.clone(), rate))),
        None => field.publishers.iter().for_each(|publisher| field.burst(publisher)),
    }

    time::sleep(warm_up).await;
    let (before, own_before, begun) = (server.cpu()?, server::own_cpu()?, Instant::now());
    lock(&field.tally).measuring = true;
    time::sleep(time).await;
    lock(&field.tally).measuring = false;
    let (seconds, after, own_after) = (begun.elapsed().as_secs_f64(), server.cpu()?, server::own_cpu()?);
    *lock(&field.stopped) = true;

    let expected = drain(&field).await;
    let mut tally = lock(&field.tally);
    let Cpu { process, journal } = after;
    let each = |cpu: f64| cpu * 1e6 / (tally.events.max(1) as f64);
    let figures = Figures {
        events: tally.events as f64 / seconds,
        deliveries: tally.latencies.len() as f64 / seconds,
        p50: 0.0,
        p99: 0.0,
        cpu: each(process - before.process),
        journal_cpu: each(journal - before.journal),
        server_cores: (process - before.process) / seconds,
        own_cores: (own_after - own_before) / seconds,
        lost: expected.abs_diff(tally.delivered) + tally.disorder + tally.ended,
        disk_bytes: server::disk_bytes(directory),
    };
    tally.latencies.sort_unstable();
    let milliseconds = |share| percentile(&tally.latencies, share) as f64 / 1e6;
    Ok(Figures { p50: milliseconds(0.5), p99: milliseconds(0.99), ..figures })
}

/// Everyone, the publishers first: player `n` is in room `n % rooms`.
async fn join(server: &Server, case: Case) -> io::Result<(Vec<Mutex<Bursts>>, Vec<Reader>)> {
    let mut joins = JoinSet::new();
    let gate = Arc::new(Semaphore::new(JOINING));
    for index in 0..case.rooms * case.members {
        let (gate, address) = (gate.clone(), server.address);
        let path = format!("/ws/room-{}/player-{}", index % case.rooms, index / case.rooms);
        joins.spawn(async move {
            let _permit = gate.acquire().await;
            Player::join(address, index, &path).await.map(|player| (index, player))
        });
    }
    let mut players = Vec::new();
    while let Some(joined) = joins.join_next().await {
        players.push(joined.map_err(io::Error::other)??);
    }
    players.sort_unstable_by_key(|(index, _)| *index);
    let (mut publishers, mut members) = (Vec::new(), Vec::new());
    for (index, player) in players {
        members.push(player.reader);
        if index < case.rooms {
            publishers.push(Mutex::new(Bursts::new(player.writer)));
        } else {
            // Dropping it would close the connection.
            player.writer.forget();
        }
    }
    Ok((publishers, members))
}

/// One member: everything of its room's publisher must come, once, in order.
async fn watch(field: Arc<Field>, index: usize, mut reader: Reader) {
    let publisher = field.publishers.get(index);
    let mut next = 0;
    loop {
        let ended = reader
            .frames(|frame| {
                let Some(seen) = Seen::in_frame(frame) else { return };
                let now = field.now();
                let mut tally = lock(&field.tally);
                if seen.number == next {
                    tally.delivered += 1;
                } else {
                    tally.disorder += 1;
                }
                next = seen.number + 1;
                if tally.measuring {
                    tally.latencies.push(now.saturating_sub(seen.sent));
                    tally.events += u64::from(publisher.is_some());
                }
            })
            .await
            .is_err();
        if ended {
            lock(&field.tally).ended += 1;
            return;
        }
        if let Some(publisher) = publisher.filter(|_| field.case.offered.is_none() && !*lock(&field.stopped)) {
            let is_all_back = lock(publisher).made == next;
            if is_all_back {
                field.burst(publisher);
            }
        }
    }
}

/// Publishes `rate` events a second, evenly over time and rooms.
async fn offer(field: Arc<Field>, rate: u64) {
    let mut ticks = time::interval(Duration::from_millis(1));
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Skip);
    let (begun, mut bursts) = (Instant::now(), 0);
    loop {
        ticks.tick().await;
        if *lock(&field.stopped) {
            return;
        }
        let due = begun.elapsed().as_secs_f64() * rate as f64 / field.case.burst as f64;
        while bursts < due as usize {
            field.burst(&field.publishers[bursts % field.publishers.len()]);
            bursts += 1;
        }
    }
}

/// Waits for what is on its way; returns how many deliveries there should be.
async fn drain(field: &Field) -> u64 {
    let deadline = Instant::now() + DRAIN_TIMEOUT;
    loop {
        // All of them, even if the first one fails.
        let waiting = field.publishers.iter().filter(|publisher| !lock(publisher).send(0, 0)).count();
        let made: u64 = field.publishers.iter().map(|publisher| lock(publisher).made).sum();
        let expected = made * field.case.members as u64;
        let is_here = waiting == 0 && lock(&field.tally).delivered == expected;
        if is_here || Instant::now() > deadline {
            // What comes too often comes now.
            time::sleep(Duration::from_millis(50)).await;
            return expected;
        }
        time::sleep(Duration::from_millis(10)).await;
    }
}

impl Field {
    fn now(&self) -> u64 {
        self.clock.elapsed().as_nanos() as u64
    }

    fn burst(&self, publisher: &Mutex<Bursts>) {
        lock(publisher).send(self.case.burst, self.now());
    }
}

/// Never contended: all tasks are on one thread. The lock makes them `Send`.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
