//! Owns one thread of a load: its rooms with their players, and the pacer that sends what is due.

use std::{
    cell::{Cell, RefCell},
    cmp::Reverse,
    collections::BinaryHeap,
    future::pending,
    io,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore},
    task::{LocalSet, spawn_local},
    time::sleep,
};

use super::{
    alarm::{Alarm, RunClock},
    plan::LoadPlan,
    player::{LoadPlayer, PlayerState, PlayerView},
    schedule::Schedule,
    session,
    shared::Shared,
    tally::Tally,
};
use crate::ws::Dialer;

/// Handshakes that one thread has under way.
const MAX_CONNECTING: usize = 128;
/// Between two looks at whether something has changed for the whole thread.
const TICK: Duration = Duration::from_millis(50);

pub(super) struct LoadRoom {
    pub number: usize,
    joined: Cell<usize>,
    /// All players have been in, so the senders send.
    has_started: Cell<bool>,
    /// The places of its players among those of the worker.
    places: std::ops::Range<usize>,
}

impl LoadRoom {
    pub(super) fn has_started(&self) -> bool {
        self.has_started.get()
    }
}

pub(super) struct LoadWorker {
    pub plan: Arc<LoadPlan>,
    pub shared: Arc<Shared>,
    pub clock: RunClock,
    pub dialer: Dialer,
    pub tally: RefCell<Tally>,
    /// A buffer for the text of a message.
    pub text: RefCell<Vec<u8>>,
    pub connecting: Semaphore,
    /// Told once when the run is over.
    over: Notify,
    players: Vec<Rc<LoadPlayer>>,
    /// When each sender sends next, soonest first.
    queue: RefCell<BinaryHeap<Reverse<(u64, usize)>>>,
    queue_changed: Notify,
}

impl LoadWorker {
    pub(super) fn new(
        thread: usize,
        plan: Arc<LoadPlan>,
        shared: Arc<Shared>,
        clock: RunClock,
        dialer: Dialer,
    ) -> Self {
        let size = plan.options.players;
        let mut players = Vec::new();
        for number in (thread..plan.options.rooms).step_by(plan.threads) {
            let places = players.len()..players.len() + size;
            let room = Rc::new(LoadRoom { number, joined: Cell::new(0), has_started: Cell::new(false), places });
            for index in 0..size {
                let habits = plan.habits(number, index);
                let schedule = plan.interval.filter(|_| habits.sends);
                let schedule = schedule.map(|interval| Schedule::new(index as u32, interval));
                let view = PlayerView::new(plan.senders, schedule);
                let state = RefCell::new(PlayerState { socket: None, waker: None, view, is_queued: false });
                players.push(Rc::new(LoadPlayer { room: room.clone(), index, place: players.len(), habits, state }));
            }
        }
        Self {
            plan,
            shared,
            clock,
            dialer,
            tally: RefCell::default(),
            text: RefCell::default(),
            connecting: Semaphore::new(MAX_CONNECTING),
            over: Notify::new(),
            players,
            queue: RefCell::default(),
            queue_changed: Notify::new(),
        }
    }

    /// A connection of the player was welcomed.
    pub(super) fn welcomed(&self, player: &LoadPlayer, is_first: bool) {
        let room = &player.room;
        if is_first {
            self.shared.player_joined();
            room.joined.set(room.joined.get() + 1);
            if room.joined.get() == room.places.len() {
                room.has_started.set(true);
                return self.start(room);
            }
        }
        if room.has_started() {
            self.enqueue(player);
        }
    }

    /// Gives each sender its times, spread evenly over the interval.
    fn start(&self, room: &LoadRoom) {
        const GOLDEN: f64 = 0.618_033_988_749_894_9;
        let now = self.clock.now();
        for player in &self.players[room.places.clone()] {
            if let (Some(schedule), Some(interval)) = (&mut player.state.borrow_mut().view.schedule, self.plan.interval)
            {
                let number = (room.number * self.plan.senders + player.index) as f64;
                schedule.start(now + ((number * GOLDEN).fract() * interval as f64) as u64);
            }
            self.enqueue(player);
        }
    }

    fn enqueue(&self, player: &LoadPlayer) {
        let mut state = player.state.borrow_mut();
        let wake = state.view.schedule.as_ref().and_then(|schedule| schedule.wake(self.shared.end()));
        let (false, Some(wake)) = (state.is_queued, wake) else { return };
        state.is_queued = true;
        let mut queue = self.queue.borrow_mut();
        if queue.peek().is_none_or(|Reverse((soonest, _))| wake < *soonest) {
            self.queue_changed.notify_one();
        }
        queue.push(Reverse((wake, player.place)));
    }

    /// Sends what is due until the run is over.
    async fn pace(&self) -> io::Result<()> {
        let alarm = Alarm::new()?;
        loop {
            let (now, end) = (self.clock.now(), self.shared.end());
            let next = loop {
                let mut queue = self.queue.borrow_mut();
                match queue.peek() {
                    Some(Reverse((wake, _))) if *wake <= now => {}
                    next => break next.map(|Reverse((wake, _))| *wake),
                }
                let Some(Reverse((_, place))) = queue.pop() else { break None };
                drop(queue);
                let player = &self.players[place];
                let next = player.send_due(self, now, end);
                player.state.borrow_mut().is_queued = next.is_some();
                if let Some(wake) = next {
                    self.queue.borrow_mut().push(Reverse((wake, place)));
                }
            };
            let due = async {
                match next {
                    Some(wake) => alarm.sleep_until(self.clock, wake).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                slept = due => slept?,
                () = self.queue_changed.notified() => {}
            }
        }
    }

    /// Returns once the run is over.
    pub(super) async fn over(&self) {
        let over = self.over.notified();
        if !self.shared.is_over() {
            over.await;
        }
    }

    fn is_complete(&self) -> bool {
        let end = self.shared.end();
        self.players.iter().all(|player| player.is_complete(end)) && self.owed(false) == 0
    }

    /// Returns how many deliveries the members have not got at the end of what they have.
    fn owed(&self, all: bool) -> u64 {
        let mut owed = 0;
        for room in self.players.chunk_by(|a, b| Rc::ptr_eq(&a.room, &b.room)) {
            let sent = |player: &Rc<LoadPlayer>| player.state.borrow().view.schedule.as_ref().map_or(0, Schedule::sent);
            let sent: Vec<u32> = room.iter().take(self.plan.senders).map(sent).collect();
            for player in room {
                let check = &player.state.borrow().view.check;
                owed += sent.iter().enumerate().map(|(at, sent)| u64::from(check.behind(at, *sent))).sum::<u64>();
                if owed > 0 && !all {
                    return owed;
                }
            }
        }
        owed
    }

    /// LoadCounts what is owed when the run is over.
    fn settle(&self) {
        let end = self.shared.end();
        let mut tally = self.tally.borrow_mut();
        tally.counts.lost += self.owed(true);
        for player in &self.players {
            if let Some(schedule) = &player.state.borrow().view.schedule {
                tally.counts.unanswered += u64::from(schedule.sent() - schedule.acknowledged());
                tally.counts.unsent += if player.room.has_started() { schedule.unsent(end) } else { 0 };
            }
        }
    }

    async fn serve(self: Rc<Self>, thread: usize) -> io::Result<()> {
        let pacer = self.clone();
        let mut pacer = spawn_local(async move { pacer.pace().await });
        let players: Vec<_> =
            (self.players.iter()).map(|player| spawn_local(session::play(self.clone(), player.clone()))).collect();
        if thread == 0 {
            spawn_local(heed_interrupts(self.shared.clone(), self.clock));
        }
        let mut is_complete = false;
        while !self.shared.is_over() {
            tokio::select! {
                () = sleep(TICK) => {}
                failed = &mut pacer => return failed.unwrap_or_else(|error| Err(io::Error::other(error))),
            }
            let tally = self.tally.borrow();
            self.shared.publish(thread, (tally.counts, tally.latency.clone()));
            drop(tally);
            if !is_complete && self.clock.now() > self.shared.end() && self.is_complete() {
                is_complete = true;
                self.shared.thread_is_complete();
            }
        }
        self.settle();
        self.over.notify_waiters();
        for player in &self.players {
            if let Some(waker) = &player.state.borrow().waker {
                waker.wake_by_ref();
            }
        }
        for player in players {
            player.await.map_err(io::Error::other)?;
        }
        Ok(())
    }
}

/// The first Ctrl-C ends the measuring and gives the result so far; another one ends the process.
async fn heed_interrupts(shared: Arc<Shared>, clock: RunClock) {
    while tokio::signal::ctrl_c().await.is_ok() {
        if shared.is_interrupted() {
            std::process::exit(130);
        }
        shared.interrupt(clock.now());
    }
}

/// Runs the players of one thread until the run is over.
///
/// # Errors
/// The system refuses what the thread needs.
pub(super) fn run(
    thread: usize,
    plan: Arc<LoadPlan>,
    shared: Arc<Shared>,
    clock: RunClock,
    dialer: Dialer,
) -> io::Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let worker = Rc::new(LoadWorker::new(thread, plan, shared, clock, dialer));
    LocalSet::new().block_on(&runtime, worker.clone().serve(thread))?;
    Ok(worker.tally.take())
}
